"""Majority-blocked spins, and how much one configuration looks like another."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from flowlab.estimators.estimate import Estimate, FloatArray


def majority(s: ArrayLike, side: int) -> FloatArray:
    """The sign of the sum over a square window around every site of a periodic lattice; 1 gives the spins back.

    Args:
        s: (..., n, m) spins of ±1.
        side: of the window, odd and at most the shorter side of the lattice, so that there are no ties.

    Returns:
        (..., n, m) of ±1.

    Raises:
        ValueError: for an even side, or one larger than the lattice.

    >>> s = np.ones((4, 4))
    >>> s[1, 2] = -1
    >>> majority(s, 3).min()  # one flipped spin is outvoted
    np.float64(1.0)
    """
    s = np.asarray(s, dtype=np.float64)
    if s.ndim < 2 or side < 1 or side % 2 == 0 or side > min(s.shape[-2:]):
        raise ValueError(f"side must be odd and at most that of the lattice, got {side} for shape {s.shape}")
    reach = range(-(side // 2), side // 2 + 1)
    rows = sum((np.roll(s, step, axis=-1) for step in reach), np.zeros_like(s))
    return np.asarray(np.sign(sum((np.roll(rows, step, axis=-2) for step in reach), np.zeros_like(s))))


def overlap(a: ArrayLike, b: ArrayLike) -> Estimate:
    """Mean over samples of (1/N) Σ_x a_x b_x, 1 for equal spins, with its standard error.

    Args:
        a, b: (n, *shape) spins of ±1, n >= 2.

    Returns:
        Estimate of two floats.

    Raises:
        ValueError: for different shapes, or fewer than 2 samples.

    >>> overlap(np.ones((2, 4)), [[1, 1, 1, -1], [1, 1, 1, -1]])
    Estimate(value=0.5, error=0.0)
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.shape != b.shape or a.ndim < 2 or len(a) < 2:
        raise ValueError(f"a and b must have one shape (n, *shape) with n >= 2, got {a.shape} and {b.shape}")
    each = (a * b).reshape(len(a), -1).mean(1)
    return Estimate(float(each.mean()), float(each.std(ddof=1) / np.sqrt(len(a))))
