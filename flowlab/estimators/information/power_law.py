"""Power laws with the uncertainty of what is fitted."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from flowlab.estimators.estimate import Estimate, FloatArray

STEEP = 4.0
"""An exponent at which the first point is all that is seen: no fit starts from a larger one."""


class PowerLaw(NamedTuple):
    """y = plateau + amplitude · x^(-exponent); see :func:`power_law`.

    Attributes:
        exponent: p and its error.
        amplitude: A and its error, in the units of y.
        plateau: what is left at large x, in the units of y; exactly 0 where it was not fitted.
        chi2_per_point: weighted squared residuals per degree of freedom: much above 1, this is no power law.
    """

    exponent: Estimate
    amplitude: Estimate
    plateau: Estimate
    chi2_per_point: float


NONE = PowerLaw(Estimate(np.nan, np.nan), Estimate(np.nan, np.nan), Estimate(np.nan, np.nan), np.nan)


def power_law(x: ArrayLike, y: ArrayLike, error: ArrayLike, *, plateau: bool = False) -> PowerLaw:
    """Least squares of y = A x^-p, or y = c + A x^-p, weighted by the errors of y.

    Where the fit is worse than the errors of y allow (chi² per degree of freedom above 1), the errors of what is fitted
    are widened by its root. The fit is done in y itself, not in ln y, so that points near zero may have either sign.

    Args:
        x: (n,) positive positions.
        y: (n,) values; points where y is NaN or infinite are left out.
        error: (n,) their standard errors, not negative, NaN where not known: these count as the largest; small ones
            as a thousandth of the largest or a millionth of the largest y.
        plateau: whether to fit c; without it c = 0.

    Returns:
        PowerLaw, all NaN where there are too few points (at least one more than what is fitted), no fit exists, or the
        points do not determine the exponent: its error is larger than itself and than 4, where steps begin.

    Raises:
        ValueError: for arrays of different lengths, x <= 0, or negative errors.

    >>> k = np.arange(1, 20)
    >>> found = power_law(k, 0.3 + 2 * k**-0.75, np.full(19, 0.01), plateau=True)
    >>> round(found.exponent.value, 6), round(found.amplitude.value, 6), round(found.plateau.value, 6)
    (0.75, 2.0, 0.3)
    """
    x, y, error = (np.asarray(values, dtype=np.float64) for values in (x, y, error))
    _check(x, y, error)
    known = np.isfinite(y)
    x, y, error = x[known], y[known], error[known]
    given = np.isfinite(error)
    error = np.where(given, error, error[given].max(initial=0.0))
    fitted = 3 if plateau else 2
    size = np.abs(y).max(initial=0.0)
    if len(x) <= fitted or size == 0:
        return NONE
    sigma = np.maximum(error, max(1e-3 * error.max(), 1e-6 * size))
    starts = np.linspace(-0.5, STEEP, 46)  # linear in all but p: the best of a grid is where the fit starts
    best = min(starts, key=lambda p: _linear(x, y, sigma, p, plateau)[1])
    return _fit(x, y, sigma, best, plateau)


def log_slope(x: FloatArray, y: FloatArray, error: FloatArray) -> Estimate:
    """z of y ~ x^z and its error, by least squares in the logarithms, weighted by the errors of y.

    For positive y over orders of magnitude, from two points on; :func:`power_law` fits y itself, of either sign.
    Points without y are left out, those without an error count as the least certain one. Where the points scatter more
    than their errors allow, the error of z is widened accordingly. z is NaN for fewer than two points, its error for
    two without errors.

    >>> x = np.array([1.0, 2.0, 4.0])
    >>> z = log_slope(x, 3 * x**2.5, np.full(3, 0.1))
    >>> round(z.value, 9), round(z.error, 3)
    (2.5, 0.008)
    """
    known = np.isfinite(y)
    if known.sum() < 2:
        return Estimate(np.nan, np.nan)
    u, v, sigma = np.log(x[known]), np.log(y[known]), error[known] / y[known]
    given = bool(np.isfinite(sigma).any() and np.nanmax(sigma) > 0)
    sigma = np.where(np.isfinite(sigma), sigma, np.nanmax(sigma)) if given else np.ones_like(v)
    weight = np.maximum(sigma, 1e-3 * sigma.max()) ** -2
    centred = u - np.average(u, weights=weight)
    spread = (weight * centred**2).sum()
    slope = (weight * centred * v).sum() / spread
    rest = v - np.average(v, weights=weight) - slope * centred
    scatter = np.sqrt((weight * rest**2).sum() / (len(v) - 2)) if len(v) > 2 else np.nan
    widen = np.fmax(scatter, 1.0) if given else scatter
    return Estimate(float(slope), float(widen / np.sqrt(spread)))


def _check(x: FloatArray, y: FloatArray, error: FloatArray) -> None:
    if x.ndim != 1 or x.shape != y.shape or x.shape != error.shape:
        raise ValueError(f"x, y and error must have one shape (n,), got {x.shape}, {y.shape} and {error.shape}")
    if not (x > 0).all() or not np.isfinite(x).all() or (error < 0).any():
        raise ValueError("x must be positive and errors not negative")


def _linear(x: FloatArray, y: FloatArray, sigma: FloatArray, p: float, plateau: bool) -> tuple[FloatArray, float]:
    """Amplitude and plateau (0 where not fitted) at a given exponent, and chi²."""
    columns = np.stack([x**-p, np.ones_like(x)][: 1 + plateau], axis=1) / sigma[:, None]
    solution = np.linalg.lstsq(columns, y / sigma, rcond=None)[0]
    chi2 = float(((columns @ solution - y / sigma) ** 2).sum())
    return np.append(solution, 0.0)[:2], chi2


def _fit(x: FloatArray, y: FloatArray, sigma: FloatArray, start: float, plateau: bool) -> PowerLaw:
    from scipy import optimize

    (amplitude, offset), _ = _linear(x, y, sigma, start, plateau)
    first = [start, amplitude, offset][: 2 + plateau]

    def residuals(theta: FloatArray) -> FloatArray:
        return np.asarray((theta[1] * x ** -theta[0] + (theta[2] if plateau else 0.0) - y) / sigma)

    lowest = [-10.0, -np.inf, -np.inf][: 2 + plateau]
    found = optimize.least_squares(residuals, first, x_scale="jac", bounds=(lowest, np.inf))
    curvature = found.jac.T @ found.jac
    if not found.success or np.linalg.cond(curvature) > 1e14:
        return NONE
    chi2 = float(2 * found.cost / (len(x) - len(first)))
    error = np.sqrt(np.diag(np.linalg.inv(curvature)) * max(1.0, chi2))
    p, A = (Estimate(float(found.x[i]), float(error[i])) for i in (0, 1))
    if not p.error <= max(STEEP, abs(p.value)):
        return NONE
    return PowerLaw(p, A, Estimate(float(found.x[2]), float(error[2])) if plateau else Estimate(0.0, 0.0), chi2)
