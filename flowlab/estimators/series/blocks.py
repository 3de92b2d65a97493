"""Spin configurations from independent sources, cut into blocks that share none: where honest errors come from.

What pairs or triples of configurations say is not independent, since a configuration takes part in many. Pairs and
triples are therefore made inside blocks of configurations only: the blocks are independent of each other, and the
spread between them is the error, with nothing left to correct.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flowlab.estimators.estimate import Estimate, FloatArray, student
from flowlab.estimators.series.chains import chain_mean

IntArray = NDArray[np.intp]
BLOCKS, TIME_BLOCKS = 40, 20
ENOUGH = 8  # groups of whole sets, from which an error is known well enough
COLUMNS = 256  # spins, over all sets, from which the memory of a set is told


class Configurations(NamedTuple):
    """Checked spins: ``spins`` (M, N) float32 of ±1, ``owner`` (M,) the set each comes from, sets times length = M."""

    spins: NDArray[np.float32]
    owner: IntArray
    sets: int
    length: int


def checked_configurations(s: ArrayLike, *, smallest: int = 2, name: str = "s") -> Configurations:
    """Spins of (n, N) independent configurations, each a set of its own, or of (sets, n, N), set after set.

    (sets, 1, N) is the same as (sets, N).

    Raises:
        ValueError: for another shape, values other than ±1, or fewer than ``smallest`` independent sets.

    >>> checked_configurations(np.ones((3, 4)))[2:]
    (3, 1)
    """
    array = np.asarray(s)
    if array.ndim not in (2, 3) or array.shape[-1] == 0:
        raise ValueError(f"{name} must have shape (n, sites) or (sets, n, sites), got {array.shape}")
    sets, length = (array.shape[0], 1) if array.ndim == 2 else array.shape[:2]
    if sets < smallest or length < 1:
        what = "configurations" if array.ndim == 2 else "independent sets with samples in them"
        raise ValueError(f"{name} must hold at least {smallest} {what}, got shape {array.shape}")
    spins = array.reshape(sets * length, -1).astype(np.float32)
    n_bad = int((np.abs(spins) != 1).sum())
    if n_bad:
        raise ValueError(f"{name} must be spins of -1 and +1, got {n_bad} other values of {spins.size}")
    return Configurations(spins, np.repeat(np.arange(sets), length), sets, length)


def independent_blocks(
    c: Configurations, *, smallest: int = 2, count: int | None = None, rng: np.random.Generator
) -> list[IntArray]:
    """Blocks (times, sets) of row numbers of ``c.spins``, each with ``smallest`` or more sets, no row in two of them.

    Where there are sets enough for 8, a block is a random group of whole sets, independent whatever the order within a
    set. Else it is a stretch of every set in its order, at most 20 of them and each 8 autocorrelation times long; or
    again a group of sets, where memory leaves fewer stretches than there are groups. ``count`` asks for fewer blocks.

    >>> c = checked_configurations(np.ones((3, 6, 4)))
    >>> [block.shape for block in independent_blocks(c, count=2, rng=np.random.default_rng(0))]
    [(3, 3), (3, 3)]
    """
    of_sets = min(BLOCKS, max(c.sets // 10, min(c.sets // smallest, 12)))
    of_time = time_blocks(c) if of_sets < ENOUGH else 1
    by_sets = of_sets >= of_time
    wanted = max(of_sets, of_time) if count is None else min(count, max(of_sets, of_time))
    if by_sets:
        groups = np.array_split(rng.permutation(c.sets), wanted)
        return [np.add.outer(np.arange(c.length), group * c.length) for group in groups]
    stretches = np.array_split(np.arange(c.length), wanted)
    return [np.add.outer(stretch, np.arange(c.sets) * c.length) for stretch in stretches]


def time_blocks(c: Configurations) -> int:
    """How many stretches of 8 τ there are in each set, at most 20; τ is that of its spins about their means.

    >>> time_blocks(Configurations(np.tile([[1.0], [-1.0]], (50, 1)).astype(np.float32), np.zeros(100), 1, 100))
    20
    """
    columns = c.spins.reshape(c.sets, c.length, -1).swapaxes(0, 1).reshape(c.length, -1)
    columns = columns[:, :: -(-columns.shape[1] // COLUMNS)].astype(np.float64)
    tau = chain_mean(columns - columns.mean(0)).tau_int
    return min(TIME_BLOCKS, max(int(c.length / max(8 * tau - 3, 1.0)), 1)) if tau > 0 else min(TIME_BLOCKS, c.length)


def words(spins: NDArray[np.float32]) -> NDArray[np.uint64]:
    """(M, N) spins as (M, ⌈N/64⌉) words of 64 bits: the bits set in ``a ^ b`` are the spins that differ.

    >>> int(np.bitwise_count(words(np.ones((1, 70), np.float32)) ^ words(-np.ones((1, 70), np.float32))).sum())
    70
    """
    bits = np.packbits(np.ascontiguousarray(spins > 0), axis=1)
    return np.pad(bits, ((0, 0), (0, -bits.shape[1] % 8))).view(np.uint64)


def block_means(values: FloatArray, blocks: IntArray) -> tuple[FloatArray, FloatArray]:
    """Mean over the rows of (n, k) values and its error from the spread of the blocks' means, by Student's t.

    NaN for one block.

    >>> mean, error = block_means(np.tile([[0.0], [0.0], [2.0], [2.0]], (25, 1)), np.arange(100) // 2)
    >>> mean, error.round(2)
    (array([1.]), array([0.15]))
    """
    _, place, size = np.unique(blocks, return_inverse=True, return_counts=True)
    sums = np.zeros((size.size, values.shape[1]))
    np.add.at(sums, place, values)
    mean = sums.sum(0) / len(values)
    if size.size < 2:
        return mean, np.full_like(mean, np.nan)
    spread = ((sums - size[:, None] * mean) ** 2).sum(0) * size.size / (size.size - 1)
    return mean, np.sqrt(spread) / len(values) * student(size.size)


def majority(s: ArrayLike, side: int) -> FloatArray:
    """The sign of the sum over a square window around every site of a periodic lattice; 1 gives the spins back.

    Args:
        s: (..., n, m) spins of ±1.
        side: of the window, odd and at most the shorter side of the lattice, so that there are no ties.

    Returns:
        (..., n, m) of ±1.

    Raises:
        ValueError: for an even side, or one larger than the lattice.

    >>> s = np.ones((4, 4))
    >>> s[1, 2] = -1
    >>> majority(s, 3).min()  # one flipped spin is outvoted
    np.float64(1.0)
    """
    s = np.asarray(s, dtype=np.float64)
    if s.ndim < 2 or side < 1 or side % 2 == 0 or side > min(s.shape[-2:]):
        raise ValueError(f"side must be odd and at most that of the lattice, got {side} for shape {s.shape}")
    reach = range(-(side // 2), side // 2 + 1)
    rows = sum((np.roll(s, step, axis=-1) for step in reach), np.zeros_like(s))
    return np.asarray(np.sign(sum((np.roll(rows, step, axis=-2) for step in reach), np.zeros_like(s))))


def overlap(a: ArrayLike, b: ArrayLike) -> Estimate:
    """Mean over samples of (1/N) Σ_x a_x b_x, 1 for equal spins, with its standard error.

    Args:
        a, b: (n, *shape) spins of ±1, n >= 2.

    Returns:
        Estimate of two floats.

    Raises:
        ValueError: for different shapes, or fewer than 2 samples.

    >>> overlap(np.ones((2, 4)), [[1, 1, 1, -1], [1, 1, 1, -1]])
    Estimate(value=0.5, error=0.0)
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.shape != b.shape or a.ndim < 2 or len(a) < 2:
        raise ValueError(f"a and b must have one shape (n, *shape) with n >= 2, got {a.shape} and {b.shape}")
    each = (a * b).reshape(len(a), -1).mean(1)
    return Estimate(float(each.mean()), float(each.std(ddof=1) / np.sqrt(len(a))))
