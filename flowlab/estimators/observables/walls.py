"""Domain walls between spins on a periodic square lattice: their length, their clusters, their fractal dimension.

A wall is an edge of the dual lattice that crosses a bond between unequal spins. Corner (y, x) of the dual lattice is
the one below and right of site (y, x).
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flowlab.estimators.estimate import Estimate, FloatArray
from flowlab.estimators.series.jackknife import block_sums, jackknife


def wall_bonds(s: ArrayLike) -> NDArray[np.bool_]:
    """Which bonds carry a wall.

    Args:
        s: (..., n, m) spins of ±1.

    Returns:
        (..., 2, n, m) booleans: [0] on the bond from (y, x) to its right neighbour (y, x+1), [1] to (y+1, x) below.

    Raises:
        ValueError: for fewer than two axes.

    >>> wall_bonds([[1, -1], [1, -1]])[0].tolist()
    [[True, True], [True, True]]
    """
    s = np.asarray(s)
    if s.ndim < 2:
        raise ValueError(f"s must have shape (..., n, m), got {s.shape}")
    return np.stack([s != np.roll(s, -1, -1), s != np.roll(s, -1, -2)], axis=-3)


def wall_length(s: ArrayLike) -> NDArray[np.intp]:
    """(..., n, m) spins -> (...) number of wall edges; for J = 1 and no field, E = -2N + 2 (wall length).

    >>> int(wall_length(np.where(np.indices((4, 4)).sum(0) % 2, 1, -1)))
    32
    """
    return np.asarray(wall_bonds(s).sum((-3, -2, -1)))


def wall_clusters(s: ArrayLike) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Connected clusters of walls; walls that meet at a corner belong together.

    Args:
        s: (k, n, m) spins of ±1.

    Returns:
        (k, n, m) the cluster of each corner of the dual lattice, numbered over all configurations, -1 where no wall
        passes; and (clusters,) the number of edges of each.

    Raises:
        ValueError: for another shape.

    >>> s = np.ones((1, 6, 6))
    >>> s[0, 2, 2] = -1
    >>> wall_clusters(s)[1].tolist()
    [4]
    """
    from scipy import sparse
    from scipy.sparse import csgraph

    s = np.asarray(s)
    if s.ndim != 3:
        raise ValueError(f"s must have shape (k, n, m), got {s.shape}")
    bonds = wall_bonds(s)
    corner = np.arange(s.size).reshape(s.shape)
    ends = np.concatenate([corner[bonds[:, 0]], corner[bonds[:, 1]]])
    others = np.concatenate([np.roll(corner, 1, -2)[bonds[:, 0]], np.roll(corner, 1, -1)[bonds[:, 1]]])
    graph = sparse.coo_array((np.ones(len(ends), np.int8), (ends, others)), shape=(s.size, s.size))
    label = csgraph.connected_components(graph, directed=False)[1]
    kept, edges = np.unique(label[ends], return_counts=True)
    number = np.full(s.size, -1)
    number[kept] = np.arange(len(kept))
    return number[label].reshape(s.shape), edges


def box_sizes(shape: tuple[int, int]) -> list[int]:
    """Sides of boxes that tile a lattice, up to half its shorter side.

    >>> box_sizes((8, 16)), box_sizes((6, 6))
    ([1, 2, 4], [1, 2, 3])
    """
    common = math.gcd(*shape)
    return [b for b in range(1, min(shape) // 2 + 1) if common % b == 0]


def wall_dimension(s: ArrayLike, *, which: Literal["largest", "all"] = "largest") -> Estimate:
    """Box-counting dimension of walls: minus the slope of ln <N(b)> against ln b.

    N(b) is the number of b x b boxes of the dual lattice that the wall visits, averaged over the configurations that
    have one, b the divisors of the sides up to half of them. The longest wall of each configuration is at T_c a fractal
    of dimension 11/8 (the hull of a spin cluster, SLE with kappa = 3); all walls together fill the plane, at any
    temperature. On lattices of a few spacings the slope is an effective one, to be compared at equal size.

    Args:
        s: (k, n, m) independent spin configurations of ±1.
        which: "largest", the cluster with the most edges of each configuration, or "all".

    Returns:
        Estimate with a jackknife error; NaN where fewer than 2 configurations have walls, or no two boxes fit.

    Raises:
        ValueError: for another shape or ``which``.

    >>> s = np.ones((4, 8, 8))
    >>> s[:, 2:5] = -1  # two straight walls
    >>> round(float(wall_dimension(s).value), 6), round(float(wall_dimension(s, which="all").value), 6)
    (1.0, 1.0)
    """
    s = np.asarray(s)
    if which not in ("largest", "all"):
        raise ValueError(f'which must be "largest" or "all", got {which!r}')
    cluster, edges = wall_clusters(s)
    visited = cluster >= 0
    if which == "largest":
        size = np.where(visited, np.append(edges, 0)[cluster] + 1.0 - cluster / (cluster.max(initial=0) + 2.0), 0.0)
        visited &= size == size.max((1, 2), keepdims=True)  # the first of equally long ones
    visited = visited[visited.any((1, 2))]
    sides = box_sizes((s.shape[1], s.shape[2]))
    if len(visited) < 2 or len(sides) < 2:
        return Estimate(np.nan, np.nan)
    counts = np.stack([_boxes(visited, b) for b in sides], axis=1)
    x = np.log(sides)
    x = (x - x.mean()) / ((x - x.mean()) ** 2).sum()
    return jackknife(block_sums(counts), lambda sums: -(x @ np.log(sums)))


def _boxes(visited: NDArray[np.bool_], b: int) -> FloatArray:
    k, n, m = visited.shape
    return np.asarray(visited.reshape(k, n // b, b, m // b, b).any((2, 4)).sum((1, 2)), dtype=np.float64)
