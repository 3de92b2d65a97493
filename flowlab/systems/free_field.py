"""The free scalar field on a periodic lattice, the one field theory that is drawn exactly."""

from __future__ import annotations

import torch
from torch import Tensor

from flowlab.core import System
from flowlab.core.system import as_coupling
from flowlab.systems.momentum import lattice_momentum_squared, structure_factor_1
from flowlab.systems.phi4 import DIMS


class FreeField(System):
    """S(φ) = Σ_x [½ Σ_μ (φ_{x+μ} - φ_x)² + ½ m² φ_x²], ln weight = -S: independent modes, G̃(q) = 1 / (m² + q̂²).

    q̂² = Σ_μ 4 sin²(q_μ / 2). The sum over μ runs over the positive directions; on a side of length 2 each pair of
    neighbours has two bonds. ln q of a :meth:`sample` is log_weight - ln Z, with ``flowlab.exact.log_z`` for ln Z.

    Args:
        shape: one, two or three sides of at least 2.
        mass: m > 0, in inverse lattice spacings.

    Raises:
        ValueError: for a shape that is no lattice, or a mass that is not positive.

    >>> free = FreeField((4, 4), mass=0.5)
    >>> float(free.log_weight(torch.ones(1, 4, 4)))
    -2.0
    >>> free.sample(3, generator=torch.Generator().manual_seed(0)).shape
    torch.Size([3, 4, 4])
    """

    def __init__(self, shape: tuple[int, ...], mass: float | Tensor) -> None:
        super().__init__()
        sides = tuple(shape)
        if not 1 <= len(sides) <= 3 or any(int(side) != side or side < 2 for side in sides):
            raise ValueError(f"shape must be one, two or three sides of at least 2, got {shape}")
        self.shape = tuple(int(side) for side in sides)
        self.dims = DIMS[len(sides)]
        self.domain = "real"
        self.couplings = {"mass": as_coupling(mass)}
        self.check_couplings()

    @property
    def title(self) -> str:
        return f"free field {' × '.join(map(str, self.shape))}, m = {float(self.couplings['mass'].detach()):.4g}"

    @property
    def flip_symmetric(self) -> bool:
        return True

    def check_couplings(self) -> None:
        super().check_couplings()
        mass = float(self.couplings["mass"].detach())
        if not mass > 0:
            raise ValueError(f"mass must be positive: without mass² > 0 the constant field has no weight, got {mass}")

    def action(self, x: Tensor) -> Tensor:
        """(n, *shape) fields -> (n,) actions S."""
        mass = self.couplings["mass"].to(x.dtype)
        steps = [(x.roll(-1, side) - x).square() for side in range(1, x.ndim)]
        return 0.5 * (torch.stack(steps).sum(0) + mass.square() * x.square()).flatten(1).sum(1)

    def log_weight(self, x: Tensor) -> Tensor:
        """(n, *shape) fields -> (n,): -S."""
        return -self.action(x)

    def observables(self, x: Tensor) -> dict[str, Tensor]:
        """``action_per_site`` S/N, ``magnetization`` Σφ/N, ``phi_squared`` Σφ²/N, ``structure_factor_1``; each (n,)."""
        sites = x.flatten(1)
        return {
            "action_per_site": self.action(x) / self.n_sites,
            "magnetization": sites.mean(1),
            "phi_squared": sites.square().mean(1),
            "structure_factor_1": structure_factor_1(x),
        }

    def momentum_propagator(self) -> Tensor:
        """(*shape) float64 G̃(q) = <\\|φ̃(q)\\|²> / N = 1 / (m² + q̂²), in the order of ``torch.fft.fftn``."""
        mass = self.couplings["mass"].double()
        return 1 / (mass.square() + lattice_momentum_squared(self.shape, device=mass.device))

    def propagator(self) -> Tensor:
        """(*shape) float64 G(x) = <φ_0 φ_x>."""
        position: Tensor = torch.fft.ifftn(self.momentum_propagator())
        return position.real

    def sample(self, n: int, *, generator: torch.Generator | None = None, dtype: torch.dtype | None = None) -> Tensor:
        """(n, *shape) independent exact draws: white noise times √G̃ in momentum space."""
        device = self.couplings["mass"].device
        noise = torch.randn((n, *self.shape), generator=generator, dtype=dtype, device=device)
        sides = tuple(range(1, noise.ndim))
        half = self.momentum_propagator().sqrt().to(noise.dtype)[..., : self.shape[-1] // 2 + 1]
        x: Tensor = torch.fft.irfftn(torch.fft.rfftn(noise, dim=sides) * half, s=self.shape, dim=sides)
        return x
