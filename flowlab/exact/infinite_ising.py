"""The Ising model on the infinite square lattice, after Onsager and Yang."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from flowlab.systems import CRITICAL_TEMPERATURE

K_C = 0.4406867935097715  # ln(1 + √2) / 2 as a double ...
K_C_REST = -1.1252729464129330e-17  # ... and what the double leaves out


class OnsagerExact(NamedTuple):
    """Exact thermodynamics of the infinite Ising lattice without field; every number is per site.

    Attributes:
        log_z: ln Z / N.
        free_energy: F / N = -ln Z / (beta N), in units of J.
        energy: U / N.
        specific_heat: C / N = beta² Var(E) / N, in units of k_B; infinite at T_c.
        magnetization: spontaneous order parameter in [0, 1]; of the sublattices against each other where J < 0.
    """

    log_z: float
    free_energy: float
    energy: float
    specific_heat: float
    magnetization: float


def inverse_temperature(beta: float | None, T: float | None) -> float:
    """1/T, of which one is given, as beta or as T.

    Raises:
        ValueError: for both or neither, or a T that is not positive.

    >>> inverse_temperature(None, 2.0)
    0.5
    """
    if (beta is None) == (T is None):
        raise ValueError(f"give beta or T, one of the two, got beta = {beta} and T = {T}")
    if beta is not None:
        return beta
    if T is None or not T > 0:
        raise ValueError(f"T must be a positive number, got {T}")
    return 1 / T


def critical_temperature(J: float = 1.0) -> float:
    """T_c = 2|J| / ln(1 + √2), in units of J / k_B (Onsager 1944).

    >>> round(critical_temperature(), 6)
    2.269185
    """
    return CRITICAL_TEMPERATURE * abs(J)


def onsager(beta: float | None = None, J: float = 1.0, *, T: float | None = None) -> OnsagerExact:
    """Per-site ln Z, free energy, energy, specific heat and spontaneous magnetization at inverse temperature ``beta``.

    With K = beta |J|, s = sinh 2K, κ' = tanh ln s and the complete elliptic integrals K1, E1 of modulus √(1 - κ'²):

        ln Z / N = 1/2π ∫ ln[√h + √(h + 2s)] dk over -π..π,  h = (1-s)² + 2s sin²(k/2)
        U / N    = -|J| coth 2K [1 + (2/π) κ' K1]
        C / N    = (4/π) (K coth 2K)² {K1 - E1 - (1 - tanh² 2K) [π/2 + κ' K1]}
        M        = (1 - s⁻⁴)^(1/8) below T_c, else 0

    Good to 12 digits for 0.5 < T/|J| < 50, outside to about 1e-15 T/|J| and 1e-15 max(1, beta²) in energy and C.

    Args:
        beta: inverse temperature 1/T, positive, in units of k_B / J; or T in its place.
        J: exchange coupling of either sign, not 0; both signs have the same energies.

    Raises:
        ValueError: for a beta or J that makes no sense.

    Source: L. Onsager, Phys. Rev. 65, 117 (1944); C. N. Yang, Phys. Rev. 85, 808 (1952).

    >>> ising = onsager(T=2.0)
    >>> round(ising.log_z, 9), round(ising.energy, 9), round(ising.magnetization, 6)
    (1.025792813, -1.745564575, 0.911319)
    """
    from scipy.special import ellipe, ellipkm1  # slow to import

    beta = inverse_temperature(beta, T)
    if not (math.isfinite(beta) and beta > 0):
        raise ValueError(f"beta must be a positive number, got {beta}")
    if not (math.isfinite(J) and J != 0):
        raise ValueError(f"J must be a finite number other than 0, got {J}")
    K = beta * abs(J)
    x = math.exp(-2 * K)
    tanh, sech = math.tanh(2 * K), 2 * x / (1 + x**2)  # of 2K
    log_s = _log_sinh_2k(K)
    modulus = math.tanh(log_s)  # κ', which vanishes at T_c
    k1, e1 = float(ellipkm1(modulus**2)), float(ellipe(1 - modulus**2))
    bracket = modulus * k1 if modulus else 0.0
    energy = -abs(J) / tanh * (1 + 2 / math.pi * bracket)
    heat = 4 / math.pi * (K / tanh) ** 2 * (k1 - e1 - sech**2 * (math.pi / 2 + bracket))
    magnetization = (-math.expm1(-4 * log_s)) ** 0.125 if log_s > 0 else 0.0
    log_z = _log_z(log_s)
    return OnsagerExact(log_z, -log_z / beta, energy, max(heat, 0.0), magnetization)


def _log_sinh_2k(K: float) -> float:
    """ln sinh 2K, near its zero at K_c with all the digits of K - K_c, which C shows as its logarithm."""
    distance = (K - K_C) - K_C_REST
    if abs(distance) < 0.1:
        return math.log1p(2 * math.cosh(K + K_C) * math.sinh(distance))
    return 2 * K + math.log(-math.expm1(-4 * K) / 2)


def _log_z(log_s: float) -> float:
    """ln Z / N: the integral over each of 50 panels that halve towards k = 0, where the integrand has a kink at T_c."""
    q = math.exp(-abs(log_s))
    nodes, weights = np.polynomial.legendre.leggauss(20)
    edges = math.pi * np.append(0.5 ** np.arange(50), 0.0)
    centre, half = (edges[:-1] + edges[1:]) / 2, (edges[:-1] - edges[1:]) / 2
    k = centre[:, None] + half[:, None] * nodes
    h = (1 - q) ** 2 + 2 * q * np.sin(k / 2) ** 2
    integral = half @ np.log(np.sqrt(h) + np.sqrt(h + 2 * q)) @ weights
    return max(log_s, 0.0) + float(integral) / math.pi
