"""Triangles of three independent configurations: is the space of states ultrametric?

In an ultrametric space the two longest sides of every triangle are equal: it is equilateral or isosceles with a short
base. Two conventions give different triangles: ``signed``, d = (1 - q)/2, the fraction of spins that differ, and
``folded``, d = (1 - |q|)/2, which takes s and -s for one state. The signed one gives 1/4 equilateral and 3/4 isosceles
for *any* sampler of one valley and its mirror image, so 1 : 3 is no sign of many valleys; compare with a reference
sampler at the same number of sites, temperature, convention and tolerance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flowlab.core.names import TRIANGLE_KINDS, Convention
from flowlab.estimators.estimate import Estimate, FloatArray, never
from flowlab.estimators.series.blocks import IntArray, block_means, checked_configurations, independent_blocks, words


@dataclass(frozen=True, eq=False)
class Triangles:
    """n triangles; see :func:`triangles`.

    Attributes:
        distances: (n, 3) sides d_min <= d_mid <= d_max in the units of the convention, each in [0, 1].
        overlaps: (n, 3) signed overlaps q of the configurations (a, b), (a, c), (b, c).
        indices: (n, 3) the configurations a, b, c as rows of ``s.reshape(-1, N)``.
        blocks: (n,) the block of configurations that a triangle is made of; different blocks share none.
        convention: "folded" or "signed".
    """

    distances: FloatArray
    overlaps: FloatArray
    indices: IntArray
    blocks: IntArray
    convention: Convention

    @property
    def cloud(self) -> FloatArray:
        """(n, 2): d_mid - d_min and d_max - d_mid, the axes of the usual picture; ultrametric is y = 0."""
        return np.diff(self.distances, axis=1)

    def fractions(self, tol: float = 0.05) -> dict[str, Estimate]:
        """:func:`triangle_fractions` with errors that know which triangles share configurations."""
        return triangle_fractions(self.distances, tol, blocks=self.blocks)

    def mean_cloud(self) -> dict[str, Estimate]:
        """Means of d_mid - d_min and d_max - d_mid, under these names."""
        mean, error = block_means(self.cloud, self.blocks)
        names = ("d_mid - d_min", "d_max - d_mid")
        return {name: Estimate(float(mean[k]), float(error[k])) for k, name in enumerate(names)}


def triangles(
    s: ArrayLike, *, n: int = 10_000, convention: Convention = "folded", rng: np.random.Generator
) -> Triangles:
    """Triangles of three different, independent configurations, drawn at random.

    The three come from one of up to 40 blocks of configurations (see :mod:`flowlab.estimators.series.blocks`), so that
    errors follow from the spread of the blocks.

    Args:
        s: (n_samples, N) independent spin configurations of ±1, or (sets, n_samples, N) from independent sets, such as
            replicas of parallel tempering: then the three come from three different sets.
        n: the number of triangles.
        convention: "folded", d = (1 - |q|)/2 in [0, 1/2], or "signed", d = (1 - q)/2 in [0, 1].
        rng: numpy generator.

    Returns:
        Triangles.

    Raises:
        ValueError: for fewer than 3 configurations or sets, values other than ±1, another convention, or n < 1.

    >>> s = np.array([[1, 1, 1, 1], [1, 1, 1, -1], [-1, -1, -1, -1]])
    >>> triangles(s, n=1, rng=np.random.default_rng(0)).distances, triangles(
    ...     s, n=1, convention="signed", rng=np.random.default_rng(0)
    ... ).distances
    (array([[0.  , 0.25, 0.25]]), array([[0.25, 0.75, 1.  ]]))
    """
    if convention not in ("folded", "signed"):
        raise ValueError(f'convention must be "folded" or "signed", got {convention!r}')
    if n < 1:
        raise ValueError(f"n must be at least 1 triangle, got {n}")
    c = checked_configurations(s, smallest=3)
    blocks = independent_blocks(c, smallest=3, rng=rng)
    number = rng.permutation(np.arange(n) % len(blocks))
    indices = np.empty((n, 3), dtype=np.intp)
    for k, block in enumerate(blocks):
        here = np.flatnonzero(number == k)
        indices[here] = block[rng.integers(len(block), size=(here.size, 3)), _three_of(block.shape[1], here.size, rng)]
    n_sites = c.spins.shape[1]
    different = _differing_spins(c.spins, indices)
    sides = different if convention == "signed" else np.minimum(different, n_sites - different)
    return Triangles(np.sort(sides, axis=1) / n_sites, 1 - 2 * different / n_sites, indices, number, convention)


def triangle_fractions(
    distances: ArrayLike, tol: float = 0.05, *, blocks: ArrayLike | None = None
) -> dict[str, Estimate]:
    """The fractions of the four kinds of triangles, which add up to 1.

    ``equilateral``: d_max - d_min <= tol; else ``isosceles`` (with a short base): d_max - d_mid <= tol; else
    ``inverted`` (with a long base): d_mid - d_min <= tol; ``scalene``: the rest.

    Args:
        distances: (n, 3) ordered sides d_min <= d_mid <= d_max.
        tol: tolerance in the units of the sides, absolute.
        blocks: (n,) labels of independent blocks, whose spread gives the error. Without them each triangle counts as
            independent, which makes the error too small where triangles share configurations.

    Returns:
        name -> Estimate. Where no triangle, or every one, is of that kind, the error is that of one more block of the
        other.

    Raises:
        ValueError: for another shape, sides out of order, NaN, or a negative tol.

    >>> found = triangle_fractions([[0.3, 0.3, 0.3], [0.1, 0.3, 0.3], [0.1, 0.1, 0.3], [0.1, 0.2, 0.3]])
    >>> [(name, fraction.value) for name, fraction in found.items()]
    [('equilateral', 0.25), ('isosceles', 0.25), ('inverted', 0.25), ('scalene', 0.25)]
    """
    d = np.asarray(distances, dtype=np.float64)
    if d.ndim != 2 or d.shape[1] != 3 or not len(d):
        raise ValueError(f"distances must have shape (n, 3), got {d.shape}")
    if not (np.diff(d, axis=1) >= 0).all():
        raise ValueError("distances must be ordered, d_min <= d_mid <= d_max, without NaN")
    if not tol >= 0:
        raise ValueError(f"tol must not be negative, got {tol}")
    labels = np.arange(len(d)) if blocks is None else np.asarray(blocks)
    if labels.shape != (len(d),):
        raise ValueError(f"blocks must have shape ({len(d)},), as there are {len(d)} triangles, got {labels.shape}")
    limit = tol + 1e-9  # sides are multiples of 1/N: a difference of exactly tol must not depend on rounding
    shorter, longer = d[:, 1] - d[:, 0] <= limit, d[:, 2] - d[:, 1] <= limit
    kind = np.select([d[:, 2] - d[:, 0] <= limit, longer, shorter], [0, 1, 2], 3)
    mean, error = block_means((kind[:, None] == np.arange(4)).astype(np.float64), labels)
    unseen = never(np.unique(labels).size)
    error = np.where((mean > 0) & (mean < 1), error, unseen)
    return {name: Estimate(float(mean[k]), float(error[k])) for k, name in enumerate(TRIANGLE_KINDS)}


def _three_of(n: int, size: int, rng: np.random.Generator) -> IntArray:
    """(size, 3) of 0..n-1, all different in a row: the later ones step over the earlier ones."""
    a, b, c = rng.integers(n, size=size), rng.integers(n - 1, size=size), rng.integers(n - 2, size=size)
    b += b >= a
    c += c >= np.minimum(a, b)
    c += c >= np.maximum(a, b)
    return np.stack([a, b, c], axis=1)


def _differing_spins(spins: NDArray[np.float32], indices: IntArray) -> IntArray:
    """(n, 3) numbers of spins in which (a, b), (a, c) and (b, c) differ."""
    packed = words(spins)
    a, b, c = (packed[column] for column in indices.T)
    return np.stack([np.bitwise_count(x ^ y).sum(1, dtype=np.intp) for x, y in ((a, b), (a, c), (b, c))], axis=1)
