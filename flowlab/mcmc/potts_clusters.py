"""Cluster updates of the Potts model: all clusters at once."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from flowlab.mcmc.tensor_chain import AllClusters, ClusterInfo, ClusterState, joined
from flowlab.systems import Potts

PottsState, PottsInfo = ClusterState, ClusterInfo


class PottsClusters(AllClusters):
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

    def __init__(self, system: Potts) -> None:
        if not system.square or system.variables.scale != "categorical":
            raise TypeError(f"Potts clusters need a Potts system, got {type(system).__name__}")
        J, T = (float(system.couplings[name].detach()) for name in ("J", "T"))
        if not J > 0:
            raise ValueError(f"J must be positive for clusters of equal states, got {J}")
        self.system, self.q, self.bond = system, system.q, -math.expm1(-J / T)

    def swept(self, x: Tensor, own: torch.Generator) -> tuple[Tensor, int]:
        kept = [(x == x.roll(-1, side)) & (torch.rand(x.shape, generator=own) < self.bond) for side in (1, 2)]
        cluster, count = joined(kept)
        return torch.randint(self.q, (count,), generator=own).to(x.dtype)[cluster], count
