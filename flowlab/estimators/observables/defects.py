"""Configurations with a known defect, and whether a map keeps those of one topology together."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from flowlab.estimators.estimate import Estimate, FloatArray

TOPOLOGY = {
    "uniform": "no wall",
    "single flip": "one island",
    "island": "one island",
    "large island": "one island",
    "two islands": "two islands",
    "flat wall pair": "wall pair",
    "stepped wall pair": "wall pair",
    "staircase": "diagonal wall pair",
    "checkerboard": "checkerboard",
}
"""Which defects can be deformed into each other without a wall closing, opening or winding differently."""


def defects(shape: tuple[int, ...]) -> dict[str, FloatArray]:
    """Spins with one defect each, in a sea of +1, on a periodic lattice.

    ``uniform``; ``single flip``; ``island`` (2 x 2), ``large island`` (half the sides), ``two islands``; ``flat wall
    pair``, a strip of half the columns, and ``stepped wall pair``, the same with one step in each wall; ``staircase``,
    a diagonal strip; ``checkerboard``, on even sides only.

    Args:
        shape: (n, m), both at least 4.

    Returns:
        name -> (n, m) of ±1; :data:`TOPOLOGY` says which belong together.

    Raises:
        ValueError: for another shape.

    >>> {name: int(s.sum()) for name, s in defects((4, 4)).items() if name.startswith(("single", "flat"))}
    {'single flip': 14, 'flat wall pair': 0}
    """
    if len(shape) != 2 or min(shape) < 4:
        raise ValueError(f"shape must be two sides of at least 4 for defects, got {tuple(shape)}")
    n, m = shape
    y, x = np.indices(shape)
    y, x = y - n // 4, x - m // 4
    strip = (x >= 0) & (x < m // 2)
    down = {
        "uniform": np.zeros(shape, bool),
        "single flip": (y == 0) & (x == 0),
        "island": (y >= 0) & (y < 2) & (x >= 0) & (x < 2),
        "large island": (y >= 0) & (y < n // 2) & strip,
        "two islands": (y == 0) & (x == 0) | (y == n // 2) & (x == m // 2) | (y == n // 2) & (x == m // 2 - 1),
        "flat wall pair": strip,
        "stepped wall pair": np.where(y >= n // 2 - n // 4, np.roll(strip, 1, axis=1), strip),
        "staircase": (x - y * m // n) % m < m // 2,
    }
    if n % 2 == 0 and m % 2 == 0:
        down["checkerboard"] = (x + y) % 2 == 1
    return {name: np.where(sites, -1.0, 1.0) for name, sites in down.items()}


def placements(configurations: ArrayLike, count: int, *, rng: np.random.Generator) -> FloatArray:
    """(D, n, m) configurations -> (count, D, n, m), each shifted at random around the torus.

    >>> placements(np.eye(3)[None], 5, rng=np.random.default_rng(0)).sum((1, 2, 3)).tolist()
    [3.0, 3.0, 3.0, 3.0, 3.0]
    """
    s = np.asarray(configurations, dtype=np.float64)
    d, n, m = s.shape
    dy, dx = rng.integers(n, size=(count, d, 1, 1)), rng.integers(m, size=(count, d, 1, 1))
    y, x = np.arange(n)[None, None, :, None], np.arange(m)[None, None, None, :]
    return np.asarray(s[np.arange(d)[None, :, None, None], (y - dy) % n, (x - dx) % m])


class TopologyDistance(NamedTuple):
    """Fractions of differing sites; see :func:`topology_distance`.

    Attributes:
        matrix: (D, D) Estimate between defects at two independent placements.
        equal: Estimate, the mean over pairs of one topology, the uniform state left out.
        different: Estimate, the mean over pairs of different topology.
    """

    matrix: Estimate
    equal: Estimate
    different: Estimate


def topology_distance(images: ArrayLike, topology: list[str]) -> TopologyDistance:
    """How far apart a map takes defects of equal and of different topology, at random places.

    Args:
        images: (R, D, *shape) what D defects are mapped to, at R >= 4 independent placements.
        topology: (D,) the class of each.

    Returns:
        TopologyDistance, as fractions of the sites, with errors over R/2 independent pairs of placements.

    Raises:
        ValueError: for shapes that do not fit, or too few placements.

    >>> z = np.ones((4, 2, 8))
    >>> z[:, 1] = -1
    >>> found = topology_distance(z, ["a", "b"])
    >>> found.equal.value, found.different.value
    (0.0, 1.0)
    """
    z = np.asarray(images)
    if z.ndim < 3 or z.shape[1] != len(topology) or len(z) < 4:
        raise ValueError(f"images must have shape (R >= 4, {len(topology)}, *shape), got {z.shape}")
    pairs = len(z) // 2
    z = z.reshape(*z.shape[:2], -1)
    first, second = z[0 : 2 * pairs : 2], z[1 : 2 * pairs : 2]
    each = (first[:, :, None, :] != second[:, None, :, :]).mean(-1)
    kinds = np.array(topology)
    same = kinds[:, None] == kinds[None, :]
    counted = same & (kinds != TOPOLOGY["uniform"])[:, None]
    return TopologyDistance(_mean(each), _scalar(each[:, counted]), _scalar(each[:, ~same]))


def _mean(each: FloatArray) -> Estimate:
    return Estimate(each.mean(0), each.std(0, ddof=1) / np.sqrt(len(each)))


def _scalar(each: FloatArray) -> Estimate:
    if each.shape[1] == 0:
        return Estimate(np.nan, np.nan)
    mean, error = _mean(each.mean(1))
    return Estimate(float(mean), float(error))
