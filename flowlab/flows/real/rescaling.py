"""One learned factor for the whole field."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from flowlab.core import Flow
from flowlab.core.arguments import checked


class Rescaling(Flow):
    """x = e^r z with one learned number r, and ln|det dx/dz| = N r.

    The factor is a parameter and never a statistic of a batch: ln q of a configuration does not depend on what it
    is computed with.

    Args:
        shape: sides of one configuration, N sites together.
        scale: e^r at the start, positive.

    Raises:
        ValueError: for a scale that is not positive and finite.

    >>> x, log_det = Rescaling((2, 3), scale=2.0)(torch.ones(1, 2, 3))
    >>> x.max().item(), round(log_det.item() / math.log(2), 6)
    (2.0, 6.0)
    """

    label = "rescaling"

    @checked
    def __init__(self, shape: Sequence[int], scale: float = 1.0) -> None:
        super().__init__()
        if not 0 < scale < math.inf:
            raise ValueError(f"scale must be positive, got {scale}")
        self.shape = tuple(shape)
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))

    def forward(self, z: Tensor, *, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        return z * self.log_scale.exp(), self._log_det(z)

    def inverse(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x * (-self.log_scale).exp(), -self._log_det(x)

    def _log_det(self, x: Tensor) -> Tensor:
        if tuple(x.shape[1:]) != self.shape:
            raise ValueError(f"expected fields of shape (n, {', '.join(map(str, self.shape))}), got {tuple(x.shape)}")
        return (math.prod(self.shape) * self.log_scale).expand(len(x))

    def pull_flip(self, action: Tensor) -> Tensor:
        return action

    def extra_repr(self) -> str:
        return f"shape={self.shape}"
