"""A linear layer with a fixed pattern of missing connections."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class MaskedLinear(nn.Module):
    """y = (W ⊙ mask) x + b, where ``mask`` is 0 or 1 and never changes.

    Entries of W outside the mask start at zero and receive an exactly zero gradient. Each row starts as
    W ~ gain · N(0, 1) / √(connections of that row), so outputs that see few inputs are not starved; b starts at zero.
    The mask follows from the architecture and is not part of ``state_dict``.

    Args:
        mask: (n_out, n_in), which inputs each output sees; booleans or 0/1.
        bias: whether to add b.
        gain: scale of the initial weights; 0 starts the layer at zero.
        generator: draws the initial weights; None takes torch's default generator.

    Raises:
        ValueError: for a mask that is not a matrix of 0 and 1.

    >>> layer = MaskedLinear(torch.ones(2, 2).tril(-1), generator=torch.Generator().manual_seed(0))
    >>> layer.weight[0].tolist(), layer(torch.ones(5, 2)).shape
    ([0.0, 0.0], torch.Size([5, 2]))
    """

    mask: Tensor
    bias: Tensor

    def __init__(
        self, mask: Tensor, *, bias: bool = True, gain: float = 1.0, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        if mask.ndim != 2 or not bool(((mask == 0) | (mask == 1)).all()):
            raise ValueError(f"mask must be a matrix of 0 and 1, got shape {tuple(mask.shape)}, dtype {mask.dtype}")
        self.register_buffer("mask", mask.to(torch.get_default_dtype()), persistent=False)
        device = "cpu" if generator is None else generator.device
        noise = torch.randn(tuple(mask.shape), generator=generator, device=device).to(self.mask)
        scale = gain * self.mask.sum(1, keepdim=True).clamp(min=1).rsqrt()
        self.weight = nn.Parameter((noise * scale).masked_fill(self.mask == 0, 0.0))
        self.register_parameter("bias", nn.Parameter(torch.zeros_like(self.mask[:, 0])) if bias else None)

    def forward(self, x: Tensor) -> Tensor:
        """(..., n_in) -> (..., n_out)."""
        return functional.linear(x, self.weight * self.mask, self.bias)

    def extra_repr(self) -> str:
        n_out, n_in = self.mask.shape
        return f"{n_in} -> {n_out}, {int(self.mask.sum())} connections, bias={self.bias is not None}"
