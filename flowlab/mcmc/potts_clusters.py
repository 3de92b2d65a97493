"""Cluster updates of the Potts model: all clusters at once."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from flowlab.core import MarkovChain
from flowlab.mcmc.tensor_chain import opened, seeded
from flowlab.systems import Potts


class PottsState(NamedTuple):
    """What the chains carry.

    Attributes:
        configurations: (n, *shape) float64 states 0 .. q-1.
        rng: uint8, the state of the chains' random generator.
    """

    configurations: Tensor
    rng: Tensor


class PottsInfo(NamedTuple):
    """What one looks at after a sweep.

    Attributes:
        acceptance: (n,) ones: every cluster takes its new state.
        clusters: () clusters a chain, on average.
    """

    acceptance: Tensor
    clusters: Tensor


class PottsClusters(MarkovChain[PottsState, PottsInfo]):
    """Swendsen and Wang's clusters of the ferromagnetic Potts model, n chains at once.

    A bond between equal neighbours is kept with probability 1 - exp(-J/T); every cluster of sites joined by kept bonds
    takes a new state at random, so that the S_q symmetry of the model is exact at every step.

    Args:
        system: a :class:`flowlab.systems.Potts` with J > 0.

    Raises:
        TypeError: for another system.
        ValueError: for J <= 0.

    Source: R. H. Swendsen, J.-S. Wang 1987, Phys. Rev. Lett. 58, 86.

    >>> chain = PottsClusters(Potts((4, 4), T=1.0))
    >>> state, info = chain.step(chain.init(3, generator=torch.Generator().manual_seed(0)))
    >>> state.configurations.shape, bool((state.configurations < 3).all())
    (torch.Size([3, 4, 4]), True)
    """

    state_type = PottsState

    def __init__(self, system: Potts) -> None:
        if not system.square or system.variables.scale != "categorical":
            raise TypeError(f"Potts clusters need a Potts system, got {type(system).__name__}")
        J, T = (float(system.couplings[name].detach()) for name in ("J", "T"))
        if not J > 0:
            raise ValueError(f"J must be positive for clusters of equal states, got {J}")
        self.system, self.q, self.bond = system, system.q, -math.expm1(-J / T)

    def init(self, n: int, *, generator: torch.Generator | None = None) -> PottsState:
        """n chains from random states."""
        if n < 1:
            raise ValueError(f"the number of chains must be at least 1, got {n}")
        own = seeded(generator)
        x = torch.randint(self.q, (n, *self.system.shape), generator=own).double()
        return PottsState(x, own.get_state())

    def step(self, state: PottsState) -> tuple[PottsState, PottsInfo]:
        """One sweep of every chain."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        own, x = opened(state.rng), state.configurations
        site = torch.arange(x.numel()).reshape(x.shape)
        here, there = [], []
        for side in (1, 2):
            kept = (x == x.roll(-1, side)) & (torch.rand(x.shape, generator=own) < self.bond)
            here.append(site[kept])
            there.append(site.roll(-1, side)[kept])
        rows, columns = torch.cat(here).numpy(), torch.cat(there).numpy()
        graph = coo_array((np.ones(len(rows), dtype=np.int8), (rows, columns)), shape=(x.numel(), x.numel()))
        count, label = connected_components(graph, directed=False)
        colour = torch.randint(self.q, (count,), generator=own).to(x.dtype)
        new = PottsState(colour[torch.from_numpy(label.astype(np.int64))].reshape(x.shape), own.get_state())
        return new, PottsInfo(torch.ones(len(x)), torch.tensor(count / len(x)))
