"""Cluster updates of the Ising model: all clusters at once."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from flowlab.core import System
from flowlab.mcmc.heat_bath import IsingChain, numbers
from flowlab.systems import Ising


class SwendsenWang(IsingChain):
    """Swendsen and Wang's clusters: satisfied bonds are kept with probability p, every cluster is flipped or not.

    p = 1 - exp(-2β|J|) for each bond with J s_x s_y > 0; a cluster of sites joined by kept bonds flips with
    probability 1/2. For J of either sign and any lattice; without a magnetic field. A step is one such sweep.

    Args:
        system: an :class:`flowlab.systems.Ising` with h = 0.
        threads: see :class:`.IsingChain`.

    Raises:
        TypeError, ValueError: for another system, or a magnetic field.

    Source: R. H. Swendsen, J.-S. Wang 1987, Phys. Rev. Lett. 58, 86.

    >>> chain = SwendsenWang(Ising((8, 8), T=2.27))
    >>> state, info = chain.step(chain.init(3))
    >>> bool((info.clusters >= 1).all())
    True
    """

    kind = 2

    @classmethod
    def check(cls, system: System) -> None:
        super().check(system)
        h = float(system.couplings["h"].detach())
        if h != 0.0:
            raise ValueError(f"{cls.__name__} needs a system without magnetic field, got h = {h:g}: use HeatBath")

    @classmethod
    def thresholds(cls, system: Ising, beta: float) -> NDArray[np.uint64]:
        J, _, _ = numbers(system)
        table = np.zeros((3, 4 * len(system.shape) + 1), dtype=np.uint64)
        table[0, 0] = round(-math.expm1(-2 * beta * abs(J)) * 2.0**32)
        return table
