"""Thermodynamics of spins from weighted samples, with errors of the nonlinear functions of means.

An error here is that of the function linearised at the means: the reweighted error of Σ_a ∂F/∂<g_a> g_a.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from flowlab.estimators.estimate import Estimate
from flowlab.estimators.weights.weights import reweighted


def spin_observables(
    energy_per_site: ArrayLike, magnetization: ArrayLike, *, n_sites: int, T: float, log_w: ArrayLike | None = None
) -> dict[str, Estimate]:
    """Energy and specific heat per site, and all of :func:`magnetization_observables`.

    ``energy_per_site`` <e>; ``specific_heat`` = N (<e²> - <e>²) / T², per site.

    Args:
        energy_per_site: (n,) e = E/N in units of J.
        magnetization: (n,) m = Σs/N, with its sign.
        n_sites: number of sites N.
        T: temperature in units of J / k_B, positive.
        log_w: (n,) log_weight - log_q of independent draws from q; None for independent samples of the target.

    Returns:
        name -> Estimate.

    Raises:
        ValueError: for T <= 0 and for what :func:`flowlab.estimators.weights.weights.reweighted` refuses.

    >>> spin_observables([-2.0, -2.0, -1.0, -1.0], [1.0, -1.0, 0.0, 0.0], n_sites=4, T=1.0)["specific_heat"].value
    1.0
    """
    if not T > 0:
        raise ValueError(f"T must be positive, got {T}")
    e = np.asarray(energy_per_site, dtype=np.float64)
    log_w = np.zeros(len(e)) if log_w is None else log_w
    energy = reweighted(e, log_w=log_w)
    variance = reweighted((e - energy.value) ** 2, log_w=log_w)
    scale = n_sites / T**2
    heat = Estimate(scale * variance.value, scale * variance.error)
    return {
        "energy_per_site": energy,
        "specific_heat": heat,
        **magnetization_observables(magnetization, n_sites=n_sites, log_w=log_w),
    }


def magnetization_observables(
    magnetization: ArrayLike, *, n_sites: int, log_w: ArrayLike | None = None
) -> dict[str, Estimate]:
    """What follows from the distribution of the magnetization m per site.

    ``abs_magnetization`` <|m|>; ``susceptibility`` N <m²>; ``susceptibility_connected`` N (<m²> - <|m|>²); ``binder``
    1 - <m⁴> / (3 <m²>²), which is 2/3 in an ordered phase and 0 for a Gaussian m; NaN where every m is 0.

    Args:
        magnetization: (n,) m, with its sign.
        n_sites: number of sites N.
        log_w: (n,) log_weight - log_q of independent draws from q; None for independent samples of the target.

    Returns:
        name -> Estimate.

    Raises:
        ValueError: for what :func:`flowlab.estimators.weights.weights.reweighted` refuses.

    >>> found = magnetization_observables([1.0, -1.0], n_sites=16)
    >>> found["susceptibility"].value, found["susceptibility_connected"].value, round(found["binder"].value, 6)
    (16.0, 0.0, 0.666667)
    """
    m = np.asarray(magnetization, dtype=np.float64)
    log_w = np.zeros(len(m)) if log_w is None else log_w
    modulus = reweighted(np.abs(m), log_w=log_w)
    square = reweighted(m**2, log_w=log_w)
    variance = reweighted((np.abs(m) - modulus.value) ** 2, log_w=log_w)
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
    fourth = reweighted(u**2, log_w=log_w).value
    error = reweighted((2 * fourth * u - u**2) / 3, log_w=log_w).error
    return Estimate(1 - fourth / 3, error)
