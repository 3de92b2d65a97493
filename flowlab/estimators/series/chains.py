"""Means, and functions of means, along many chains of one system at once, by the Gamma method.

Source: U. Wolff 2004, hep-lat/0306017. The chains are replica of one another, so that many short ones say together how
long the memory is; a nonlinear function has the error and the memory of its linearisation at the means.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from flowlab.estimators.estimate import Estimate, FloatArray

WINDOW = 2.0  # S of the automatic window: the assumed ratio of exponential and integrated times
MIN_LENGTH = 5


class ChainEstimate(NamedTuple):
    """A mean along chains, or a function of means.

    Attributes:
        value, error: of the quantity; the error is NaN for fewer than 5 steps and 0 for a constant series.
        tau_int, tau_int_error: its integrated autocorrelation time in steps, 1/2 without memory; NaN where constant.
    """

    value: float
    error: float
    tau_int: float
    tau_int_error: float


def chain_mean(series: ArrayLike, *, value: float | None = None) -> ChainEstimate:
    """The mean of one observable along chains, with the error that its memory leaves it.

    Args:
        series: (steps,) or (steps, chains) values, at equilibrium from the first on.
        value: what the mean stands for, where the series is a linearisation.

    Raises:
        ValueError: for another shape, or values that are not finite.

    >>> found = chain_mean(np.random.default_rng(0).standard_normal((100, 50)))
    >>> abs(found.value) < 4 * found.error, abs(found.tau_int - 0.5) < 4 * found.tau_int_error
    (True, True)
    """
    values = np.asarray(series, dtype=np.float64)
    values = values[:, None] if values.ndim == 1 else values
    if values.ndim != 2 or values.size < 1:
        raise ValueError(f"series must have shape (steps,) or (steps, chains), got {np.shape(series)}")
    if not np.isfinite(values).all():
        raise ValueError(f"series must be finite, got {int((~np.isfinite(values)).sum())} values that are not")
    steps, total = len(values), values.size
    mean = float(values.mean())
    value = mean if value is None else float(value)
    if steps < MIN_LENGTH:
        return ChainEstimate(value, math.nan, math.nan, math.nan)
    if np.ptp(values) <= 1e-12 * np.abs(values).max():
        return ChainEstimate(value, 0.0, math.nan, math.nan)
    gamma = _autocovariance(values - mean)
    tau, width = _windowed(gamma, total)
    time = tau * (1 + (2 * width + 1) / total)
    error = math.sqrt(2 * time * gamma[0] / total)
    return ChainEstimate(value, error, time, 2 * time * math.sqrt(abs(width + 0.5 - time) / total))


def _windowed(gamma: FloatArray, total: int) -> tuple[float, int]:
    """τ from Γ(0), Γ(1), .. of ``total`` values, and the automatic window it is summed up to."""
    tau = np.maximum(0.5 + np.cumsum(gamma[1:]) / gamma[0], 0.5)  # of windows 1, 2, ..
    window = np.arange(1, len(tau) + 1)
    with np.errstate(divide="ignore", over="ignore"):
        decay = np.maximum(WINDOW / np.log((2 * tau + 1) / np.maximum(2 * tau - 1, 1e-300)), 1e-3)
        closed = np.exp(-window / decay) - decay / np.sqrt(window * total) < 0
    W = int(np.argmax(closed)) if closed.any() else len(tau) - 1
    return float(tau[W]), int(window[W])


def _autocovariance(deviations: FloatArray) -> FloatArray:
    """Γ(t) for t = 0 .. steps // 2, averaged over all pairs of all chains."""
    from scipy import fft

    steps, chains = deviations.shape
    length = fft.next_fast_len(steps + steps // 2 + 1, real=True)
    power = np.square(np.abs(fft.rfft(deviations, length, axis=0))).sum(1)
    lags = np.arange(steps // 2 + 1)
    return np.asarray(fft.irfft(power, length)[: len(lags)] / (chains * (steps - lags)))


def chain_observables(
    series: Mapping[str, ArrayLike], *, n_sites: int, side: int | None = None, T: float | None = None
) -> dict[str, ChainEstimate]:
    """Every series' mean, and what follows from the magnetization, the structure factor and the energy.

    With ``magnetization`` m: ``abs_magnetization`` <|m|>, ``susceptibility`` N <m²>, ``susceptibility_connected``
    N (<m²> - <|m|>²), ``binder`` 1 - <m⁴> / (3 <m²>²). With ``structure_factor_1`` G_1 = <\\|φ̃(2π/L)\\|²>/N besides:
    ``correlation_length`` ξ, ξ² = (N <m²>/G_1 - 1) / (4 sin²(π/L)), the second moment without subtraction, and
    ``correlation_length_connected`` where that is NaN since the field is ordered, see :func:`.field_observables`. With
    ``energy_per_site`` e and T: ``specific_heat`` N (<e²> - <e>²)/T².

    Args:
        series: name -> (steps, chains) values.
        n_sites: number of sites N.
        side: L, for the correlation length.
        T: temperature of spins.

    Raises:
        ValueError: see :func:`chain_mean`.

    >>> m = np.where(np.arange(40) % 3, 0.5, -0.5)[:, None]
    >>> found = chain_observables({"magnetization": m}, n_sites=4)
    >>> found["susceptibility"].value, round(found["binder"].value, 6)
    (1.0, 0.666667)
    """
    values = {name: np.asarray(one, dtype=np.float64) for name, one in series.items()}
    found = {name: chain_mean(one) for name, one in values.items()}
    if "magnetization" in values:
        m = values["magnetization"]
        modulus, square = np.abs(m), m**2
        first, second = modulus.mean(), square.mean()
        found["abs_magnetization"] = chain_mean(modulus)
        found["susceptibility"] = chain_mean(n_sites * square)
        found["susceptibility_connected"] = chain_mean(
            n_sites * (square - 2 * first * modulus), value=n_sites * (second - first**2)
        )
        found["binder"] = _binder(square)
        if side is not None and "structure_factor_1" in values:
            one = values["structure_factor_1"]
            found["correlation_length"] = _correlation_length(n_sites * square, one, side)
            if found["correlation_length"].value > side:
                around = n_sites * (modulus - first) ** 2
                found["correlation_length"] = ChainEstimate(math.nan, math.nan, math.nan, math.nan)
                found["correlation_length_connected"] = _correlation_length(around, one, side)
    if T is not None and "energy_per_site" in values:
        e = values["energy_per_site"]
        found["specific_heat"] = chain_mean(n_sites / T**2 * (e - e.mean()) ** 2)
    return found


def _binder(square: FloatArray) -> ChainEstimate:
    second = square.mean()
    if second == 0:
        return ChainEstimate(math.nan, math.nan, math.nan, math.nan)
    u = square / second
    fourth = (u**2).mean()
    return chain_mean((2 * fourth * u - u**2) / 3, value=1 - fourth / 3)


def _correlation_length(zero: FloatArray, first: FloatArray, side: int) -> ChainEstimate:
    G0, G1, scale = zero.mean(), first.mean(), 4 * math.sin(math.pi / side) ** 2
    if not G0 > G1 > 0:
        return ChainEstimate(math.nan, math.nan, math.nan, math.nan)
    xi = math.sqrt((G0 / G1 - 1) / scale)
    return chain_mean((zero / G1 - G0 * first / G1**2) / (2 * xi * scale), value=xi)


def chain_agreement(series: ArrayLike) -> Estimate:
    """How much the means of the chains differ: χ² per degree of freedom about their common mean, 1 where they agree.

    The variance v expected of one chain's mean comes from the memory within the chains, v = 2 τ σ²/steps. Deviations
    from a chain's own mean lack about v in each Γ(t) (Wolff 2004, eq. 49); what they lack is put back exactly, with
    Γ = 0 beyond the window. A chain that is stuck, or still on its way from its start, makes χ² large.

    Args:
        series: (steps, chains).

    Returns:
        Estimate; the error is √(2 / (chains - 1)), with that of τ. NaN for fewer than 2 chains, and for chains
        shorter than 10 τ.

    >>> found = chain_agreement(np.random.default_rng(0).standard_normal((100, 50)))
    >>> abs(found.value - 1) < 4 * found.error
    True
    """
    values = np.asarray(series, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] < 2:
        return Estimate(math.nan, math.nan)
    steps, chains = values.shape
    deviations = values - values.mean(0)
    if steps < MIN_LENGTH or np.ptp(deviations) <= 1e-12 * np.abs(values).max():
        return Estimate(math.nan, math.nan)
    gamma = _autocovariance(deviations)
    tau, _ = _windowed(gamma, values.size)
    tau, width = _windowed(gamma + 2 * tau * gamma[0] / steps, values.size)
    if not 10 * tau < steps:
        return Estimate(math.nan, math.nan)
    expected = _variance_of_means(gamma[: width + 1], steps)
    if not expected > 0:
        return Estimate(math.nan, math.nan)
    found = float(values.mean(0).var(ddof=1) / expected)
    of_tau = 2 * math.sqrt(abs(width + 0.5 - tau) / values.size)
    return Estimate(found, math.hypot(math.sqrt(2 / (chains - 1)), found * of_tau))


def _variance_of_means(gamma: FloatArray, steps: int) -> float:
    """The variance of a chain's mean from Γ(0), .., Γ(W) of deviations from each chain's own mean.

    With c_i = Σ_j Γ(i-j)/n, the covariance of x_i and the mean, and v = Σ_i c_i/n, a deviation d_i = x_i - x̄ has
    <d_i d_i+t> = Γ(t) - c_i - c_i+t + v: linear in Γ, and solved for it.
    """
    lags = np.arange(len(gamma))
    i = np.arange(steps)[:, None]
    share = ((i >= lags) + (i + lags < steps).astype(float)) / steps
    share[:, 0] = 1 / steps
    v = share.mean(0)
    before = np.concatenate([np.zeros((1, len(lags))), share.cumsum(0)])
    both = (before[steps - lags] + before[-1] - before[lags]) / (steps - lags)[:, None]
    return float(v @ np.linalg.solve(np.eye(len(lags)) - both + v, gamma))
