"""Many configurations of a glass at one temperature, moved by heat bath and isoenergetic clusters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flowlab.core import System
from flowlab.extras import told
from flowlab.mcmc.kernels.graphs import spin_graph, spread, stacked


class Population:
    """n configurations of ±1 spins with pair couplings and fields, each swept by the heat bath.

    Args:
        system: see :func:`.spin_graph`; its own temperature does not matter.
        clusters: whether configurations 2k and 2k + 1 exchange, after every sweep, a cluster of sites at which they are
            opposite, which leaves the sum of their energies as it is: for sparse couplings at low temperatures.

    Raises:
        TypeError: for a system without known pair couplings.

    Source: for clusters J. Houdayer 2001, cond-mat/0101116.

    >>> from flowlab.systems import Ising
    >>> moved = Population(Ising((4, 4), T=1.0)).moved(np.ones((3, 16), np.int8), 2.0, 5, np.random.default_rng(0))
    >>> moved.shape, moved.dtype
    ((3, 16), dtype('int8'))
    """

    def __init__(self, system: System, *, clusters: bool = False) -> None:
        graph = spin_graph(system)
        self.n_sites, self.clusters, self.unit = system.n_sites, bool(clusters), spread(graph)
        self._graph = stacked([graph], self.unit)

    def moved(self, spins: NDArray[np.int8], T: float, sweeps: int, rng: np.random.Generator) -> NDArray[np.int8]:
        """(n, N) configurations after so many sweeps at temperature T; those given stay.

        Raises:
            ValueError: for another shape, an odd n where clusters are exchanged, or T <= 0.
        """
        n, sets = len(spins), 2 if self.clusters else 1
        if spins.shape != (n, self.n_sites) or n % sets:
            raise ValueError(f"spins must be n × {self.n_sites}, n even where clusters move, got {spins.shape}")
        if not T > 0:
            raise ValueError(f"T must be positive, got {T}")
        with told():
            from flowlab.mcmc.kernels.tempering import advance

        new = spins.astype(np.int8).reshape(n, 1, -1)
        state = (
            new, np.zeros((n, 1)), np.zeros((n, 1, self.n_sites), np.float32), np.zeros((n, 1), np.int16),
            np.zeros((n, 1), np.int8), np.zeros(n, np.int64), np.zeros((n, 0), np.int64),
            rng.integers(0, 2**64, (n, 1, 4), dtype=np.uint64), np.zeros(n, np.int64), np.full(n, np.inf),
            np.ones((n, self.n_sites), np.int8),
        )  # fmt: skip
        energies, kept = np.empty((0, n // sets, 1)), np.empty((0, n // sets, 0, self.n_sites), np.int8)
        keep, betas = np.zeros(0, np.int64), np.array([self.unit / T])
        advance(0, n // sets, sweeps, 1, sweeps + 1, keep, betas, self._graph, state, sets, energies, kept)
        return new.reshape(n, -1)
