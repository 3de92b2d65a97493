"""Orders of the sites of a lattice, in which an autoregressive density draws them.

Every order is a permutation: entry k is the number, in raster order, of the site that is drawn k-th.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from flowlab.systems.lattice import checkerboard

Order = Literal["raster", "checkerboard", "hierarchical", "hilbert"] | Sequence[int] | Tensor


def site_order(shape: tuple[int, ...], order: Order) -> Tensor:
    """A named or given order of the sites, checked.

    Args:
        shape: sides of the lattice; N sites in all.
        order: "raster"; "checkerboard" (raster over the even sublattice, then over the odd one); "hierarchical", see
            :func:`hierarchical`; "hilbert", see :func:`hilbert`; or every site's number in raster order, once.

    Returns:
        (N,) site numbers.

    Raises:
        ValueError: for an unknown name, a shape that the named order does not exist for, or numbers that do not name
            each site once.

    >>> site_order((2, 4), "checkerboard").tolist()
    [0, 2, 5, 7, 1, 3, 4, 6]
    """
    raster = torch.arange(math.prod(shape))
    if not isinstance(order, str):
        sites = torch.as_tensor(order).cpu()
        if sites.dtype != raster.dtype or not torch.equal(sites.sort().values, raster):
            raise ValueError(f"order must name each of the {len(raster)} sites once, got {order}")
        return sites
    if order == "raster":
        return raster
    if order == "checkerboard":
        even = checkerboard(shape).flatten()
        return torch.cat([raster[even], raster[~even]])
    if order == "hierarchical":
        return hierarchical(shape)
    if order == "hilbert":
        return hilbert(shape)
    names = "'raster', 'checkerboard', 'hierarchical', 'hilbert'"
    raise ValueError(f"order must be {names} or the numbers of the sites, got {order!r}")


def hierarchical(shape: tuple[int, ...]) -> Tensor:
    """Coarse sites first: the site at the origin, then those that halve the spacing, again and again.

    The sites whose coordinates are all multiples of 2s come before those of s. Of the new ones, in units of s, those
    with the most odd coordinates come first: in two dimensions the centres of the squares, each among four sites drawn
    before (diagonally), and then the middles of the edges, each with all its neighbours at distance s drawn before.

    Args:
        shape: sides, any number of them; powers of two make every level complete around the torus.

    Returns:
        (N,) site numbers.

    >>> hierarchical((4, 4)).tolist()
    [0, 10, 2, 8, 5, 7, 13, 15, 1, 3, 4, 6, 9, 11, 12, 14]
    """
    sites = torch.cartesian_prod(*(torch.arange(side) for side in shape)).reshape(-1, len(shape))
    powers = 2 ** torch.arange(max(shape).bit_length(), 0, -1)
    rank = torch.zeros(len(sites), dtype=torch.long)
    for step, s in enumerate([*powers.tolist(), 1]):
        new = (sites % s == 0).all(1) & (sites % (2 * s) != 0).any(1)
        odd = (sites // s % 2).sum(1)
        rank[new] = (step + 1) * (len(shape) + 1) - odd[new]
    return rank.argsort(stable=True)


def hilbert(shape: tuple[int, ...]) -> Tensor:
    """Along a Hilbert curve: consecutive sites are neighbours, and stretches of the curve fill compact blocks.

    A lattice that is not a square is a row of squares, one curve after the other.

    Args:
        shape: two sides; the shorter a power of two, the longer a multiple of it.

    Returns:
        (N,) site numbers.

    Raises:
        ValueError: for other sides.

    >>> hilbert((2, 4)).tolist()
    [0, 4, 5, 1, 2, 6, 7, 3]
    """
    side = min(shape)
    if len(shape) != 2 or side < 1 or side & (side - 1) or max(shape) % side:
        raise ValueError(
            f"shape must be two sides for a Hilbert curve, the shorter a power of two that divides the longer, "
            f"got {tuple(shape)}"
        )
    along, across = torch.zeros(1, dtype=torch.long), torch.zeros(1, dtype=torch.long)
    while (s := math.isqrt(len(along))) < side:
        along, across = (
            torch.cat([across, along, along + s, 2 * s - 1 - across]),
            torch.cat([along, across + s, across + s, s - 1 - along]),
        )
    squares = torch.arange(max(shape) // side)[:, None]
    along = (side * squares + along).flatten()
    across = across.repeat(len(squares))
    return across * shape[1] + along if shape[0] == side else along * shape[1] + across
