"""The free scalar field on a periodic lattice, the one field theory that is drawn exactly."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from flowlab.core.arguments import checked
from flowlab.core.system import as_coupling
from flowlab.core.variables import Reals
from flowlab.systems.decimated import NearestNeighbour
from flowlab.systems.lattice import Lattice, lattice_momentum_squared, structure_factor_1, takes_side


class FreeField(NearestNeighbour):
    """S(φ) = Σ_x [½ Σ_μ (φ_{x+μ} - φ_x)² + ½ m² φ_x²], ln weight = -S: independent modes, G̃(q) = 1 / (m² + q̂²).

    q̂² = Σ_μ 4 sin²(q_μ / 2). The sum over μ runs over the positive directions; on a side of length 2 each pair of
    neighbours has two bonds. ln q of a :meth:`sample` is log_weight - ln Z, with ``flowlab.exact.log_z`` for ln Z.

    Args:
        shape: one, two or three sides of at least 2; or one number, L, for L x L, which ``L=8`` gives too.
        mass: m > 0, in inverse lattice spacings.

    Raises:
        ValueError: for a shape that is no lattice, or a mass that is not positive.

    >>> free = FreeField((4, 4), mass=0.5)
    >>> float(free.log_weight(torch.ones(1, 4, 4)))
    -2.0
    >>> free.sample(3, generator=torch.Generator().manual_seed(0)).shape
    torch.Size([3, 4, 4])
    """

    @takes_side
    @checked
    def __init__(self, shape: int | tuple[int, ...], mass: float | Tensor) -> None:
        super().__init__()
        lattice = Lattice(shape)
        self.shape, self.dims = lattice, lattice.dims
        self.variables = Reals()
        self.couplings = {"mass": as_coupling("mass", mass)}
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
        x = self.batch(x)
        mass = self.couplings["mass"].to(x.dtype)
        steps = [(x.roll(-1, side) - x).square() for side in range(1, x.ndim)]
        return 0.5 * (torch.stack(steps).sum(0) + mass.square() * x.square()).flatten(1).sum(1)

    def log_weight(self, x: Tensor) -> Tensor:
        """(n, *shape) fields -> (n,): -S."""
        return -self.action(x)

    @property
    def bond(self) -> Tensor:
        """1: S is also -Σ_<xy> φ_x φ_y + Σ_x (d + m²/2) φ_x²."""
        return torch.ones_like(self.couplings["mass"])

    def on_site(self, x: Tensor) -> Tensor:
        """V(φ) = (d + m²/2) φ² at every site, the shape of x."""
        x = self.numbers(x)
        return self._curvature.to(x.dtype) * x.square()

    def log_z_site(self, t: Tensor) -> Tensor:
        """ln ∫ exp(tφ - V(φ)) dφ, the shape of t."""
        a = self._curvature.to(t.dtype)
        return t.square() / (4 * a) + 0.5 * (math.pi / a).log()

    def draw_site(self, t: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """A draw from exp(tφ - V(φ)) for each field t, the shape of t."""
        a = self._curvature.to(t.dtype)
        noise = torch.randn(t.shape, generator=generator, dtype=t.dtype, device=t.device)
        return t / (2 * a) + noise * (2 * a).rsqrt()

    @property
    def _curvature(self) -> Tensor:
        return len(self.shape) + 0.5 * self.couplings["mass"].square()

    def observables(self, x: Tensor) -> dict[str, Tensor]:
        """``action_per_site`` S/N, ``magnetization`` Σφ/N, ``phi_squared`` Σφ²/N, ``structure_factor_1``; each (n,)."""
        x = self.batch(x)
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
        device = None if generator is None else generator.device
        noise = torch.randn((n, *self.shape), generator=generator, dtype=dtype, device=device)
        sides = tuple(range(1, noise.ndim))
        half = self.momentum_propagator().sqrt().to(noise)[..., : self.shape[-1] // 2 + 1]
        x: Tensor = torch.fft.irfftn(torch.fft.rfftn(noise, dim=sides) * half, s=self.shape, dim=sides)
        return x
