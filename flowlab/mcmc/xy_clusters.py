"""Cluster updates of the XY model: all clusters at once."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from flowlab.core import MarkovChain
from flowlab.mcmc.tensor_chain import opened, seeded
from flowlab.systems import XY


class XYState(NamedTuple):
    """What the chains carry.

    Attributes:
        configurations: (n, *shape) float64 angles in [-π, π).
        rng: uint8, the state of the chains' random generator.
    """

    configurations: Tensor
    rng: Tensor


class XYInfo(NamedTuple):
    """What one looks at after a sweep.

    Attributes:
        acceptance: (n,) ones: a cluster is mirrored or stays.
        clusters: () clusters a chain, on average.
    """

    acceptance: Tensor
    clusters: Tensor


class XYClusters(MarkovChain[XYState, XYInfo]):
    """Clusters of planar spins that are mirrored, n chains at once.

    Each chain draws a line through the origin with normal r. A bond of spins on one side of it is kept with probability
    1 - exp(-2 (J/T) (r·s)(r·s')), and every cluster of sites joined by kept bonds is mirrored, r·s -> -r·s, with
    probability 1/2.

    Args:
        system: a :class:`flowlab.systems.XY` with J > 0.

    Raises:
        TypeError: for another system.
        ValueError: for J <= 0.

    Source: U. Wolff 1989, Phys. Rev. Lett. 62, 361; all clusters after Swendsen and Wang 1987.

    >>> chain = XYClusters(XY((4, 4), T=1.0))
    >>> state, info = chain.step(chain.init(3, generator=torch.Generator().manual_seed(0)))
    >>> state.configurations.shape, bool((state.configurations.abs() <= torch.pi).all())
    (torch.Size([3, 4, 4]), True)
    """

    state_type = XYState

    def __init__(self, system: XY) -> None:
        physical = getattr(system, "physical", None)
        if physical is not system or system.variables.scale != "cyclic" or not hasattr(system, "vortices"):
            raise TypeError(f"clusters of planar spins need an XY system, got {type(system).__name__}")
        self.system, self.K = system, float(system.bond.detach())
        if not self.K > 0:
            raise ValueError(f"J must be positive for clusters, got {float(system.couplings['J'].detach())}")

    def init(self, n: int, *, generator: torch.Generator | None = None) -> XYState:
        """n chains from random angles."""
        if n < 1:
            raise ValueError(f"the number of chains must be at least 1, got {n}")
        own = seeded(generator)
        x = self.system.variables.random((n, *self.system.shape), generator=own)
        return XYState(x, own.get_state())

    def step(self, state: XYState) -> tuple[XYState, XYInfo]:
        """One sweep of every chain."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        own, x = opened(state.rng), state.configurations
        normal = 2 * math.pi * torch.rand(len(x), 1, 1, generator=own, dtype=x.dtype)
        along = (x - normal).cos()
        site = torch.arange(x.numel()).reshape(x.shape)
        here, there = [], []
        for side in (1, 2):
            kept = (
                torch.rand(x.shape, generator=own, dtype=x.dtype)
                < -(-2 * self.K * along * along.roll(-1, side)).expm1()
            )
            here.append(site[kept])
            there.append(site.roll(-1, side)[kept])
        rows, columns = torch.cat(here).numpy(), torch.cat(there).numpy()
        graph = coo_array((np.ones(len(rows), dtype=np.int8), (rows, columns)), shape=(x.numel(), x.numel()))
        count, label = connected_components(graph, directed=False)
        mirrored = torch.rand(count, generator=own) < 0.5
        chosen = mirrored[torch.from_numpy(label.astype(np.int64))].reshape(x.shape)
        turned = self.system.variables.principal(2 * normal + math.pi - x)
        new = XYState(torch.where(chosen, turned, x), own.get_state())
        return new, XYInfo(torch.ones(len(x)), torch.tensor(count / len(x)))
