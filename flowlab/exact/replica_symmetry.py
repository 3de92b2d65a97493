"""The Sherrington-Kirkpatrick model in a field, N to infinity, where all replicas are alike; and where they are not."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

HALF_WIDTH, POINTS = 10.0, 20_001
"""Of the integral over a unit Gaussian: at T = 0.01 a tanh still has 20 points across its step."""
COLDEST = 0.01


class ReplicaSymmetric(NamedTuple):
    """The replica-symmetric solution per site, in units of J.

    Attributes:
        overlap: q = ∫Dz tanh²[β (√q z + h)].
        magnetization: m = ∫Dz tanh[β (√q z + h)].
        free_energy: f = -(β/4)(1 - q)² - T ∫Dz ln 2cosh[β (√q z + h)].
        energy: e = -(β/2)(1 - q²) - h m.
        entropy: s = (e - f)/T; negative where the solution is wrong beyond doubt.
        eigenvalue: 1 - β² ∫Dz cosh⁻⁴[β (√q z + h)] of de Almeida and Thouless: below 0 replica symmetry is broken.
        susceptibility: of a spin glass, χ_SG = N Σ (<s_i s_j> - <s_i><s_j>)² / N², that is ∫Dz cosh⁻⁴ / eigenvalue;
            infinite where replica symmetry is broken. Without a field it is N<q²>.
    """

    overlap: float
    magnetization: float
    free_energy: float
    energy: float
    entropy: float
    eigenvalue: float
    susceptibility: float

    @property
    def note(self) -> str:
        """What is wrong with it, empty above the line of de Almeida and Thouless."""
        if self.eigenvalue >= 0:
            return ""
        broken = "below the de Almeida-Thouless line replica symmetry is broken: f lies too high there"
        return broken + (f", and the entropy {self.entropy:.3g} is negative, which none can be" * (self.entropy < 0))


def replica_symmetric(T: float, h: float = 0.0) -> ReplicaSymmetric:
    """The replica-symmetric solution at temperature T in the field h, for couplings J_ij ~ N(0, 1/N).

    Exact above the line of de Almeida and Thouless (:func:`almeida_thouless`), where the attribute ``note`` is empty.

    Args:
        T: temperature, at least 0.01.
        h: field, the same on all sites.

    Raises:
        ValueError: for T below 0.01 or a field that is not finite.

    Source: D. Sherrington, S. Kirkpatrick, Phys. Rev. Lett. 35, 1792 (1975); J. de Almeida, D. Thouless, J. Phys. A 11,
    983 (1978).

    >>> found = replica_symmetric(2.0)
    >>> round(found.free_energy, 6), found.overlap, round(found.susceptibility, 6), found.note
    (-1.511294, 0.0, 1.333333, '')
    >>> replica_symmetric(0.1).note.split(": ")[0]
    'below the de Almeida-Thouless line replica symmetry is broken'
    """
    from scipy.optimize import brentq  # slow to import

    if not (math.isfinite(T) and T >= COLDEST):
        raise ValueError(f"T must be at least {COLDEST}, got {T}")
    if not math.isfinite(h):
        raise ValueError(f"h must be a finite number, got {h}")
    if h == 0 and T >= 1:
        q = 0.0
    else:
        q = float(brentq(lambda q: _mean(np.tanh(_u(q, T, h)) ** 2) - q, 1e-14 if h == 0 else 0.0, 1.0, xtol=1e-15))
    u = _u(q, T, h)
    m, quartic = _mean(np.tanh(u)), _mean(np.cosh(np.clip(u, -300, 300)) ** -4.0)
    f = -((1 - q) ** 2) / (4 * T) - T * _mean(np.logaddexp(u, -u))
    e = -(1 - q**2) / (2 * T) - h * m
    eigenvalue = 1 - quartic / T**2
    return ReplicaSymmetric(q, m, f, e, (e - f) / T, eigenvalue, quartic / eigenvalue if eigenvalue > 0 else math.inf)


def almeida_thouless(h: float) -> float:
    """The temperature below which replica symmetry is broken in the field h: 1 without one, falling with it.

    Args:
        h: field; its sign makes no difference. Up to 2.5, where the line is above T = 0.02.

    Raises:
        ValueError: for a larger field.

    >>> almeida_thouless(0.0), round(almeida_thouless(0.5), 4)
    (1.0, 0.5351)
    """
    from scipy.optimize import brentq  # slow to import

    h = abs(h)
    if not h <= 2.5:
        raise ValueError(f"h must be at most 2.5, got {h}")
    if h == 0:
        return 1.0
    return float(brentq(lambda T: replica_symmetric(T, h).eigenvalue, 2 * COLDEST, 1.0, xtol=1e-10))


_Z = np.linspace(-HALF_WIDTH, HALF_WIDTH, POINTS)
_DZ = np.exp(-(_Z**2) / 2) / np.exp(-(_Z**2) / 2).sum()


def _u(q: float, T: float, h: float) -> NDArray[np.float64]:
    return np.asarray((math.sqrt(q) * _Z + h) / T)


def _mean(values: NDArray[np.float64]) -> float:
    """∫Dz of values at the points; the trapezoidal rule is exact to rounding for such functions."""
    return float(_DZ @ values)
