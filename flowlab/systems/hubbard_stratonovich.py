"""A spin glass in continuous variables, by the Hubbard-Stratonovich transformation."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from flowlab.core import Reals, Representation
from flowlab.core.arguments import checked
from flowlab.systems.spin_glass import SpinGlass


class ContinuousSpinGlass(Representation):
    """The spins of a glass as a density over real x, p(x) ∝ exp(-β H_β(x)), from which they are drawn one by one.

    With J̃ = J + Δ and Δ = max(0, ε - λ_min(J)), which makes J̃ positive, spins and x have a joint density with

        p(x|s) = N(s, (β J̃)^-1),    p(s|x) = Π_i exp(β s_i u_i) / 2cosh(β u_i),    u = J̃ x + h,
        H_β(x) = ½ x·J̃x - (1/β) Σ_i ln 2cosh(β u_i),
        ln Z_x = (N/2) ln 2π - ½ ln det(β J̃) + ½ N β Δ + ln Z_s.

    H_β depends on β, so that -d ln Z_x / dβ is not <H_β>.

    Args:
        glass: the spins; also a glass on a lattice, whose shape x then has.
        epsilon: ε, the smallest eigenvalue of J̃, positive, in the units of J.

    Attributes:
        parent: the glass.
        epsilon: ε.
        shift: Δ.
        shifted_couplings: (N, N) J̃, float64.
        eigenvalues: (N,) of J̃, ascending, float64.
        eigenvectors: (N, N) of J̃, in columns, float64.

    Raises:
        ValueError: for epsilon <= 0.
        TypeError: for a system that is not a spin glass.

    Source: G. S. Hartnett, M. Mohseni, arXiv:2001.00585 (2020) and arXiv:2001.00927 (2020).

    >>> continuous = ContinuousSpinGlass(SpinGlass.sherrington_kirkpatrick(16, T=0.5, seed=1))
    >>> generator = torch.Generator().manual_seed(0)
    >>> spins, log_p = continuous.restore(torch.zeros(5, 16), generator=generator)
    >>> spins.shape, round(float(log_p[0] / math.log(2)), 4)
    (torch.Size([5, 16]), -16.0)
    >>> continuous.reduce(spins, generator=generator).shape
    torch.Size([5, 16])
    """

    parent: SpinGlass
    shifted_couplings: Tensor
    eigenvalues: Tensor
    eigenvectors: Tensor

    @checked
    def __init__(self, glass: SpinGlass, epsilon: float = 0.01) -> None:
        super().__init__()
        if not (math.isfinite(epsilon) and epsilon > 0):
            raise ValueError(f"epsilon must be positive, got {epsilon}")
        self.parent = glass
        self.shape, self.dims, self.variables = glass.shape, glass.dims, Reals()
        self.couplings, self.disordered = dict(glass.couplings), glass.disordered
        J = glass.J.double()
        eigenvalues, eigenvectors = torch.linalg.eigh(J)
        self.epsilon = float(epsilon)
        self.shift = max(0.0, self.epsilon - float(eigenvalues[0]))
        self._log_det = float((eigenvalues + self.shift).log().sum())
        shifted = J + self.shift * torch.eye(glass.n_sites, dtype=J.dtype, device=J.device)
        self.register_buffer("shifted_couplings", shifted, persistent=False)
        self.register_buffer("eigenvalues", eigenvalues + self.shift, persistent=False)
        self.register_buffer("eigenvectors", eigenvectors, persistent=False)

    @property
    def title(self) -> str:
        return f"{self.parent.title}, continuous"

    @property
    def flip_symmetric(self) -> bool:
        return self.parent.flip_symmetric

    @property
    def convex_temperature(self) -> float:
        """λ_max(J) + Δ: at higher temperatures H_β is convex, with one minimum."""
        return float(self.eigenvalues[-1])

    @property
    def log_z_offset(self) -> float:  # type: ignore[override]
        """ln Z_s - ln Z_x = ½ ln det(β J̃) - (N/2) ln 2π - ½ N β Δ."""
        beta = 1 / float(self.couplings["T"].detach())
        return 0.5 * (self._log_det + self.n_sites * (math.log(beta / (2 * math.pi)) - beta * self.shift))

    def log_weight(self, x: Tensor) -> Tensor:
        """(n, *shape) -> (n,): -β H_β(x) = Σ_i ln 2cosh(β u_i) - ½ β x·J̃x."""
        x = self.batch(x).flatten(1)
        coupled = x @ self.shifted_couplings.to(x.dtype)
        beta = 1 / self.couplings["T"].to(x.dtype)
        u = beta * (coupled + self.parent.h.to(x.dtype))
        log_2cosh = softplus(2 * u, threshold=40.0) - u  # beyond 40 it is linear to double precision
        return (log_2cosh - 0.5 * beta * x * coupled).sum(-1)

    def hamiltonian_density(self, x: Tensor) -> Tensor:
        """(n, *shape) -> (n,): H_β(x), in the units of J."""
        log_weight = self.log_weight(x)
        return -log_weight * self.couplings["T"].to(log_weight.dtype)

    def observables(self, x: Tensor) -> dict[str, Tensor]:
        """``x2_per_site`` x·x/N, on average 1 + tr((β J̃)^-1)/N, and ``hamiltonian_density_per_site`` H_β(x)/N."""
        x = self.batch(x)
        return {
            "x2_per_site": x.flatten(1).square().mean(-1),
            "hamiltonian_density_per_site": self.hamiltonian_density(x) / self.n_sites,
        }

    def restore(self, x: Tensor, *, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """(n, *shape) x -> spins (n, *shape) drawn from p(s|x), and ln p(s|x), (n,)."""
        x = self.batch(x)
        flat = x.flatten(1)
        u = (flat @ self.shifted_couplings.to(x.dtype) + self.parent.h.to(x.dtype)) / self.couplings["T"].to(x.dtype)
        uniform = torch.rand(flat.shape, generator=generator, dtype=x.dtype, device=x.device)
        s = torch.where(uniform < torch.sigmoid(2 * u.detach()), 1.0, -1.0).to(x.dtype)
        return s.reshape(x.shape), logsigmoid(2 * s * u).sum(-1)

    def reduce(self, s: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """(n, *shape) spins -> x (n, *shape) drawn from p(x|s), normal around s with covariance (β J̃)^-1."""
        s = self.parent.batch(s)
        noise = torch.randn(s.flatten(1).shape, generator=generator, dtype=s.dtype, device=s.device)
        width = (self.couplings["T"] / self.eigenvalues).sqrt().to(s.dtype)
        return s + ((noise * width) @ self.eigenvectors.T.to(s.dtype)).reshape(s.shape)

    def extra_repr(self) -> str:
        return f"epsilon={self.epsilon:g}"
