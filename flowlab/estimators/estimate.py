"""What every estimator starts from: the pair of a value and its error, and log weights checked and made relative."""

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


def never(n: int) -> float:
    """The error of a fraction that was 0 or 1 in n independent samples: of a binomial with one more on each side.

    >>> round(never(98), 4)
    0.0099
    """
    return float(np.sqrt((n + 1) / (n + 2) ** 3))


def student(count: int) -> float:
    """By how much a standard error from so few values is widened, for 1.96 of it to hold 95 %, by Student's t.

    >>> round(student(4), 2), round(student(40), 2)
    (1.62, 1.03)
    """
    from scipy.special import stdtrit

    return float(stdtrit(count - 1, 0.975) / 1.959964) if count > 1 else np.nan
