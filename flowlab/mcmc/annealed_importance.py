"""Annealed importance sampling of the Ising model: ln Z and weighted configurations from chains that are cooled."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from flowlab.core.made import Made
from flowlab.core.names import labelled
from flowlab.estimators.weights import weights
from flowlab.extras import told
from flowlab.mcmc.heat_bath import FloatArray, HeatBath, IntArray, in_parts, numbers
from flowlab.mcmc.swendsen_wang import SwendsenWang
from flowlab.mcmc.wolff import Wolff, clusters_per_sweep
from flowlab.systems import Ising
from flowlab.systems.ising import CRITICAL_TEMPERATURES
from flowlab.systems.lattice import neighbours

Moves = Literal["wolff", "swendsen_wang", "heat_bath"]
Schedule = Literal["uniform", "critical"]
MOVES = {"wolff": Wolff, "swendsen_wang": SwendsenWang, "heat_bath": HeatBath}
STEPS = 1000
WIDTH = 0.3
"""Distance from β_c, relative to it, at which the ``critical`` schedule has half of its density at β_c."""


class Annealed(NamedTuple):
    """Independent weighted configurations: the mean of exp(log_w) estimates Z without bias.

    With ``log_w``, ``energy_per_site`` and ``magnetization``, :func:`spin_observables` gives
    every observable with its error, as for the draws of a density.

    Attributes:
        configurations: (n, *shape) int8 of ±1 at the target's temperature.
        log_w: (n,) log weights in nats.
        energy_per_site: (n,) E/N in units of J.
        magnetization: (n,) Σs/N.
        dims: names of the sides of a configuration.
    """

    configurations: NDArray[np.int8]
    log_w: FloatArray
    energy_per_site: FloatArray
    magnetization: FloatArray
    dims: tuple[str, ...]

    @property
    def log_z(self) -> float:
        """ln Z ≈ ln[(1/n) Σ_i w_i] in nats, biased down by about half its error squared."""
        return float(weights.log_z(self.log_w).value)

    @property
    def log_z_error(self) -> float:
        """One standard error of ln Z, see :func:`flowlab.estimators.log_z`: NaN where the weights are worth too few."""
        return float(weights.log_z(self.log_w).error)

    @property
    def ess(self) -> float:
        """Effective sample size as a fraction, (Σ w)² / (n Σ w²)."""
        return float(weights.ess(self.log_w).value)

    @property
    def data(self) -> xr.Dataset:
        """The draws along ``sample``, and ``log_z``, ``log_z_error`` and ``ess``."""
        columns = {
            "configuration": (("sample", *self.dims), self.configurations),
            "log_w": ("sample", self.log_w),
            "energy_per_site": ("sample", self.energy_per_site),
            "magnetization": ("sample", self.magnetization),
            "log_z": ((), self.log_z),
            "log_z_error": ((), self.log_z_error),
            "ess": ((), self.ess),
        }
        return labelled(xr.Dataset(columns))


class AnnealedImportance(Made):
    """Chains cooled from β = 0 to the target's 1/T, weighted so that Z comes out without bias.

    With β_0 = 0 < β_1 < ... < β_K = 1/T and random spins x_0, ln w = N ln 2 + Σ_k (β_k - β_k-1) (-E(x_k-1)), where
    x_k is one sweep at β_k after x_k-1. Then <w> = Z and <w f(x_K)> / <w> = <f>, for any K and any moves that leave
    the distribution at β_k as it is. The variance of ln w falls as 1/K once chains keep up with the cooling: K of
    N to 3 N is a good choice. With cluster moves this is the Cluster-AIS of the literature.

    Args:
        system: an :class:`flowlab.systems.Ising`, at the target's temperature.
        steps: K, sweeps in all; None for 1000, or as many as a schedule of one's own has.
        moves: ``"wolff"`` (see :class:`.Wolff`), ``"swendsen_wang"`` or, for a magnetic field, ``"heat_bath"``.
        schedule: ``"uniform"`` in β; ``"critical"``, closer together around β_c of the infinite lattice in two or
            three dimensions; or the inverse temperatures themselves, K + 1 of them from 0 to 1/T.
        threads: threads over the chains; results do not depend on it.

    Raises:
        TypeError, ValueError: for a system that the moves cannot sample, unknown moves or schedules, β that do not
            increase from 0 to 1/T, or steps that are not those of a schedule of one's own.

    Source: R. M. Neal 2001, physics/9803008.

    >>> annealing = AnnealedImportance(Ising((4, 4), T=2.5), steps=20)
    >>> found = annealing.run(2000, generator=torch.Generator().manual_seed(0))
    >>> abs(found.log_z - 14.561093) < 4 * found.log_z_error < 0.1  # Kaufman's ln Z
    True
    """

    def __init__(
        self,
        system: Ising,
        steps: int | None = None,
        *,
        moves: Moves = "wolff",
        schedule: Schedule | Sequence[float] = "uniform",
        threads: int = 1,
    ) -> None:
        if moves not in MOVES:
            raise ValueError(f"moves must be one of {sorted(MOVES)}, got {moves!r}")
        if steps is None:
            steps = STEPS if isinstance(schedule, str) else max(len(schedule) - 1, 1)
        if int(steps) != steps or steps < 1:
            raise ValueError(f"steps must be a whole number of at least 1, got {steps}")
        self._chain = MOVES[moves](system, threads=threads)
        self.system, self.moves = system, moves
        self.betas = _betas(system, int(steps), schedule)

    @property
    def steps(self) -> int:
        """K, sweeps of each chain."""
        return len(self.betas) - 1

    @cached_property
    def clusters(self) -> IntArray:
        """(K,) Wolff clusters in the sweep at each β, from a short run of its own; zeros for other moves."""
        if self.moves == "wolff":
            return clusters_per_sweep(self.system, self.betas[1:])
        return np.zeros(self.steps, dtype=np.int64)

    def run(self, n: int, *, generator: torch.Generator | None = None) -> Annealed:
        """n independent chains, each from random spins to the target.

        Raises:
            ValueError: for n < 2, which gives no error.
        """
        if n < 2:
            raise ValueError(f"the number of chains must be at least 2 for an error of ln Z, got {n}")
        with told():
            from flowlab.mcmc.kernels.ising import anneal

        J, h, _ = numbers(self.system)
        N = self.system.n_sites
        state = self._chain.init(n, generator=generator)
        spins, words = state.configurations, state.rng.view(np.uint64)
        table = neighbours(self.system.shape).numpy().astype(np.uint32)
        thresholds = np.stack([self._chain.thresholds(self.system, float(beta)) for beta in self.betas[1:]])
        log_w, found = np.full(n, N * math.log(2.0)), np.empty((2, n), dtype=np.int64)
        kind, clusters, sign = self._chain.kind, self.clusters, 1 if J >= 0 else -1

        def part(first: int, last: int) -> None:
            anneal(first, last, kind, table, thresholds, sign, clusters, self.betas, J, h, spins, words, log_w, found)

        in_parts(part, n, self._chain.threads)
        return Annealed(spins, log_w, -(J * found[0] + h * found[1]) / N, found[1] / N, self.system.dims)


def _betas(system: Ising, steps: int, schedule: Schedule | Sequence[float]) -> FloatArray:
    J, _, beta = numbers(system)
    if isinstance(schedule, str):
        if schedule not in ("uniform", "critical"):
            raise ValueError(f"schedule must be 'uniform', 'critical' or inverse temperatures, got {schedule!r}")
        even = np.linspace(0.0, 1.0, steps + 1)
        if schedule == "uniform" or J == 0.0:
            return beta * even
        if len(system.shape) not in CRITICAL_TEMPERATURES:
            raise ValueError("schedule must be 'uniform' on a ring, which has no critical temperature, got 'critical'")
        return beta * _closer_at_criticality(even, beta * abs(J) * CRITICAL_TEMPERATURES[len(system.shape)])
    betas = np.asarray(schedule, dtype=np.float64)
    if betas.ndim != 1 or betas.size < 2 or betas[0] != 0.0 or not (np.diff(betas) > 0).all():
        raise ValueError(f"a schedule of inverse temperatures must increase from 0, got {schedule}")
    if betas.size != steps + 1:
        raise ValueError(f"a schedule of {betas.size} inverse temperatures has {betas.size - 1} steps, got {steps}")
    if not math.isclose(betas[-1], beta, rel_tol=1e-9):
        raise ValueError(f"a schedule must end at the target's 1/T = {beta:.10g}, got {betas[-1]:.10g}")
    return betas


def _closer_at_criticality(even: FloatArray, final: float) -> FloatArray:
    """Fractions of β = final · β_c with the density 1 / (1 + |β/β_c - 1| / WIDTH), by inverting its integral."""
    fine = np.linspace(0.0, 1.0, 10_001)
    distance = fine * final - 1
    integral = np.sign(distance) * np.log1p(np.abs(distance) / WIDTH)
    integral -= integral[0]
    fractions: FloatArray = np.interp(even * integral[-1], integral, fine)
    return fractions
