"""Chains that began from opposite ends: whether they have forgotten it, and what they say together.

Chains are independent of one another, so that the spread of their own means is the error of the common one, whatever
their memory. Series are (steps, chains), the chains that began hot first.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from flowlab.estimators.weights.weights import Estimate, FloatArray

R_HAT = 1.1
"""The largest potential scale reduction at which chains are believed: each is then at least 10 memories long."""
SIGMAS = 4.0


class Starts(NamedTuple):
    """What chains from two kinds of start say of one quantity.

    Attributes:
        value, error: the mean of all chains, and its error from the spread of their means.
        z: by how many errors the means of the two halves differ, as a normal deviate.
        r_hat: the potential scale reduction: 1 where chains have forgotten their start, large where each stays in a
            part of its own.
        agree: whether z is below 4, and r_hat below 1.1 or no further above 1 than few steps make it.
    """

    value: float
    error: float
    z: float
    r_hat: float
    agree: bool


def starts(series: ArrayLike, hot: int) -> Starts:
    """One quantity along chains of which the first ``hot`` began at one end and the others at the other.

    Args:
        series: (steps, chains) values after the steps that are discarded, at least 4 steps and 2 chains of each kind.
        hot: how many began at the first end.

    Raises:
        ValueError: for another shape, too few steps or chains, or values that are not finite.

    Source of r_hat: A. Gelman, D. Rubin 1992, on halves of chains as A. Vehtari et al. 2021, arXiv:1903.08008.

    >>> noise = np.random.default_rng(0).standard_normal((100, 16))
    >>> starts(noise, 8).agree, starts(noise + np.repeat([0.0, 1.0], 8), 8).agree
    (True, False)
    """
    values = np.asarray(series, dtype=np.float64)
    if values.ndim != 2 or len(values) < 4 or not 2 <= hot <= values.shape[1] - 2:
        raise ValueError(
            f"series must be (steps, chains) with 4 steps and 2 chains of each start, got {values.shape} and {hot} hot"
        )
    if not np.isfinite(values).all():
        raise ValueError(f"series must be finite, got {int((~np.isfinite(values)).sum())} values that are not")
    means = values.mean(0)
    first, second = (_mean(half) for half in (means[:hot], means[hot:]))
    z = deviation(first, hot, second, len(means) - hot)
    scale = r_hat(values)
    return Starts(*_mean(means), z, scale, abs(z) < SIGMAS and scale**2 < max(R_HAT**2, 1 + SIGMAS * _noise(values)))


def _noise(series: FloatArray) -> float:
    """The standard deviation of r_hat² for Gaussian values without memory, by the F distribution."""
    half, parts = len(series) // 2, 2 * series.shape[1]
    return math.sqrt(2 / (parts - 1) + 2 / (parts * (half - 1))) / half


def r_hat(series: FloatArray) -> float:
    """The potential scale reduction of (steps, chains), from both halves of every chain; see :func:`starts`."""
    half = len(series) // 2
    parts = np.concatenate([series[:half], series[-half:]], axis=1)
    within, between = float(parts.var(0, ddof=1).mean()), float(parts.mean(0).var(ddof=1))
    rounding = (1e-9 * np.abs(parts).max(initial=0.0)) ** 2
    if within <= rounding:
        return 1.0 if between <= rounding else math.inf
    return math.sqrt((half - 1) / half + between / within)


def deviation(a: Estimate, n: int, b: Estimate, m: int) -> float:
    """a - b in errors, as a normal deviate: of few values the errors themselves are uncertain (B. L. Welch 1947).

    NaN where a value or an error is not known.

    Args:
        a, b: means with their errors.
        n, m: of how many independent values the errors come.

    >>> round(deviation(Estimate(1.0, 0.1), 10**6, Estimate(0.0, 0.0), 10**6), 6)
    10.0
    >>> deviation(Estimate(1.0, 0.1), 8, Estimate(0.0, 0.0), 8) < 5
    True
    """
    from scipy.special import ndtri
    from scipy.stats import t

    difference, variance = a.value - b.value, a.error**2 + b.error**2
    if math.isnan(difference) or math.isnan(variance):
        return math.nan
    if not variance > 0:
        small = abs(difference) <= 1e-6 * max(abs(a.value), abs(b.value), 1e-6)
        return 0.0 if small else math.copysign(math.inf, difference)
    freedom = variance**2 / (a.error**4 / max(n - 1, 1) + b.error**4 / max(m - 1, 1))
    size = abs(difference) / math.sqrt(variance)
    if freedom > 1e4:
        return math.copysign(size, difference)
    return math.copysign(float(-ndtri(max(t.sf(size, freedom), 1e-300))), difference)


def _mean(means: FloatArray) -> Estimate:
    return Estimate(float(means.mean()), float(means.std(ddof=1) / math.sqrt(len(means))))
