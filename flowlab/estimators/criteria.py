"""What several seeds say on a statement: yes, no, or that it cannot be said."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

Answer = Literal["yes", "no", "cannot be said at this size"]
FEWEST = 3
"""Seeds, below which nothing is said."""


@dataclass(frozen=True)
class Finding:
    """An answer, with the numbers that it follows from.

    Attributes:
        answer: "yes" and "no" where the interval of 95 % lies on one side of the criterion.
        value, error: the mean that is held against a bar or a tolerance, or the difference of two means, with its
            standard error over seeds.
        seeds: the least number of seeds that a mean is of.
    """

    answer: Answer
    value: float
    error: float
    seeds: int


def exceeds(values: ArrayLike, bar: float) -> Finding:
    """Whether the mean over seeds lies above a bar.

    >>> exceeds([0.71, 0.715, 0.72], 0.7).answer, exceeds([0.6, 0.72, 0.8], 0.7).answer, exceeds([0.9], 0.7).answer
    ('yes', 'cannot be said at this size', 'cannot be said at this size')
    """
    mean, error, n = _mean(values)
    return Finding(_against(mean - bar, error, n - 1, n).answer, mean, error, n)


def greater(values: ArrayLike, than: ArrayLike) -> Finding:
    """Whether the mean of some runs is above that of others, by Welch's interval (Welch 1947).

    >>> greater([0.9, 0.91, 0.92], [0.5, 0.6, 0.55]).answer, greater([0.5, 0.6, 0.7], [0.55, 0.6, 0.65]).answer
    ('yes', 'cannot be said at this size')
    """
    (a, of_a, n), (b, of_b, m) = _mean(values), _mean(than)
    error = math.hypot(of_a, of_b)
    parts = of_a**4 / max(n - 1, 1) + of_b**4 / max(m - 1, 1)
    return _against(a - b, error, error**4 / parts if parts > 0 else n + m - 2, min(n, m))


def within(values: ArrayLike, tolerance: float) -> Finding:
    """Whether the mean over seeds is closer to 0 than a tolerance.

    >>> within([1e-4, -1e-4, 2e-4], 0.01).answer, within([0.1, 0.11, 0.12], 0.01).answer
    ('yes', 'no')
    """
    mean, error, n = _mean(values)
    found = _against(tolerance - abs(mean), error, n - 1, n)
    return Finding(found.answer, mean, error, n)


def between(value: float, error: float, points: int, low: float, high: float) -> Finding:
    """Whether a number that was fitted, such as an exponent, lies between two others.

    Args:
        value, error: with its standard error; NaN where it has none, and then nothing can be said.
        points: that it was fitted to, two of them taken up by a straight line.
        low, high: the bounds.

    >>> between(8.0, 0.2, 6, 7, 10).answer, between(5.0, 0.2, 6, 7, 10).answer, between(8.0, 0.2, 2, 7, 10).answer
    ('yes', 'no', 'cannot be said at this size')
    """
    inside = min(value - low, high - value)
    found = _against(inside, error, points - 2, points)
    return Finding(found.answer, value, error, points)


def _mean(values: ArrayLike) -> tuple[float, float, int]:
    """Mean, its standard error and the number of values, without those that are NaN."""
    known = np.asarray(values, dtype=float).ravel()
    known = known[np.isfinite(known)]
    n = len(known)
    spread = float(known.std(ddof=1)) if n > 1 else math.nan
    return float(known.mean()) if n else math.nan, spread / math.sqrt(n) if n > 1 else math.nan, n


def _against(value: float, error: float, freedom: float, seeds: int) -> Finding:
    """On which side of 0 the interval of 95 % lies."""
    from scipy.stats import t

    answer: Answer = "cannot be said at this size"
    if seeds >= FEWEST and math.isfinite(error):
        reach = float(t.ppf(0.975, max(freedom, 1.0))) * error
        answer = "yes" if value > reach else "no" if value < -reach else answer
    return Finding(answer, value, error, seeds)
