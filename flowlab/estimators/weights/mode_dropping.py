"""Does q miss a part of the target? What the draws of q cannot say, and what a reference can.

Where q never draws, its own weights look perfect: ESS near 1, small errors, and a ln Z too low by the mass that is
missing. Two things reveal it: an exact ln Z, or independent samples of the target itself.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from flowlab.estimators.estimate import Estimate, FloatArray
from flowlab.estimators.weights.pareto import error_factor
from flowlab.estimators.weights.weights import log_z


class ModeDropping(NamedTuple):
    """The effective mode-dropping measure.

    Attributes:
        value: w̄ in [0, 1], 1 where nothing is missed; NaN without a reference.
        error: one standard error, NaN where there is none.
        reference: what ln Z was compared with: "exact ln Z", "samples of the target" or "none".
        reason: why ``value`` or ``error`` is NaN; empty where neither is.
        threshold: the lowest ln q, in nats, that belongs to the effective support.
        estimate: w̄ before it is cut to [0, 1], which noise and rare, heavy weights lift above 1.
    """

    value: float
    error: float
    reference: str
    reason: str
    threshold: float
    estimate: float


class ForwardCheck(NamedTuple):
    """What samples of the target say about q; see :func:`forward_check`. Each an Estimate, in nats but for ``ess``."""

    log_z: Estimate
    log_z_upper: Estimate
    kl: Estimate
    ess: Estimate


def support_threshold(log_q: ArrayLike, outside: int = 0) -> float:
    """The lowest ln q of q's effective support: the area below it holds ``outside`` of the n samples.

    The effective support leaves out the area of low density where n draws of q, with high probability, leave no
    sample; the more draws, the lower the threshold, and it covers all of q as n grows (Singha et al. 2025, section
    4.2, after Nicoli et al. 2023, arXiv:2302.14082). With ``outside=0`` it is the lowest ln q that was drawn: below
    it lies a mass of q of about 1/n. ``outside=k`` leaves the k samples of lowest ln q outside (ties stay in).

    Args:
        log_q: (n,) ln q of draws from q, in nats.
        outside: the number of samples to leave below the threshold, 0 <= outside <= n - 2.

    Raises:
        ValueError: for another number, or ln q that is not finite.

    >>> support_threshold([-3.0, -9.0, -1.0])
    -9.0
    >>> support_threshold([-3.0, -9.0, -1.0], outside=1)
    -3.0
    """
    log_q = _finite("log_q", log_q)
    if not 0 <= outside <= log_q.size - 2:
        raise ValueError(f"outside must lie between 0 and n - 2 = {log_q.size - 2}, got {outside}")
    return float(np.partition(log_q, outside)[outside])


def effective_mode_dropping(
    log_weight: ArrayLike,
    log_q: ArrayLike,
    *,
    log_z_exact: float | None = None,
    target_samples: tuple[ArrayLike, ArrayLike] | None = None,
    threshold: float | None = None,
) -> ModeDropping:
    """The effective mode-dropping measure w̄ = E_q̃[p/q] = exp(ln Z from q on its support - ln Z of a reference).

    q̃ is q restricted to its effective support {ln q >= threshold} and normalised there, so w̄ is the target's mass on
    that support, in [0, 1], and 1 means that nothing is missed. ln Z of the reference is the exact one where given,
    else it comes from samples of the target (:func:`log_z_from_target`), else w̄ is NaN: draws of q alone would make
    it 1 by construction. The draws do not choose their own support: one half of them is held against the lowest ln q
    of the other half, so that what a single lucky draw reached belongs to no support.

    Args:
        log_weight: (n,) ln of the target's unnormalised weight on draws from q.
        log_q: (n,) ln q of the same draws.
        log_z_exact: the exact ln Z in nats, or None or NaN where unknown.
        target_samples: (log_weight_p, log_q_p), each (m,), on independent samples of the target.
        threshold: lowest ln q of the effective support, which depends on n; by default the
            :func:`support_threshold` of every other draw, for those between, and the other way round.

    Returns:
        ModeDropping(value, error, reference, reason, threshold, estimate).

    Raises:
        ValueError: for shapes that differ, NaN, fewer than 2 samples above the threshold, or target samples that are
            the draws of q.

    Source: Nicoli et al. 2023, arXiv:2302.14082; Singha et al. 2025, section 4.2.

    >>> log_q = np.full(1000, np.log(1 / 2))  # uniform over two of the four states of a uniform target
    >>> effective_mode_dropping(np.zeros(1000), log_q, log_z_exact=np.log(4)).value
    0.5
    >>> effective_mode_dropping(np.zeros(1000), log_q).reason
    'no exact ln Z and no samples of the target to compare with'
    """
    log_weight, log_q = np.asarray(log_weight, dtype=np.float64), _finite("log_q", log_q)
    if log_weight.shape != log_q.shape:
        raise ValueError(f"log_weight and log_q must have one shape, got {log_weight.shape} and {log_q.shape}")
    thresholds = np.full(log_q.size, np.nan if threshold is None else float(threshold))
    if threshold is None:
        thresholds[0::2], thresholds[1::2] = log_q[1::2].min(), log_q[0::2].min()
    threshold = float(thresholds.max())
    if log_z_exact is not None and not np.isnan(log_z_exact):
        name, reference = "exact ln Z", Estimate(float(log_z_exact), 0.0)
    elif target_samples is not None:
        if np.array_equal(target_samples[0], log_weight) and np.array_equal(target_samples[1], log_q):
            raise ValueError("target_samples must be samples of the target, got the draws of q themselves")
        name, reference = "samples of the target", log_z_from_target(*target_samples)
    else:
        reason = "no exact ln Z and no samples of the target to compare with"
        return ModeDropping(np.nan, np.nan, "none", reason, threshold, np.nan)
    inside = log_q >= thresholds
    if inside.sum() < 2:
        raise ValueError(f"threshold {threshold} leaves {inside.sum()} of {log_q.size} samples, 2 are needed")
    if np.isinf(reference.value):
        return ModeDropping(0.0, np.nan, name, "q gives no probability to any sample of the target", threshold, 0.0)
    from_q = log_z((log_weight - log_q)[inside])
    value = float(np.exp(from_q.value - reference.value))
    error = float(value * np.hypot(from_q.error, reference.error))
    return ModeDropping(min(value, 1.0), error, name, "", threshold, value)


def log_z_from_target(log_weight_p: ArrayLike, log_q_p: ArrayLike) -> Estimate:
    """ln Z from samples of the target: 1/Z = <q / e^log_weight>_p over x ~ p, for a normalised q.

    It holds also for a q that misses a part of the target, as long as p covers q. The error assumes independent
    samples: thin a Markov chain by twice its tau_int first.

    Args:
        log_weight_p: (m,) ln of the target's unnormalised weight on samples of the target.
        log_q_p: (m,) ln q of the same samples, in nats; -inf where q gives no probability.

    Returns:
        Estimate of ln Z in nats; (inf, NaN) where q gives no probability to any of the samples.

    Raises:
        ValueError: for shapes that differ, NaN, or a log_weight that is not finite.

    >>> log_z_from_target(np.zeros(4), np.log([1 / 2, 1 / 2, 1e-300, 1e-300])).value  # q misses half of 4 states
    1.3862943611198906
    """
    log_w = _target_log_w(log_weight_p, log_q_p)
    if np.isposinf(log_w).all():
        return Estimate(np.inf, np.nan)
    value, error = log_z(-log_w)
    return Estimate(-value, error)


def forward_check(log_weight_p: ArrayLike, log_q_p: ArrayLike) -> ForwardCheck:
    """q judged on samples of the target, where a missed mode cannot hide.

    With w = e^log_weight / q and means over x ~ p: ``log_z`` = -ln<1/w>; ``log_z_upper`` = <ln w> = ln Z + KL(p|q), an
    upper bound of ln Z; ``kl`` = KL(p|q), the difference of the two, by Jensen's inequality never below 0;
    ``ess`` = 1 / (<w> <1/w>), which estimates
    1 / E_p[p/q] = 1 / E_q[(p/q)²] over the whole target. If this ESS is far below the one from draws of q, then q
    misses a mode. Errors assume independent samples of the target.

    Args:
        log_weight_p: (m,) ln of the target's unnormalised weight on samples of the target.
        log_q_p: (m,) ln q of the same samples, in nats; -inf where q gives no probability.

    Returns:
        ForwardCheck(log_z, log_z_upper, kl, ess). If q gives no probability to one of the samples, ``log_z_upper``
        and ``kl`` are (inf, NaN) and ``ess`` is (0, NaN).

    Raises:
        ValueError: as :func:`log_z_from_target`.

    >>> forward_check(np.zeros(4), np.full(4, np.log(1 / 4))).ess
    Estimate(value=1.0, error=0.0)
    """
    log_w = _target_log_w(log_weight_p, log_q_p)
    from_target = log_z_from_target(log_weight_p, log_q_p)
    if np.isposinf(log_w).any():
        infinite = Estimate(np.inf, np.nan)
        return ForwardCheck(from_target, infinite, infinite, Estimate(0.0, np.nan))
    w, inverse = np.exp(log_w - log_w.max()), np.exp(log_w.min() - log_w)
    w, inverse = w / w.mean(), inverse / inverse.mean()
    upper, factor = float(log_w.mean()), error_factor(np.exp(log_w.min() - log_w))
    fraction = min(float(np.exp(from_target.value - log_z(log_w).value)), 1.0)
    return ForwardCheck(
        from_target,
        Estimate(upper, _standard_error(log_w)),
        Estimate(upper - from_target.value, _standard_error(log_w + inverse) * factor),
        Estimate(fraction, fraction * _standard_error(w + inverse) * factor),
    )


def _standard_error(values: FloatArray) -> float:
    return float(values.std(ddof=1) / np.sqrt(values.size))


def _finite(name: str, values: ArrayLike) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size < 2:
        raise ValueError(f"{name} must be one axis of at least 2 numbers, got shape {array.shape}")
    n_bad = int((~np.isfinite(array)).sum())
    if n_bad:
        raise ValueError(f"{name} must be finite, got {n_bad} NaN or infinite values of {array.size}")
    return array


def _target_log_w(log_weight_p: ArrayLike, log_q_p: ArrayLike) -> FloatArray:
    """log_weight - log_q on samples of the target, +inf where q gives no probability."""
    log_weight, log_q = _finite("log_weight of the target's samples", log_weight_p), np.asarray(log_q_p, np.float64)
    if log_weight.shape != log_q.shape:
        raise ValueError(f"log_weight_p and log_q_p must have one shape, got {log_weight.shape} and {log_q.shape}")
    n_bad = int((np.isnan(log_q) | np.isposinf(log_q)).sum())
    if n_bad:
        raise ValueError(f"log_q of the target's samples must be below +inf, got {n_bad} NaN or +inf of {log_q.size}")
    return np.asarray(log_weight - log_q)
