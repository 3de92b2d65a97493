"""What the layers of a flow do to the free energy: the work of each layer on the same samples.

A flow takes q_0, the density of its latents, to q_1, ... q_L. Along one sample, log_w_l = log_weight(x_l) - ln q_l(x_l)
is minus the reduced free energy of that sample, and the work of layer l is W_l = T (log_w_{l-1} - log_w_l): the change
of energy, for maps without a Jacobian. Its mean is the change ΔF_l of the variational free energy. The exponential mean
of log_w is ln Z after every layer (Jarzynski 1997, arXiv:cond-mat/9610209, for one step of a bijection without heat).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from flowlab.estimators.estimate import Estimate, FloatArray, checked_log_w, relative_weights
from flowlab.estimators.weights.weights import ess, log_z


class Work(NamedTuple):
    """Free energies along L layers; see :func:`work`. Every entry is an Estimate of arrays.

    Attributes:
        free_energy_bound: (L+1,) F_var[q_l] = -T <log_w_l>, latents first.
        change: (L,) ΔF_l = F_var[q_l] - F_var[q_{l-1}], from differences on the same samples.
        variance: (L,) variance of the work of each layer, in units of energy squared.
        log_z: (L+1,) ln of the mean of exp(log_w_l), in nats; ln Z wherever the ESS is enough to see it.
        log_z_change: (L,) its change over each layer, with the error of the difference: zero by Jarzynski's equality.
        ess: (L+1,) effective sample size as a fraction.
    """

    free_energy_bound: Estimate
    change: Estimate
    variance: Estimate
    log_z: Estimate
    log_z_change: Estimate
    ess: Estimate


def work(log_w: ArrayLike, *, T: float = 1.0) -> Work:
    """Free energy, work and Jarzynski's check after every layer of a flow.

    Args:
        log_w: (L+1, n) log_weight(x_l) - ln q_l(x_l) of the same n independent samples after each layer, latents first.
        T: temperature in units of energy; the default leaves free energies in units of T.

    Returns:
        Work. The change of ln Z is an honest check only where the ESS of both layers is not small: an exponential mean
        of few effective samples lies low by more than its error says.

    Raises:
        ValueError: for another shape, weights that are not finite, or T <= 0.

    >>> found = work([[0.0, 2.0], [1.0, 3.0]], T=2.0)
    >>> found.free_energy_bound.value.tolist(), found.change.value.tolist(), found.change.error.tolist()
    ([-2.0, -4.0], [-2.0], [0.0])
    """
    rows = _checked(log_w, T)
    n = rows.shape[1]
    done = T * (rows[:-1] - rows[1:])
    mean = done.mean(1)
    square = (done - mean[:, None]) ** 2
    influence = np.stack([relative_weights(row)[0] for row in rows])
    influence /= influence.mean(1, keepdims=True)
    ln_z, sizes = [log_z(row) for row in rows], [ess(row) for row in rows]
    z = np.array([value for value, _ in ln_z])
    return Work(
        Estimate(-T * rows.mean(1), T * _error(rows)),
        Estimate(mean, _error(done)),
        Estimate(square.sum(1) / (n - 1), _error(square)),
        Estimate(z, np.array([error for _, error in ln_z])),
        Estimate(np.diff(z), _error(np.diff(influence, axis=0))),
        Estimate(np.array([value for value, _ in sizes]), np.array([error for _, error in sizes])),
    )


def work_distribution(log_w: ArrayLike, *, T: float = 1.0, bins: int = 40) -> tuple[FloatArray, Estimate]:
    """The distribution of the work of each layer over samples, in bins that all layers share.

    Args:
        log_w, T: as in :func:`work`.
        bins: their largest number, between the smallest and the largest work.

    Returns:
        (b,) centres in units of energy, and an Estimate of two (L, b) arrays: the fraction of samples in a bin.

    Raises:
        ValueError: see :func:`work`; also for fewer than 1 bin.

    >>> centres, found = work_distribution([[0.0, 2.0], [1.0, 4.0]], bins=2)
    >>> centres.tolist(), found.value.tolist()
    ([-2.0, -1.0], [[0.5, 0.5]])
    """
    rows = _checked(log_w, T)
    if bins < 1:
        raise ValueError(f"bins must be at least 1, got {bins}")
    done = T * (rows[:-1] - rows[1:])
    edges = _edges(done, bins)
    place = np.clip(np.searchsorted(edges, done, side="right") - 1, 0, len(edges) - 2)
    counts = [np.bincount(row, minlength=len(edges) - 1) for row in place]
    fraction = np.array(counts).reshape(len(done), -1) / rows.shape[1]
    error = np.sqrt(fraction * (1 - fraction) / rows.shape[1])
    return np.asarray((edges[:-1] + edges[1:]) / 2), Estimate(fraction, error)


def _edges(done: FloatArray, bins: int) -> FloatArray:
    """At most bins + 1 edges; where energies come in steps, each bin holds the same number of steps."""
    size = max(float(np.abs(done).max(initial=0.0)), 1e-9)
    values = np.unique(done)
    values = values[np.append(True, np.diff(values) > 1e-4 * size)[: len(values)]]
    if len(values) < 2:
        return float(values.sum()) + np.array([-0.5, 0.5])
    gap = np.diff(values).min()
    steps = (values - values[0]) / gap
    if steps[-1] > 1e5 or np.abs(steps - np.round(steps)).max() > 0.01:
        return np.linspace(values[0], values[-1], bins + 1)
    steps = np.round(steps)
    each = np.ceil((steps[-1] + 1) / bins)
    return np.asarray(values[0] - gap / 2 + gap * each * np.arange(np.ceil((steps[-1] + 1) / each) + 1))


def _checked(log_w: ArrayLike, T: float) -> FloatArray:
    rows = np.asarray(log_w, dtype=np.float64)
    if rows.ndim != 2 or len(rows) < 1:
        raise ValueError(f"log_w must have shape (layers + 1, n), got {rows.shape}")
    if not T > 0:
        raise ValueError(f"T must be positive, got {T}")
    for row in rows:
        checked_log_w(row)
    if np.isneginf(rows).any():
        raise ValueError("log_w must be finite: the target forbids some of the samples")
    return rows


def _error(rows: FloatArray) -> FloatArray:
    return np.asarray(rows.std(1, ddof=1) / np.sqrt(rows.shape[1]))
