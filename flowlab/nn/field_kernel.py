"""The vector field of a continuous lattice flow: a translation-invariant kernel on sines of the field.

dφ_x/dt = Σ_y Σ_f W_{x-y,f} s_f(φ_y) with s_0(φ) = φ and s_f(φ) = sin(ω_f φ), and its divergence in closed form,
both with a derivative written by hand: the hot path of continuous flows.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

Sites = tuple[int, ...]
DENSE = 512
"""Sites up to which a kernel of the whole lattice is multiplied as one dense matrix; beyond, that takes gigabytes."""


class FieldKernel(nn.Module):
    """Which weight couples which pair of sites of a periodic d-dimensional lattice, and the vector field made from it.

    Pairs of sites that the symmetries map to each other share their weights: translations by ``block`` sites, and the
    rotations and mirrors of a block (of a site, for ``block=1``). In two dimensions a 5 x 5 kernel has 15 such orbits
    for blocks of 2 x 2 sites, and 6 for ``block=1``.

    Fields are handled as (N, n): sites in rows, sorted by position p in the block, then by block; samples in columns.
    Then the kernel is one matrix product over positions and features, P·F inputs to P·D outputs for the D offsets
    between blocks, and a sum of D gathered rows a site. Where the kernel is the whole lattice, so is this block.

    Args:
        shape: d equal sides, a multiple of ``block``.
        block: sites along a side of a block.
        kernel: sites along a side of the kernel, odd; None for all sites of the lattice.

    Raises:
        ValueError: for unequal sides, sides that the block does not divide, or a kernel that is even or reaches
            around the lattice.

    >>> FieldKernel((8, 8), block=2, kernel=5).n_orbits, FieldKernel((8,), block=1, kernel=5).n_orbits
    (15, 3)
    """

    order: Tensor
    rank: Tensor
    orbits: Tensor
    sources: Tensor
    targets: Tensor

    def __init__(self, shape: Sequence[int], *, block: int = 2, kernel: int | None = 5) -> None:
        super().__init__()
        sides = tuple(int(side) for side in shape)
        if not sides or len(set(sides)) > 1 or sides[0] < 1:
            raise ValueError(f"shape must be equal sides of at least 1, which rotations need, got {tuple(shape)}")
        if block < 1 or sides[0] % block:
            raise ValueError(f"the sides must be a multiple of the block's {block} sites, got shape {tuple(shape)}")
        if kernel is not None and (kernel < 1 or kernel % 2 == 0 or kernel // 2 >= sides[0]):
            raise ValueError(
                f"kernel must be odd and reach less than {sides[0]} sites to each side of the shape {sides}, or None "
                f"for all of it, got {kernel}"
            )
        self.shape, self.block, self.kernel = sides, int(block), kernel
        d = len(sides)
        block = sides[0] if kernel is None and math.prod(sides) <= DENSE else block
        cells = sides[0] // block
        self.n_positions, self.n_cells = block**d, cells**d
        numbers = _orbits(sides[0], self.block, kernel, d)
        self.n_orbits = len(set(numbers.values()))
        offsets, orbits = _pairs(sides[0], block, kernel, d, numbers, self.block)
        self.own = offsets.index((0,) * d)
        self.register_buffer("orbits", torch.tensor(orbits), persistent=False)

        sites = torch.arange(math.prod(sides)).view(*itertools.chain(*[(cells, block)] * d))
        order = sites.permute(*range(1, 2 * d, 2), *range(0, 2 * d, 2)).flatten()
        self.register_buffer("order", order, persistent=False)
        self.register_buffer("rank", order.argsort(), persistent=False)
        cell = torch.arange(self.n_cells).view(*[cells] * d)
        axes = tuple(range(d))
        there = torch.stack([cell.roll([-o for o in offset], axes).flatten() for offset in offsets])  # (D, C): c + δ
        back = torch.stack([cell.roll(list(offset), axes).flatten() for offset in offsets])  # (D, C): c - δ
        p = torch.arange(self.n_positions)[:, None, None]
        row = (p * len(offsets) + torch.arange(len(offsets))[:, None]) * self.n_cells + there  # (P, D, C)
        self.register_buffer("sources", row.transpose(1, 2).reshape(-1, len(offsets)).contiguous(), persistent=False)
        self.register_buffer("targets", (p * self.n_cells + back).flatten(), persistent=False)

    def to_rows(self, x: Tensor) -> Tensor:
        """(n, *shape) -> (N, n)."""
        return x.flatten(1).T.index_select(0, self.order)

    def from_rows(self, rows: Tensor) -> Tensor:
        """(N, n) -> (n, *shape)."""
        return rows.index_select(0, self.rank).T.reshape(-1, *self.shape)

    def matrices(self, weights: Tensor) -> Tensor:
        """(..., orbits, F) weights -> (..., P·D, F·P) matrices; pairs of sites outside the kernel get 0."""
        padded = torch.cat([weights, torch.zeros_like(weights[..., :1, :])], -2)
        spread = padded.index_select(-2, self.orbits.flatten())
        spread = spread.view(*weights.shape[:-2], *self.orbits.shape, weights.shape[-1])
        return spread.transpose(-1, -2).flatten(-2).contiguous()

    def velocity(self, rows: Tensor, matrix: Tensor, omega: Tensor) -> tuple[Tensor, Tensor]:
        """The vector field and its divergence at given fields; differentiable once, in all three arguments.

        Args:
            rows: (N, n) fields φ.
            matrix: (P·D, F·P), from :meth:`matrices`.
            omega: (F - 1,) frequencies ω_f.

        Returns:
            dφ/dt (N, n), and Σ_x ∂(dφ_x/dt)/∂φ_x = Σ_x [W_{0,0} + Σ_f W_{0,f} ω_f cos(ω_f φ_x)], (n,).
        """
        v, div = _Velocity.apply(rows, matrix, omega, self)  # type: ignore[no-untyped-call]
        return v, div

    def velocity_and_slope(
        self, rows: Tensor, slopes: Tensor, matrix: Tensor, omega: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """:meth:`velocity`, and (∂v/∂φ)ᵀ g + ∇ div v for ``slopes`` g (N, n); only the vector field has a gradient."""
        v, div, pulled = _VelocityAndSlope.apply(rows, matrix, omega, slopes, self)  # type: ignore[no-untyped-call]
        return v, div, pulled

    def evaluate(self, rows: Tensor, matrix: Tensor, waves: Waves) -> tuple[Tensor, Tensor]:
        """:meth:`velocity` from the sines and cosines of the fields, without a gradient."""
        n = rows.shape[1]
        products = matrix @ waves.features.view(-1, self.n_cells * n)
        v = nn.functional.embedding_bag(self.sources, products.view(-1, n), mode="sum")
        own = self._own(matrix)
        slopes = (own[1:] * waves.omega[:, None]).reshape(1, -1) @ waves.cosines.view(-1, self.n_cells * n)
        return v, slopes.view(self.n_cells, n).sum(0) + self.n_cells * own[0].sum()

    def pull_back(
        self, rows: Tensor, matrix: Tensor, waves: Waves, grad_v: Tensor, grad_div: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients in (rows, matrix, omega) from those in the vector field (N, n) and in the divergence (n,), or None.

        None for a divergence that counts for nothing.
        """
        n, (features, cosines, omega) = rows.shape[1], waves
        grad_products, h, grad_rows = self._pull_back_rows(matrix, waves, grad_v, grad_div)
        grad_matrix = grad_products @ features.view(-1, self.n_cells * n).T
        grad_omega = h @ rows.flatten()
        if grad_div is not None:
            slopes = (cosines.view(-1, n) @ grad_div).view(len(omega), self.n_positions, -1).sum(-1)
            grad_omega += (self._own(matrix)[1:] * slopes).sum(1)
            on_diagonal = self._own(grad_matrix)
            on_diagonal[0] += self.n_cells * grad_div.sum()
            on_diagonal[1:] += slopes * omega[:, None]
        return grad_rows, grad_matrix, grad_omega

    def _pull_back_rows(
        self, matrix: Tensor, waves: Waves, grad_v: Tensor, grad_div: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients in the products of the kernel, in ω_f φ, and in the fields (N, n)."""
        n, (features, cosines, omega) = grad_v.shape[1], waves
        grad_products = grad_v.index_select(0, self.targets).view(len(matrix), -1)
        grad_features = (matrix.T @ grad_products).view_as(features)
        # With h_f = g_f cos(ω_f φ) - W_{0,f} ω_f sin(ω_f φ) dL/d(div), the gradient in φ is g_0 + Σ_f ω_f h_f.
        h = grad_features[1:].mul_(cosines)
        if grad_div is not None:
            curvature = (self._own(matrix)[1:] * omega[:, None])[..., None, None] * grad_div
            parts = (len(omega), self.n_positions, self.n_cells, n)
            h.view(parts).addcmul_(features[1:].view(parts), curvature, value=-1)
        return grad_products, h, torch.addmm(grad_features[:1], omega[None], h).view_as(grad_v)

    def _own(self, matrix: Tensor) -> Tensor:
        """(F, P) view of the weights that couple each site to itself."""
        by_offset = matrix.view(self.n_positions, -1, matrix.shape[1] // self.n_positions, self.n_positions)
        return by_offset[:, self.own].diagonal(dim1=0, dim2=2)

    def extra_repr(self) -> str:
        return f"shape={self.shape}, block={self.block}, kernel={self.kernel}, {self.n_orbits} orbits"


class Waves(NamedTuple):
    """What the vector field is made of.

    Attributes:
        features: (F, N·n) φ, then sin(ω_f φ).
        cosines: (F - 1, N·n) cos(ω_f φ).
        omega: (F - 1,) ω_f.
    """

    features: Tensor
    cosines: Tensor
    omega: Tensor


def waves(rows: Tensor, omega: Tensor) -> Waves:
    """The features of fields (N, n), without a gradient."""
    flat = rows.reshape(1, -1)
    features = flat.new_empty(len(omega) + 1, flat.shape[1])
    features[:1] = flat
    angles = omega[:, None] * flat
    torch.sin(angles, out=features[1:])
    return Waves(features, angles.cos_(), omega)


class _Velocity(torch.autograd.Function):
    """Sines and cosines are computed again on the way back: keeping them would cost 2 F times the fields a call."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, matrix: Tensor, omega: Tensor, kernel: FieldKernel) -> tuple[Tensor, Tensor]:
        ctx.kernel = kernel
        ctx.save_for_backward(rows, matrix, omega)
        return kernel.evaluate(rows, matrix, waves(rows, omega))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_v: Tensor, grad_div: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        rows, matrix, omega = ctx.saved_tensors
        found = waves(rows, omega)
        return *ctx.kernel.pull_back(rows, matrix, found, grad_v, grad_div.contiguous()), None


class _VelocityAndSlope(torch.autograd.Function):
    """The sines and cosines serve twice."""

    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, matrix: Tensor, omega: Tensor, slopes: Tensor, kernel: FieldKernel
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.kernel = kernel
        ctx.save_for_backward(rows, matrix, omega)
        found = waves(rows, omega)
        v, div = kernel.evaluate(rows, matrix, found)
        _, _, pulled = kernel._pull_back_rows(matrix, found, slopes, torch.ones_like(div))
        ctx.mark_non_differentiable(div, pulled)
        return v, div, pulled

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_v: Tensor, grad_div: Tensor, grad_pulled: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, None, None]:
        rows, matrix, omega = ctx.saved_tensors
        found = waves(rows, omega)
        return *ctx.kernel.pull_back(rows, matrix, found, grad_v, None), None, None


def _orbits(side: int, block: int, kernel: int | None, d: int) -> dict[tuple[Sites, Sites], int]:
    """The orbit of each pair (position of x in its block, y - x); y - x modulo the sides for the whole lattice."""
    point_group = [
        (axes, signs) for axes in itertools.permutations(range(d)) for signs in itertools.product((1, -1), repeat=d)
    ]

    def canonical(p: Sites, e: Sites) -> tuple[Sites, Sites]:
        """The smallest image of (position of x, y - x)."""
        images = []
        for axes, signs in point_group:
            turned = (s * (2 * p[a] - block + 1) for a, s in zip(axes, signs, strict=True))
            away = (s * e[a] for a, s in zip(axes, signs, strict=True))
            images.append(
                (
                    tuple((u + block - 1) // 2 for u in turned),
                    tuple(u % side if kernel is None else u for u in away),
                )
            )
        return min(images)

    positions = list(itertools.product(range(block), repeat=d))
    found: dict[tuple[Sites, Sites], int] = {}
    numbers: dict[tuple[Sites, Sites], int] = {}
    for p, offset, q in itertools.product(positions, _offsets(side, block, kernel, d), positions):
        e = _away(p, offset, q, side, block, kernel)
        if kernel is None or max(abs(u) for u in e) <= kernel // 2:
            numbers[p, e] = found.setdefault(canonical(p, e), len(found))
    return numbers


def _pairs(
    side: int, block: int, kernel: int | None, d: int, numbers: dict[tuple[Sites, Sites], int], tied: int
) -> tuple[list[Sites], list[list[int]]]:
    """Offsets δ between blocks, (P·D, P) the orbit of the pair (x at p, y at p' and δ blocks on).

    ``numbers`` are the orbits of blocks of ``tied`` sites along a side; a pair outside the kernel gets their number.
    """
    outside = len(set(numbers.values()))

    def orbit(p: Sites, offset: Sites, q: Sites) -> int:
        return numbers.get((tuple(u % tied for u in p), _away(p, offset, q, side, block, kernel)), outside)

    positions = list(itertools.product(range(block), repeat=d))
    table = {o: [[orbit(p, o, q) for q in positions] for p in positions] for o in _offsets(side, block, kernel, d)}
    offsets = [o for o, rows in table.items() if any(number < outside for row in rows for number in row)]
    return offsets, [table[o][p] for p in range(len(positions)) for o in offsets]


def _offsets(side: int, block: int, kernel: int | None, d: int) -> list[Sites]:
    """Between blocks that a kernel may connect."""
    far = 0 if kernel is None else (kernel // 2 + block - 1) // block
    return list(itertools.product(range(side // block) if kernel is None else range(-far, far + 1), repeat=d))


def _away(p: Sites, offset: Sites, q: Sites, side: int, block: int, kernel: int | None) -> Sites:
    """y - x for x at p and y at q, so many blocks on."""
    e = (block * o + b - a for o, b, a in zip(offset, q, p, strict=True))
    return tuple(u % side if kernel is None else u for u in e)
