"""Which glass a study is of: couplings drawn by a seed, or of the user's own, and fields."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch

from flowlab.core.types import ENDS, Content, label_of
from flowlab.mcmc.kernels.graphs import spin_graph, spread
from flowlab.runs.keys import Count, Finite, Meaning, Several, Takes, suggested
from flowlab.studies.growth import Range
from flowlab.studies.keys import Defence, Degree, Instance, Over, Side, Spins, Temperature, over_idle
from flowlab.systems import SpinGlass
from flowlab.systems.couplings import Couplings, couplings_of, read_couplings, read_fields
from flowlab.systems.lattice import Boundary

DRAWN = ("sk", "ea", "regular", "hopfield")
FILE = "file:"
GIVEN = "given"
"""The label of what a person gave as an object."""


def taken_couplings(key: str, value: Any) -> str:
    """A word of :data:`DRAWN` as it is; the couplings of a file, or of a matrix or graph, as a :class:`.Content`.

    Raises:
        ValueError: for another word, or what describes no couplings; begins with the key.

    >>> taken_couplings("couplings", "sk")
    'sk'
    >>> taken_couplings("couplings", np.array([[0.0, 1.0], [1.0, 0.0]])).partition("#")[0]
    'given'
    """
    if isinstance(value, str) and not value.startswith(FILE) and not ENDS.search(value):
        if value in DRAWN:
            return value
        raise ValueError(
            f"{key} must be one of {', '.join(DRAWN)}, or file:PATH, got {value!r}{suggested(value, DRAWN)}"
        )
    return _taken(key, value, _pairs)


def taken_fields(key: str, value: Any) -> str:
    """The fields of a file (``file:h.txt``), or of a list or array with one a site, as a :class:`.Content`.

    Raises:
        ValueError: for what holds no fields; begins with the key.
    """
    if isinstance(value, str) and not value.startswith(FILE) and not ENDS.search(value):
        raise ValueError(f"{key} must be a number, or file:PATH with a number for each site, got {value!r}")
    return _taken(key, value, _fields)


def _taken(key: str, value: Any, arrays: Callable[[Any], Mapping[str, np.ndarray]]) -> str:
    if hasattr(value, "arrays"):
        return value  # type: ignore[no-any-return]
    words = value if isinstance(value, str) else ""
    path = Path(label_of(words).removeprefix(FILE)).expanduser()
    if words and not words.startswith(FILE):
        raise ValueError(f"{key} {words} was given as an object, and is not kept with this run")
    try:
        found = Content(f"{FILE}{path.name}" if words else GIVEN, arrays(path if words else value))
    except OSError as error:
        raise ValueError(f"{key} cannot be read: {path}: {error.strerror or error}") from None
    except (ValueError, TypeError) as error:
        raise ValueError(f"{key}: {error}") from None
    if ENDS.search(words) and found[-16:] != words[-16:]:
        raise ValueError(f"{key} {words} is not kept with this run, and {path} has others by now")
    return found


def _pairs(given: Any) -> dict[str, np.ndarray]:
    found = read_couplings(given) if isinstance(given, Path) else couplings_of(given)
    if len(found.fields) < 2:
        raise ValueError(f"there must be at least 2 sites, got {len(found.fields)}")
    return found._asdict()


def _fields(given: Any) -> dict[str, np.ndarray]:
    found = read_fields(given) if isinstance(given, Path) else np.asarray(given, dtype=np.float64)
    if not found.size or not np.isfinite(found).all():
        raise ValueError("there must be a finite field for each site")
    return {"fields": found.ravel()}


@dataclass(frozen=True)
class TemperatureRange:
    """What makes the density of a glass one for a range of temperatures; a glass has a ``degree`` of its own."""

    over: Over | None = None
    over_degree: Degree = 4
    defence: Defence = 0.01

    @property
    def range(self) -> Range:
        """The same as of other studies."""
        return Range(self.over, self.over_degree, self.defence)


@dataclass(frozen=True)
class Glass:
    """The instance of a glass, and where it is sampled."""

    couplings: Annotated[
        str,
        Takes(taken_couplings),
        Meaning(
            '"sk" for Sherrington-Kirkpatrick, "ea" for neighbours of a lattice (Edwards-Anderson), "regular" for a '
            'random regular graph, "hopfield" for stored patterns, or file:PATH: lines i j J, sites from 0, as text or '
            "CSV, or a matrix as .npy or .npz; in Python also a matrix or a graph"
        ),
    ] = "ea"
    N: Spins = 64
    L: Side = 8
    d: Annotated[Literal[2, 3, 4], Meaning("number of dimensions")] = 2
    boundary: Annotated[Boundary, Meaning('"periodic", "open", or "cylinder", which is open along its first side')] = (
        "periodic"
    )
    kind: Annotated[
        Literal["gaussian", "pm1"], Meaning('of random couplings, "pm1" for ±1, "gaussian" for variance 1')
    ] = "pm1"
    degree: Annotated[Several, Meaning("neighbours of a site of a random regular graph")] = 3
    patterns: Annotated[Count, Meaning("that a Hopfield glass stores")] = 4
    h: (
        Annotated[Finite, Meaning("external field, one for all sites or file:PATH with one for each", "J")]
        | Annotated[str, Takes(taken_fields)]
    ) = 0.0
    T: Temperature = 1.0
    seed_J: Instance = 0

    def system(self) -> SpinGlass:
        """The glass itself."""
        drawn = self._drawn()
        h = self._external
        if not np.any(h):
            return drawn
        if h.size not in (1, drawn.n_sites):
            raise ValueError(f"h must hold a field for each of the {drawn.n_sites} sites, got {h.size}")
        return _with_fields(drawn, drawn.h.numpy() + h)

    def _drawn(self) -> SpinGlass:
        match self.couplings:
            case "sk":
                return SpinGlass.sherrington_kirkpatrick(self.N, self.T, self.seed_J)
            case "ea":
                return SpinGlass.edwards_anderson(
                    (self.L,) * self.d, self.T, self.seed_J, self.kind, boundary=self.boundary
                )
            case "regular":
                if self.degree >= self.N or self.N * self.degree % 2:
                    raise ValueError(f"degree must be below N, and N · degree even, got {self.degree} and N = {self.N}")
                return SpinGlass.random_regular(self.N, self.degree, self.T, self.seed_J, self.kind)
            case "hopfield":
                return SpinGlass.hopfield(self.N, self.patterns, self.T, self.seed_J)
        pairs = Couplings(**self.couplings.arrays)  # type: ignore[attr-defined]
        glass = SpinGlass(pairs.matrix(), self.T, pairs.fields)
        glass.name = f"{label_of(self.couplings).removeprefix(FILE)} N = {self.n_sites}"
        return glass

    @property
    def _external(self) -> np.ndarray:
        return np.asarray(getattr(self.h, "arrays", {"fields": self.h})["fields"])

    @property
    def scale(self) -> float:
        """√(Σ_j J_ij² + 2 h_i²) of a typical site, the same for all instances of an ensemble."""
        nominal = {"sk": 1.0, "ea": math.sqrt(2 * self.d), "regular": math.sqrt(self.degree), "hopfield": 1.0}
        if self.couplings not in nominal:
            return float(f"{spread(spin_graph(self.system())):.2g}")
        h = float(np.sqrt(np.mean(np.square(self._external))))
        return math.hypot(nominal[self.couplings], math.sqrt(2) * h)

    @functools.cached_property
    def n_sites(self) -> int:
        """N of the system."""
        if hasattr(self.couplings, "arrays"):
            return len(self.couplings.arrays["fields"])
        return int(self.L**self.d) if self.couplings == "ea" else self.N

    def at(self, T: float) -> Glass:
        """The same instance at another temperature."""
        return dataclasses.replace(self, T=T)


def _with_fields(glass: SpinGlass, h: np.ndarray) -> SpinGlass:
    sites, bonds = glass.neighbours()
    here = torch.arange(glass.n_sites)[:, None].expand_as(sites)
    there, kept = torch.stack([here, sites]), bonds != 0
    J = torch.sparse_coo_tensor(there[:, kept], bonds[kept], (glass.n_sites,) * 2, check_invariants=False)
    other = SpinGlass(J, glass.couplings["T"], h, shape=glass.shape if len(glass.shape) > 1 else None)
    other.name = glass.name
    return other


SK: dict[str, Any] = {"couplings": "sk", "L": 8, "d": 2, "boundary": "periodic", "kind": "pm1", "degree": 3}
SK |= {"patterns": 4, "h": 0.0}
"""What makes a study one of the Sherrington-Kirkpatrick model."""


def idle(keys: Mapping[str, Any]) -> dict[str, str]:
    """The keys of a :class:`Glass` and a :class:`TemperatureRange` that have no effect among ``keys``."""
    couplings = keys.get("couplings", "sk")
    of = {
        "N": ("sk", "regular", "hopfield"), "L": ("ea",), "d": ("ea",), "boundary": ("ea",), "kind": ("ea", "regular"),
        "degree": ("regular",), "patterns": ("hopfield",), "seed_J": DRAWN,
    }  # fmt: skip
    shown = couplings if couplings in DRAWN else "of your own"
    found = {key: f"where couplings are {shown}" for key, where in of.items() if key in keys and couplings not in where}
    return found | (over_idle(keys, "over_degree") if "over" in keys else {})
