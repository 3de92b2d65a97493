"""The square lattice: boundaries, and on the torus neighbours, checkerboards, distances.

Sites are numbered in raster order, site = y * m + x on an n x m lattice.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, cast, get_args

import numpy as np
import torch
from torch import Tensor

DIMS = {1: ("x",), 2: ("y", "x"), 3: ("z", "y", "x")}
"""Names of the sides, by how many there are."""

Boundary = Literal["periodic", "open", "cylinder"]


def joined(boundary: Boundary, sides: int) -> tuple[bool, ...]:
    """Whether a lattice is periodic along each of its sides; a cylinder is open along the first of them.

    >>> joined("cylinder", 2)
    (False, True)

    Raises:
        ValueError: for another boundary.
    """
    if boundary not in get_args(Boundary):
        raise ValueError(f"boundary must be 'periodic', 'open' or 'cylinder', got {boundary!r}")
    return (boundary == "periodic",) + (boundary != "open",) * (sides - 1)


class Lattice(tuple[int, ...]):
    """The sides of a periodic lattice: one, two or three whole numbers of at least 2; one number L is L x L.

    It is the tuple of its sides, and taken wherever a shape is. Systems have one as their ``shape``: what is made with
    it knows that it has been checked.

    Args:
        shape: the sides.

    Raises:
        ValueError: for what is no such lattice.

    >>> Lattice([4, 6, 2]), Lattice(8), Lattice((4, 6)).dims
    ((4, 6, 2), (8, 8), ('y', 'x'))
    """

    def __new__(cls, shape: int | Sequence[int]) -> Lattice:
        if isinstance(shape, Lattice):
            return shape
        sides = (shape, shape) if isinstance(shape, int) else tuple(shape)
        if len(sides) not in DIMS or any(int(side) != side or side < 2 for side in sides):
            raise ValueError(f"shape must be one, two or three sides of at least 2, got {shape}")
        return super().__new__(cls, map(int, sides))

    @property
    def dims(self) -> tuple[str, ...]:
        """A name for each side."""
        return DIMS[len(self)]

    @property
    def bipartite(self) -> bool:
        """Whether all sides are even, so that even and odd sites alternate around the torus too."""
        return not any(side % 2 for side in self)


def plane(shape: int | Sequence[int]) -> tuple[int, int]:
    """The lattice of two sides, else ValueError.

    >>> plane((4, 6)), plane(8), type(plane(8)).__name__
    ((4, 6), (8, 8), 'Lattice')
    """
    try:
        sides = Lattice(shape)
    except ValueError:
        sides = None
    if sides is None or len(sides) != 2:
        raise ValueError(f"shape must be two sides of at least 2, got {shape}")
    return cast(tuple[int, int], sides)


def takes_side(constructor: Callable[..., None]) -> Callable[..., None]:
    """A constructor of a lattice system that takes ``L=8`` in place of ``shape=8``, which is 8 x 8."""
    signature = inspect.signature(constructor)
    side = inspect.Parameter("L", inspect.Parameter.KEYWORD_ONLY, default=None, annotation="int | None")
    named = signature.replace(parameters=[*signature.parameters.values(), side])

    @functools.wraps(constructor)
    def called(self: Any, *args: Any, L: int | None = None, **keys: Any) -> None:
        if L is not None and (args or "shape" in keys):
            raise TypeError("give the shape or the side L, not both, and what comes after them by name")
        constructor(self, *args, **keys | ({} if L is None else {"shape": L}))

    called.__signature__ = named  # type: ignore[attr-defined]
    return called


def bipartite(shape: int | Sequence[int]) -> Lattice:
    """The lattice of even sides, around which even and odd sites alternate, else ValueError."""
    try:
        sides = Lattice(shape)
    except ValueError:
        sides = None
    if sides is None or not sides.bipartite:
        count = "two even" if not isinstance(shape, int) and len(shape) == 2 else "even"
        raise ValueError(f"shape must be {count} sides for a checkerboard, got {shape}")
    return sides


def neighbours(shape: tuple[int, ...]) -> Tensor:
    """(N, 2d) site numbers of the neighbours before and after along each side: in the plane above, below, left, right.

    On a side of length 2 a neighbour appears twice, as the bond does.

    >>> neighbours((3, 3))[4].tolist(), neighbours((2, 2, 2))[0].tolist()
    ([1, 7, 3, 5], [4, 4, 2, 2, 1, 1])
    """
    shape = Lattice(shape)
    sites = torch.arange(math.prod(shape)).reshape(shape)
    columns = [sites.roll(step, axis).flatten() for axis in range(sites.ndim) for step in (1, -1)]
    return torch.stack(columns, 1)


def window(shape: tuple[int, ...], offsets: list[tuple[int, int]]) -> Tensor:
    """(N, len(offsets)) site numbers at the given (dy, dx) from every site, around the torus.

    >>> window((2, 3), [(0, 1)]).flatten().tolist()
    [1, 2, 0, 4, 5, 3]
    """
    n, m = shape
    y, x = torch.meshgrid(torch.arange(n), torch.arange(m), indexing="ij")
    columns = [((y + dy) % n) * m + (x + dx) % m for dy, dx in offsets]
    return torch.stack(columns, dim=-1).reshape(n * m, len(offsets))


def checkerboard(shape: tuple[int, ...]) -> Tensor:
    """(*shape) booleans, True on the even sites (even sum of coordinates); all sides must be even.

    >>> checkerboard((2, 2)).tolist()
    [[True, False], [False, True]]
    >>> checkerboard((4,)).tolist()
    [True, False, True, False]
    """
    coordinates = torch.meshgrid(*(torch.arange(side) for side in bipartite(shape)), indexing="ij")
    return torch.stack(coordinates).sum(0) % 2 == 0


def distances(shape: tuple[int, ...]) -> np.ndarray:
    """(n, m) Euclidean distance of each site from site (0, 0), the short way around the torus, in lattice spacings.

    >>> distances((4, 4))[3, 2].round(3)
    np.float64(2.236)
    """
    n, m = plane(shape)
    y, x = np.arange(n)[:, None], np.arange(m)[None, :]
    return np.hypot(np.minimum(y, n - y), np.minimum(x, m - x))


def lattice_momentum_squared(shape: tuple[int, ...], *, device: torch.device | str = "cpu") -> Tensor:
    """(*shape) float64 Σ_μ 4 sin²(q_μ / 2) of every momentum q = 2π k / L, in the order of ``torch.fft.fftn``.

    >>> lattice_momentum_squared((4,)).round(decimals=6).tolist()
    [0.0, 2.0, 4.0, 2.0]
    """
    squared = torch.zeros((), dtype=torch.float64, device=device)
    for side in shape:
        k = torch.arange(side, dtype=torch.float64, device=device)
        squared = squared[..., None] + 4 * (math.pi * k / side).sin().square()
    return squared


def structure_factor_1(x: Tensor) -> Tensor:
    """(n, *shape) fields -> (n,) \\|φ̃(q)\\|² / N at the smallest momentum, 2π/L along an axis.

    φ̃(q) = Σ_x exp(iq·x) φ_x; the mean over the axes of the longest side L.

    >>> structure_factor_1(torch.tensor([[1.0, 0.0, -1.0, 0.0]])).tolist()
    [1.0]
    """
    shape = x.shape[1:]
    longest = max(shape)
    angle = 2 * math.pi / longest * torch.arange(longest, dtype=torch.float64)
    wave = torch.stack([angle.cos(), angle.sin()], 1).to(x)
    along = [axis for axis, side in enumerate(shape) if side == longest]
    lines = [x.movedim(axis + 1, -1).reshape(len(x), -1, longest).sum(1) for axis in along]
    power = [(line @ wave).square().sum(1) for line in lines]
    return torch.stack(power).mean(0) / math.prod(shape)
