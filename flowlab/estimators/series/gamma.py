"""Means and autocorrelation times of a Markov chain by the Gamma method.

Source: U. Wolff 2004, hep-lat/0306017 (automatic window, errors and bias correction), as done by pyerrors.
"""

from __future__ import annotations

import functools
import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from flowlab.estimators.estimate import Estimate, FloatArray
from flowlab.estimators.weights.weights import reweighted

MIN_LENGTH = 5  # what the Gamma method needs to have a window at all


def tau_int(series: ArrayLike) -> Estimate:
    """Integrated autocorrelation time, τ = 1/2 + Σ_{t>=1} ρ(t), in steps: 1/2 for independent values.

    The variance of the mean of n values is 2τ/n times that of one value.

    Args:
        series: (n,) values of one observable along one chain.

    Returns:
        Estimate in steps; (NaN, NaN) for fewer than 5 values and for a constant series, whose τ is not defined.

    Raises:
        ValueError: for values that are not finite, or more than one axis.

    >>> value, error = tau_int(np.random.default_rng(0).standard_normal(1000))
    >>> abs(value - 0.5) < 4 * error
    True
    >>> tau_int(np.ones(100))
    Estimate(value=nan, error=nan)
    """
    values = _series(series)
    if values.size < MIN_LENGTH or _is_constant(values):
        return Estimate(np.nan, np.nan)
    observable = _gamma_method(values)
    return Estimate(float(observable.e_tauint["chain"]), float(observable.e_dtauint["chain"]))


def mean(series: ArrayLike, *, log_w: ArrayLike | None = None) -> Estimate:
    """The mean of a chain with its autocorrelated error, √(2τ/n) times the standard deviation; or a reweighted one.

    Args:
        series: (n,) values of one observable along one chain; with ``log_w`` on independent draws of q.
        log_w: (n,) log_weight - log_q of these draws; the mean is then :func:`reweighted`.

    Returns:
        Estimate in the units of the series; the error is NaN for fewer than 5 values and 0 for a constant series.

    Raises:
        ValueError: for values that are not finite, or more than one axis; see also ``reweighted``.

    >>> value, error = mean(np.random.default_rng(0).standard_normal(1000))
    >>> abs(value) < 4 * error < 0.2
    True
    >>> mean([1.0, 2.0])
    Estimate(value=1.5, error=nan)
    >>> round(mean([0.0, 1.0], log_w=[0.0, np.log(3.0)]).value, 6)
    0.75
    """
    if log_w is not None:
        return reweighted(series, log_w=log_w)
    values = _series(series)
    if values.size < MIN_LENGTH:
        return Estimate(float(values.mean()), np.nan)
    if _is_constant(values):
        return Estimate(float(values[0]), 0.0)
    return Estimate(float(values.mean()), float(_gamma_method(values).dvalue))


def _series(series: ArrayLike) -> FloatArray:
    values = np.asarray(series, dtype=np.float64)
    if values.ndim != 1 or values.size < 1:
        raise ValueError(f"series must be one axis of numbers, got shape {values.shape}")
    n_bad = int((~np.isfinite(values)).sum())
    if n_bad:
        raise ValueError(f"series must be finite, got {n_bad} NaN or infinite values of {values.size}")
    return values


def _is_constant(values: FloatArray) -> bool:
    # Rounding of the mean would otherwise pass for correlated noise.
    return bool(np.ptp(values) <= 1e-12 * np.abs(values).max())


@functools.cache
def pyerrors_package() -> Any:
    """The package pyerrors, imported once: filters of warnings are the whole process's, and threads would mix them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of what pyerrors itself imports
        import pyerrors  # type: ignore[import-untyped, unused-ignore]
    return pyerrors


def _gamma_method(values: FloatArray) -> Any:
    observable = pyerrors_package().Obs([values], ["chain"])
    observable.gamma_method()
    return observable
