"""Importance weights w = exp(log_weight - log_q) of independent draws from q: ln Z, its bound, ESS, reweighted means.

Errors are one standard error by the delta method, for independent draws, widened by what a weight that was not yet
drawn would change (:func:`error_factor`): draws show too few of the largest weights, and
second moments alone do not know. NaN where the weights are worth too few draws to know any error. They are errors of
what the draws can see: where q misses a part of the target, no estimate made from draws of q alone can know it
(see :mod:`flowlab.estimators.weights.mode_dropping`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from flowlab.estimators.estimate import Estimate, FloatArray, checked_log_w, relative_weights
from flowlab.estimators.weights.pareto import error_factor, unseen_weight

__all__ = [
    "Estimate",
    "FloatArray",
    "checked_log_w",
    "ess",
    "log_z",
    "log_z_bound",
    "relative_weights",
    "reweighted",
]

ESS_WORTH = 30  # equal draws that weights must be worth for their ESS to have an error


def log_z(log_w: ArrayLike) -> Estimate:
    """ln Z from the mean weight: ln Z ≈ ln[(1/n) Σ_i w_i], error std(w) / (mean(w) √n), widened as said above.

    Consistent as n grows, biased down by about error²/2. It needs a q whose support covers the target's: what q
    (effectively) never draws is missing from Z, and neither the error nor the ESS shows it.

    Args:
        log_w: (n,) log_weight - log_q of independent draws from q, in nats; -inf allowed.

    Returns:
        Estimate of ln Z in nats; the error is NaN where the weights are worth fewer than 15 draws.

    Raises:
        ValueError: see :func:`checked_log_w`.

    >>> value, error = log_z([0.0, np.log(3.0)] * 50)
    >>> round(value, 6), round(error, 2)  # ln 2 and 1/20
    (0.693147, 0.05)
    """
    w, largest = relative_weights(checked_log_w(log_w))
    mean = w.mean()
    error = float(w.std(ddof=1) / mean / np.sqrt(w.size))
    return Estimate(largest + float(np.log(mean)), error * error_factor(w))


def log_z_bound(log_w: ArrayLike) -> Estimate:
    """The variational lower bound of ln Z: E_q[log_weight - log_q] = ln Z - KL(q|p), the mean and its standard error.

    Args:
        log_w: (n,) log_weight - log_q of independent draws from q, in nats.

    Returns:
        Estimate in nats; (-inf, NaN) where a weight is zero.

    Raises:
        ValueError: see :func:`checked_log_w`.

    >>> log_z_bound([0.0, 2.0])
    Estimate(value=1.0, error=1.0)
    """
    log_w = checked_log_w(log_w)
    if np.isneginf(log_w).any():
        return Estimate(-np.inf, np.nan)
    return Estimate(float(log_w.mean()), float(log_w.std(ddof=1) / np.sqrt(log_w.size)))


def ess(log_w: ArrayLike) -> Estimate:
    """Effective sample size as a fraction of n: (Σ_i w_i)² / (n Σ_i w_i²), which estimates 1 / E_q[(p/q)²].

    1 means q = p wherever q draws. It is biased upwards, the more the smaller it is, and never below 1/n, since the
    largest weights are drawn last. Its error comes from the linearised ratio, (ESS/√n) std(2 w/<w> - w²/<w²>), and
    from what one more weight beyond the largest would take away.

    Args:
        log_w: (n,) log_weight - log_q of independent draws from q; -inf allowed.

    Returns:
        Estimate in [1/n, 1]; the error is NaN where the weights are worth fewer than 30 draws.

    Raises:
        ValueError: see :func:`checked_log_w`.

    >>> ess([5.0, 5.0, 5.0])
    Estimate(value=1.0, error=0.0)
    >>> ess([0.0, 0.0, -np.inf, -np.inf]).value
    0.5
    """
    w, _ = relative_weights(checked_log_w(log_w))
    mean, square = w.mean(), np.mean(w**2)
    value = min(float(mean**2 / square), 1.0)
    influence = value * (2 * w / mean - w**2 / square)
    unseen, n = unseen_weight(w), w.size
    with_it = (w.sum() + unseen) ** 2 / ((n + 1) * (n * square + unseen**2))
    error = np.hypot(influence.std(ddof=1) / np.sqrt(n), max(value - with_it, 0.0))
    return Estimate(value, float(error) if value * n >= min(ESS_WORTH, n / 2) else np.nan)


def reweighted(f: ArrayLike, *old_order: ArrayLike, log_w: ArrayLike | None = None) -> Estimate:
    """The target's mean of f from draws of q: <f> ≈ Σ_i w_i f_i / Σ_i w_i.

    The error linearises the ratio: √[n/(n-1)] √[Σ_i w_i² (f_i - <f>)²] / Σ_i w_i, widened as said above.

    Args:
        f: (n,) or (n, k) values of one or k observables on the draws.
        log_w: (n,) log_weight - log_q of the same independent draws from q, by name; -inf allowed.

    Returns:
        Estimate of two floats, or of two (k,) arrays, in the units of f; the error is NaN where the weights are worth
        fewer than 15 draws.

    Raises:
        TypeError: for weights that are not given by name.
        ValueError: for f of another length or not finite; see also :func:`checked_log_w`.

    >>> value, error = reweighted([0.0, 1.0], log_w=[0.0, np.log(3.0)])
    >>> round(value, 6)
    0.75
    """
    if old_order or log_w is None:
        raise TypeError("reweighted(f, log_w=...) takes the weights by name: reweighted(log_w, f) was its order before")
    w, _ = relative_weights(checked_log_w(log_w))
    f = np.asarray(f, dtype=np.float64)
    if f.ndim not in (1, 2) or len(f) != w.size:
        raise ValueError(f"f must have shape ({w.size},) or ({w.size}, k), as log_w has {w.size}, got {f.shape}")
    n_bad = int((~np.isfinite(f)).sum())
    if n_bad:
        raise ValueError(f"f must be finite, got {n_bad} NaN or infinite values of {f.size}")
    share = w / w.sum()
    value = share @ f
    error = np.sqrt(w.size / (w.size - 1) * (share**2 @ (f - value) ** 2)) * error_factor(w)
    return Estimate(value, error) if f.ndim == 2 else Estimate(float(value), float(error))
