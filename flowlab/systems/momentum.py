"""Fields on periodic lattices in momentum space."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def lattice_momentum_squared(shape: tuple[int, ...], *, device: torch.device | str = "cpu") -> Tensor:
    """(*shape) float64 Σ_μ 4 sin²(q_μ / 2) of every momentum q = 2π k / L, in the order of ``torch.fft.fftn``.

    >>> lattice_momentum_squared((4,)).round(decimals=6).tolist()
    [0.0, 2.0, 4.0, 2.0]
    """
    squared = torch.zeros((), dtype=torch.float64, device=device)
    for side in shape:
        k = torch.arange(side, dtype=torch.float64, device=device)
        squared = squared[..., None] + 4 * (math.pi * k / side).sin().square()
    return squared


def structure_factor_1(x: Tensor) -> Tensor:
    """(n, *shape) fields -> (n,) \\|φ̃(q)\\|² / N at the smallest momentum, 2π/L along an axis.

    φ̃(q) = Σ_x exp(iq·x) φ_x; the mean over the axes of the longest side L.

    >>> structure_factor_1(torch.tensor([[1.0, 0.0, -1.0, 0.0]])).tolist()
    [1.0]
    """
    shape = x.shape[1:]
    longest = max(shape)
    angle = 2 * math.pi / longest * torch.arange(longest, dtype=torch.float64)
    wave = torch.stack([angle.cos(), angle.sin()], 1).to(x)
    along = [axis for axis, side in enumerate(shape) if side == longest]
    lines = [x.movedim(axis + 1, -1).reshape(len(x), -1, longest).sum(1) for axis in along]
    power = [(line @ wave).square().sum(1) for line in lines]
    return torch.stack(power).mean(0) / math.prod(shape)
