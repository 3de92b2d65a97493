"""What parallel tempering leaves behind: energies at every temperature, and configurations at some."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr

from flowlab import estimators, exact
from flowlab.core import System
from flowlab.core.names import labelled

MOST_SITES_ENUMERATED = 16


@dataclass(frozen=True)
class TemperingSamples:
    """A thermalised run of parallel tempering on one spin system.

    Attributes:
        system: the spin system; its own temperature does not matter.
        ladder: (K,) all temperatures of the run, rising to infinity.
        energies: (steps, replicas, K) energies of the whole system.
        temperatures: at which configurations were kept, a part of ``ladder``.
        bits: (n, replicas, len(temperatures), bytes) configurations, packed by :func:`pack`.
        round_trips: (replicas,) round trips between the ends of the ladder, in these steps.

    >>> from flowlab.systems import Ising
    >>> bits = pack(np.ones((5, 3, 1, 4), dtype=np.int8))
    >>> run = TemperingSamples(Ising((2, 2), T=2.0), (2.0, np.inf), np.zeros((5, 3, 2)), (2.0,), bits, np.zeros(3))
    >>> run.spins(2.0).shape
    (3, 5, 2, 2)
    """

    system: System
    ladder: tuple[float, ...]
    energies: np.ndarray
    temperatures: tuple[float, ...]
    bits: np.ndarray
    round_trips: np.ndarray

    def spins(self, T: float) -> np.ndarray:
        """(replicas, n, *shape) int8 of ±1 at temperature T; replicas are independent, one's configurations in order.

        Raises:
            ValueError: for a temperature at which no configurations were kept.
        """
        if float(T) not in self.temperatures:
            known = ", ".join(f"{t:g}" for t in self.temperatures)
            raise ValueError(f"configurations were kept at the temperatures {known}, got {T}")
        bits = self.bits[:, :, self.temperatures.index(float(T))].swapaxes(0, 1)
        spins = 2 * np.unpackbits(bits, axis=-1, count=self.system.n_sites).astype(np.int8) - 1
        return spins.reshape(*spins.shape[:2], *self.system.shape)

    @cached_property
    def bennett(self) -> estimators.Estimate:
        """ln Z at every temperature of the ladder by Bennett's acceptance ratio, two (K,) arrays.

        NaN where the ladder ends before infinity, where ln Z would be known: see :attr:`unknown`.
        """
        return (
            self._unknown_log_z
            if self.unknown
            else estimators.log_z_bennett(self.energies, self.ladder, self.system.n_sites)
        )

    @property
    def integration(self) -> estimators.Estimate:
        """The same by integration over the inverse temperature."""
        if self.unknown:
            return self._unknown_log_z
        return estimators.log_z_integration(self.energies, self.ladder, self.system.n_sites)

    @property
    def unknown(self) -> str:
        """Why ln Z is not known; empty where it is."""
        if math.isinf(self.ladder[-1]):
            return ""
        return f"ln Z is not known: it is summed up from infinity, and temperatures end at {self.ladder[-1]:g}"

    @property
    def _unknown_log_z(self) -> estimators.Estimate:
        nothing = np.full(len(self.ladder), math.nan)
        return estimators.Estimate(nothing, nothing)

    @cached_property
    def verdict(self) -> estimators.Thermalisation:
        """Whether the run thermalised."""
        return estimators.thermalisation(self.energies, self.ladder, round_trips=self.round_trips)

    def log_z(self, T: float) -> estimators.Estimate:
        """ln Z of the system at temperature T: exact where known, else by Bennett's acceptance ratio with its error."""
        known = exact.log_z(self.system.at(T=T))
        if known is not None:
            return estimators.Estimate(known, 0.0)
        found = self.bennett
        k = self.ladder.index(float(T))
        return estimators.Estimate(float(found.value[k]), float(found.error[k]))

    def kept(self) -> xr.Dataset:
        """All of it as a Dataset, to be read again by :meth:`of`; configurations are packed, a bit a spin.

        ``bits`` (kept, replica, kept_temperature, byte) are numpy.packbits of (s + 1) / 2 over the sites in order.

        >>> from flowlab.systems import Ising
        >>> bits = pack(np.ones((5, 3, 1, 4), dtype=np.int8))
        >>> run = TemperingSamples(Ising((2, 2), T=2.0), (2.0, np.inf), np.zeros((5, 3, 2)), (2.0,), bits, np.zeros(3))
        >>> TemperingSamples.of(run.kept(), run.system).ladder
        (2.0, inf)
        """
        variables = {
            "energy": (("step", "replica", "temperature"), self.energies),
            "bits": (("kept", "replica", "kept_temperature", "byte"), self.bits),
            "round_trips": (("replica",), self.round_trips),
        }
        coords = {"temperature": list(self.ladder), "kept_temperature": list(self.temperatures)}
        attrs = {"n_sites": self.system.n_sites, "system": self.system.title}
        return labelled(xr.Dataset(variables, coords=coords, attrs=attrs))

    @classmethod
    def of(cls, kept: xr.Dataset, system: System) -> TemperingSamples:
        """What :meth:`kept` was made of, of this system."""
        return cls(
            system,
            tuple(kept["temperature"].values.tolist()),
            kept["energy"].values,
            tuple(kept["kept_temperature"].values.tolist()),
            kept["bits"].values,
            kept["round_trips"].values,
        )

    def dataset(self, T: float) -> xr.Dataset:
        """``configuration`` (replica, sample, *dims), ``log_z`` and its error at T; where N <= 16 also the exact P(q).

        Attributes ``thermalised`` (0 or 1) and ``thermalisation`` (in words) say whether to believe it.
        """
        log_z = self.log_z(T)
        system = self.system.at(T=T)
        spins = self.spins(T).astype(np.float64)
        variables: dict[str, Any] = {
            "configuration": (("replica", "sample", *system.dims), spins),
            "log_z": ((), log_z.value),
            "log_z_error": ((), log_z.error),
        }
        coordinates = {}
        if system.n_sites <= MOST_SITES_ENUMERATED:
            q, probability = exact.overlap_distribution(system)
            variables["overlap_distribution_exact"] = ("overlap", probability)
            coordinates["overlap"] = q
        attrs = {
            "system": system.title,
            "n_sites": system.n_sites,
            "T": float(T),
            "source": "parallel tempering",
            "thermalised": int(self.verdict.thermalised),
            "thermalisation": self.verdict.text,
        }
        return labelled(xr.Dataset(variables, coords=coordinates, attrs=attrs))


def pack(spins: np.ndarray) -> np.ndarray:
    """(..., N) of ±1 -> (..., ceil(N / 8)) uint8, a bit a spin."""
    return np.packbits(spins > 0, axis=-1)
