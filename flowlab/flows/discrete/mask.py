"""Hard ±1 masks with a gradient: straight-through windows and the Gumbel-tanh relaxation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from flowlab.core.generators import everyone, own

Gradient = Literal["tanh", "clip", "identity", "gumbel"]
GRADIENTS = ("tanh", "clip", "identity", "gumbel")


@dataclass
class HardSign:
    """sign(g) in {-1, +1} whose backward pass differentiates a smooth stand-in for the sign.

    At g = 0 it is the sign bit that counts, +0 or -0: the mask of an odd g is then odd at ties too.

    The batch is the last side of g. The value never changes: only the gradient is a surrogate, d/dg of

    - ``"tanh"``: tanh(g); ``"clip"``: g clipped to [-1, 1]; ``"identity"``: g itself, which damages good masks;
    - ``"gumbel"``: tanh((g + noise · (ξ_1 - ξ_2)) / temperature) with Gumbel noise ξ, annealed by ``anneal``; drawn
      with every value, so that what is drawn after it is the same without gradients, and none without a generator.

    Attributes:
        gradient: which stand-in.
        noise: scale of the Gumbel noise now, falling linearly from ``start_noise`` to 0.
        temperature: its temperature now, falling geometrically from ``start_temperature`` to ``end_temperature``.

    >>> HardSign()(torch.tensor([-0.3, 0.0, 2.0])).tolist()
    [-1.0, 1.0, 1.0]
    """

    gradient: Gradient = "tanh"
    start_noise: float = 1.0
    start_temperature: float = 2.0
    end_temperature: float = 0.5

    def __post_init__(self) -> None:
        if self.gradient not in GRADIENTS:
            raise ValueError(f"gradient must be one of {', '.join(GRADIENTS)}, got {self.gradient!r}")
        self.anneal(0.0)

    def anneal(self, progress: float) -> None:
        """Set noise and temperature for this part of the training, 0 to 1."""
        self.noise = self.start_noise * (1.0 - progress)
        self.temperature = self.start_temperature * (self.end_temperature / self.start_temperature) ** progress

    def __call__(self, g: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        hard = torch.copysign(torch.ones((), dtype=g.dtype, device=g.device), g)
        u = None
        if self.gradient == "gumbel" and generator is not None:
            sizes = (*g.shape[:-1], everyone(g.shape[-1]))
            u = own(torch.rand(sizes, generator=generator, dtype=g.dtype, device=g.device), -1).clamp(1e-7, 1 - 1e-7)
        if not (torch.is_grad_enabled() and g.requires_grad):
            return hard
        if self.gradient == "tanh":
            soft = g.tanh()
        elif self.gradient == "clip":
            soft = g.clamp(-1, 1)
        elif self.gradient == "identity":
            soft = g
        else:
            soft = ((g if u is None else g + self.noise * torch.logit(u)) / self.temperature).tanh()
        return hard + (soft - soft.detach())
