"""Where along its order an autoregressive density still has choices to make."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from flowlab.estimators.estimate import Estimate


def conditional_entropy(log_conditionals: ArrayLike) -> Estimate:
    """Mean entropy H(x_k | x_<k) of each binary conditional, in nats: 0 is decided by the sites before, ln 2 is free.

    The mean over samples of h(p) = -p ln p - (1 - p) ln(1 - p), with p the probability of the value that was drawn;
    h averages over that last choice exactly, so it has less noise than -ln p of the same mean. Summed over k it
    estimates the entropy of q.

    Args:
        log_conditionals: (n, N) ln p(x_k | x_<k) of the values drawn, n >= 2 samples of N sites; -inf allowed.

    Returns:
        Estimate of two (N,) arrays in nats, in the order of the autoregression.

    Raises:
        ValueError: for another shape, NaN, or a log probability above 0 by more than rounding (1e-5).

    >>> conditional_entropy(np.log([[0.5, 1.0], [0.5, 1.0]])).value.round(6).tolist()
    [0.693147, 0.0]
    """
    log_p = np.asarray(log_conditionals, dtype=np.float64)
    if log_p.ndim != 2 or len(log_p) < 2:
        raise ValueError(f"log_conditionals must have shape (n, N) with n >= 2, got {log_p.shape}")
    n_bad = int((~(log_p <= 1e-5)).sum())
    if n_bad:
        raise ValueError(f"log_conditionals must be logs of probabilities, got {n_bad} NaN or positive of {log_p.size}")
    log_p = np.clip(log_p, -700.0, 0.0)
    other = -np.expm1(log_p)
    h = -np.exp(log_p) * log_p - other * np.log(np.maximum(other, np.finfo(float).tiny))
    return Estimate(h.mean(0), h.std(0, ddof=1) / np.sqrt(len(h)))
