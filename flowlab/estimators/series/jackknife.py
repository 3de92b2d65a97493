"""Errors of any function of sums over independent samples: leave out one block of samples after the other."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from flowlab.estimators.estimate import Estimate, FloatArray

BLOCKS = 20


def block_sums(values: ArrayLike, blocks: int = BLOCKS) -> FloatArray:
    """(n, ...) values of n independent samples -> (blocks, ...) sums over stretches of nearly equal length.

    Raises:
        ValueError: for fewer than 2 samples.

    >>> block_sums([1.0, 2.0, 3.0, 4.0], blocks=2).tolist()
    [3.0, 7.0]
    """
    values = np.asarray(values, dtype=np.float64)
    return np.asarray(np.add.reduceat(values, starts(len(values), blocks), axis=0))


def starts(n: int, blocks: int = BLOCKS) -> np.ndarray:
    """(at most blocks,) where each stretch of n samples begins; ValueError for fewer than 2 samples.

    >>> starts(7, 3).tolist()
    [0, 2, 4]
    """
    if n < 2:
        raise ValueError(f"an error needs at least 2 samples, got {n}")
    count = min(blocks, n)
    return np.arange(count) * n // count


def jackknife(sums: FloatArray, function: Callable[[FloatArray], ArrayLike], *, corrected: bool = False) -> Estimate:
    """function(Σ of all blocks) and its error √[(B-1)/B Σ_b (θ_b - <θ>)²], with θ_b = function(all blocks but b).

    Args:
        sums: (B, ...) sums of each of B >= 2 blocks of independent samples; include the number of samples where the
            function needs means.
        function: (...) sums -> a number or an array, smooth in the sums.
        corrected: subtract the bias of order 1/n, (B-1)(<θ> - θ).

    Returns:
        Estimate in the shape of the function's values.

    >>> value, error = jackknife(block_sums([[1.0, 1.0], [3.0, 1.0]]), lambda s: s[0] / s[1])
    >>> value, error
    (np.float64(2.0), np.float64(1.0))
    """
    total, count = sums.sum(0), len(sums)
    value = np.asarray(function(total))
    without = np.stack([np.asarray(function(total - one)) for one in sums])
    mean = without.mean(0)
    error = np.sqrt((count - 1) / count * ((without - mean) ** 2).sum(0))
    if corrected:
        value = value - (count - 1) * (mean - value)
    return Estimate(value[()], error[()])


def spread(replicas: FloatArray, *, ddof: int = 1) -> FloatArray:
    """The standard deviation over the first axis of replicas that are not NaN; NaN where over a tenth of them are.

    >>> spread(np.append(np.tile([0.0, 2.0], 50), np.nan), ddof=0)
    array(1.)
    """
    known = np.isfinite(replicas)
    count = np.maximum(known.sum(0), ddof + 1)
    filled = np.where(known, replicas, 0.0)
    square = (np.where(known, replicas - filled.sum(0) / count, 0.0) ** 2).sum(0) / (count - ddof)
    return np.asarray(np.where(known.mean(0) < 0.9, np.nan, np.sqrt(square)))
