"""The von Mises distribution of an angle in a field: q(θ) = exp(κ cos(θ - μ)) / (2π I_0(κ))."""

from __future__ import annotations

import math

import torch
from torch import Tensor

NARROW = 1e-4
"""A concentration below which 1/κ is lost in the proposal of Best and Fisher; the angle is uniform to this order."""


def log_norm(kappa: Tensor) -> Tensor:
    """ln 2π I_0(κ), differentiable.

    >>> log_norm(torch.tensor([0.0, 1000.0]))
    tensor([  1.8379, 997.4652])
    """
    scaled: Tensor = torch.special.i0e(kappa)
    return scaled.log() + kappa + math.log(2 * math.pi)


def draw(kappa: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """One angle for each concentration, exactly, around 0, without a gradient.

    Args:
        kappa: (...) concentrations, 0 or more.
        generator: random numbers; how many are used depends on how many proposals are rejected.

    Returns:
        (...) angles in [-π, π], the dtype of ``kappa``.

    Source: D. J. Best, N. I. Fisher 1979, Appl. Stat. 28, 152: rejection from a wrapped Cauchy distribution, which
    accepts two of three at least.

    >>> draw(torch.full((3,), 1e8), generator=torch.Generator().manual_seed(0)).abs().max() < 1e-3
    tensor(True)
    """
    k = kappa.detach().double().flatten().clamp_min(NARROW)
    tau = 1 + (1 + 4 * k.square()).sqrt()
    rho = (tau - (2 * tau).sqrt()) / (2 * k)
    r = (1 + rho.square()) / (2 * rho)
    angle = torch.empty_like(k)
    left = torch.arange(len(k), device=k.device)
    while len(left):
        u = torch.rand(3, len(left), generator=generator, dtype=k.dtype, device=k.device)
        z = (math.pi * u[0]).cos()
        f = (1 + r[left] * z) / (r[left] + z)
        c = k[left] * (r[left] - f)
        taken = (c * (2 - c) > u[1]) | ((c / u[1]).log() + 1 >= c)
        drawn = f.clamp(-1, 1).arccos() * (u[2] - 0.5).sign()
        angle[left[taken]] = drawn[taken]
        left = left[~taken]
    return angle.view(kappa.shape).to(kappa.dtype)
