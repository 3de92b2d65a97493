"""Cluster updates of the Ising model: one cluster at a time."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from flowlab.core import System, named_generator
from flowlab.mcmc.heat_bath import IntArray, numbers
from flowlab.mcmc.swendsen_wang import SwendsenWang
from flowlab.systems import Ising
from flowlab.systems.lattice import bipartite

PILOT_CHAINS, PILOT_SWEEPS, PILOT_BETAS = 8, 20, 16


class Wolff(SwendsenWang):
    """Wolff's single clusters: one is grown from a random site and flipped; a step is ``clusters`` of them.

    A satisfied bond to a site outside the cluster joins it with probability 1 - exp(-2β|J|). The number of clusters in
    a step is fixed beforehand, since to stop when enough spins have flipped would favour what a large cluster leaves
    behind. Without a magnetic field; an antiferromagnet needs even sides.

    Args:
        system: an :class:`flowlab.systems.Ising` with h = 0.
        clusters: clusters in a step; by default as many as flip about N spins, from a short run of its own.
        threads: see :class:`.IsingChain`.

    Raises:
        TypeError, ValueError: for another system, a magnetic field, J < 0 with an odd side, or clusters below 1.

    Source: U. Wolff 1989, Phys. Rev. Lett. 62, 361.

    >>> chain = Wolff(Ising((8, 8), T=2.27), clusters=3)
    >>> _, info = chain.step(chain.init(2))
    >>> info.clusters.tolist(), bool((info.flipped >= 3).all())
    ([3, 3], True)
    """

    kind = 1

    def __init__(self, system: Ising, *, clusters: int | None = None, threads: int = 1) -> None:
        super().__init__(system, threads=threads)
        if clusters is not None:
            if int(clusters) != clusters or clusters < 1:
                raise ValueError(f"clusters must be a whole number of at least 1, got {clusters}")
            self.clusters = int(clusters)

    @cached_property
    def clusters(self) -> int:  # type: ignore[override]
        """Clusters in a step."""
        return int(clusters_per_sweep(self.system, np.array([numbers(self.system)[2]]))[0])

    @classmethod
    def check(cls, system: System) -> None:
        super().check(system)
        if float(system.couplings["J"].detach()) < 0:
            bipartite(system.shape)


def clusters_per_sweep(system: Ising, betas: NDArray[np.float64]) -> IntArray:
    """How many Wolff clusters flip about N spins: N / <|C|>, where <|C|> = N <m²> of the ferromagnet.

    <m²> comes from a few short Swendsen-Wang chains that are cooled from β = 0 to the largest of ``betas``, with random
    numbers of their own, and is interpolated in β.

    Args:
        system: the system; its own temperature does not matter.
        betas: (K,) inverse temperatures, zero or more.

    Returns:
        (K,) numbers of at least 1, the same on every call.

    >>> clusters_per_sweep(Ising((8, 8), T=1.0), np.array([0.0, 1.0])).tolist()
    [64, 1]
    """
    ferromagnet = system.at(J=abs(numbers(system)[0]))
    grid = np.linspace(0.0, float(betas.max()), PILOT_BETAS + 1)
    squares = [1 / system.n_sites]
    state = SwendsenWang(ferromagnet).init(PILOT_CHAINS, generator=named_generator(0, "clusters per sweep"))
    for beta in grid[1:]:
        if beta == 0.0:
            squares.append(squares[0])
            continue
        state, found = SwendsenWang(ferromagnet.at(T=1 / beta)).run(state, PILOT_SWEEPS)
        squares.append(float(np.mean(found["magnetization"][PILOT_SWEEPS // 4 :] ** 2)))
    inverse = np.exp(np.interp(betas, grid, -np.log(squares)))
    return np.clip(np.rint(inverse), 1, system.n_sites).astype(np.int64)
