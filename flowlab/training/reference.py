"""What a spin system looks like at equilibrium: independent configurations by parallel tempering."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr

from flowlab.core import System, named_generator
from flowlab.estimators.tempering import BLOCKS
from flowlab.mcmc import ParallelTempering, ladder
from flowlab.training.objectives import Report, silent
from flowlab.training.tempered import Tempered, pack

CHUNK = 50
"""Measurements between two reports; configurations are packed to bits after each."""


class Reference:
    """Configurations and ln Z of a spin system at many temperatures, by parallel tempering; run when first asked for.

    Args:
        system: the spin system; its own temperature does not matter.
        temperatures: at which configurations are kept, at least 1; the ladder goes on to infinite temperature.
        samples: configurations kept at each temperature, over all replicas.
        replicas: independent sets, at least 3, so that three configurations of a triangle are independent.
        every: sweeps between two measurements.
        discard: fraction of the sweeps, at the beginning, that is not measured.
        seed: of the chains.

    Raises:
        ValueError: for too few replicas or samples.

    >>> from flowlab.systems import SpinGlass
    >>> glass = SpinGlass.sherrington_kirkpatrick(8, T=1.0, seed=0)
    >>> reference = Reference(glass, [0.5, 1.0], samples=300, replicas=3)
    >>> reference.samples(0.5).shape
    torch.Size([300, 8])
    """

    def __init__(
        self,
        system: System,
        temperatures: Sequence[float],
        *,
        samples: int = 3000,
        replicas: int = 10,
        every: int = 4,
        discard: float = 0.2,
        seed: int = 0,
    ) -> None:
        if replicas < 3:
            raise ValueError(f"a reference needs at least 3 replicas for triangles, got {replicas}")
        if samples < BLOCKS * replicas:
            raise ValueError(f"samples must be at least {BLOCKS} for each of the {replicas} replicas, got {samples}")
        self.system, self.seed = system, seed
        self.temperatures = tuple(sorted({float(T) for T in temperatures}))
        self.steps, self.replicas, self.every = -(-samples // replicas), replicas, every
        self.discarded = math.ceil(discard / (1 - discard) * self.steps)
        self._running = threading.Lock()
        self._tempered: Tempered | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> Reference:
        return self  # large, and never changed once it has run

    @property
    def is_ready(self) -> bool:
        """Whether the chains have run."""
        return self._tempered is not None

    def run(self, report: Report = silent) -> Tempered:
        """What the chains leave behind; they run when first asked, and ``report`` hears how far they are."""
        with self._running:
            if self._tempered is None:
                self._tempered = self._run(report)
                report("")
        return self._tempered

    def _run(self, report: Report) -> Tempered:
        temperatures = ladder(self.temperatures, self.system.n_sites)
        chain = ParallelTempering(self.system, temperatures, replicas=self.replicas)
        state = chain.init(generator=named_generator(self.seed, "reference"))
        kept = [temperatures.index(T) for T in self.temperatures]
        energies, bits, earlier = [], [], np.zeros(self.replicas, dtype=np.int64)
        for first in range(-self.discarded, self.steps, CHUNK):
            done = (first + self.discarded) / (self.steps + self.discarded)
            report(f"parallel tempering for comparison: {done:.0%}")
            steps = min(CHUNK, self.steps - first) * self.every
            state, part, spins = chain.run(state, steps, every=self.every, keep=kept)
            measured = slice(max(0, -first), None)
            if first < 0:
                earlier = state.round_trips[0]
            energies.append(part[measured, 0])
            bits.append(pack(spins[measured, 0]))
        return Tempered(
            self.system,
            temperatures,
            np.concatenate(energies),
            self.temperatures,
            np.concatenate(bits),
            state.round_trips[0] - earlier,
        )

    def samples(self, T: float, report: Report = silent) -> torch.Tensor:
        """(replicas · n, *shape) configurations at temperature T, one replica after the other."""
        return torch.from_numpy(self.run(report).spins(T)).flatten(0, 1)

    def dataset(self, T: float, report: Report = silent) -> xr.Dataset:
        """Configurations, ln Z and verdict at temperature T; see :meth:`.Tempered.dataset`."""
        return self.run(report).dataset(T).assign_attrs(seed=self.seed)
