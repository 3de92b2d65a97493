"""Levels of the even sublattice of a square lattice, from coarse to fine: who is drawn when, and who sees whom.

A doubling takes the sites at multiples of 2a to those at multiples of a: first the centres, at (odd, odd) multiples of
a, then the edges, the other two kinds. At a = 1 the edges are the odd sublattice, which belongs to no configuration.
"""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
UNKNOWN = 10**6
INTERACTING = 8
"""How many sites an even site interacts with once the odd ones are summed over."""


class Group(NamedTuple):
    """Sites that are drawn together, independent of each other given all sites before them.

    Attributes:
        level: 0 for the doubling to spacing 1, 1 for the one to spacing 2, ...; for the coarsest lattice, the number
            of doublings.
        name: what the group is called within its level, e.g. ``"centre 0"``, ``"edge 1"`` or, on the coarsest lattice,
            ``"site 3"``. Groups of one level and name are drawn by the same conditional.
        sites: (M,) positions in the flattened (L, L//2) array.
        window: (M, k) positions of the known sites that each of them sees; -1 for a site that is not known, which
            counts as zero.
        offsets: the k displacements (dy, dx) in units of the level's spacing a, in the order of ``window``.
    """

    level: int
    name: str
    sites: Ints
    window: Ints
    offsets: tuple[tuple[int, int], ...]

    @property
    def key(self) -> str:
        """Level and name, which are the same on lattices of other sizes."""
        return f"{self.level} {self.name}"


def doublings(shape: tuple[int, ...], coarsest: int) -> int:
    """k >= 1 with L = coarsest · 2^k for the even sublattice of an L x L torus, of shape (L, L//2).

    Raises:
        ValueError: for another shape, or sizes that are not coarsest · 2^k.

    >>> doublings((12, 6), 3)
    2
    """
    sides = tuple(shape)
    if len(sides) != 2 or sides[0] != 2 * sides[1] or sides[1] < 1:
        raise ValueError(f"shape must be (L, L//2), the even sublattice of an L x L lattice, got {sides}")
    if coarsest < 2:
        raise ValueError(f"the coarsest lattice must have a side of at least 2, got {coarsest}")
    k = round(math.log2(max(sides[0] / coarsest, 1)))
    if k < 1 or coarsest * 2**k != sides[0]:
        raise ValueError(
            f"L must be {coarsest} · 2^k with k at least 1, for a coarsest side of {coarsest}, got {sides[0]}"
        )
    return k


def position(y: Ints, x: Ints, side: int) -> Ints:
    """Places of even sites (y, x) of an L x L torus in the flattened (L, L//2) array."""
    return (y % side) * (side // 2) + (x % side) // 2


def coarsest_sites(side: int, coarsest: int) -> Ints:
    """(coarsest²,) positions of the coarsest lattice in raster order."""
    y, x = np.array(np.divmod(np.arange(coarsest**2), coarsest)) * (side // coarsest)
    return position(y, x, side)


def one_by_one(side: int, coarsest: int) -> list[Group]:
    """The coarsest lattice site after site in raster order, each seeing all before it."""
    sites = coarsest_sites(side, coarsest)
    level = doublings((side, side // 2), coarsest)
    coordinates = list(itertools.product(range(coarsest), repeat=2))
    groups = []
    for i, (y, x) in enumerate(coordinates):
        offsets = tuple((v - y, u - x) for v, u in coordinates[:i])
        groups.append(Group(level, f"site {i}", sites[i : i + 1], sites[None, :i], offsets))
    return groups


def colouring(cells: int, colours: int) -> Ints:
    """(cells, cells) colours of a torus of cells, each colour far from itself, none beside itself but for one colour.

    Powers of two divide the torus into sublattices, halves of a checkerboard first. An odd side has ``cells`` colours,
    the lines along the knight's-move-like step whose sites are farthest from each other.

    >>> colouring(2, 4).tolist()
    [[0, 2], [3, 1]]
    >>> colouring(3, 2).tolist()
    [[0, 1, 2], [1, 2, 0], [2, 0, 1]]
    """
    i, j = np.meshgrid(np.arange(cells), np.arange(cells), indexing="ij")
    if colours == 1:
        return np.zeros_like(i)
    if cells % 2:
        step = max(range(1, cells), key=lambda s: (_closest(cells, s), -s))
        found: Ints = (i + step * j) % cells
        return found
    bits: list[Ints] = []
    while 2 ** len(bits) < colours and (i.shape[0] // 2 ** (len(bits) // 2)) % 2 == 0:
        scale = 2 ** (len(bits) // 2)
        first, second = i // scale % 2, j // scale % 2
        bits.append(first ^ second if len(bits) % 2 == 0 else first)
    number = np.zeros_like(i)
    for bit in bits:
        number = 2 * number + bit
    return number


def _closest(cells: int, step: int) -> int:
    """Squared distance of the nearest cells (i, j) with i + step·j = 0 on the torus."""
    near = range(-(cells // 2), cells // 2 + 1)
    return min(i * i + j * j for i, j in itertools.product(near, near) if (i or j) and (i + step * j) % cells == 0)


def doubling(side: int, level: int, *, colours: int, window: int) -> list[Group]:
    """The groups of one doubling, centres first; the finest has no edges.

    The last group of the finest, where there are two colours or more, sees the sites that it interacts with, all known.

    Args:
        side: L.
        level: the doubling to spacing a = 2^level.
        colours: groups of centres, and of edges: 1, 2, 4, 8, ...; odd numbers of cells have as many as cells in a row.
        window: how many known sites a site sees at most: the nearest ones, whole shells of equal distance.

    Raises:
        ValueError: for colours that are no power of two, or a window of fewer than 4 sites.
    """
    if colours < 1 or colours & (colours - 1):
        raise ValueError(f"colours must be 1, 2, 4, 8, ..., got {colours}")
    if window < 4:
        raise ValueError(f"window must be at least the 4 nearest sites, got {window}")
    a = 2**level
    period = side // a
    order = _order(period, colours, edges=level > 0)
    groups = []
    for number in range(int(order[order < UNKNOWN].max()) + 1):
        y, x = np.nonzero(order == number)
        transposed = (y % 2 == 0) & (x % 2 == 1)
        both = transposed.any() and not transposed.all()
        last = level == 0 and colours > 1 and number == order[1::2, 1::2].max()
        offsets = _nearest_known(order, number, (int(y[0]), int(x[0])), INTERACTING if last else window)
        d = np.array(offsets).reshape(-1, 2)
        dy, dx = d[:, 0], d[:, 1]
        if both:  # one network for both kinds of edges sees them alike
            turn = (transposed != transposed[0])[:, None]
            dy, dx = np.where(turn, dx, dy), np.where(turn, dy, dx)
        rows, columns = (y[:, None] + dy) * a, (x[:, None] + dx) * a
        centre = y[0] % 2 == 1 and x[0] % 2 == 1
        name = f"centre {number}" if centre else f"edge {number - int(order[1::2, 1::2].max()) - 1}"
        groups.append(Group(level, name, position(y * a, x * a, side), position(rows, columns, side), offsets))
    return groups


def raster(side: int, level: int, *, reach: int) -> list[Group]:
    """The sites of one doubling one after the other, centres before edges, both in raster order.

    Args:
        side: L.
        level: the doubling to spacing a = 2^level.
        reach: a site sees the known ones of the (2 reach + 1)² around it, at the level's spacing.
    """
    a = 2**level
    period = side // a
    kinds = _order(period, 1, edges=level > 0)
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
            window = np.where(known, position(y * a, x * a, side), -1)
            here = position(site[:1] * a, site[1:] * a, side)
            found.append(Group(level, name, here, window[None], offsets))
    return found


def _order(period: int, colours: int, edges: bool) -> Ints:
    """(period, period) group numbers of a doubling: -1 where known before, UNKNOWN where never drawn."""
    order = np.full((period, period), UNKNOWN, dtype=np.int64)
    order[::2, ::2] = -1
    order[1::2, 1::2] = colouring(period // 2, colours)
    if edges:
        first = int(order[1::2, 1::2].max()) + 1
        cells = colouring(period // 2, colours // 2) if colours > 1 else np.zeros((period // 2, period // 2), int)
        order[1::2, ::2] = first + cells
        order[::2, 1::2] = first + cells + (int(cells.max()) + 1 if colours > 1 else 0)
    return order


def _nearest_known(order: Ints, number: int, site: tuple[int, int], window: int) -> tuple[tuple[int, int], ...]:
    """Displacements of the known sites in whole shells around a site, at least one shell, at most ``window``."""
    period, reach = len(order), math.isqrt(4 * window) + 2
    near = itertools.product(range(-reach, reach + 1), range(-reach, reach + 1))
    known = [d for d in near if order[(site[0] + d[0]) % period, (site[1] + d[1]) % period] < number]
    shells = itertools.groupby(sorted(known, key=_distance), key=_distance)
    found: list[tuple[int, int]] = []
    for _, shell in shells:
        members = sorted(shell)
        if found and len(found) + len(members) > window:
            break
        found += members
    return tuple(found)


def _distance(d: tuple[int, int]) -> int:
    return d[0] ** 2 + d[1] ** 2
