"""Small spin systems by summing over every configuration."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from flowlab.core import Spins, System

MAX_SITES = 24
CHUNK = 1 << 14


@dataclass(frozen=True)
class SpinMoments:
    """Exact numbers of a small spin system, from every one of its 2^N configurations.

    Attributes:
        n_sites: N.
        log_z: ln Z.
        entropy: -Σ p ln p, in nats, whole system.
        log_weight_mean: <ln weight>, which is -<E>/T for spins, whole system.
        log_weight_variance: Var(ln weight), which is the specific heat C = Var(E)/T², whole system.
        mean: <O> of every observable of the system, by its name.
        mean_square: <O²> of every observable, by its name.
        abs_magnetization: <|m|> with m = Σs/N.
        magnetization_squared: <m²>.
        magnetization_fourth: <m⁴>.
    """

    n_sites: int
    log_z: float
    entropy: float
    log_weight_mean: float
    log_weight_variance: float
    mean: dict[str, float]
    mean_square: dict[str, float]
    abs_magnetization: float
    magnetization_squared: float
    magnetization_fourth: float

    @property
    def susceptibility(self) -> float:
        """N <m²>."""
        return self.n_sites * self.magnetization_squared

    @property
    def susceptibility_connected(self) -> float:
        """N (<m²> - <|m|>²)."""
        return self.n_sites * (self.magnetization_squared - self.abs_magnetization**2)

    @property
    def binder(self) -> float:
        """1 - <m⁴> / (3 <m²>²)."""
        return 1 - self.magnetization_fourth / (3 * self.magnetization_squared**2)


def configurations(
    shape: tuple[int, ...],
    start: int = 0,
    stop: int | None = None,
    *,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Spin configurations number ``start`` to ``stop`` - 1 of the 2^N, as (stop - start, *shape) of ±1.

    Bit k of the number, counted from the least significant, is the spin of site k in raster order: 1 is up (+1),
    0 is down (-1). Number 0 is all down, and 2^N - 1 - i is configuration i with every spin flipped.

    Args:
        shape: sides of the system, at most 24 sites.
        start: first number.
        stop: one past the last number; by default 2^N.
        dtype: floating-point type of the spins.
        device: where the result lies.

    Raises:
        ValueError: above 24 sites, or where start and stop are not in order within 0..2^N.

    >>> configurations((2, 2), 1, 3).flatten(1).tolist()
    [[1.0, -1.0, -1.0, -1.0], [-1.0, 1.0, -1.0, -1.0]]
    >>> configurations((3,)).shape
    torch.Size([8, 3])
    """
    n_sites = math.prod(shape)
    _check_size(n_sites)
    stop = 2**n_sites if stop is None else stop
    if not 0 <= start <= stop <= 2**n_sites:
        raise ValueError(f"expected 0 <= start <= stop <= {2**n_sites}, got start={start}, stop={stop}")
    number = torch.arange(start, stop, dtype=torch.int32, device=device)
    site = torch.arange(n_sites, dtype=torch.int32, device=device)
    up = (number[:, None] >> site) & 1
    return (2 * up.to(dtype) - 1).reshape(-1, *shape)


def distribution(system: System) -> Tensor:
    """ln p of all 2^N configurations, (2^N,) float64, in the order of :func:`configurations`.

    Args:
        system: a spin system of at most 24 sites (whose result takes 134 MB).

    Raises:
        ValueError: above 24 sites, for a system that is not of spins, or for a log_weight that is not a number.

    >>> from flowlab.systems import Ising
    >>> log_p = distribution(Ising((2, 2), T=2.0))
    >>> round(float(log_p.exp().sum()), 12), int(log_p.argmax())
    (1.0, 0)
    """
    log_weight = _log_weights(system)
    if system.flip_symmetric:
        log_weight = torch.cat([log_weight, log_weight.flip(0)])
    log_weight -= _log_sum_exp(log_weight)
    return log_weight


def enumerate_log_z(system: System) -> float:
    """ln Z alone, as :func:`enumerate_spins` gives it, in a third of the time.

    >>> from flowlab.systems import Ising
    >>> round(enumerate_log_z(Ising((2, 3), T=2.0, h=0.5)), 9)
    7.65650163
    """
    return math.log(2 if system.flip_symmetric else 1) + _log_sum_exp(_log_weights(system))


def enumerate_spins(system: System) -> SpinMoments:
    """ln Z and moments of any spin system of at most 24 sites, in float64.

    Configurations pass through in chunks; where the system is flip symmetric only half of them are weighed.

    Args:
        system: what to sum over; its ``log_weight`` and ``observables`` are called on (n, *shape) spins.

    Raises:
        ValueError: above 24 sites, for a system that is not of spins, or for a log_weight that is not a number.

    >>> from flowlab.systems import Ising
    >>> exact = enumerate_spins(Ising((2, 2), T=2.0))
    >>> round(exact.log_z, 9), round(exact.mean["energy_per_site"], 9), round(exact.abs_magnetization, 9)
    (4.797713747, -1.800825363, 0.933709173)
    """
    log_p = _log_weights(system)
    copies = 2 if system.flip_symmetric else 1
    log_z = math.log(copies) + _log_sum_exp(log_p)
    log_p.sub_(log_z).clamp_(min=-800.0)  # where p is 0 in double precision, ln p stays finite
    sums: dict[str, float] = defaultdict(float)
    with torch.no_grad():
        for x, part in zip(_chunks(system), log_p.split(CHUNK), strict=True):
            p = part.exp()
            m = x.flatten(1).mean(1).abs()
            for name, value in {"log_p": part, "|m|": m, "m2": m**2, "m4": m**4}.items():
                sums[name] += copies * float(p @ value)
            for image in (x, -x)[:copies]:
                for name, value in system.observables(image).items():
                    sums[f"<{name}>"] += float(p @ value.double())
                    sums[f"<{name}²>"] += float(p @ value.double() ** 2)
        entropy = -sums["log_p"]
        variance = copies * sum(float(part.exp() @ (part + entropy) ** 2) for part in log_p.split(CHUNK))
        names = list(system.observables(x[:1]))
    return SpinMoments(
        n_sites=system.n_sites,
        log_z=log_z,
        entropy=entropy,
        log_weight_mean=log_z - entropy,
        log_weight_variance=variance,
        mean={name: sums[f"<{name}>"] for name in names},
        mean_square={name: sums[f"<{name}²>"] for name in names},
        abs_magnetization=sums["|m|"],
        magnetization_squared=sums["m2"],
        magnetization_fourth=sums["m4"],
    )


def _check_size(n_sites: int) -> None:
    if n_sites > MAX_SITES:
        raise ValueError(f"enumeration needs at most {MAX_SITES} sites, got {n_sites}")


def _device(system: System) -> torch.device:
    return next((tensor.device for tensor in system.buffers()), torch.device("cpu"))


def _n_weighed(system: System) -> int:
    return 1 << (system.n_sites - 1 if system.flip_symmetric else system.n_sites)


def _chunks(system: System) -> Iterator[Tensor]:
    """Every configuration, or the half of them with the last spin down where the other half is their mirror image."""
    total, device = _n_weighed(system), _device(system)
    for start in range(0, total, CHUNK):
        yield configurations(system.shape, start, min(start + CHUNK, total), device=device)


def _log_weights(system: System) -> Tensor:
    """ln weight of every configuration of :func:`_chunks`, float64."""
    if system.variables != Spins():
        raise ValueError(f"enumeration needs a system of spins, got the domain {system.domain!r}")
    _check_size(system.n_sites)
    log_weight = torch.empty(_n_weighed(system), dtype=torch.float64, device=_device(system))
    with torch.no_grad():
        for x, part in zip(_chunks(system), log_weight.split(CHUNK), strict=True):
            part.copy_(system.log_weight(x))
    top = float(log_weight.max())  # nan where any is nan
    if not math.isfinite(top):
        raise ValueError(f"{type(system).__name__}.log_weight must be finite, got {top}")
    return log_weight


def _log_sum_exp(log_weight: Tensor) -> float:
    """ln Σ exp, in chunks: torch.logsumexp would copy the whole."""
    top = float(log_weight.max())
    return top + math.log(sum(float((part - top).exp().sum()) for part in log_weight.split(CHUNK)))
