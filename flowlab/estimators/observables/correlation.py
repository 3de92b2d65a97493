"""Two-point functions of configurations on a periodic lattice."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from flowlab.estimators.estimate import Estimate, FloatArray
from flowlab.estimators.weights.weights import reweighted


def correlation_function(
    configurations: ArrayLike, *, lattice_dims: int = 2, log_w: ArrayLike | None = None, vectors: bool = False
) -> Estimate:
    """C(r) = <s_x s_{x+r}> along the axes of a periodic lattice, not connected, for r = 0 .. L/2.

    Averaged over sites, axes and samples by FFT; on a lattice of unequal sides, L is the shortest. The error is the
    standard error over samples, taken as independent. Sites that are NaN are left out: the average is over the pairs
    of sites that are there, NaN at distances that no pair has.

    Args:
        configurations: (..., n, *shape), n >= 2 samples; ±1 spins or real fields, NaN where unknown.
        lattice_dims: number of axes of ``shape``.
        log_w: (..., n) log weights to reweight with, or None for plain means; (n,) serves every leading index.
        vectors: whether the first axis holds the components of vectors, whose scalar products are averaged.

    Returns:
        Estimate of two (..., L//2 + 1) arrays, in the units of the field squared.

    Raises:
        ValueError: for too few axes, fewer than 2 samples, or log weights that do not fit.

    >>> board = np.where(np.indices((4, 4)).sum(0) % 2, 1.0, -1.0)
    >>> correlation_function([board, -board]).value.tolist()
    [1.0, -1.0, 1.0]
    """
    fields = np.asarray(configurations, dtype=np.float64)
    if lattice_dims < 1 or fields.ndim < lattice_dims + 1 + vectors:
        shape = "(k, ..., n, *shape)" if vectors else "(..., n, *shape)"
        raise ValueError(f"configurations must have shape {shape} with {lattice_dims} sides, got {fields.shape}")
    n = fields.shape[-lattice_dims - 1]
    if n < 2:
        raise ValueError(f"an error needs at least 2 samples, got {n}")
    each = _per_sample(fields, lattice_dims)
    each = each.sum(0) if vectors else each
    if log_w is None:
        return Estimate(each.mean(-2), each.std(-2, ddof=1) / np.sqrt(n))
    log_w = np.asarray(log_w, dtype=np.float64)
    if log_w.shape not in ((n,), each.shape[:-1]):
        raise ValueError(f"log_w must have shape ({n},) or {each.shape[:-1]}, got {log_w.shape}")
    weights = np.broadcast_to(log_w, each.shape[:-1])
    value, error = np.empty((2, *each.shape[:-2], each.shape[-1]))
    for index in np.ndindex(each.shape[:-2]):
        value[index], error[index] = reweighted(each[index], log_w=weights[index])
    return Estimate(value, error)


def _per_sample(fields: FloatArray, lattice_dims: int) -> FloatArray:
    """(..., n, *shape) -> (..., n, L//2 + 1): s_x s_{x+r} averaged over the sites and axes of each sample."""
    unknown = np.isnan(fields)
    if not unknown.any():
        return _sum_over_pairs(fields, lattice_dims) / (lattice_dims * math.prod(fields.shape[-lattice_dims:]))
    total = _sum_over_pairs(np.where(unknown, 0.0, fields), lattice_dims)
    pairs = np.rint(_sum_over_pairs((~unknown).astype(np.float64), lattice_dims))
    return np.where(pairs > 0, total / np.maximum(pairs, 1.0), np.nan)


def _sum_over_pairs(fields: FloatArray, lattice_dims: int) -> FloatArray:
    """(..., n, *shape) -> (..., n, L//2 + 1): s_x s_{x+r} summed over the sites and axes of each sample."""
    axes = tuple(range(-lattice_dims, 0))
    distances = min(fields.shape[axis] for axis in axes) // 2 + 1
    total = np.zeros((*fields.shape[:-lattice_dims], distances))
    for axis in axes:
        length = fields.shape[axis]
        lines = np.moveaxis(fields, axis, -1)
        power = np.abs(np.fft.rfft(lines, axis=-1)) ** 2
        power = power.sum(axis=tuple(range(-lattice_dims, -1)))  # over the lattice's other axes
        total += np.fft.irfft(power, n=length, axis=-1)[..., :distances]
    return total
