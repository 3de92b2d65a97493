"""Noise inside the blocks of a lattice, and the block averages that it leaves alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from flowlab.core import Density, Draw
from flowlab.core.arguments import checked
from flowlab.core.generators import everyone, own


class BlockNoise(Density):
    """Gaussian noise ν that sums to zero in every block of n = b^d sites: covariance σ² (1 - 1/n on all pairs) a block.

    Any n - 1 of the values of a block fix the last one. Their covariance σ² (I - 11ᵀ/n) has the determinant
    σ^{2(n-1)}/n, so with Σ_i ν_i² over all n values

        ln p(ν_1..ν_{n-1}) = -Σ_i ν_i² / (2σ²) - (n - 1)/2 ln(2πσ²) + ½ ln n    for each block,

    the density that ``draw`` and ``log_prob`` give (Bauer et al. 2024, arXiv:2412.12842, eq. 19 and 20).

    Args:
        shape: d sides, multiples of ``block``.
        block: sites b along a side of a block, at least 2.
        sigma: initial σ > 0; it is learned.

    Raises:
        ValueError: for sides that the block does not divide, or σ that is not positive.

    >>> noise = BlockNoise((4, 4), sigma=0.5)
    >>> nu, log_p = noise.sample(3, generator=torch.Generator().manual_seed(0))
    >>> bool(block_average(nu, 2).abs().max() < 1e-6), log_p.shape
    (True, torch.Size([3]))
    """

    divisible = True

    @checked
    def __init__(self, shape: Sequence[int], *, block: int = 2, sigma: float = 1.0) -> None:
        super().__init__()
        self.shape, self.block = tuple(int(side) for side in shape), int(block)
        if block < 2 or any(side % block for side in self.shape):
            raise ValueError(f"shape must be multiples of a block of at least 2 sites, got {self.shape} and {block}")
        if not (sigma > 0 and math.isfinite(sigma)):
            raise ValueError(f"sigma must be positive, got {sigma}")
        self.log_sigma = nn.Parameter(torch.tensor(math.log(sigma)))

    @property
    def sigma(self) -> float:
        """σ."""
        return float(self.log_sigma.detach().exp())

    def draw(self, n: int, *, generator: torch.Generator | None = None) -> Draw:
        like = self.log_sigma
        sizes = (everyone(n), *self.shape)
        white = own(torch.randn(sizes, generator=generator, dtype=like.dtype, device=like.device))
        nu = (white - upsampled(block_average(white, self.block), self.block)) * like.exp()
        return Draw(nu, self.log_prob(nu), nu.new_zeros(n))

    def log_prob(self, x: Tensor) -> Tensor:
        cells = math.prod(side // self.block for side in self.shape)
        size = math.prod(self.shape) // cells
        free = (size - 1) * (self.log_sigma + 0.5 * math.log(2 * math.pi)) - 0.5 * math.log(size)
        return -0.5 * (x * (-self.log_sigma).exp()).square().flatten(1).sum(1) - cells * free

    def flip_action(self) -> Tensor:
        return -torch.ones(self.shape, device=self.log_sigma.device)

    def extra_repr(self) -> str:
        return f"shape={self.shape}, block={self.block}, sigma={self.sigma:.4g}"


def upsampled(x: Tensor, block: int) -> Tensor:
    """(n, *coarse) -> (n, *fine): every value repeated over a block of ``block`` sites along each side.

    >>> upsampled(torch.tensor([[1.0, 2.0]]), 2).tolist()
    [[1.0, 1.0, 2.0, 2.0]]
    """
    for side in range(1, x.ndim):
        x = x.repeat_interleave(block, side)
    return x


def block_average(x: Tensor, block: int) -> Tensor:
    """(n, *fine) -> (n, *coarse): the mean over every block, which undoes :func:`upsampled`.

    >>> block_average(torch.tensor([[1.0, 3.0, 2.0, 2.0]]), 2).tolist()
    [[2.0, 2.0]]
    """
    for side in range(1, x.ndim):
        x = x.unflatten(side, (-1, block)).mean(side + 1)
    return x
