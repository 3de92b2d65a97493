"""Levels of the even sublattice of a lattice, from coarse to fine: who is drawn when, and who sees whom.

A doubling takes the sites at multiples of 2a to those at multiples of a: first those with an even sum of coordinates in
units of a, then those with an odd one. In the plane they are the centres of squares, at (odd, odd) multiples of a, and
their edges; in space the centres of faces, then the edges and the centres of cubes; on a line there are edges alone. At
a = 1 the odd sites are the odd sublattice, which belongs to no configuration.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Offset = tuple[int, ...]
UNKNOWN = 10**6
INTERACTING = {1: 2, 2: 8, 3: 18}
"""Dimensions -> how many sites an even site interacts with once the odd ones are summed over."""


class Group(NamedTuple):
    """Sites that are drawn together, independent of each other given all sites before them.

    Attributes:
        level: 0 for the doubling to spacing 1, 1 for the one to spacing 2, ...; for the coarsest lattice, the number
            of doublings.
        name: what the group is called within its level, e.g. ``"centre 0"``, ``"edge 1"`` or, on the coarsest lattice,
            ``"site 3"``. Groups of one level and name are drawn by the same conditional.
        sites: (M,) positions in the flattened (L, ..., L//2) array.
        window: (M, k) positions of the known sites that each of them sees; -1 for a site that is not known, which
            counts as zero.
        offsets: the k displacements, (dy, dx) in the plane, in units of the level's spacing a, in the order of
            ``window``.
        exact: whether they are the last of all, and see exactly the sites that they interact with.
    """

    level: int
    name: str
    sites: Ints
    window: Ints
    offsets: tuple[Offset, ...]
    exact: bool = False

    @property
    def key(self) -> str:
        """Level and name, which are the same on lattices of other sizes."""
        return f"{self.level} {self.name}"


def doublings(shape: tuple[int, ...], coarsest: int) -> int:
    """k >= 1 with L = coarsest · 2^k for the even sublattice of a torus of side L, of shape (L, ..., L//2).

    Raises:
        ValueError: for another shape, or sizes that are not coarsest · 2^k.

    >>> doublings((12, 6), 3), doublings((8, 8, 4), 2), doublings((8,), 2)
    (2, 2, 3)
    """
    sides = tuple(shape)
    side = 2 * sides[-1] if sides else 0
    if not 1 <= len(sides) <= 3 or sides[-1] < 1 or any(one != side for one in sides[:-1]):
        raise ValueError(f"shape must be (L, L//2), the even sublattice of an L x L lattice, got {sides}")
    if coarsest < 2:
        raise ValueError(f"the coarsest lattice must have a side of at least 2, got {coarsest}")
    k = round(math.log2(max(side / coarsest, 1)))
    if k < 1 or coarsest * 2**k != side:
        raise ValueError(
            f"L must be {coarsest} · 2^k with k at least 1 for a coarsest side of {coarsest}, got {side}, shape {sides}"
        )
    return k


def in_order(
    shape: tuple[int, ...], coarsest: int, *, colours: int, window: int, reach: int | None, alone: bool
) -> list[Group]:
    """All groups of the even sublattice, from coarse to fine.

    Args:
        shape: (L, ..., L//2).
        coarsest: side of the coarsest lattice.
        colours, window: of :func:`doubling`.
        reach: of :func:`raster`, if sites are drawn one after the other, in the plane; None draws them in colours.
        alone: whether the coarsest lattice is drawn by itself, and not among the groups.

    Raises:
        ValueError: as :func:`doublings` and :func:`doubling` do, and for a ``reach`` in other than two dimensions.

    >>> [group.key for group in in_order((8, 4), 2, colours=1, window=32, reach=None, alone=True)]
    ['1 centre 0', '1 edge 0', '0 centre 0']
    """
    levels, side, dims = doublings(shape, coarsest), 2 * shape[-1], len(shape)
    if dims != 2 and reach is not None:
        raise ValueError(f"kind must be coloured for d = {dims}, got 'autoregressive'")
    groups = [] if alone else one_by_one(side, coarsest, dims)
    for level in reversed(range(levels)):
        if reach is None:
            groups += doubling(side, level, colours=colours, window=window, dims=dims)
        else:
            groups += raster(side, level, reach=reach)
    return groups


def position(coordinates: Sequence[Ints] | Ints, side: int) -> Ints:
    """Places of even sites of a torus, their coordinates one after the other, in the flattened (L, ..., L//2) array."""
    *others, last = coordinates
    place = np.zeros_like(last)
    for one in others:
        place = place * side + one % side
    return place * (side // 2) + (last % side) // 2


def coarsest_sites(side: int, coarsest: int, dims: int = 2) -> Ints:
    """(coarsest^d,) positions of the coarsest lattice in raster order."""
    return position(np.indices((coarsest,) * dims, np.int64).reshape(dims, -1) * (side // coarsest), side)


def one_by_one(side: int, coarsest: int, dims: int = 2) -> list[Group]:
    """The coarsest lattice site after site in raster order, each seeing all before it."""
    sites = coarsest_sites(side, coarsest, dims)
    level = round(math.log2(side // coarsest))
    coordinates = list(itertools.product(range(coarsest), repeat=dims))
    groups = []
    for i, site in enumerate(coordinates):
        offsets = tuple(tuple(v - u for v, u in zip(other, site, strict=True)) for other in coordinates[:i])
        groups.append(Group(level, f"site {i}", sites[i : i + 1], sites[None, :i], offsets))
    return groups


def colouring(cells: int, colours: int, dims: int = 2) -> Ints:
    """(cells, ...) colours of a torus of cells, each colour far from itself, none beside itself but for one colour.

    Powers of two divide the torus into sublattices, halves of a checkerboard first. An odd side has ``cells`` colours,
    in the plane the lines along the knight's-move-like step whose sites are farthest from each other.

    >>> colouring(2, 4).tolist()
    [[0, 2], [3, 1]]
    >>> colouring(3, 2).tolist()
    [[0, 1, 2], [1, 2, 0], [2, 0, 1]]
    """
    cell = np.indices((cells,) * dims)
    if colours == 1:
        return np.zeros((cells,) * dims, dtype=np.int64)
    if cells % 2:
        step = max(range(1, cells), key=lambda s: (_closest(cells, s), -s)) if dims == 2 else 1
        found: Ints = (cell[0] + step * cell[1:].sum(0)) % cells
        return found
    number = np.zeros((cells,) * dims, dtype=np.int64)
    for bit in range(colours.bit_length() - 1):
        scale, first = 2 ** (bit // dims), dims - bit % dims
        if cells // scale % 2:
            break
        number = 2 * number + (cell[:first] // scale % 2).sum(0) % 2
    return number


def _closest(cells: int, step: int) -> int:
    """Squared distance of the nearest cells (i, j) with i + step·j = 0 on the torus."""
    near = range(-(cells // 2), cells // 2 + 1)
    return min(i * i + j * j for i, j in itertools.product(near, near) if (i or j) and (i + step * j) % cells == 0)


def doubling(side: int, level: int, *, colours: int, window: int, dims: int = 2) -> list[Group]:
    """The groups of one doubling, even sites first; the finest has no odd ones.

    The last group of the finest sees the sites that it interacts with, where all of them are known: if there are two
    colours or more in the plane, four or more in space.

    Args:
        side: L.
        level: the doubling to spacing a = 2^level.
        colours: groups of centres, and of edges, in the plane: 1, 2, 4, 8, ...; odd numbers of cells have as many as
            cells in a row. Where there are several kinds of sites, as edges across and along, they are shared out.
        window: how many known sites a site sees at most: the nearest ones, whole shells of equal distance.
        dims: d.

    Raises:
        ValueError: for colours that are no power of two, or a window of fewer than the 2^d nearest sites.
    """
    if colours < 1 or colours & (colours - 1):
        raise ValueError(f"colours must be 1, 2, 4, 8, ..., got {colours}")
    if window < 2**dims:
        raise ValueError(f"window must be at least the {2**dims} nearest sites, got {window}")
    a = 2**level
    order, centres = _order(side // a, colours, level > 0, dims)
    apart = colours >= (4 if dims == 3 else 2)
    numbers = order[(order >= 0) & (order < UNKNOWN)]
    groups = []
    for number in range(int(numbers.max(initial=-1)) + 1):
        sites = np.array(np.nonzero(order == number))
        last = level == 0 and apart and number == centres - 1
        offsets = _nearest_known(order, number, sites[:, 0], INTERACTING[dims] if last else window)
        d = np.array(offsets).reshape(-1, dims).T[:, None]
        if dims == 2:  # one network for both kinds of edges sees them alike
            transposed = (sites[0] % 2 == 0) & (sites[1] % 2 == 1)
            d = np.where((transposed != transposed[0])[:, None], d[::-1], d)
        seen = (sites[:, :, None] + d) * a
        name = f"centre {number}" if number < centres else f"edge {number - centres}"
        groups.append(Group(level, name, position(sites * a, side), position(seen, side), offsets, last))
    return groups


def raster(side: int, level: int, *, reach: int) -> list[Group]:
    """The sites of one doubling of a plane one after the other, centres before edges, both in raster order.

    Args:
        side: L.
        level: the doubling to spacing a = 2^level.
        reach: a site sees the known ones of the (2 reach + 1)² around it, at the level's spacing.
    """
    a = 2**level
    period = side // a
    kinds, _ = _order(period, 1, level > 0, 2)
    sites = [np.argwhere(kinds == number) for number in range(2 if level else 1)]
    order = np.where(kinds < 0, -1, UNKNOWN)
    order[tuple(np.concatenate(sites).T)] = np.arange(sum(map(len, sites)))
    steps = range(-reach, reach + 1)
    offsets = tuple(itertools.product(steps, steps))
    found = []
    for name, members in zip(("centre", "edge"), sites, strict=False):
        for site in members:
            y, x = (site + np.array(offsets)).T
            known = order[y % period, x % period] < order[tuple(site)]
            window = np.where(known, position((y * a, x * a), side), -1)
            found.append(Group(level, name, position(site[:, None] * a, side), window[None], offsets))
    return found


def _order(period: int, colours: int, odd: bool, dims: int) -> tuple[Ints, int]:
    """(period, ...) group numbers of a doubling: -1 where known before, UNKNOWN where never drawn; how many are even.

    Of several kinds of sites, told apart by which coordinates are odd, each has a part of the colours; the two kinds of
    edges in the plane are one group where there is one colour.
    """
    order = np.full((period,) * dims, UNKNOWN, dtype=np.int64)
    order[(slice(None, None, 2),) * dims] = -1
    kinds = [kind for kind in itertools.product((1, 0), repeat=dims) if any(kind)]
    number = centres = 0
    for parity in (0, 1) if odd else (0,):
        alike = [kind for kind in kinds if sum(kind) % 2 == parity]
        for kind in alike:
            cells = colouring(period // 2, max(1, colours // 2 ** (len(alike).bit_length() - 1)), dims)
            order[tuple(slice(first, None, 2) for first in kind)] = number + cells
            if not (dims == 2 and colours == 1 and kind == (1, 0)):
                number += int(cells.max()) + 1
        centres = centres if parity else number
    return order, centres


def _nearest_known(order: Ints, number: int, site: Ints, window: int) -> tuple[Offset, ...]:
    """Displacements of the known sites in whole shells around a site, at least one shell, at most ``window``."""
    period, dims = len(order), order.ndim
    reach = math.isqrt(4 * window) + 2 if dims < 3 else 5
    near = itertools.product(range(-reach, reach + 1), repeat=dims)
    known = [d for d in near if order[tuple((site + d) % period)] < number]
    shells = itertools.groupby(sorted(known, key=_distance), key=_distance)
    found: list[Offset] = []
    for _, shell in shells:
        members = sorted(shell)
        if found and len(found) + len(members) > window:
            break
        found += members
    return tuple(found)


def _distance(d: Offset) -> int:
    return sum(one * one for one in d)
