"""Kullback-Leibler divergences, free energies and entropies of a density q and a target p = exp(log_weight)/Z."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from flowlab.estimators.estimate import Estimate, FloatArray


def divergences(
    *,
    log_w_model: ArrayLike | None = None,
    log_weight_model: ArrayLike | None = None,
    log_w_target: ArrayLike | None = None,
    log_weight_target: ArrayLike | None = None,
    log_z: float | None = None,
    log_z_error: float = 0.0,
    T: float | None = None,
) -> dict[str, Estimate]:
    """What follows from the arguments that are given; with log_w = log_weight - ln q, in nats where not said otherwise.

    From draws of q: ``kl_reverse`` = ln Z - E_q[log_w] = KL(q|p); ``loss_reverse`` = -E_q[log_w];
    ``gibbs_free_energy`` = -T E_q[log_w] = T KL(q|p) + F, in units of energy; ``entropy_model`` = -E_q[ln q].
    From samples of p: ``kl_forward`` = E_p[log_w] - ln Z = KL(p|q); ``loss_forward`` = -E_p[ln q], the cross entropy
    KL(p|q) + H[p]; ``entropy`` H[p] = ln Z - E_p[log_weight], which is beta <H> + ln Z for log_weight = -beta H.
    From ln Z: ``helmholtz_free_energy`` F = -T ln Z, which the Gibbs free energy of any q lies above.

    Args:
        log_w_model: (n,) log_weight - ln q on independent draws from q.
        log_weight_model: (n,) log_weight on the same draws.
        log_w_target: (m,) log_weight - ln q on samples of p; +inf where q gives no probability.
        log_weight_target: (m,) log_weight on the same samples.
        log_z: ln Z of the target in nats; None where unknown, and then what needs it is left out.
        log_z_error: its standard error, 0 for an exact one; taken as independent of the samples.
        T: temperature in units of energy; None leaves the free energies out.

    Returns:
        name -> Estimate. Errors are for independent samples: thin a Markov chain first. A divergence is not cut off at
        0: within its error an excellent q may come out below. (inf, NaN) where q draws what p forbids, or the reverse.

    Raises:
        ValueError: for arrays of another shape than their partner's, NaN, T <= 0, or a negative log_z_error.

    Source: Hartnett and Mohseni 2020, arXiv:2001.00585, equations 15 to 21.

    >>> log_q, log_weight = np.log([0.5, 0.5]), np.log([3.0, 1.0])
    >>> found = divergences(log_w_model=log_weight - log_q, log_z=np.log(4.0), T=2.0)
    >>> round(found["kl_reverse"].value, 6), round(found["helmholtz_free_energy"].value, 6)  # ½ ln 4/3, -2 ln 4
    (0.143841, -2.772589)
    >>> list(found)
    ['loss_reverse', 'gibbs_free_energy', 'kl_reverse', 'helmholtz_free_energy']
    """
    if T is not None and not T > 0:
        raise ValueError(f"T must be positive, got {T}")
    if not log_z_error >= 0:
        raise ValueError(f"log_z_error must not be negative, got {log_z_error}")
    if log_z is not None and not np.isfinite(log_z):
        raise ValueError(f"log_z must be finite, or None where unknown, got {log_z}")
    log_w_q, log_weight_q = _pair("model", log_w_model, log_weight_model, allowed=-np.inf)
    log_w_p, log_weight_p = _pair("target", log_w_target, log_weight_target, allowed=np.inf)
    z = None if log_z is None else Estimate(float(log_z), float(log_z_error))
    found = {}
    if log_w_q is not None:
        loss = found["loss_reverse"] = _mean(-log_w_q)
        if T is not None:
            found["gibbs_free_energy"] = _scaled(T, loss)
        if z is not None:
            found["kl_reverse"] = _sum(z, loss)
        if log_weight_q is not None:
            forbidden = np.isneginf(log_w_q) | np.isneginf(log_weight_q)  # ln q cannot be told from the two
            found["entropy_model"] = Estimate(np.nan, np.nan) if forbidden.any() else _mean(log_w_q - log_weight_q)
    if log_w_p is not None:
        if log_weight_p is not None:
            found["loss_forward"] = _mean(log_w_p - log_weight_p)
        if z is not None:
            found["kl_forward"] = _sum(_mean(log_w_p), _scaled(-1.0, z))
    if log_weight_p is not None and z is not None:
        found["entropy"] = _sum(z, _mean(-log_weight_p))
    if z is not None and T is not None:
        found["helmholtz_free_energy"] = _scaled(-T, z)
    return found


def _pair(
    name: str, log_w: ArrayLike | None, log_weight: ArrayLike | None, allowed: float
) -> tuple[FloatArray | None, FloatArray | None]:
    """Both as float64, of one shape; ``allowed`` is the infinity that log_w may take."""
    first = None if log_w is None else _checked(f"log_w_{name}", log_w, allowed)
    second = None if log_weight is None else _checked(f"log_weight_{name}", log_weight, allowed if allowed < 0 else 0.0)
    if first is not None and second is not None and first.shape != second.shape:
        raise ValueError(
            f"log_w_{name} and log_weight_{name} must have one shape, got {first.shape} and {second.shape}"
        )
    return first, second


def _checked(name: str, values: ArrayLike, allowed: float) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size < 2:
        raise ValueError(f"{name} must be one axis of at least 2 numbers, got shape {array.shape}")
    n_bad = int((~np.isfinite(array) & (array != allowed)).sum())
    if n_bad:
        raise ValueError(f"{name} must be finite, got {n_bad} NaN or infinite values of {array.size}")
    return array


def _mean(values: FloatArray) -> Estimate:
    if np.isinf(values).any():
        return Estimate(float(values.sum()), np.nan)
    return Estimate(float(values.mean()), float(values.std(ddof=1) / np.sqrt(values.size)))


def _scaled(factor: float, estimate: Estimate) -> Estimate:
    return Estimate(factor * estimate.value, abs(factor) * estimate.error)


def _sum(a: Estimate, b: Estimate) -> Estimate:
    return Estimate(a.value + b.value, float(np.hypot(a.error, b.error)))
