"""A plane of sites that act on their nearest neighbours only."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Plane(NamedTuple):
    """ln weight(x) = Σ site[y, x, s] + Σ right[y, x, s, s'] + Σ down[y, x, s, s'] over n rows of m sites of q states.

    s and s' are the numbers of the states at (y, x) and at its neighbour, as :meth:`.Variables.numbered` has them.

    Attributes:
        site: (n, m, q) float64.
        right: (n, m, q, q) float64, to (y, x + 1); the last column's goes around, and is 0 where it is open.
        down: (n, m, q, q) float64, to (y + 1, x); the last row's goes around, and is 0 where it is open.
    """

    site: Tensor
    right: Tensor
    down: Tensor
