"""Thermodynamics of spins from weighted samples, with errors of the nonlinear functions of means.

An error here is that of the function linearised at the means: the reweighted error of Σ_a ∂F/∂<g_a> g_a.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from flowlab.estimators.weights import Estimate, reweighted


def spin_observables(
    log_w: ArrayLike, energy_per_site: ArrayLike, magnetization: ArrayLike, n_sites: int, T: float
) -> dict[str, Estimate]:
    """Energy and specific heat per site, and all of :func:`magnetization_observables`.

    ``energy_per_site`` <e>; ``specific_heat`` = N (<e²> - <e>²) / T², per site.

    Args:
        log_w: (n,) log_weight - log_q of independent draws from q; zeros for unweighted samples.
        energy_per_site: (n,) e = E/N in units of J.
        magnetization: (n,) m = Σs/N, with its sign.
        n_sites: number of sites N.
        T: temperature in units of J / k_B, positive.

    Returns:
        name -> Estimate.

    Raises:
        ValueError: for T <= 0 and for what :func:`flowlab.estimators.weights.reweighted` refuses.

    >>> spin_observables(np.zeros(4), [-2.0, -2.0, -1.0, -1.0], [1.0, -1.0, 0.0, 0.0], 4, T=1.0)["specific_heat"].value
    1.0
    """
    if not T > 0:
        raise ValueError(f"T must be positive, got {T}")
    e = np.asarray(energy_per_site, dtype=np.float64)
    energy = reweighted(log_w, e)
    variance = reweighted(log_w, (e - energy.value) ** 2)
    scale = n_sites / T**2
    heat = Estimate(scale * variance.value, scale * variance.error)
    return {
        "energy_per_site": energy,
        "specific_heat": heat,
        **magnetization_observables(log_w, magnetization, n_sites),
    }


def magnetization_observables(log_w: ArrayLike, magnetization: ArrayLike, n_sites: int) -> dict[str, Estimate]:
    """What follows from the distribution of the magnetization m per site.

    ``abs_magnetization`` <|m|>; ``susceptibility`` N <m²>; ``susceptibility_connected`` N (<m²> - <|m|>²); ``binder``
    1 - <m⁴> / (3 <m²>²), which is 2/3 in an ordered phase and 0 for a Gaussian m; NaN where every m is 0.

    Args:
        log_w: (n,) log_weight - log_q of independent draws from q; zeros for unweighted samples.
        magnetization: (n,) m, with its sign.
        n_sites: number of sites N.

    Returns:
        name -> Estimate.

    Raises:
        ValueError: for what :func:`flowlab.estimators.weights.reweighted` refuses.

    >>> found = magnetization_observables(np.zeros(2), [1.0, -1.0], 16)
    >>> found["susceptibility"].value, found["susceptibility_connected"].value, round(found["binder"].value, 6)
    (16.0, 0.0, 0.666667)
    """
    m = np.asarray(magnetization, dtype=np.float64)
    modulus = reweighted(log_w, np.abs(m))
    square = reweighted(log_w, m**2)
    variance = reweighted(log_w, (np.abs(m) - modulus.value) ** 2)
    return {
        "abs_magnetization": modulus,
        "susceptibility": Estimate(n_sites * square.value, n_sites * square.error),
        "susceptibility_connected": Estimate(n_sites * variance.value, n_sites * variance.error),
        "binder": _binder(log_w, m, square.value),
    }


def _binder(log_w: ArrayLike, m: np.ndarray, square: float) -> Estimate:
    if square == 0:
        return Estimate(np.nan, np.nan)
    u = m**2 / square  # so that m^4 cannot underflow: the cumulant is 1 - <u²>/3 with <u> = 1
    fourth = reweighted(log_w, u**2).value
    error = reweighted(log_w, (2 * fourth * u - u**2) / 3).error
    return Estimate(1 - fourth / 3, error)
