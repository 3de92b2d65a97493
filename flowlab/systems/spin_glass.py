"""Ising spins with any symmetric couplings: Sherrington-Kirkpatrick, Edwards-Anderson, and what a user brings."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from torch import Tensor

from flowlab.core import Plane, Spins, System
from flowlab.core.arguments import checked
from flowlab.core.system import as_coupling
from flowlab.systems.bonds import Bonds, hold
from flowlab.systems.couplings import Couplings, as_array, entries, random_regular, read_couplings
from flowlab.systems.lattice import DIMS, Boundary, Lattice, joined


class SpinGlass(System):
    """Ising spins with couplings of their own: E(s) = -Σ_{i<j} J_ij s_i s_j - Σ_i h_i s_i, ln weight = -E/T, k_B = 1.

    Where every site has few neighbours, energies and local fields gather them and cost O(N z) a configuration, with z
    the largest number of neighbours; large graphs with hubs cost O(couplings); else they are matrix products. J is kept
    in float64, results have x's type.

    Args:
        J: (N, N) couplings, symmetric with zero diagonal: an array, a dense or sparse tensor, a SciPy sparse matrix; or
            a graph, see :func:`flowlab.systems.couplings.couplings_of`.
        T: temperature in the units of J, positive.
        h: fields, one a site ((N,) or the lattice's shape) or one number for all; by default none.
        shape: sides of a lattice whose sites, in raster order, are those of J; by default (N,), no lattice.

    Raises:
        ValueError: for a J that is not symmetric, couples a site to itself or is not finite, fields or a shape of
            another number of sites, or T <= 0.

    >>> glass = SpinGlass(np.array([[0.0, 1.0], [1.0, 0.0]]), T=2.0, h=[0.0, 0.5])
    >>> glass.energy(torch.tensor([[1.0, 1.0], [1.0, -1.0]])).tolist()
    [-1.5, 1.5]
    >>> glass.title
    'Spin glass N = 2, in fields, T = 2'
    """

    disordered = True
    h: Tensor
    _matrix: Tensor | None
    _bonds: Tensor | None
    _sites: Tensor | None
    _ends: Tensor | None

    @checked
    def __init__(self, J: Any, T: float | Tensor, h: Any = None, *, shape: tuple[int, ...] | None = None) -> None:
        super().__init__()
        n, rows, columns, values = entries(J)
        self.shape, self.dims = _lattice(shape, n)
        self.variables = Spins()
        self.couplings = {"T": as_coupling("T", T)}
        self.check_couplings()
        self.name = f"Spin glass {_sides(self.shape)}"
        self.register_buffer("h", _fields(h, self.shape), persistent=False)
        self._flips = not bool(self.h.any())
        held = hold(n, rows, columns, values)
        dense = held.sites is None and held.ends is None
        named = {"_matrix": held.values if dense else None, "_bonds": None if dense else held.values}
        for name, value in (named | {"_sites": held.sites, "_ends": held.ends}).items():
            self.register_buffer(name, value, persistent=False)

    @classmethod
    @checked
    def sherrington_kirkpatrick(cls, n: int, T: float | Tensor, seed: int = 0) -> Self:
        """Every pair of n sites coupled by J_ij ~ N(0, 1/n), critical at T = 1 (Sherrington, Kirkpatrick 1975).

        The couplings are ``np.random.default_rng(seed).standard_normal(n * (n - 1) // 2) / sqrt(n)`` in the order of
        ``np.triu_indices(n, 1)``.

        Args:
            n: number of sites, at least 2.
            T: temperature, positive.
            seed: number of the instance, not negative.

        >>> glass = SpinGlass.sherrington_kirkpatrick(64, T=0.5, seed=3)
        >>> glass.title, round(float(glass.J[0, 1]), 6)
        ('Sherrington-Kirkpatrick N = 64, instance 3, T = 0.5', 0.255115)
        """
        if int(n) != n or n < 2:
            raise ValueError(f"n must be a number of sites of at least 2, got {n}")
        n = int(n)
        J = np.zeros((n, n))
        J[np.triu_indices(n, 1)] = _instance(seed).standard_normal(n * (n - 1) // 2) / math.sqrt(n)
        glass = cls(J + J.T, T)
        glass.name = f"Sherrington-Kirkpatrick N = {n}, instance {seed}"
        return glass

    @classmethod
    @checked
    def edwards_anderson(
        cls,
        shape: int | tuple[int, ...],
        T: float | Tensor,
        seed: int = 0,
        kind: Literal["gaussian", "pm1"] = "gaussian",
        *,
        boundary: Boundary = "periodic",
    ) -> Self:
        """Nearest neighbours of a lattice coupled at random (Edwards, Anderson 1975).

        With ``rng = np.random.default_rng(seed)`` and d axes the couplings are ``rng.standard_normal((d, *shape))`` or
        ``2 * rng.integers(0, 2, (d, *shape)) - 1``: entry [a, site] joins the site to the next along axis a. On a side
        of 2 a pair of neighbours has two bonds, whose couplings add.

        Args:
            shape: one to four sides of at least 2, or one number L for L x L; the system has no lattice of four.
            T: temperature, positive.
            seed: number of the instance, not negative.
            kind: ``"gaussian"`` for J_ij ~ N(0, 1), ``"pm1"`` for -1 or 1 with equal chances.
            boundary: "periodic"; "open"; or "cylinder", which is open along the first side. The open instance is the
                periodic one without the bonds across its edges.

        >>> glass = SpinGlass.edwards_anderson((4, 6), T=1.0, seed=2, kind="pm1")
        >>> glass.title, glass.dims, int((glass.J != 0).sum(1)[0])
        ('Edwards-Anderson 4 × 6, ±1 couplings, instance 2, T = 1', ('y', 'x'), 4)
        """
        four = not isinstance(shape, int) and len(shape) == 4 and all(int(side) == side >= 2 for side in shape)
        sides = tuple(map(int, shape)) if four and not isinstance(shape, int) else Lattice(shape)
        couplings = _random(_instance(seed), (len(sides), *sides), kind)
        glass = cls(_nearest(couplings, boundary), T, shape=None if four else sides)
        edges = "" if boundary == "periodic" else f"{boundary}, "
        glass.name = f"Edwards-Anderson {_sides(sides)}, {edges}{RANDOM[kind]} couplings, instance {seed}"
        return glass

    @classmethod
    @checked
    def random_regular(
        cls, n: int, degree: int, T: float | Tensor, seed: int = 0, kind: Literal["gaussian", "pm1"] = "pm1"
    ) -> Self:
        """Random couplings on a random graph in which every one of n sites has ``degree`` neighbours.

        Args:
            n: number of sites; n · degree must be even.
            degree: neighbours of a site, 1 to n - 1.
            T, seed, kind: as of :meth:`edwards_anderson`; one generator draws the graph, then the couplings.

        >>> glass = SpinGlass.random_regular(10, degree=3, T=1.0, seed=2)
        >>> glass.title, (glass.J != 0).sum(1).tolist()
        ('Random regular N = 10, degree 3, ±1 couplings, instance 2, T = 1', [3, 3, 3, 3, 3, 3, 3, 3, 3, 3])
        """
        rng = _instance(seed)
        sites = random_regular(n, degree, rng)
        values = _random(rng, (len(sites),), kind)
        glass = cls(Couplings(sites, values, np.zeros(n)).matrix(), T)
        glass.name = f"Random regular N = {n}, degree {degree}, {RANDOM[kind]} couplings, instance {seed}"
        return glass

    @classmethod
    @checked
    def hopfield(cls, n: int, patterns: int, T: float | Tensor, seed: int = 0) -> Self:
        """J_ij = Σ_μ ξ^μ_i ξ^μ_j / n of random patterns ξ^μ of ±1 (Hopfield 1982).

        The patterns are ``2 * np.random.default_rng(seed).integers(0, 2, (patterns, n)) - 1``.

        Args:
            n: number of sites, at least 2.
            patterns: number of patterns, at least 1.
            T: temperature, positive.
            seed: number of the instance, not negative.

        >>> glass = SpinGlass.hopfield(8, patterns=1, T=0.5)
        >>> glass.title, float(glass.J[0, 1].abs())
        ('Hopfield N = 8, 1 patterns, instance 0, T = 0.5', 0.125)
        """
        for name, value, least in (("n", n, 2), ("patterns", patterns, 1)):
            if int(value) != value or value < least:
                raise ValueError(f"{name} must be a whole number of at least {least}, got {value}")
        stored = _random(_instance(seed), (patterns, n), "pm1")
        J = stored.T @ stored / n
        np.fill_diagonal(J, 0.0)
        glass = cls(J, T)
        glass.name = f"Hopfield N = {n}, {patterns} patterns, instance {seed}"
        return glass

    @classmethod
    @checked
    def from_file(cls, path: str | Path, T: float | Tensor) -> Self:
        """The couplings, and fields if there are any, in a file; see :func:`flowlab.systems.couplings.read_couplings`.

        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "pair.txt"
        >>> _ = path.write_text("0 1 -1.0")
        >>> SpinGlass.from_file(path, T=2.0).title
        'pair.txt N = 2, T = 2'
        """
        found = read_couplings(path)
        glass = cls(found.matrix(), T, found.fields)
        glass.name = f"{Path(path).name} {_sides(glass.shape)}"
        return glass

    @classmethod
    @checked
    def uniform(
        cls,
        shape: int | tuple[int, ...],
        T: float | Tensor,
        J: float = 1.0,
        h: float = 0.0,
        *,
        boundary: Boundary = "open",
    ) -> Self:
        """The Ising model with open edges: nearest neighbours of a lattice coupled alike.

        Args:
            shape: one, two or three sides of at least 2, or one number L for L x L.
            T: temperature, positive.
            J: coupling of neighbours; positive is ferromagnetic.
            h: field on every site.
            boundary: as of :meth:`edwards_anderson`; for a periodic plane :class:`.Ising` knows more.

        >>> ising = SpinGlass.uniform((2, 3), T=2.0)
        >>> ising.title, float(ising.energy(torch.ones(1, 2, 3)))
        ('Ising 2 × 3, open, T = 2', -7.0)
        """
        sides = Lattice(shape)
        ising = cls(_nearest(np.full((len(sides), *sides), float(J)), boundary), T, float(h), shape=sides)
        strength = "" if J == 1 else f", J = {J:g}"
        ising.name, ising.disordered = f"Ising {_sides(sides)}, {boundary}{strength}", False
        return ising

    @property
    def title(self) -> str:
        fields = "" if self.flip_symmetric else ", in fields"
        return f"{self.name}{fields}, T = {float(self.couplings['T'].detach()):.4g}"

    @property
    def flip_symmetric(self) -> bool:
        return self._flips if self.h.device.type != "cpu" else not bool(self.h.any())  # a GPU is not waited for

    @property
    def _held(self) -> Bonds:
        values = self._matrix if self._bonds is None else self._bonds
        assert values is not None
        return Bonds(values, self._sites, self._ends)

    @property
    def J(self) -> Tensor:
        """(N, N) couplings as a dense matrix; made anew at each call where neighbours are gathered."""
        return self._held.dense(self.n_sites)

    def neighbours(self) -> tuple[Tensor, Tensor]:
        """Who is coupled to whom: (N, z) site numbers, int64, and (N, z) couplings, float64.

        z is the largest number of neighbours; a site with fewer names itself in the rest, with coupling 0.

        >>> J = torch.zeros(3, 3)
        >>> J[0, 1] = J[1, 0] = J[1, 2] = J[2, 1] = 0.5
        >>> [part.tolist() for part in SpinGlass(J, T=1.0).neighbours()]
        [[[1, 0], [0, 2], [1, 2]], [[0.5, 0.0], [0.5, 0.5], [0.5, 0.0]]]
        """
        return self._held.neighbours(self.n_sites)

    def coupled(self, x: Tensor) -> Tensor:
        """(n, N) -> (n, N): Σ_j J_ij x_j, for any real x."""
        return self._held.times(self.numbers(x))

    def local_fields(self, x: Tensor) -> Tensor:
        """(n, N) or (n, *shape) spins -> Σ_j J_ij s_j + h_i in the same shape: flipping s_i costs 2 s_i times it."""
        fields = self.coupled(x.flatten(1))
        return (fields + self.h.to(fields.dtype)).reshape(x.shape)

    def energy(self, x: Tensor) -> Tensor:
        """(n, *shape) spins -> (n,) energies E in the units of J."""
        x = self.batch(x).flatten(1)
        return -(x * (0.5 * self.coupled(x) + self.h.to(x.dtype))).sum(-1)

    def log_weight(self, x: Tensor) -> Tensor:
        """(n, *shape) spins -> (n,): -E/T."""
        energy = self.energy(x)
        return -energy / self.couplings["T"].to(energy.dtype)

    def observables(self, x: Tensor) -> dict[str, Tensor]:
        """``energy_per_site`` E/N and ``magnetization`` Σs/N, each (n,)."""
        x = self.batch(x)
        return {"energy_per_site": self.energy(x) / self.n_sites, "magnetization": x.flatten(1).mean(-1)}

    def plane(self) -> Plane | None:
        """The couplings as bonds of a plane; None where they join other sites than neighbours on its two sides."""
        return _plane(self)

    def extra_repr(self) -> str:
        return self.title


def _plane(glass: SpinGlass) -> Plane | None:
    if len(glass.shape) != 2:
        return None
    n, m = glass.shape
    sites, bonds = (part.cpu() for part in glass.neighbours())
    here = torch.arange(n * m)[:, None].expand_as(sites)
    dy, dx = (sites // m - here // m) % n, (sites % m - here % m) % m
    beta = 1.0 / float(glass.couplings["T"].detach())
    right, down = ((torch.where(to, bonds, 0.0).sum(1) * beta).reshape(n, m)
                   for to in ((dy == 0) & (dx == 1), (dy == 1) & (dx == 0)))  # fmt: skip
    if m == 2:  # both bonds of a pair are in J, as one
        right[:, 1] = 0.0
    if n == 2:
        down[1] = 0.0
    near = (bonds == 0) | ((dy == 0) & ((dx == 1) | (dx == m - 1))) | ((dx == 0) & ((dy == 1) | (dy == n - 1)))
    if not bool(near.all()):
        return None
    spin = torch.tensor([-1.0, 1.0], dtype=torch.float64)
    pair = spin[:, None] * spin
    field = beta * glass.h.cpu().reshape(n, m, 1) * spin
    return Plane(field, right[..., None, None] * pair, down[..., None, None] * pair)


def _nearest(couplings: np.ndarray, boundary: Boundary) -> Tensor:
    """(N, N) sparse J from (d, *shape) couplings to the next site along each axis."""
    sides = couplings.shape[1:]
    site = np.arange(math.prod(sides)).reshape(sides)
    here: list[np.ndarray] = []
    there: list[np.ndarray] = []
    values: list[np.ndarray] = []
    for axis, (along, around) in enumerate(zip(couplings, joined(boundary, len(sides)), strict=True)):
        kept = slice(None) if around else slice(sides[axis] - 1)
        for parts, of in ((here, site), (there, np.roll(site, -1, axis)), (values, along)):
            parts.append(of.swapaxes(0, axis)[kept].swapaxes(0, axis).ravel())
    one, other, value = map(np.concatenate, (here, there, values))
    return torch.sparse_coo_tensor(
        torch.from_numpy(np.stack([np.append(one, other), np.append(other, one)])),
        torch.from_numpy(np.tile(value, 2)),
        (site.size, site.size),
        check_invariants=False,
    )


RANDOM = {"gaussian": "Gaussian", "pm1": "±1"}
"""Kinds of random couplings, in words."""


def _random(rng: np.random.Generator, size: tuple[int, ...], kind: str) -> np.ndarray:
    if kind not in RANDOM:
        raise ValueError(f"kind must be 'gaussian' or 'pm1', got {kind!r}")
    return rng.standard_normal(size) if kind == "gaussian" else 2.0 * rng.integers(0, 2, size) - 1


def _instance(seed: int) -> np.random.Generator:
    if int(seed) != seed or seed < 0:
        raise ValueError(f"seed must be a whole number of at least 0, got {seed}")
    return np.random.default_rng(int(seed))


def _sides(shape: tuple[int, ...]) -> str:
    return f"N = {shape[0]}" if len(shape) == 1 else " × ".join(map(str, shape))


def _lattice(shape: tuple[int, ...] | None, n: int) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Shape and dims of a system of n sites."""
    if shape is None:
        return (n,), ("site",)
    sides = tuple(int(side) for side in shape)
    if len(sides) not in DIMS or min(sides) < 1 or math.prod(sides) != n:
        raise ValueError(f"shape must be up to three sides with {n} sites, as many as J has, got {tuple(shape)}")
    return sides, DIMS[len(sides)]


def _fields(h: Any, shape: tuple[int, ...]) -> Tensor:
    """(N,) float64 fields."""
    n = math.prod(shape)
    if h is None:
        return torch.zeros(n, dtype=torch.float64)
    if not isinstance(h, Tensor):
        h = as_array(h, "h")
        if h.dtype.kind not in "fiu":
            raise TypeError(f"h must hold real numbers, got {h.dtype}")
        h = torch.from_numpy(h.astype(np.float64))
    fields: Tensor = h.detach().double()
    if fields.ndim and tuple(fields.shape) not in {(n,), shape}:
        raise ValueError(f"h must have one field for each of the {n} sites of J, got shape {tuple(fields.shape)}")
    if not bool(fields.isfinite().all()):
        raise ValueError(f"h must be finite, got {float(fields[~fields.isfinite()].flatten()[0])}")
    return fields.flatten().expand(n).clone()
