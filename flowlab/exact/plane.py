"""Planes of sites with any bonds between neighbours, site by site: the transfer matrix of a strip."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from flowlab.core import Plane

MOST_NUMBERS = 1 << 20
"""Of the vector that is carried from site to site: at most."""
LARGEST_EXPONENT = 600.0


def plane_numbers(plane: Plane) -> int:
    """How many numbers the transfer matrix of a plane carries from site to site, its rows the cheaper way around."""
    return min(_numbers(plane), _numbers(_turned(plane)))


def plane_log_z(plane: Plane) -> float:
    """ln Z of n x m sites, the states of a row carried from site to site; exact up to rounding.

    It carries q^m numbers over rows of m sites, q^2m where the lattice is periodic across its rows, and does q times
    as much for each of the n m sites.

    Args:
        plane: with open or periodic sides; at most 2^20 numbers, as open or cylindrical strips of 20 spins have, or
            tori of 10.

    Raises:
        ValueError: for wider planes.
        ArithmeticError: where rows are so cold that their weights underflow double precision.

    >>> from flowlab.systems import SpinGlass
    >>> glass = SpinGlass.edwards_anderson((5, 4), T=0.5, seed=1, boundary="open")
    >>> round(plane_log_z(glass.plane()), 9)
    44.28886123
    """
    plane = min(plane, _turned(plane), key=_numbers)
    n, m, q = plane.site.shape
    if _numbers(plane) > MOST_NUMBERS:
        raise ValueError(f"a strip may carry at most {MOST_NUMBERS} numbers, got {_numbers(plane)}: {n} x {m}, q = {q}")
    plane, log_norm = _scaled(plane)
    around = bool(plane.down[-1].any())
    first = torch.eye(q**m, dtype=torch.float64) if around else torch.ones(1, q**m, dtype=torch.float64)
    vector = first
    for y in range(n):
        vector = vector * _row_weights(plane.site[y], plane.right[y]).flatten()
        if y < n - 1 or around:
            for x in range(m):
                parts = vector.reshape(-1, q, q ** (m - 1 - x))
                vector = (plane.down[y, x].exp().T @ parts).reshape(vector.shape)
        size = float(vector.max())
        if not size > 0:
            raise ArithmeticError("the weights of a row underflow")
        vector, log_norm = vector / size, log_norm + math.log(size)
    total = float((vector * first).sum())
    if not total > 0:
        raise ArithmeticError("the weights of a row underflow")
    return log_norm + math.log(total)


def _numbers(plane: Plane) -> int:
    _, m, q = plane.site.shape
    return int(q ** (m * (2 if bool(plane.down[-1].any()) else 1)))


def _turned(plane: Plane) -> Plane:
    """The same with rows and columns exchanged."""
    return Plane(plane.site.transpose(0, 1), plane.down.transpose(0, 1), plane.right.transpose(0, 1))


def _scaled(plane: Plane) -> tuple[Plane, float]:
    """The plane with a largest weight of 1 at every site and bond, and ln of what was taken out."""
    tops = [part.flatten(2).amax(2) for part in plane]
    parts = [part - top.reshape(*top.shape, *[1] * (part.ndim - 2)) for part, top in zip(plane, tops, strict=True)]
    least = min(float(part.flatten(2).amin(2).sum(1).min()) for part in parts)
    if least < -LARGEST_EXPONENT:
        raise ArithmeticError(f"the weights of a row spread over e^{-least:.0f}, beyond double precision")
    return Plane(*parts), sum(float(top.sum()) for top in tops)


def _row_weights(site: Tensor, right: Tensor) -> Tensor:
    """(q, ..., q) weight of the states of one row, by its sites and the bonds along it."""
    m, q = site.shape
    log_w = torch.zeros([q] * m, dtype=torch.float64)
    for x in range(m):
        log_w = log_w + site[x].reshape([q if axis == x else 1 for axis in range(m)])
        if bool(right[x].any()):
            a, b = sorted((x, (x + 1) % m))
            bond = right[x] if a == x else right[x].T
            log_w = log_w + bond.reshape([q if axis in (a, b) else 1 for axis in range(m)])
    return log_w.exp()
