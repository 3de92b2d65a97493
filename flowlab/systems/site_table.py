"""One site of lattice phi^4 in the field of its neighbours: normalisation, moments and exact draws."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

CELLS_PER_UNIT = 32
UNITS = 36
REACH = float(np.sinh(UNITS))
"""The largest field that a table holds, about 2e15."""
NEGLECTED = 40.0
"""Weights below exp(-40) of the largest are left out of the quadrature."""
NODES = 128
ROUND = 4096
"""Proposals that cost little more than a few do."""


class SiteTable:
    """p(φ|t) = exp(tφ - (1 - 2λ) φ² - λ φ⁴) / z(t): the site of lattice phi^4 in a field t, for one λ.

    ln z is a piecewise polynomial of degree 5 in asinh t, in which it is analytic in a strip of width π (the zeros of z
    are imaginary, none nearer than π/2); value and two derivatives at the nodes are by Gauss-Legendre quadrature. Up to
    \\|t\\| = 2e15 the error of ln z is below 1e-11 (1 + \\|ln z\\|); from there on it is the power of t that the table
    ends with. All is worked out in float64; results have the dtype of t. Make one by :func:`site_table`.

    Args:
        lam: λ >= 0.
        device: where the fields are.

    >>> table = site_table(0.0)  # a Gaussian: ln z = ½ ln π + t²/4
    >>> t = torch.tensor([0.0, 2.0], dtype=torch.float64)
    >>> table.log_z(t).round(decimals=9).tolist(), table.mean(t).round(decimals=9).tolist()
    ([0.572364943, 1.572364943], [0.0, 1.0])
    """

    def __init__(self, lam: float, device: torch.device | str = "cpu") -> None:
        self.lam = float(lam)
        s = np.arange(UNITS * CELLS_PER_UNIT + 1) / CELLS_PER_UNIT
        site = _quadrature(np.sinh(s), self.lam)
        # of ln z and of its derivative in λ: the polynomials in asinh t with their first and second derivatives
        self._pieces = [
            [torch.from_numpy(piece).to(device) for piece in _piecewise(s, *values)]
            for values in (site.log_z, site.lam_slope)
        ]
        # <φ²> / <\\|φ\\|> at t = 0
        self._width = site.width
        self._end: dict[torch.device, Tensor] = {}

    def log_z(self, t: Tensor, lam: Tensor | None = None) -> Tensor:
        """ln ∫ exp(tφ - (1 - 2λ) φ² - λ φ⁴) dφ, the shape of t; twice differentiable in t, once in ``lam`` if given,
        and in both, in either order.

        ``lam`` is the table's λ as a tensor that takes a gradient.
        """
        value: Tensor = _Interpolated.apply(t, lam, self, 0)  # type: ignore[no-untyped-call]
        return value

    def mean(self, t: Tensor) -> Tensor:
        """<φ> in the field t, the derivative of :meth:`log_z`; the shape of t."""
        value: Tensor = _Interpolated.apply(t, None, self, 1)  # type: ignore[no-untyped-call]
        return value

    def variance(self, t: Tensor) -> Tensor:
        """<φ²> - <φ>² in the field t, the second derivative of :meth:`log_z`; the shape of t."""
        return self.derivative(t.detach(), 2)

    def draw(self, t: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """One exact draw of φ for each field t, the shape and dtype of t.

        By rejection, of which 0.4 to 1 of the proposals are accepted at every λ and t; how many random numbers that
        takes depends on the fields.

        Raises:
            ValueError: for fields that are not finite, or beyond the table's 2e15.
        """
        fields = t.detach().double().flatten()
        if not bool((fields.abs() <= REACH).all()):
            worst = fields[~(fields.abs() <= REACH)][0].item()
            raise ValueError(f"sites are drawn in fields of at most {REACH:.0e}, got {worst}")
        drawn, accepted = self._propose(fields, generator)
        pending = (~accepted).nonzero()[:, 0]
        while len(pending):
            # a round costs as much for a few sites as for ROUND
            tries = max(1, ROUND // len(pending))
            proposals, accepted = self._propose(fields[pending].expand(tries, -1), generator)
            drawn[pending] = proposals.gather(0, accepted.byte().argmax(0, keepdim=True))[0]
            pending = pending[~accepted.any(0)]
        return drawn.reshape(t.shape).to(t.dtype)

    def _propose(self, t: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """One proposal for each field t, and whether it is accepted.

        For r >= 0 and any r0, r⁴ - (3 r0² r² - 2 r0³ r) = r (r - r0)² (r + 2 r0) >= 0: each sign of φ has a Gaussian
        above its weight, cut off at 0; r0 decides how close it is, and nothing else.
        """
        lam, low = self.lam, self._width
        uniform = torch.rand(3, *t.shape, generator=generator, dtype=t.dtype, device=t.device)
        size = t.abs()
        high = self.derivative(size, 1).clamp(min=low)
        squared = high.square()
        along = _CutGaussian.of(size + 2 * lam * squared * high, 3 * lam * squared + (1 - 2 * lam))
        against = _CutGaussian.of(2 * lam * low**3 - size, torch.full((), 3 * lam * low**2 + (1 - 2 * lam)).to(t))
        same = uniform[0] < torch.sigmoid(along.log_odds(against))
        r0 = high.where(same, low)
        centre, width, share = (torch.where(same, one, other) for one, other in zip(along, against, strict=True))
        r = (centre - width * torch.special.ndtri((1 - uniform[1]) * share)).clamp(min=0)
        accepted = uniform[2] < (-lam * r * (r - r0).square() * (r + 2 * r0)).exp()
        return torch.where(same == (t >= 0), r, -r), accepted

    def derivative(self, t: Tensor, order: int, *, in_lam: bool = False) -> Tensor:
        """d^order/dt^order of ln z, order 0, 1 or 2, or of ∂ ln z / ∂λ = <2φ² - φ⁴>; no gradient, the shape of t."""
        if order > 2:
            raise NotImplementedError(f"ln z has derivatives up to the second, got a call for number {order}")
        size = t.detach().double().abs()
        inside = size.clamp(max=REACH)
        root = (1 + inside.square()).sqrt()
        position = (inside + root).log() * CELLS_PER_UNIT
        cell = position.long().clamp(0, UNITS * CELLS_PER_UNIT - 1)  # NaN has a cell too, and stays NaN
        u, cell, pieces = position - cell, cell.flatten(), self._pieces[in_lam]
        found = _polynomial(u, pieces[order].index_select(0, cell))
        if order == 1:
            found = found / root
        elif order == 2:
            first = _polynomial(u, pieces[1].index_select(0, cell))
            found = (found - inside * first / root) / root.square()
        if t is not self._end.get(t.device) and (size.device.type != "cpu" or bool((size > REACH).any())):
            found = self._beyond(size, found, order, in_lam)
        return (found * t.sign() if order == 1 else found).to(t.dtype)

    def _beyond(self, size: Tensor, found: Tensor, order: int, in_lam: bool) -> Tensor:
        """``found`` with the power law f(t) = f(T) (t/T)^p, p = T f'(T)/f(T), where t is beyond the table's end T."""
        end = self._end.setdefault(size.device, torch.full((), REACH, dtype=size.dtype, device=size.device))
        value = self.derivative(end, 0, in_lam=in_lam)
        power = end * self.derivative(end, 1, in_lam=in_lam) / value
        factor = [torch.ones_like(power), power, power * (power - 1)][order]
        return torch.where(size > REACH, value * factor * (size / REACH) ** (power - order) / REACH**order, found)


@lru_cache(maxsize=16)
def site_table(lam: float, device: torch.device | str = "cpu") -> SiteTable:
    """The table of one λ, kept for later calls; made in about 20 ms."""
    return SiteTable(lam, device)


class _Interpolated(torch.autograd.Function):
    """A derivative of ln z; its gradient is the next one, so that value, mean and variance agree exactly."""

    @staticmethod
    def forward(ctx: Any, t: Tensor, lam: Tensor | None, table: SiteTable, order: int) -> Tensor:
        ctx.save_for_backward(t, lam)
        ctx.table, ctx.order = table, order
        return table.derivative(t, order)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        (t, lam), in_t, in_lam = ctx.saved_tensors, None, None
        if ctx.needs_input_grad[0]:
            in_t = grad * _Interpolated.apply(t, lam, ctx.table, ctx.order + 1)  # type: ignore[no-untyped-call]
        if ctx.needs_input_grad[1]:
            slope = _SlopeInLam.apply(t.double(), lam, ctx.table, ctx.order)  # type: ignore[no-untyped-call]
            in_lam = (grad.double() * slope).sum().to(lam)
        return in_t, in_lam, None, None


class _SlopeInLam(torch.autograd.Function):
    """A derivative of ∂ ln z / ∂λ in t. There is none more in λ: its gradient there is NaN."""

    @staticmethod
    def forward(ctx: Any, t: Tensor, lam: Tensor, table: SiteTable, order: int) -> Tensor:
        ctx.save_for_backward(t, lam)
        ctx.table, ctx.order = table, order
        return table.derivative(t, order, in_lam=True)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
        t, lam = ctx.saved_tensors
        in_t = grad * _SlopeInLam.apply(t, lam, ctx.table, ctx.order + 1)  # type: ignore[no-untyped-call]
        return in_t, torch.full_like(lam, torch.nan), None, None


class _CutGaussian(NamedTuple):
    """exp(b r - a r²) for r >= 0: centre b/2a, width 1/√2a and Φ(centre / width)."""

    centre: Tensor
    width: Tensor
    share: Tensor

    @classmethod
    def of(cls, b: Tensor, a: Tensor) -> _CutGaussian:
        centre, width = b / (2 * a), (2 * a).rsqrt()
        return cls(centre, width, torch.special.ndtr(centre / width))

    def log_odds(self, other: _CutGaussian) -> Tensor:
        """ln of the integral over that of the other."""
        exponent = 0.5 * ((self.centre / self.width).square() - (other.centre / other.width).square())
        return exponent - (other.share * other.width / (self.share * self.width)).log()


def _polynomial(u: Tensor, coefficients: Tensor) -> Tensor:
    """Σ_k c_k u^k, with a row of coefficients for each u."""
    *lower, total = (column.reshape(u.shape) for column in coefficients.unbind(1))
    for c in reversed(lower):
        total = torch.addcmul(c, total, u)
    return total


class _Site(NamedTuple):
    """(value, d/dt, d²/dt²) of ln z and of ∂ ln z / ∂λ at every field, and <φ²>/<\\|φ\\|> at the first field, 0."""

    log_z: tuple[np.ndarray, np.ndarray, np.ndarray]
    lam_slope: tuple[np.ndarray, np.ndarray, np.ndarray]
    width: float


def _quadrature(t: np.ndarray, lam: float) -> _Site:
    """Moments in fields t >= 0, of which the first is 0, over φ >= 0 with the weights of φ and -φ.

    With φ = peak + δ the weight falls by exp(-δ² (c + 4 λ peak δ + λ δ²)), c = 1 - 2λ + 6 λ peak². It is below
    exp(-40) for δ above √(40/c) and (40/λ)^¼, and for δ below -2 √(40/c), since φ > 0 has the bracket above c/4.
    """
    a, peak = 1 - 2 * lam, _peak(t, lam)
    curvature = a + 6 * lam * peak**2
    with np.errstate(divide="ignore"):
        reach = np.sqrt(NEGLECTED / curvature)
        above = np.fmin(reach, (NEGLECTED / np.float64(lam)) ** 0.25)
    below = np.fmin(peak, 2 * reach)
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    t, peak, curvature, span = t[:, None], peak[:, None], curvature[:, None], (above + below)[:, None]
    delta = span * (1 + nodes) / 2 - below[:, None]
    plus = weights * span / 2 * np.exp(-(delta**2) * (curvature + delta * lam * (4 * peak + delta)))
    minus = plus * np.exp(-2 * t * (peak + delta))
    total = (plus + minus).sum(1, keepdims=True)
    p, m = plus / total, minus / total
    shift = (p * delta - m * (2 * peak + delta)).sum(1, keepdims=True)
    up, down = delta - shift, -(2 * peak + delta + shift)
    log_z = np.log(total) + peak * (t - peak * (a + lam * peak**2))
    # 2φ² - φ⁴ less its value at the peak
    slope = delta * (2 * peak + delta) * (2 - 2 * peak**2 - 2 * peak * delta - delta**2)
    mean_slope = ((p + m) * slope).sum(1, keepdims=True)
    centred = slope - mean_slope
    phi = peak[0] + delta[0]
    return _Site(
        (log_z[:, 0], (peak + shift)[:, 0], (p * up**2 + m * down**2).sum(1)),
        (
            (mean_slope + peak**2 * (2 - peak**2))[:, 0],
            ((p * up + m * down) * centred).sum(1),
            ((p * up**2 + m * down**2) * centred).sum(1),
        ),
        float((plus[0] * phi**2).sum() / (plus[0] * phi).sum()),
    )


def _peak(t: np.ndarray, lam: float) -> np.ndarray:
    """The largest root of t = 2 (1 - 2λ) φ + 4 λ φ³, by Newton's method from above, where it cannot overshoot."""
    a = 1 - 2 * lam
    with np.errstate(divide="ignore", invalid="ignore"):
        cubic = np.sqrt(max(-a, 0) / (2 * np.float64(lam))) + np.cbrt(t / (4 * np.float64(lam)))
        phi: np.ndarray = np.fmin(cubic, t / (2 * a)) if a > 0 else cubic
    for _ in range(60):
        slope = 2 * a + 12 * lam * phi**2
        phi -= np.divide(2 * phi * (a + 2 * lam * phi**2) - t, slope, out=np.zeros_like(phi), where=slope > 0)
    return phi


def _piecewise(s: np.ndarray, value: np.ndarray, first: np.ndarray, second: np.ndarray) -> list[np.ndarray]:
    """Coefficients in each cell of the grid s, from a function of t = sinh s and two derivatives in t.

    (cells, 6) of the polynomial in u = 0 .. 1 with the value, slope and curvature of both ends of the cell, then
    (cells, 5) and (cells, 4) of its derivatives in s.
    """
    h = 1 / CELLS_PER_UNIT
    slope, curvature = h * first * np.cosh(s), h**2 * (second * np.cosh(s) ** 2 + first * np.sinh(s))
    d, e = slope[:-1], curvature[:-1]
    x, y, z = np.diff(value) - d - e / 2, np.diff(slope) - e, np.diff(curvature)
    columns = [value[:-1], d, e / 2, 10 * x - 4 * y + z / 2, -15 * x + 7 * y - z, 6 * x - 3 * y + z / 2]
    pieces = [np.stack(columns, axis=1)]
    for _ in range(2):
        pieces.append(pieces[-1][:, 1:] * np.arange(1, pieces[-1].shape[1]) / h)
    return pieces
