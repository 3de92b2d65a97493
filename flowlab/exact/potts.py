"""Small Potts systems by summing over every configuration."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from flowlab.systems.potts import Potts

MAX_CONFIGURATIONS = 1 << 24
CHUNK = 1 << 14


@dataclass(frozen=True)
class PottsMoments:
    """Exact numbers of a small Potts system, from every one of its q^N configurations.

    Attributes:
        log_z: ln Z.
        entropy: -Σ p ln p, in nats, whole system.
        mean: <O> of every observable of the system, by its name.
    """

    log_z: float
    entropy: float
    mean: dict[str, float]


def potts_configurations(
    shape: tuple[int, ...], q: int, start: int = 0, stop: int | None = None, *, dtype: torch.dtype = torch.float64
) -> Tensor:
    """Configurations number ``start`` to ``stop`` - 1 of the q^N, as (stop - start, *shape) of states 0 .. q-1.

    Digit k of the number in base q, counted from the least significant, is the state of site k in raster order.

    Args:
        shape: sides of the system.
        q: number of states, at least 2.
        start: first number.
        stop: one past the last number; by default q^N.
        dtype: floating-point type of the states.

    Raises:
        ValueError: for more than 2^24 configurations in all, or where start and stop are not in order within 0 .. q^N.

    >>> potts_configurations((2,), 3, 3, 6).tolist()
    [[0.0, 1.0], [1.0, 1.0], [2.0, 1.0]]
    """
    total = _total(q, math.prod(shape))
    stop = total if stop is None else stop
    if not 0 <= start <= stop <= total:
        raise ValueError(f"expected 0 <= start <= stop <= {total}, got start={start}, stop={stop}")
    number = torch.arange(start, stop)
    digits = number[:, None] // q ** torch.arange(math.prod(shape)) % q
    return digits.to(dtype).reshape(-1, *shape)


def enumerate_potts(system: Potts) -> PottsMoments:
    """ln Z, entropy and mean observables of a Potts lattice of at most 2^24 configurations, 15 sites at q = 3.

    The last site is kept in state 0, since every observable is the same for relabelled states.

    Raises:
        ValueError: for more configurations.

    >>> from flowlab.systems.potts import Potts
    >>> exact = enumerate_potts(Potts((2, 3), T=1.0))
    >>> round(exact.log_z, 9), round(exact.mean["energy_per_site"], 9)
    (13.486557488, -1.742300602)
    """
    T = float(system.couplings["T"].detach())
    log_z, sums = enumerate_potts_log_z(system), defaultdict[str, float](float)
    with torch.no_grad():
        for x in _chunks(system):
            p = system.q * (system.log_weight(x) - log_z).exp()
            for name, value in system.observables(x).items():
                sums[name] += float(p @ value)
    entropy = log_z + system.n_sites * sums["energy_per_site"] / T
    return PottsMoments(log_z=log_z, entropy=entropy, mean=dict(sums))


def enumerate_potts_log_z(system: Potts) -> float:
    """ln Z alone, as :func:`enumerate_potts` gives it.

    Raises:
        ValueError: for more than 2^24 configurations.
    """
    with torch.no_grad():
        parts = torch.stack([system.log_weight(x).logsumexp(0) for x in _chunks(system)])
    return math.log(system.q) + float(parts.logsumexp(0))


def _total(q: int, n_sites: int) -> int:
    total: int = int(q) ** n_sites
    if total > MAX_CONFIGURATIONS:
        raise ValueError(
            f"enumeration takes at most {MAX_CONFIGURATIONS} configurations, got {q}^{n_sites} = {total:.3g}"
        )
    return total


def _chunks(system: Potts) -> Iterator[Tensor]:
    """The configurations with the last site in state 0, on the device of the couplings."""
    total = _total(system.q, system.n_sites) // system.q
    for start in range(0, total, CHUNK):
        x = potts_configurations(system.shape, system.q, start, min(start + CHUNK, total))
        yield x.to(system.couplings["T"].device)
