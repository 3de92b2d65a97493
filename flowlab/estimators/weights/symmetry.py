"""Is the flip symmetry kept? The magnetization of every site, all of them together, and how often it is positive."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from flowlab.estimators.estimate import Estimate, FloatArray, never, student
from flowlab.estimators.series.blocks import ENOUGH, checked_configurations, time_blocks

ASYMMETRIC = 4  # errors by which a fraction may differ from 1/2
LOST = 0.05  # fraction below which a sign is hardly drawn


def site_magnetizations(s: ArrayLike) -> Estimate:
    """<s_i> of each site with its error.

    Args:
        s: (n, N) independent configurations of ±1, or (sets, n, N): then errors come from whole sets where there are 8
            or more, else from stretches of each set that are 8 of its τ long, at most 20.

    Returns:
        Estimate of two (N,) arrays. Of a spin that never changed the error is that of one more sample that differs.

    Raises:
        ValueError: for fewer than 2 configurations or stretches, or values other than ±1.

    >>> site_magnetizations([[1, 1], [1, -1]])
    Estimate(value=array([1., 0.]), error=array([0.4330127, 1.       ]))
    """
    rows = _independent_rows(s)
    error = rows.std(0, ddof=1) / np.sqrt(len(rows)) * (student(len(rows)) if np.ndim(s) == 3 else 1.0)
    return Estimate(rows.mean(0), np.where(np.ptp(rows, axis=0) > 0, error, 2 * never(len(rows))))


def symmetry_breaking(s: ArrayLike) -> float:
    """By how many standard deviations the magnetizations of all sites together differ from zero.

    n Σ_i <s_i>² is a sum of chi² with the eigenvalues of <s_i s_j> as weights; it is compared with one chi² of the
    same mean and variance (1/<q²> degrees of freedom), and its probability given as the z of a Gaussian: below 3 in a
    sampler with spin-flip symmetry, at most 37.

    Args:
        s: as :func:`site_magnetizations` takes it.

    >>> symmetry_breaking(np.ones((100, 8))) > 9, symmetry_breaking(np.repeat([[1], [-1]], 50, 0) * np.ones(8)) < 1
    (True, True)
    """
    from scipy import special

    rows = _independent_rows(s)
    k, n_sites = rows.shape
    gram = rows.T @ rows if k > n_sites else rows @ rows.T
    length2 = (rows**2).sum(1)
    if not length2.any():
        return 0.0
    trace = length2.mean()
    square = ((gram**2).sum() - (length2**2).sum()) / (k * (k - 1))
    freedom = float(np.clip(trace**2 / square, 1, n_sites)) if square > 0 else float(n_sites)
    chance = special.chdtrc(freedom, k * (rows.mean(0) ** 2).sum() * freedom / trace)
    return float(-special.ndtri(np.clip(chance, 1e-300, 1 - 1e-16)))


def positive_fraction(magnetization: ArrayLike) -> Estimate:
    """The fraction of samples with magnetization above zero: 1/2 in a sampler with φ -> -φ symmetry.

    k of n samples give k/n; a zero counts half. The error is that of a binomial with one more sample on either side,
    so that none is 0 where all samples have one sign.

    Args:
        magnetization: (n,) of independent samples, not weighted.

    Raises:
        ValueError: for another shape, no samples, or values that are not finite.

    >>> positive_fraction([-1.0, 2.0, 0.5, 0.5]).value
    0.75
    >>> round(positive_fraction(np.ones(9_998)).error, 6)
    0.0001
    """
    m = np.asarray(magnetization, dtype=np.float64)
    if m.ndim != 1 or m.size < 1 or not np.isfinite(m).all():
        raise ValueError(f"magnetization must be finite numbers along one axis, got shape {m.shape}")
    n, k = m.size, float((m > 0).sum() + 0.5 * (m == 0).sum())
    smoothed = (k + 1) / (n + 2)
    return Estimate(k / n, float(np.sqrt(smoothed * (1 - smoothed) / (n + 2))))


def sign_lost(positive: Estimate) -> bool:
    """Whether one sign of M is in fewer than 5 % of the samples, beyond chance."""
    rarer = min(positive.value, 1 - positive.value)
    return bool(rarer < LOST and 0.5 - rarer > ASYMMETRIC * positive.error)


def sign_note(positive: Estimate) -> str:
    """What to say where the signs of M are not equally frequent within 4 errors, and how to mend it; else nothing.

    >>> sign_note(Estimate(0.51, 0.01))
    ''
    >>> sign_note(Estimate(0.6, 0.01)).split(":")[0]
    'M > 0 in 60 ± 1 % of the samples and not in half of them'
    """
    if abs(positive.value - 0.5) <= ASYMMETRIC * positive.error:
        return ""
    what = (
        "a sign that it hardly draws is missing from every estimate"
        if sign_lost(positive)
        else ("the weights make up for it, at a lower ESS")
    )
    return (
        f"M > 0 in {100 * positive.value:.4g} ± {100 * positive.error:.2g} % of the samples and not in half of them: "
        f"the density breaks the symmetry φ -> -φ, and {what}; odd layers keep it exactly"
    )


def _independent_rows(s: ArrayLike) -> FloatArray:
    """(k, N) independent configurations, or means over stretches of each set."""
    c = checked_configurations(s, smallest=1)
    rows = c.spins.astype(np.float64)
    if c.length > 1:
        of_time = 1 if c.sets >= ENOUGH else time_blocks(c)
        starts = np.linspace(0, c.length, max(of_time, -(-2 // c.sets)) + 1).astype(int)
        sums = np.add.reduceat(rows.reshape(c.sets, c.length, -1), starts[:-1], axis=1)
        rows = (sums / np.diff(starts)[:, None]).reshape(-1, rows.shape[1])
    if len(rows) < 2:
        raise ValueError(f"s must hold at least 2 configurations, got shape {np.shape(s)}")
    return rows
