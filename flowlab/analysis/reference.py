"""What a spin system looks like at equilibrium: independent configurations by parallel tempering."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
import xarray as xr

from flowlab.analysis.tempering import TemperingSamples, pack
from flowlab.core import System, named_generator
from flowlab.core.made import Made
from flowlab.core.types import Report, silent
from flowlab.estimators.series.tempering import BLOCKS, swap_acceptance
from flowlab.mcmc import ParallelTempering, ladder

CHUNK = 50
"""Measurements between two reports; configurations are packed to bits after each."""
PILOT, ROUNDS = 300, 8
"""Sweeps after which swaps are counted over as many more, and how often at most temperatures are added then."""
ENOUGH = 0.2
"""Acceptance of swaps below which a temperature is added between two."""


class Shelf(Protocol):
    """Where the configurations of a reference are kept, and found again."""

    def read(self) -> xr.Dataset | None:
        """What was kept, None where there is none."""

    def write(self, kept: xr.Dataset) -> None:
        """Keep it, unless it is there."""


class Reference(Made):
    """Configurations and ln Z of a spin system at many temperatures, by parallel tempering; run when first asked for.

    Args:
        system: the spin system; its own temperature does not matter.
        temperatures: at which configurations are kept, at least 1.
        samples: configurations kept at each temperature, over all replicas.
        replicas: independent sets, at least 3, so that three configurations of a triangle are independent.
        every: sweeps between two measurements.
        discard: fraction of the sweeps, at the beginning, that is not measured.
        ladder: all temperatures of the chains; infinity and ``temperatures`` join them. By default the system's own
            :func:`flowlab.mcmc.ladder`, with others where short chains swap too seldom.
        seed: of the chains.
        clusters: whether they exchange clusters, see :class:`.ParallelTempering`.

    Raises:
        ValueError: for too few replicas or samples, or temperatures that make no sense.
        TypeError: for a system without known pair couplings.

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
        ladder: Sequence[float] | None = None,
        seed: int = 0,
        clusters: bool = False,
    ) -> None:
        if replicas < 3:
            raise ValueError(f"replicas must be at least 3, of which triangles are made, got {replicas}")
        if samples < BLOCKS * replicas:
            least = f"{BLOCKS * replicas}, {BLOCKS} for each of the {replicas} replicas"
            raise ValueError(f"samples must be at least {least}, got {samples}")
        if every < 1:
            raise ValueError(f"sweeps between two measurements must be at least 1, got {every}")
        self.system, self.seed, self.clusters = system, seed, clusters
        self.temperatures = tuple(sorted({float(T) for T in temperatures}))
        self.steps, self.replicas, self.every = -(-samples // replicas), replicas, every
        self.discarded = math.ceil(discard / (1 - discard) * self.steps)
        ParallelTempering(system, self._first_ladder(ladder))  # refuses what it cannot sample
        self._given = ladder
        self._running = threading.Lock()
        self._tempered: TemperingSamples | None = None
        self.shelf: Shelf | None = None

    @property
    def content(self) -> dict[str, Any]:
        """All that its numbers follow from, besides the system, as JSON."""
        given = None if self._given is None else [float(T) for T in self._given]
        return {
            "ladder": given,
            "temperatures": list(self.temperatures),
            "replicas": self.replicas,
            "steps": self.steps,
            "every": self.every,
            "discarded": self.discarded,
            "seed": self.seed,
            **({"clusters": True} if self.clusters else {}),
        }

    def __deepcopy__(self, memo: dict[int, Any]) -> Reference:
        return self  # large, and never changed once it has run

    @property
    def is_ready(self) -> bool:
        """Whether the chains have run."""
        return self._tempered is not None

    def run(self, report: Report = silent) -> TemperingSamples:
        """What the chains leave behind; they run when first asked, and ``report`` hears how far they are.

        What is on the ``shelf`` is read instead, and what is not is put there.
        """
        with self._running:
            if self._tempered is None:
                kept = None if self.shelf is None else self.shelf.read()
                self._tempered = self._run(report) if kept is None else TemperingSamples.of(kept, self.system)
                report("")
            if self.shelf is not None:
                self.shelf.write(self._tempered.kept())
        return self._tempered

    def _first_ladder(self, given: Sequence[float] | None) -> tuple[float, ...]:
        if given is None:
            return ladder(self.temperatures, self.system)
        return tuple(sorted({*map(float, given), *self.temperatures, math.inf}))

    def _ladder(self) -> tuple[float, ...]:
        """That of the system, with a temperature more wherever short chains accept less than a fifth of the swaps."""
        temperatures = self._first_ladder(self._given)
        for k in range(ROUNDS if self._given is None else 0):
            chain = self._chain(temperatures)
            state, _, _ = chain.run(chain.init(generator=named_generator(self.seed, "ladder", k)), PILOT)
            accepted = swap_acceptance(chain.run(state, PILOT)[1][:, 0], temperatures)
            pairs = zip(temperatures, temperatures[1:], accepted, strict=False)
            missing = [2 / (1 / cold + 1 / hot) for cold, hot, rate in pairs if rate < ENOUGH]
            if not missing:
                break
            temperatures = tuple(sorted([*temperatures, *missing]))
        return temperatures

    def _chain(self, temperatures: tuple[float, ...]) -> ParallelTempering:
        return ParallelTempering(self.system, temperatures, replicas=self.replicas, clusters=self.clusters)

    def _run(self, report: Report) -> TemperingSamples:
        report("parallel tempering for comparison: its ladder")
        temperatures = self._ladder()
        chain = self._chain(temperatures)
        state = chain.init(generator=named_generator(self.seed, "reference"))
        kept = [temperatures.index(T) for T in self.temperatures]
        energies, bits, total = [], [], self.discarded + self.steps
        for first in (*range(0, self.discarded, CHUNK), *range(self.discarded, total, CHUNK)):
            report(f"parallel tempering for comparison: {first / total:.0%}")
            if first == self.discarded:
                earlier = chain.by_replica(state.round_trips)[0]
            last = min(first + CHUNK, self.discarded if first < self.discarded else total)
            state, part, spins = chain.run(state, (last - first) * self.every, every=self.every, keep=kept)
            if first >= self.discarded:
                energies.append(part[:, 0])
                bits.append(pack(spins[:, 0]))
        return TemperingSamples(
            self.system,
            temperatures,
            np.concatenate(energies),
            self.temperatures,
            np.concatenate(bits),
            chain.by_replica(state.round_trips)[0] - earlier,
        )

    def samples(self, T: float, report: Report = silent) -> torch.Tensor:
        """(replicas · n, *shape) configurations at temperature T, one replica after the other."""
        return torch.from_numpy(self.run(report).spins(T)).flatten(0, 1)

    def dataset(self, T: float, report: Report = silent) -> xr.Dataset:
        """Configurations, ln Z and verdict at temperature T; see :meth:`.TemperingSamples.dataset`."""
        return self.run(report).dataset(T).assign_attrs(seed=self.seed)


class KeptReference(Reference):
    """Configurations that another run has left, of the same system.

    Args:
        system: the spin system; its own temperature does not matter.
        source: where they come from, in words: part of the content.
        read: gives them.
    """

    def __init__(self, system: System, source: str, read: Callable[[System], TemperingSamples]) -> None:
        self.system, self.source, self._read = system, source, read
        self._running = threading.Lock()
        self._tempered = None
        self.shelf = None

    @property
    def content(self) -> dict[str, Any]:
        return {"source": self.source}

    @property
    def seed(self) -> str:  # type: ignore[override]
        """In its place where they come from."""
        return self.source

    @property
    def temperatures(self) -> tuple[float, ...]:  # type: ignore[override]
        """At which there are configurations, ascending."""
        return self.run().temperatures

    def _run(self, report: Report) -> TemperingSamples:
        return self._read(self.system)
