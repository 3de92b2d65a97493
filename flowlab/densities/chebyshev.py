"""Products of Chebyshev polynomials of one or a few variables in [-1, 1]."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
from numpy.polynomial import chebyshev

NODES = 32
"""Of the quadrature in each variable: exact for polynomials of a degree below that."""


def orders_up_to(degree: int, variables: int) -> list[tuple[int, ...]]:
    """The orders of all products of a total degree up to ``degree``, the constant first.

    >>> orders_up_to(2, 1), orders_up_to(1, 2)
    ([(0,), (1,), (2,)], [(0, 0), (0, 1), (1, 0)])
    """
    return [orders for orders in itertools.product(range(degree + 1), repeat=variables) if sum(orders) <= degree]


def products(orders: Sequence[tuple[int, ...]], t: Sequence[float]) -> list[float]:
    """Each product at a point t.

    >>> products([(0, 0), (2, 0), (1, 1)], (0.5, 0.25))
    [1.0, -0.5, 0.125]
    """
    values = [[float(chebyshev.chebval(x, [0] * k + [1])) for k in range(max(map(max, orders)) + 1)] for x in t]
    return [float(np.prod([row[k] for row, k in zip(values, each, strict=True)])) for each in orders]


def projected(
    orders: Sequence[tuple[int, ...]],
    before: Sequence[tuple[int, ...]],
    moved: Callable[[tuple[float, ...]], Sequence[float]],
) -> np.ndarray:
    """The matrix (new, old) that takes coefficients of products ``before`` to those in ``orders``.

    Args:
        orders: of the new expansion.
        before: of the old one.
        moved: a point of the new variables -> that of the old ones.

    >>> projected([(0,), (1,), (2,)], [(0,), (1,)], lambda t: t).round().astype(int).tolist()
    [[1, 0], [0, 1], [0, 0]]
    """
    nodes = np.cos(np.pi * (np.arange(NODES) + 0.5) / NODES)
    points = list(itertools.product(nodes, repeat=len(orders[0])))
    new = np.array([products(orders, t) for t in points])
    old = np.array([products(before, moved(t)) for t in points])
    twice = np.array([2.0 ** sum(k > 0 for k in each) for each in orders])
    found: np.ndarray = twice[:, None] * (new.T @ old) / len(points)
    return found
