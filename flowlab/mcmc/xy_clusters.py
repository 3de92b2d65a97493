"""Cluster updates of the XY model: all clusters at once."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from flowlab.mcmc.tensor_chain import AllClusters, joined
from flowlab.systems import XY


class XYClusters(AllClusters):
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

    def __init__(self, system: XY) -> None:
        physical = getattr(system, "physical", None)
        if physical is not system or system.variables.scale != "cyclic" or not hasattr(system, "vortices"):
            raise TypeError(f"clusters of planar spins need an XY system, got {type(system).__name__}")
        self.system, self.K = system, float(system.bond.detach())
        if not self.K > 0:
            raise ValueError(f"J must be positive for clusters, got {float(system.couplings['J'].detach())}")

    def swept(self, x: Tensor, own: torch.Generator) -> tuple[Tensor, int]:
        normal = 2 * math.pi * torch.rand(len(x), 1, 1, generator=own, dtype=x.dtype)
        along = (x - normal).cos()
        kept = []
        for side in (1, 2):
            p = -(-2 * self.K * along * along.roll(-1, side)).expm1()
            kept.append(torch.rand(x.shape, generator=own, dtype=x.dtype) < p)
        cluster, count = joined(kept)
        mirrored = (torch.rand(count, generator=own) < 0.5)[cluster]
        return torch.where(mirrored, self.system.variables.principal(2 * normal + math.pi - x), x), count
