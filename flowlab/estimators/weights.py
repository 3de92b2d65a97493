"""Importance weights w = exp(log_weight - log_q) of independent draws from q: ln Z, its bound, ESS, reweighted means.

All errors are one standard error by the delta method, for independent draws. They are errors of what the draws can
see: where q misses a part of the target, no estimate made from draws of q alone can know it
(see :mod:`flowlab.estimators.mode_dropping`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]


class Estimate(NamedTuple):
    """A value and its standard error: two floats, or two arrays of one shape; NaN where there is none."""

    value: Any
    error: Any


def checked_log_w(log_w: ArrayLike) -> FloatArray:
    """``log_w`` as an (n,) float64 array of at least 2 log weights; -inf stands for a weight of zero.

    Raises:
        ValueError: for another shape, NaN, +inf, or weights that are all zero.

    >>> checked_log_w([0, -np.inf])
    array([  0., -inf])
    """
    log_w = np.asarray(log_w, dtype=np.float64)
    if log_w.ndim != 1 or log_w.size < 2:
        raise ValueError(f"log_w must be one axis of at least 2 numbers, got shape {log_w.shape}")
    if not np.isfinite(log_w).all():
        n_nan, n_inf = int(np.isnan(log_w).sum()), int((log_w == np.inf).sum())
        if n_nan:
            raise ValueError(f"log_w must not be NaN, got {n_nan} NaN of {log_w.size}")
        if n_inf:
            raise ValueError(
                f"log_w must be below +inf, got {n_inf} of {log_w.size}: a sample to which q gives no probability"
            )
        if (log_w == -np.inf).all():
            raise ValueError(f"all {log_w.size} weights are zero: the target allows none of the samples")
    return log_w


def relative_weights(log_w: FloatArray) -> tuple[FloatArray, float]:
    """w / max(w), each in [0, 1], and ln max(w); ``log_w`` as :func:`checked_log_w` returns it.

    >>> relative_weights(np.array([1.0, 1.0, -np.inf]))
    (array([1., 1., 0.]), 1.0)
    """
    largest = float(log_w.max())
    return np.exp(log_w - largest), largest


def log_z(log_w: ArrayLike) -> Estimate:
    """ln Z from the mean weight: ln Z ≈ ln[(1/n) Σ_i w_i], error std(w) / (mean(w) √n).

    Consistent as n grows, biased down by about error²/2. It needs a q whose support covers the target's: what q
    (effectively) never draws is missing from Z, and neither the error nor the ESS shows it.

    Args:
        log_w: (n,) log_weight - log_q of independent draws from q, in nats; -inf allowed.

    Returns:
        Estimate of ln Z in nats.

    Raises:
        ValueError: see :func:`checked_log_w`.

    >>> value, error = log_z([0.0, np.log(3.0)])
    >>> round(value, 6), round(error, 6)  # ln 2 and 1/2
    (0.693147, 0.5)
    """
    w, largest = relative_weights(checked_log_w(log_w))
    mean = w.mean()
    return Estimate(largest + float(np.log(mean)), float(w.std(ddof=1) / mean / np.sqrt(w.size)))


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

    1 means q = p wherever q draws. Its error comes from the linearised ratio,
    (ESS/√n) std(2 w/<w> - w²/<w²>).

    Args:
        log_w: (n,) log_weight - log_q of independent draws from q; -inf allowed.

    Returns:
        Estimate in [1/n, 1].

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
    return Estimate(value, float(influence.std(ddof=1) / np.sqrt(w.size)))


def reweighted(log_w: ArrayLike, f: ArrayLike) -> Estimate:
    """The target's mean of f from draws of q: <f> ≈ Σ_i w_i f_i / Σ_i w_i.

    The error linearises the ratio: √[n/(n-1)] √[Σ_i w_i² (f_i - <f>)²] / Σ_i w_i.

    Args:
        log_w: (n,) log_weight - log_q of independent draws from q; -inf allowed.
        f: (n,) or (n, k) values of one or k observables on the same draws.

    Returns:
        Estimate of two floats, or of two (k,) arrays, in the units of f.

    Raises:
        ValueError: for f of another length or not finite; see also :func:`checked_log_w`.

    >>> value, error = reweighted([0.0, np.log(3.0)], [0.0, 1.0])
    >>> round(value, 6)
    0.75
    """
    w, _ = relative_weights(checked_log_w(log_w))
    f = np.asarray(f, dtype=np.float64)
    if f.ndim not in (1, 2) or len(f) != w.size:
        raise ValueError(f"f must have shape ({w.size},) or ({w.size}, k), as log_w has {w.size}, got {f.shape}")
    n_bad = int((~np.isfinite(f)).sum())
    if n_bad:
        raise ValueError(f"f must be finite, got {n_bad} NaN or infinite values of {f.size}")
    share = w / w.sum()
    value = share @ f
    error = np.sqrt(w.size / (w.size - 1) * (share**2 @ (f - value) ** 2))
    return Estimate(value, error) if f.ndim == 2 else Estimate(float(value), float(error))
