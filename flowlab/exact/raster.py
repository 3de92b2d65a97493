"""What a spin knows of those before it in raster order, exactly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
LARGEST = 10
SPINS = (1.0, -1.0)


def conditional_entropies(L: int, K: float) -> Array:
    """H(s_k | s_<k) of the Ising model on the L x L torus, site by site in raster order.

    Given the first row and the L spins drawn last, a spin does not depend on the others before it. So 4^L weights of
    the spins before and as many of those to come are all that is needed. The sum is the entropy, ln Z + U/T.

    Args:
        L: side, 2 to 10; seconds at 8, a minute and 2 GB at 10.
        K: coupling J/T.

    Returns:
        (L²,) in nats.

    Raises:
        ValueError: for another L, or a K that is no finite number.

    >>> float(conditional_entropies(2, 0.0).sum().round(6))  # four fair coins
    2.772589
    """
    if not (2 <= L <= LARGEST and int(L) == L):
        raise ValueError(f"L must be a whole number from 2 to {LARGEST}, got {L}")
    if not np.isfinite(K):
        raise ValueError(f"K must be a finite number, got {K}")
    first, last = ([_along(k + start, 2 * L) for k in range(L)] for start in (0, L))
    fields = [
        last[x] + (last[x - 1] if x else 0.0) + (last[0] if x == L - 1 else 0.0) + (first[x] if y == L - 1 else 0.0)
        for y in range(1, L)
        for x in range(L)
    ]
    to_come = [np.ones([2] * 2 * L)]
    for t in reversed(range(len(fields))):
        x = L + t % L
        new = sum(np.exp(K * s * fields[t]) * np.take(to_come[-1], [i], x) for i, s in enumerate(SPINS))
        to_come.append(np.broadcast_to(new / np.max(new), [2] * 2 * L))
    to_come.reverse()
    row = np.exp(K * sum(_along(k, L) * _along((k + 1) % L, L) for k in range(L)))
    found = _of_the_first_row(row * np.einsum("ii->i", to_come[0].reshape(2**L, 2**L)).reshape([2] * L))
    before = np.diag(row.ravel()).reshape([2] * 2 * L)
    for t, field in enumerate(fields):
        x = L + t % L
        up, down = (np.exp(K * s * field) * np.take(to_come[t + 1], [i], x) for i, s in enumerate(SPINS))
        joint = before * (up + down)
        found.append(float((joint * _entropy(up / (up + down))).sum() / joint.sum()))
        before = np.concatenate([(before * np.exp(K * s * field)).sum(x, keepdims=True) for s in SPINS], axis=x)
        before /= before.max()
    return np.array(found)


def _along(k: int, axes: int) -> Array:
    """The two values of a spin along one of so many axes."""
    return np.array(SPINS).reshape([2 if axis == k else 1 for axis in range(axes)])


def _of_the_first_row(weight: Array) -> list[float]:
    """Entropy of each spin of a row given those before it, from the weights of the rows."""
    p = weight / weight.sum()
    parts = [p.sum(tuple(range(k, p.ndim))) for k in range(p.ndim + 1)]
    sums = [-float((part * np.log(part)).sum()) for part in parts]
    return list(np.diff(sums))


def _entropy(p: Array) -> Array:
    """Of a bit that is 1 with probability p, in nats."""
    q = np.clip(p, 1e-300, None), np.clip(1 - p, 1e-300, None)
    return -(q[0] * np.log(q[0]) + q[1] * np.log(q[1]))
