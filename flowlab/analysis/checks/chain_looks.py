"""Looks at chains that began hot and cold: observables along them, and some of their configurations."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from torch import Tensor

from flowlab import estimators
from flowlab.analysis.representations import to_array
from flowlab.core import System
from flowlab.core.system import measured
from flowlab.mcmc.opposite import Opposite

FIRST, MOST = 128, 1024
"""Looks at chains after which errors are looked at first, and that are kept at most: then every other one goes."""
APART = 8
"""Looks from one at which configurations are kept to the next."""
DISCARD = 1 / 3


class Series(NamedTuple):
    """What chains left behind.

    Attributes:
        columns: name -> (looks, chains), without what is discarded.
        configurations: (snapshots, chains, *shape), of the same stretch.
        at: (snapshots,) their places among the looks.
    """

    columns: dict[str, np.ndarray]
    configurations: np.ndarray
    at: np.ndarray


class Looks:
    """Looks at chains at equal distances, which double where there are too many looks."""

    most = MOST

    def __init__(self, system: System, chains: Opposite) -> None:
        self.system, self.chains, self.every, self.steps = system, chains, 1, 0
        self._rows: list[dict[str, np.ndarray]] = []
        self._energies: list[np.ndarray] = []
        self._trips: list[np.ndarray] = []
        self._kept: dict[int, np.ndarray] = {}
        chains.advance(chains.tuning + 1)  # compiled and tuned, before a clock is started

    @property
    def count(self) -> int:
        """Looks that are kept."""
        return len(self._rows)

    @property
    def useful(self) -> int:
        """Those that estimates use, once there are configurations among them."""
        first = math.ceil(DISCARD * self.count)
        return self.count - first if any(place >= first for place in self._kept) else 0

    def look(self) -> None:
        """Go on to the next look."""
        if len(self._rows) == MOST:
            self._rows, self._energies, self._trips = self._rows[1::2], self._energies[1::2], self._trips[1::2]
            self._kept = {
                (place - 1) // 2: x for place, x in self._kept.items() if (place - 1) // 2 % APART == APART - 1
            }
            self.every *= 2
        self.chains.advance(self.every)
        self.steps += self.every
        x = self.chains.configurations
        self._rows.append(columns_of(self.system, x))
        place = len(self._rows) - 1
        if place % APART == APART - 1:
            self._kept[place] = to_array(x).astype(np.int8 if self.system.variables.discrete else np.float32)
        if self.chains.energies is not None and self.chains.round_trips is not None:
            self._energies.append(self.chains.energies)
            self._trips.append(np.array(self.chains.round_trips))

    def series(self) -> Series:
        """What there is, without the first third."""
        first = math.ceil(DISCARD * len(self._rows))
        rows = self._rows[first:]
        at = np.array([place for place in self._kept if place >= first])
        columns = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
        return Series(columns, np.stack([self._kept[place] for place in at]), at - first)

    def problem(self) -> str | None:
        """What replica exchange says against itself; None for other chains, and where it has thermalised."""
        if not self._energies:
            return None
        first = math.ceil(DISCARD * self.count)
        found = estimators.thermalisation(
            np.stack(self._energies[first:]), self.chains.temperatures, round_trips=self._trips[-1] - self._trips[first]
        )
        return None if found.thermalised else found.text


def columns_of(system: System, x: Tensor) -> dict[str, np.ndarray]:
    """What is compared of (n, *shape) configurations, each (n,).

    The observables, the order parameter, and in which of the parts that its symmetry makes equally likely the
    configuration lies: ``positive_fraction`` where there are two, ``sector_fraction_<k>`` of more.
    """
    columns = {"magnetization": to_array(system.variables.magnetization(x))}
    columns |= {name: to_array(value) for name, value in measured(system, x).items()}
    columns.pop("equation_of_motion", None)  # known to be 1
    sectors = to_array(system.variables.sectors(x))
    if sectors.shape[1] == 2:
        return columns | {"positive_fraction": sectors[:, 1]}
    return columns | {f"sector_fraction_{k}": sectors[:, k] for k in range(sectors.shape[1])}
