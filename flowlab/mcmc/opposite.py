"""Chains of any system that begin from opposite ends, half of them hot and half of them cold."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flowlab.core import Spins, System
from flowlab.mcmc.exchange import Exchange, powers, width_at_infinity
from flowlab.mcmc.hmc import HMC
from flowlab.mcmc.kernels.graphs import spin_graph
from flowlab.mcmc.parallel_tempering import ParallelTempering, ladder
from flowlab.mcmc.potts_clusters import PottsClusters
from flowlab.mcmc.swendsen_wang import SwendsenWang
from flowlab.mcmc.xy_clusters import XYClusters

CHAINS = 64
SETS = 16
"""Of replica exchange, each of which holds a configuration at every temperature."""


@dataclass
class Opposite:
    """Chains of one system, of which the first half began at random and the second half in order.

    Attributes:
        what: the kind of chain, in words.
        chains: how many, n.
        hot: how many of them began at random.
        tuning: steps in which they still adapt.
        temperatures: of replica exchange, relative to the system's own or in its units; empty for other chains.
    """

    what: str
    chains: int
    tuning: int
    temperatures: tuple[float, ...]
    _state: Any
    _advance: Callable[[Any, int], Any]
    _look: Callable[[Any], Tensor]
    _energies: Callable[[Any], NDArray[np.float64]] | None = None
    _trips: Callable[[Any], NDArray[np.int64]] | None = None

    @property
    def hot(self) -> int:
        return self.chains // 2

    def advance(self, steps: int) -> None:
        """``steps`` steps of every chain."""
        self._state = self._advance(self._state, steps)

    @property
    def configurations(self) -> Tensor:
        """(n, *shape) float64, now."""
        return self._look(self._state)

    @property
    def energies(self) -> NDArray[np.float64] | None:
        """(n, temperatures) energies of replica exchange, now; None for other chains."""
        return None if self._energies is None else self._energies(self._state)

    @property
    def round_trips(self) -> NDArray[np.int64] | None:
        """(n,) round trips of replica exchange so far; None for other chains."""
        return None if self._trips is None else self._trips(self._state)


def opposite(system: System, *, generator: torch.Generator) -> Opposite:
    """Chains of a system, of the kind that forgets its start soonest, from random and from ordered configurations.

    Clusters of Swendsen and Wang for Ising and ferromagnetic Potts models without field, mirrored ones for
    ferromagnetic XY models; parallel tempering for other spins with pair couplings, glasses among them; hybrid Monte
    Carlo for other angles, and for real fields with φ -> -φ; replica exchange of powers of the weight for all others,
    which needs ``log_weight`` alone. Ordered spins and states begin as one state everywhere, each state in its turn;
    ordered fields at the constant field of the largest weight on either side of 0.

    Raises:
        ValueError: for a system that no chain here can sample.

    >>> from flowlab.systems import Ising
    >>> chains = opposite(Ising((4, 4), T=2.0), generator=torch.Generator().manual_seed(0))
    >>> chains.advance(2)
    >>> chains.what, chains.configurations.shape
    ("Swendsen and Wang's clusters", torch.Size([64, 4, 4]))
    """
    for kind in (_clusters, _new_values, _tempering, _hybrid):
        found = kind(system, generator)
        if found is not None:
            return found
    return _exchange(system, generator)


def ordered(system: System, n: int) -> Tensor:
    """(n, *shape) float64 configurations that are the same at every site, all ordered states in turn.

    >>> from flowlab.systems import Ising
    >>> ordered(Ising((2, 2), T=1.0), 3)[:, 0, 0].tolist()
    [1.0, -1.0, 1.0]
    """
    values = system.variables.ordered
    if values is None:
        grid = torch.linspace(0.05, 5.0, 100, dtype=torch.float64)
        values = torch.stack([_heaviest(system, grid), _heaviest(system, -grid)])
    return values[torch.arange(n) % len(values)].reshape(n, *[1] * len(system.shape)).expand(n, *system.shape).clone()


def _heaviest(system: System, values: Tensor) -> Tensor:
    fields = values.reshape(-1, *[1] * len(system.shape)).expand(-1, *system.shape)
    with torch.no_grad():
        return values[system.log_weight(fields.contiguous()).nan_to_num(nan=-math.inf).argmax()]


def _starts(system: System, n: int, generator: torch.Generator) -> Tensor:
    return torch.cat(
        [system.variables.random((n // 2, *system.shape), generator=generator), ordered(system, n - n // 2)]
    )


def _clusters(system: System, generator: torch.Generator) -> Opposite | None:
    try:
        chain = SwendsenWang(system)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    state = chain.init(CHAINS, start=_starts(system, CHAINS, generator), generator=generator)
    return Opposite(
        "Swendsen and Wang's clusters", CHAINS, 0, (), state,
        lambda state, steps: chain.run(state, steps)[0],
        lambda state: torch.from_numpy(state.configurations).double(),
    )  # fmt: skip


def _new_values(system: System, generator: torch.Generator) -> Opposite | None:
    """Clusters that take other values, of states or of planar spins."""
    for make, what in ((PottsClusters, "Swendsen and Wang's clusters"), (XYClusters, "mirrored clusters")):
        try:
            chain: Any = make(system)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            continue
        state = chain.init(CHAINS, generator=generator)._replace(configurations=_starts(system, CHAINS, generator))
        return Opposite(what, CHAINS, 0, (), state, _stepper(chain), lambda state: state.configurations)
    return None


def _tempering(system: System, generator: torch.Generator) -> Opposite | None:
    if system.variables != Spins() or system.temperature is None:
        return None
    try:
        spin_graph(system)
    except TypeError:
        return None
    T = float(system.temperature.detach())
    temperatures = ladder([T], system.n_sites, scale=T * width_at_infinity(system))
    chain = ParallelTempering(system, temperatures, replicas=SETS)
    state = chain.init(generator=generator)
    cold = ordered(system, SETS - SETS // 2).flatten(1).numpy().astype(np.int8)
    state.spins[0, SETS // 2 :] = cold[:, None]
    return Opposite(
        "parallel tempering", SETS, 0, temperatures, state,
        lambda state, steps: chain.run(state, steps, every=steps)[0],
        lambda state: torch.from_numpy(state.spins[0, :, 0]).double().reshape(SETS, *system.shape),
        lambda state: state.energies[0],
        lambda state: state.round_trips[0],
    )  # fmt: skip


def _hybrid(system: System, generator: torch.Generator) -> Opposite | None:
    real = system.variables.signed
    if system.variables.discrete or (real and not system.flip_symmetric):
        return None
    chain = HMC(system, steps=max(6, 3 * max(system.shape) // 2), flips=real)
    state = chain.init(CHAINS, generator=generator)._replace(configurations=_starts(system, CHAINS, generator))

    def look(state: Any) -> Tensor:
        x: Tensor = state.configurations
        return system.variables.principal(x)

    return Opposite("hybrid Monte Carlo", CHAINS, chain.tuning, (), state, _stepper(chain), look)


def _exchange(system: System, generator: torch.Generator) -> Opposite:
    chain = Exchange(system, powers(system))
    state = chain.init(SETS, start=_starts(system, SETS, generator), generator=generator)
    K = len(chain.powers)
    temperatures = tuple(math.inf if b == 0 else 1 / b for b in chain.powers.tolist())

    def own(state: Any) -> Tensor:
        x: Tensor = state.configurations
        return x.reshape(SETS, K, *system.shape)[:, 0]

    def energies(state: Any) -> NDArray[np.float64]:
        with torch.no_grad():
            return np.asarray(-system.log_weight(state.configurations).double().reshape(SETS, K))

    return Opposite(
        "replica exchange", SETS, chain.tuning, temperatures, state, _stepper(chain), own, energies,
        lambda state: state.round_trips.numpy(),
    )  # fmt: skip


def _stepper(chain: Any) -> Callable[[Any, int], Any]:
    def advance(state: Any, steps: int) -> Any:
        for _ in range(steps):
            state, _ = chain.step(state)
        return state

    return advance
