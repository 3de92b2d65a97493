"""A monotone rational quadratic spline with linear tails that is odd."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def odd_spline(
    x: Tensor, widths: Tensor, heights: Tensor, slopes: Tensor, *, bound: float, inverse: bool = False
) -> tuple[Tensor, Tensor]:
    """y = sign(x) r(\\|x\\|), with r the identity from ``bound`` on and a rational quadratic between K knots below it.

    The mirror image gives the other half of 2K bins with equal slopes on both sides of zero, so the map is odd, exactly
    in floating point, strictly increasing and C¹ everywhere. Neighbouring widths, and heights, differ by a factor of
    at most e⁴; the slope at a knot is e^δ, at most e^±2, times the geometric mean of the mean slopes of its two bins,
    at ``bound`` it is 1. All parameters zero is the identity (Gregory and Delbourgo 1982; Durkan et al. 2019,
    arXiv:1906.04032).

    Args:
        x: (*) any numbers.
        widths, heights: (K, *) unconstrained, of the bins from zero outwards.
        slopes: (K, *) unconstrained, at their inner knots, first the one at zero.
        bound: where the tails begin, positive.
        inverse: solve for x in place of y.

    Returns:
        y and ln dy/dx (ln dx/dy with ``inverse``), each (*).

    >>> x = torch.tensor([-9.0, -0.3, 0.0, 2.0])
    >>> y, log_slope = odd_spline(x, *torch.zeros(3, 4, 4), bound=5.0)
    >>> torch.allclose(y, x), bool((log_slope.abs() < 1e-6).all())
    (True, True)
    """
    log_w = functional.log_softmax(_bounded(widths), 0)
    log_h = functional.log_softmax(_bounded(heights), 0)
    delta = _bounded(slopes)
    w, h = bound * log_w.exp(), bound * log_h.exp()
    left, low = w.cumsum(0) - w, h.cumsum(0) - h
    mean = log_h - log_w
    # slopes at both ends of a bin in units of its mean slope
    step = 0.5 * mean.diff(dim=0)
    start = torch.cat([delta[:1], delta[1:] - step])
    end = torch.cat([delta[1:] + step, -mean[-1:]])

    sign = torch.where(x < 0, -torch.ones_like(x), torch.ones_like(x))
    size = x * sign
    r, log_slope = _rational_quadratic(size, w, h, left, low, start, end, bound=bound, inverse=inverse)
    return sign * r, log_slope


def _rational_quadratic(
    x: Tensor,
    w: Tensor,
    h: Tensor,
    left: Tensor,
    low: Tensor,
    start: Tensor,
    end: Tensor,
    *,
    bound: float,
    inverse: bool,
) -> tuple[Tensor, Tensor]:
    """y and ln dy/dx, the identity outside [-bound, bound].

    Args:
        x: (*).
        w, h, left, low: (K, *) width, height, left end and lower end of every bin.
        start, end: (K, *) logarithms of the slopes at its two ends, in units of its mean slope h / w.
        bound, inverse: see :func:`odd_spline`.
    """
    inside = x.abs() < bound
    u = x.clamp(-bound, bound)
    knots = low if inverse else left
    bin_number = (knots[1:] <= u).sum(0, keepdim=True)
    w, h, left, low, start, end = (t.gather(0, bin_number).squeeze(0) for t in (w, h, left, low, start, end))
    start, end = start.exp(), end.exp()
    if inverse:
        up = (u - low) / h
        down = 1 - up
        b = start * down - end * up
        larger = b.abs() + (b.square() + 4 * up * down).sqrt()
        against = torch.where(b < 0, 4 * up * down / larger, larger)
        z = 2 * up / (2 * up + against)
        q = against / (2 * up + against)
        r = left + w * z
    else:
        z = (u - left) / w
        q = 1 - z
    zz, zq, qq = z.square(), z * q, q.square()
    under = zz + qq + (start + end) * zq
    if not inverse:
        r = low + h * (zz + start * zq) / under
    log_slope = (h / w * (end * zz + 2 * zq + start * qq) / under.square()).log()
    log_slope = torch.where(inside, -log_slope if inverse else log_slope, torch.zeros_like(x))
    return torch.where(inside, r, x), log_slope


def _bounded(x: Tensor, largest: float = 2.0) -> Tensor:
    """x, bent smoothly so that it stays between ±largest."""
    return x / (1 + x.abs() / largest)
