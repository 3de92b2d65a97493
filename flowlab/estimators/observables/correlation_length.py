"""The correlation length of a field from its two-point function, three ways.

Source: L. Del Debbio, J. Marsh Rossney, M. Wilson, arXiv:2105.12481 (2021), eq. 45 to 47.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from flowlab.estimators.estimate import Estimate, FloatArray
from flowlab.estimators.observables.fields import Errors, function_of_means, order_of, per_sample_slices


class CorrelationLength(NamedTuple):
    """ξ in lattice spacings; NaN where the two-point function allows none.

    Attributes:
        second_moment: ξ² = (G̃(0) / G̃(q_1) - 1) / (4 sin²(π/L)), q_1 = 2π/L along an axis.
        cosh_ratio: 1/ξ is the mean over t, weighted by its errors, of ``inverse``.
        cosh_fit: of the fit of Ĝ(t) = A cosh((t - L/2)/ξ), weighted by the errors of Ĝ; NaN for L < 4.
        inverse: Estimate of (L//2,) 1/ξ(t) = arcosh[(Ĝ(t+1) + Ĝ(t-1)) / 2Ĝ(t)] for t = 1 .. L//2; NaN where the ratio
            is below 1.
    """

    second_moment: Estimate
    cosh_ratio: Estimate
    cosh_fit: Estimate
    inverse: Estimate


def correlation_length(
    fields: ArrayLike,
    *,
    log_w: ArrayLike | None = None,
    errors: Errors = "independent",
    seed: int = 0,
    first: int = 1,
    connected: bool = False,
) -> CorrelationLength:
    """ξ of a field in its symmetric phase, or in an ordered one where ``connected``: <\\|m\\|>² is then subtracted.

    In an ordered phase without that, and in a symmetric one with it, nothing here is ξ; ``second_moment`` is NaN where
    it is longer than the lattice and not connected.

    Args:
        fields: (n, *shape) samples of φ, n >= 2; distances run along the axes of the longest side L.
        log_w: (n,) log_weight - log_q of independent draws from q; None for samples of the target.
        errors: ``"independent"``, ``"gamma"`` for one Markov chain in its order, or ``"bootstrap"``; see
            :func:`~flowlab.estimators.observables.fields.function_of_means`.
        seed: of the bootstrap.
        first: smallest distance t that ``cosh_ratio`` and ``cosh_fit`` use, at least 1; they leave out what the
            excited states spoil.
        connected: whether the field is ordered.

    Returns:
        CorrelationLength.

    Raises:
        ValueError: for fields or log weights that do not fit, or a ``first`` that leaves the fit no two points.

    >>> t = np.arange(16)
    >>> rng = np.random.default_rng(0)
    >>> waves = np.cos(2 * np.pi * (t - rng.uniform(0, 16, (500, 1))) / 16)[:, :, None] + rng.normal(size=(500, 1, 1))
    >>> found = correlation_length(waves * np.ones(2))
    >>> exact = float(np.sqrt(3) / (2 * np.sin(np.pi / 16)))
    >>> abs(found.second_moment.value - exact) < 4 * found.second_moment.error
    True
    """
    values = np.asarray(fields, dtype=np.float64)
    each = np.concatenate([per_sample_slices(values), order_of(values)[:, None]], axis=1)
    length = max(values.shape[1:])
    half = length // 2
    if not 1 <= first <= max(1, half - 1):  # two points for the fit, which a side below 4 does not have
        raise ValueError(f"first must be between 1 and {max(1, half - 1)} for L = {length}, got {first}")

    def over(function: Callable[[FloatArray], ArrayLike]) -> Estimate:
        share = values[0].size / length if connected else 0.0
        return function_of_means(
            each, lambda means: function(means[:-1] - share * means[-1] ** 2), log_w=log_w, errors=errors, seed=seed
        )

    with np.errstate(invalid="ignore", divide="ignore"):
        sigma = over(np.array).error
        inverse = over(lambda G: _inverse(G, length))
        usable = (np.arange(1, half + 1) >= first) & np.isfinite(inverse.value) & (inverse.error > 0)
        weights = usable / np.where(usable, inverse.error, 1) ** 2
        ratio = over(lambda G: _pooled(_inverse(G, length), weights))
        fit = over(lambda G: _fit(G, np.where(sigma > 0, sigma, 1), first, length))
        second = over(lambda G: _second_moment(G, length))
        if not connected and second.value > length:
            second = Estimate(np.array(np.nan), np.array(np.nan))
    second, ratio, fit = (Estimate(float(value), float(error)) for value, error in (second, ratio, fit))
    return CorrelationLength(second, ratio, fit, inverse)


def _second_moment(G: FloatArray, length: int) -> FloatArray:
    """From Ĝ(t), of which G̃(0) and G̃(q_1) are the first two Fourier modes."""
    t = np.arange(len(G))
    twice = np.where((t == 0) | (2 * t == length), 1, 2) * G
    zero, one = twice.sum(), (twice * np.cos(2 * np.pi * t / length)).sum()
    return np.asarray(np.sqrt((zero / one - 1) / (4 * np.sin(np.pi / length) ** 2)))


def _inverse(G: FloatArray, length: int) -> FloatArray:
    around = np.concatenate([G[1:], G[-2 + length % 2 :][:1]])  # Ĝ(t) = Ĝ(L - t)
    return np.asarray(np.arccosh((around[1:] + G[:-1]) / (2 * G[1:])))


def _pooled(inverse: FloatArray, weights: FloatArray) -> FloatArray:
    used = weights > 0
    return np.asarray(weights[used].sum() / (weights[used] @ inverse[used])) if used.any() else np.asarray(np.nan)


def _fit(G: FloatArray, sigma: FloatArray, first: int, length: int) -> float:
    """Weighted least squares of A cosh((t - L/2)/ξ): A is linear, 1/ξ is found on a grid and then polished."""
    from scipy import optimize

    t = np.arange(first, len(G))
    y, s = G[first:], sigma[first:]

    def chi2(rate: float) -> float:
        shape = np.exp(-rate * (t - first)) + np.exp(-rate * (length - t - first))
        amplitude = (shape * y / s**2).sum() / (shape**2 / s**2).sum()
        return float((((y - amplitude * shape) / s) ** 2).sum())

    rates = np.geomspace(1e-3, 10, 60)
    best = int(np.argmin([chi2(rate) for rate in rates]))
    if best in (0, len(rates) - 1):
        return np.nan
    found = optimize.minimize_scalar(chi2, bounds=(rates[best - 1], rates[best + 1]), options={"xatol": 1e-9})
    return float(1 / found.x)
