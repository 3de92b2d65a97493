"""Independent unit Gaussians."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from flowlab.core import Density, Draw
from flowlab.core.arguments import checked
from flowlab.core.generators import everyone, own


class Normal(Density):
    """p(z) = Π_x exp(-z_x²/2) / √(2π): the prior of flows of real fields. It has no parameters.

    Args:
        shape: sides of one configuration.

    >>> round(Normal((2,)).log_prob(torch.zeros(1, 2)).item(), 4), round(-math.log(2 * math.pi), 4)
    (-1.8379, -1.8379)
    """

    divisible = True

    @checked
    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.register_buffer("like", torch.zeros(()), persistent=False)

    like: Tensor
    """Gives the draws their dtype and device."""

    def draw(self, n: int, *, generator: torch.Generator | None = None) -> Draw:
        sizes = (everyone(n), *self.shape)
        z = own(torch.randn(sizes, generator=generator, dtype=self.like.dtype, device=self.like.device))
        return Draw(z, self.log_prob(z), z.new_zeros(n))

    def log_prob(self, x: Tensor) -> Tensor:
        return -0.5 * (x.square().flatten(1).sum(1) + math.prod(self.shape) * math.log(2 * math.pi))

    def flip_action(self) -> Tensor:
        return -torch.ones(self.shape, device=self.like.device)

    def extra_repr(self) -> str:
        return f"shape={self.shape}"
