"""How far a map of configurations carries the flip of one spin."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flowlab.estimators.estimate import Estimate, FloatArray, never


class Response(NamedTuple):
    """How outputs change when one input is flipped; see :func:`response`.

    Attributes:
        separation: (D,) distances |x - y| that occur on the torus, ascending from 0, in lattice spacings.
        probability: (D,) Estimate: P(σ_x changes | z_y is flipped), the mean over pairs at that distance. Where it was
            the same in all inputs, such as never, the error is that of one more input that differs.
        range: Estimate of √(<Σ_x |x-y|² c_x> / <Σ_x c_x>), the root mean square distance of what changes.
        reach: the largest distance at which anything changed.
        changed: Estimate of the mean number of spins that change.
    """

    separation: FloatArray
    probability: Estimate
    range: Estimate
    reach: float
    changed: Estimate


def response(before: ArrayLike, after: ArrayLike, flipped: ArrayLike) -> Response:
    """The response of every output to the flip of one input, against the distance between the two.

    Args:
        before: (n, h, w) outputs for n independent inputs, on a periodic lattice.
        after: (n, h, w) outputs for the same inputs with one site flipped in each.
        flipped: (n,) that site's number y w + x.

    Returns:
        Response; NaN for the range where nothing changes.

    Raises:
        ValueError: for shapes that do not fit, site numbers outside the lattice, or fewer than 2 inputs.

    >>> one = np.ones((2, 4, 4))
    >>> two = one.copy()
    >>> two[:, 1, 2] = -1  # the flip of site 6 changes site 6 alone
    >>> found = response(one, two, [6, 6])
    >>> found.probability.value.tolist(), found.reach
    ([1.0, 0.0, 0.0, 0.0, 0.0, 0.0], 0.0)
    """
    before, after, sites = np.asarray(before), np.asarray(after), np.asarray(flipped)
    if before.shape != after.shape or before.ndim != 3 or len(before) < 2:
        raise ValueError(
            f"before and after must have one shape (n, h, w) with n >= 2, got {before.shape}, {after.shape}"
        )
    n, h, w = before.shape
    if sites.shape != (n,) or not ((sites >= 0) & (sites < h * w)).all():
        raise ValueError(f"flipped must be {n} site numbers below {h * w}, got shape {sites.shape}")
    changed = _from_the_flipped(before != after, sites)
    y, x = np.arange(h)[:, None], np.arange(w)[None, :]
    square = np.minimum(y, h - y) ** 2 + np.minimum(x, w - x) ** 2
    distinct, place = np.unique(square.ravel(), return_inverse=True)
    members = np.eye(len(distinct))[place]
    each = changed @ members / members.sum(0)
    count, moment = changed.sum(1), changed @ square.ravel().astype(float)
    return Response(
        np.sqrt(distinct),
        Estimate(each.mean(0), np.where(np.ptp(each, axis=0) > 0, each.std(0, ddof=1) / np.sqrt(n), never(n))),
        _root_of_ratio(moment, count),
        float(np.sqrt(distinct[each.any(0)].max(initial=0))),
        Estimate(float(count.mean()), float(count.std(ddof=1) / np.sqrt(n))),
    )


def _from_the_flipped(changed: NDArray[np.bool_], sites: NDArray[np.intp]) -> FloatArray:
    """(n, h, w) -> (n, h w) with the flipped site moved to the origin."""
    n, h, w = changed.shape
    y = (np.arange(h)[None, :, None] + (sites // w)[:, None, None]) % h
    x = (np.arange(w)[None, None, :] + (sites % w)[:, None, None]) % w
    return np.asarray(changed[np.arange(n)[:, None, None], y, x].reshape(n, -1), dtype=np.float64)


def _root_of_ratio(a: FloatArray, b: FloatArray) -> Estimate:
    if not b.any():
        return Estimate(np.nan, np.nan)
    ratio = a.mean() / b.mean()
    error = (a - ratio * b).std(ddof=1) / np.sqrt(len(a)) / b.mean()
    value = float(np.sqrt(ratio))
    return Estimate(value, float(error / (2 * value)) if value > 0 else 0.0)
