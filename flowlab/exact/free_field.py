"""ln Z of Gaussian fields on periodic lattices."""

from __future__ import annotations

import math

import numpy as np

from flowlab.systems.free_field import FreeField


def gaussian_log_z(shape: tuple[int, ...], on_site: float, hopping: float) -> float:
    """ln Z of S = ½ on_site Σ_x φ_x² - hopping Σ_x Σ_μ φ_x φ_{x+μ} on a periodic lattice.

    ln Z = ½ Σ_q ln [2π / (on_site - 2 hopping Σ_μ cos q_μ)].

    Args:
        shape: sides of the lattice, any number of dimensions.
        on_site: twice the coefficient of φ_x².
        hopping: coefficient of each neighbouring pair.

    Raises:
        ValueError: where a mode is not stable, that is on_site <= 2 hopping Σ_μ cos q_μ for some q.

    >>> round(gaussian_log_z((3,), 1.0, 0.0) - 1.5 * math.log(2 * math.pi), 12)
    0.0
    """
    inverse = np.array(on_site)
    for side in shape:
        inverse = np.add.outer(inverse, -2 * hopping * np.cos(2 * math.pi * np.arange(side) / side))
    if not inverse.min() > 0:
        raise ValueError(f"every mode needs a positive inverse propagator, got {inverse.min():g} for one of them")
    return float(0.5 * np.log(2 * math.pi / inverse).sum())


def free_field_log_z(system: FreeField) -> float:
    """ln Z = ½ Σ_q ln [2π / (m² + q̂²)] of a free field, whole lattice.

    >>> round(free_field_log_z(FreeField((4, 4), mass=0.5)), 9)
    4.713276803
    """
    mass = float(system.couplings["mass"].detach())
    return gaussian_log_z(system.shape, mass**2 + 2 * len(system.shape), 1.0)
