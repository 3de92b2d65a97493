"""Between what is trained on and the physical system."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from flowlab.core import Density, System


def restored(target: System, x: Tensor, generator: torch.Generator | None) -> Tensor:
    """Physical configurations for configurations x of the target, drawn where that takes a draw.

    Where some of x is NaN, not sampled yet, so is all that would be drawn.
    """
    if target.sublattice and bool(x.isnan().any()):
        return target.embed(x)
    return target.restore(x, generator=generator)[0]


def weighed(
    target: System, x: Tensor, log_q: Tensor, generator: torch.Generator | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Physical configurations for x, with the log weights and the ln q that belong to them, (n,) each, in float64.

    What a representation leaves out is drawn, s from p(s|x), and ln q is that of the pair over p(x|s),

        ln q(s) = ln q(x) + ln p(s|x) - ln p(x|s) = log_weight(s) - [log_weight(x) + log_z_offset - ln q(x)],

    so that log_weight(s) - ln q(s) is the weight of x. Where s fixes x (a decimated lattice) p(x|s) = 1 and it is the
    exact ln q of s; where it does not, E[exp(log_weight - ln q)] is Z all the same.
    """
    log_weight = target.log_weight(x.double())
    if target.physical is target:
        return x, log_weight, log_q.double()
    s = restored(target, x, generator)
    physical_weight = target.physical.log_weight(s.double())
    return s, physical_weight, physical_weight - (log_weight + float(target.log_z_offset) - log_q.double())


def like(density: Density) -> Tensor:
    """A floating-point tensor of the density, for its dtype and device."""
    tensors = [*density.parameters(), *density.buffers()]
    return next((tensor for tensor in tensors if tensor.is_floating_point()), torch.zeros(()))


def to_array(tensor: Tensor) -> np.ndarray:
    """A detached float64 copy on the CPU, of the same shape."""
    return tensor.detach().cpu().double().numpy()
