"""Whether importance weights can be trusted: the tail of the largest ones, fitted by a generalised Pareto distribution.

The mean of weights w has an error that second moments can tell only where w has two moments, which draws of q show in
their largest weights: beyond a high threshold they follow 1 - F(x) = (1 + k x/σ)^(-1/k), and moments below order 1/k
exist. Source: A. Vehtari, D. Simpson, A. Gelman, Y. Yao, J. Gabry 2024, arXiv:1507.02646.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from flowlab.estimators.estimate import FloatArray, checked_log_w, relative_weights

SMALLEST_TAIL = 5
SEEN = 3  # draws of the very largest weight, as of few discrete states, after which a larger one is not expected
TOLD = 200  # weights from which k̂ says something
WORTH = 100  # equal draws that weights must be worth to be trusted
ERROR_WORTH = 15  # to have any error
HARMLESS = 1.5  # widening of errors below which a heavy tail decides nothing
UNSEEN = 0.1  # chance that n more draws have a weight above the one that errors allow for


ROUNDING = 1e-3
"""A tail that spans less than this of the largest weight has no shape: single precision knows ln w no better."""

SAME = 1e-5
"""Part by which weights of one discrete state differ in single precision: they are equal, and no tail."""


class Smoothed(NamedTuple):
    """Log weights with a smoothed tail; see :func:`pareto_smoothed`.

    Attributes:
        log_w: (n,) in the order given, the largest replaced by order statistics of the fit; never above the largest.
        k: k̂, the shape of the tail; see :func:`pareto_k`.
    """

    log_w: FloatArray
    k: float


class Tail(NamedTuple):
    """Weights above ``cutoff``: ``size`` of them, cutoff + x with x of a generalised Pareto distribution (k, sigma).

    ``k`` is NaN where there is too little to fit, -inf where the tail ends at a weight that was drawn 3 times, or spans
    no more than rounding.
    """

    k: float
    sigma: float
    cutoff: float
    size: int

    def beyond(self, p: ArrayLike) -> FloatArray:
        """The weights that a fraction p of the tail exceeds."""
        p = np.asarray(p, dtype=np.float64)
        x = -np.log(p) if abs(self.k) < 1e-9 else np.expm1(-self.k * np.log(p)) / self.k
        return np.asarray(self.cutoff + self.sigma * x)


def fitted_tail(w: FloatArray) -> Tail:
    """The fit to the M = min(n/5, 3√n) largest of weights ``w`` relative to the largest.

    A heavy tail is as heavy beyond any threshold. Weights of discrete states come in heaps, and a threshold amid one of
    them makes the others look far away: where k̂ of the largest M/2 is smaller by 3 of its errors, it holds.
    """
    size = int(min(w.size / 5, 3 * math.sqrt(w.size)))
    found = _tail(w, size)
    if found.k > k_threshold(w.size):
        half = _tail(w, size // 2)
        if half.k < found.k - 3 * (1 + found.k) / math.sqrt(size // 2):
            return half
    return found


def _tail(w: FloatArray, tail: int) -> Tail:
    n = w.size
    if tail < SMALLEST_TAIL:
        return Tail(math.nan, math.nan, 1.0, 0)
    top = np.sort(np.partition(w, n - tail - 1)[n - tail - 1 :])
    x = top[top > (1 + SAME) * top[0]] - top[0]
    if top[-1] - top[0] < ROUNDING or (x[-1] - x <= 1e-9).sum() >= SEEN:
        return Tail(-math.inf, math.nan, float(top[0]), x.size)
    if x.size < SMALLEST_TAIL:
        return Tail(math.nan, math.nan, float(top[0]), x.size)
    return Tail(*_fit(x), float(top[0]), x.size)


def pareto_smoothed(log_w: ArrayLike) -> Smoothed:
    """Log weights whose M = min(n/5, 3√n) largest are replaced by the expected order statistics of the fitted tail.

    Args:
        log_w: (n,) log_weight - log_q of independent draws from q, in nats; -inf allowed.

    Returns:
        Smoothed; the weights are as given where no tail is fitted, which k says: NaN or -inf.

    Raises:
        ValueError: see :func:`flowlab.estimators.weights.weights.checked_log_w`.

    >>> found = pareto_smoothed(0.5 * np.random.default_rng(0).exponential(size=10_000))  # w^-2 is uniform: k = 1/2
    >>> round(found.k, 1)
    0.5
    """
    log_w = checked_log_w(log_w)
    w, largest = relative_weights(log_w)
    tail = fitted_tail(w)
    if not math.isfinite(tail.k):
        return Smoothed(log_w, tail.k)
    order = np.argsort(w)[w.size - tail.size :]
    smoothed = log_w.copy()
    smoothed[order] = np.minimum(np.log(tail.beyond(1 - (np.arange(tail.size) + 0.5) / tail.size)), 0.0) + largest
    return Smoothed(smoothed, tail.k)


def pareto_k(log_w: ArrayLike) -> float:
    """k̂ of the largest weights: above 1 their mean does not exist, above 0.7 no usable sample size gives it.

    The fit is that of Zhang and Stephens (2009), pulled towards 1/2 by a prior worth 10 draws; see :func:`fitted_tail`.

    Args:
        log_w: (n,) log_weight - log_q of independent draws from q, in nats; -inf allowed.

    Returns:
        k̂; NaN for fewer than 25 draws, or fewer than 5 weights above the threshold that are not all equal; -inf where
        the largest weight was drawn 3 times, so that there is no tail beyond it, as in weights without variance.

    Raises:
        ValueError: see :func:`flowlab.estimators.weights.weights.checked_log_w`.

    >>> pareto_k([0.0] * 100), pareto_k([0.0, 1.0])
    (-inf, nan)
    """
    return fitted_tail(relative_weights(checked_log_w(log_w))[0]).k


def k_threshold(n: int) -> float:
    """The k̂ above which n weights cannot be trusted, min(1 - 1/log10 n, 0.7); 1 where n < 200, too few to tell.

    >>> [round(k_threshold(n), 2) for n in (100, 1000, 100_000)]
    [1.0, 0.67, 0.7]
    """
    return 1.0 if n < TOLD else min(1 - 1 / math.log10(n), 0.7)


def low_ess(ess: float, n: int) -> bool:
    """Whether n draws of this ESS are worth too few: below 100, or below half of them where n < 200.

    The measured ESS is at least 1/n and biased upwards, so that only what it is worth, n·ESS, says whether it is known.

    >>> low_ess(0.02, 1000), low_ess(0.02, 10_000), low_ess(0.9, 50)
    (True, False, False)
    """
    return ess * n < min(WORTH, n / 2)


def worth_by_spread(log_w: FloatArray) -> float:
    """How many equal draws weights should be worth by the spread of all of them, n exp(-s²) for log-normal ones.

    The spread of ln w above its mean, s² = 2 <max(ln w - <ln w>, 0)²>, is known from all draws, while sets of draws
    whose weights happen to look equal are those that miss the largest. Zero weights say nothing: n.

    >>> worth_by_spread(np.zeros(100))
    100.0
    """
    rise = np.maximum(log_w - log_w.mean(), 0.0) if np.isfinite(log_w).all() else np.zeros(1)
    return log_w.size * math.exp(-2 * float((rise**2).mean()))


def weights_problem(log_w: ArrayLike) -> str:
    """Why means over these weights and their errors are not to be trusted, in one sentence; empty where they may be.

    Two signs: the weights are worth too few equal ones (:func:`low_ess`), or their tail is too heavy
    (:func:`pareto_k` above :func:`k_threshold`) and a weight that was not drawn yet would move means by more than their
    errors (:func:`error_factor`), which it does not where all weights are nearly equal. Neither sees what q never
    draws.

    Args:
        log_w: (n,) log_weight - log_q of independent draws from q, in nats; -inf allowed.

    Raises:
        ValueError: see :func:`flowlab.estimators.weights.weights.checked_log_w`.

    >>> weights_problem(np.zeros(10))
    ''
    >>> weights_problem([0.0] * 999 + [20.0])
    'the 1000 weights are worth 1 equal ones (ESS 0.1 %)'
    """
    log_w = checked_log_w(log_w)
    w, _ = relative_weights(log_w)
    n, fraction, k = w.size, float(w.mean() ** 2 / np.mean(w**2)), pareto_k(log_w)
    found = []
    if low_ess(fraction, n):
        found.append(f"the {n} weights are worth {n * fraction:.3g} equal ones (ESS {100 * fraction:.2g} %)")
    if k > k_threshold(n) and not error_factor(w) < HARMLESS:
        found.append(f"the tail of the {n} weights is heavy (Pareto k̂ = {k:.2f}, above {k_threshold(n):.2f})")
    return " and ".join(found)


def unseen_weight(w: FloatArray) -> float:
    """The weight that n more draws exceed with a chance of 0.1, by the fitted tail; the largest where there is no fit.

    Args:
        w: (n,) weights relative to the largest, see :func:`flowlab.estimators.estimate.relative_weights`.

    >>> unseen_weight(np.ones(100))
    1.0
    """
    tail = fitted_tail(w)
    return max(float(tail.beyond(UNSEEN / tail.size)), 1.0) if math.isfinite(tail.k) else 1.0


def error_factor(w: FloatArray) -> float:
    """By how much errors from second moments of the weights are widened: √[1 + n·ESS ((w* - <w>)/Σ_i w_i)²].

    w* is the :func:`unseen_weight`. A mean over weights has a variance var/(n·ESS), and one more weight w* would move
    it by w*/Σw of a standard deviation. 1 for equal weights; NaN where nothing is known: for weights worth fewer than
    15 draws, or fewer than half of them where n < 30, and for a tail whose mean does not exist (k̂ > 1, n >= 200).

    Args:
        w: (n,) weights relative to the largest.

    >>> error_factor(np.ones(100)), error_factor(np.r_[np.ones(99) * 1e-9, 1.0])
    (1.0, nan)
    """
    total = w.sum()
    worth = total**2 / (w**2).sum()
    if worth < min(ERROR_WORTH, w.size / 2) or (w.size >= TOLD and fitted_tail(w).k > 1):
        return math.nan
    return float(np.sqrt(1 + worth * ((unseen_weight(w) - w.mean()) / total) ** 2))


def _fit(x: FloatArray) -> tuple[float, float]:
    """k and σ of a generalised Pareto distribution, from its sorted positive draws.

    The posterior mean of θ = -k/σ under the profile likelihood and a prior on a grid, see Zhang and Stephens 2009.
    """
    n, points = x.size, 30 + int(math.sqrt(x.size))
    grid = 1 - np.sqrt(points / (np.arange(1, points + 1) - 0.5))
    theta = 1 / x[-1] + grid / (3 * x[max(int(n / 4 + 0.5), 1) - 1])
    k = np.log1p(-theta[:, None] * x).mean(1)
    likelihood = n * (np.log(-theta / k) - k - 1)
    share = np.exp(likelihood - likelihood.max())
    best = float(theta @ share / share.sum())
    shape = float(np.log1p(-best * x).mean())
    return (n * shape + 5) / (n + 10), -shape / best
