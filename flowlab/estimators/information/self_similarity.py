"""Do the layers of a flow do the same job? Their masks and their networks on the same inputs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from flowlab.estimators.estimate import Estimate, FloatArray
from flowlab.estimators.series.jackknife import jackknife, starts


class Agreement(NamedTuple):
    """How often the masks of L layers agree; see :func:`mask_agreement`.

    Attributes:
        fraction: (L, L) Estimate of the fraction of sites and inputs on which two masks are equal.
        chance: (L, L) what masks with the same mean at every site would reach if they knew nothing of each other.
        flips: (L,) Estimate of the fraction of sites that a layer flips: 0 for an idle one.
    """

    fraction: Estimate
    chance: FloatArray
    flips: Estimate


def mask_agreement(masks: ArrayLike) -> Agreement:
    """Agreement of the masks of different layers on the same inputs, site by site.

    Args:
        masks: (L, n, M) of ±1: the mask of each of L layers at M sites on n >= 2 independent inputs.

    Returns:
        Agreement. Compare ``fraction`` with ``chance``: idle layers agree in all and say nothing.

    Raises:
        ValueError: for another shape, or values other than ±1.

    >>> found = mask_agreement([[[1, -1], [1, 1]], [[1, -1], [-1, 1]]])
    >>> found.fraction.value.tolist(), found.flips.value.tolist()
    ([[1.0, 0.75], [0.75, 1.0]], [0.25, 0.5])
    """
    m = np.asarray(masks, dtype=np.float64)
    if m.ndim != 3 or m.shape[1] < 2:
        raise ValueError(f"masks must have shape (layers, n, sites) with n >= 2, got {m.shape}")
    if not (np.abs(m) == 1).all():
        raise ValueError("masks must be -1 or +1")
    n = m.shape[1]
    each = np.einsum("anm,bnm->abn", m, m, optimize=True) / m.shape[2]
    means = m.mean(1)
    flips = (1 - m.mean(2)) / 2
    return Agreement(
        Estimate((1 + each.mean(-1)) / 2, each.std(-1, ddof=1) / 2 / np.sqrt(n)),
        (1 + means @ means.T / m.shape[2]) / 2,
        Estimate(flips.mean(1), flips.std(1, ddof=1) / np.sqrt(n)),
    )


def kernel_alignment(outputs: ArrayLike) -> Estimate:
    """Linear centred kernel alignment of the outputs of different layers on the same inputs.

    CKA(X, Y) = |X^T Y|² / (|X^T X| |Y^T Y|) with centred columns and Frobenius norms: 1 where outputs are equal up to a
    rotation and a factor, 0 where they are uncorrelated. Bias of order M/n is removed by a jackknife over 20 blocks of
    inputs, which gives the error too.

    Args:
        outputs: (L, n, M) outputs of L layers at M sites on n independent inputs, n well above M.

    Returns:
        Estimate of two (L, L) arrays; NaN where a layer's output does not depend on its input.

    Raises:
        ValueError: for another shape.

    Source: Kornblith et al. 2019, arXiv:1905.00414.

    >>> x = np.random.default_rng(0).normal(size=(100, 3))
    >>> kernel_alignment([x, 2 * x[:, ::-1]]).value.round(6).tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """
    X = np.asarray(outputs, dtype=np.float64)
    if X.ndim != 3 or X.shape[1] < 2:
        raise ValueError(f"outputs must have shape (layers, n, sites) with n >= 2, got {X.shape}")
    layers = len(X)
    X = X - X.mean(1, keepdims=True)
    size = np.sqrt((X**2).mean((1, 2)))
    idle = size < 1e-9
    X = X / np.where(idle, 1.0, size)[:, None, None]
    value, error = np.ones((2, layers, layers))
    for a in range(layers):
        for b in range(a, layers):
            value[a, b], error[a, b] = _alignment(X[a], X[b]) if not idle[[a, b]].any() else (np.nan, np.nan)
            value[b, a], error[b, a] = value[a, b], error[a, b]
    return Estimate(value, error)


def _alignment(x: FloatArray, y: FloatArray) -> Estimate:
    both, m = np.concatenate([x, y], axis=1), x.shape[1]
    begin = starts(len(both))
    parts = [np.concatenate([p.T @ p, p.sum(0)[None], np.full((1, 2 * m), len(p))]) for p in np.split(both, begin[1:])]

    def aligned(sums: FloatArray) -> float:
        mean = sums[-2] / sums[-1]
        c = sums[:-2] - sums[-1] * np.outer(mean, mean)
        return float((c[:m, m:] ** 2).sum() / np.sqrt((c[:m, :m] ** 2).sum() * (c[m:, m:] ** 2).sum()))

    return jackknife(np.stack(parts), aligned, corrected=True)
