"""The Ising model on a periodic triangular lattice: frustrated where it is antiferromagnetic."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from flowlab.core import Spins, System
from flowlab.core.arguments import checked
from flowlab.core.system import as_coupling
from flowlab.systems.lattice import plane, takes_side, window

OFFSETS = [(-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (1, 1)]
RESIDUAL_ENTROPY = 0.32306594721945057
"""Entropy a site of the antiferromagnet at T = 0, (2/π) ∫_0^{π/3} ln(2 cos ω) dω (Wannier 1950)."""


class TriangularIsing(System):
    """Ising spins with six neighbours: E(s) = -J Σ_<xy> s_x s_y, ln weight = -E/T, k_B = 1.

    The lattice is an n x m torus of squares with one diagonal each, along (1, 1); the sum runs over its 3N bonds. With
    J < 0 no triangle can satisfy all three, and there is no order at any T > 0 (Wannier 1950). The three sublattices
    need both sides divisible by 3: :func:`flowlab.flows.discrete.partitions.sublattices`.

    Args:
        shape: (n, m), both sides at least 2; or one number, L, for L x L, which ``L=8`` gives too.
        T: temperature in units of |J| / k_B, positive.
        J: exchange coupling; negative is antiferromagnetic.

    Raises:
        ValueError: for a shape that is no lattice, T <= 0, or a coupling that is not finite.

    >>> triangular = TriangularIsing((3, 3), T=1.0)
    >>> float(triangular.energy(torch.ones(1, 3, 3)))
    27.0
    >>> triangular.title
    'Triangular Ising 3 × 3, J = -1, T = 1'
    """

    @takes_side
    @checked
    def __init__(self, shape: int | tuple[int, int], T: float | Tensor, J: float | Tensor = -1.0) -> None:
        super().__init__()
        self.shape = plane(shape)
        self.dims = ("y", "x")
        self.variables = Spins()
        self.couplings = {"T": as_coupling("T", T), "J": as_coupling("J", J)}
        self.check_couplings()

    @property
    def title(self) -> str:
        T, J = (float(self.couplings[name].detach()) for name in ("T", "J"))
        return f"Triangular Ising {self.shape[0]} × {self.shape[1]}, J = {J:.4g}, T = {T:.4g}"

    @property
    def critical_temperature(self) -> float | None:
        """4J / ln 3 of the infinite ferromagnet (Houtappel 1950); None where J < 0, which does not order."""
        J = float(self.couplings["J"].detach())
        return 4 * J / math.log(3) if J > 0 else None

    @property
    def flip_symmetric(self) -> bool:
        return True

    @property
    def h(self) -> Tensor:
        """(N,) fields, all 0."""
        return torch.zeros(self.n_sites, dtype=torch.float64, device=self.couplings["J"].device)

    def neighbours(self) -> tuple[Tensor, Tensor]:
        """Who is coupled to whom: (N, 6) site numbers, int64, and (N, 6) couplings, float64.

        >>> sites, couplings = TriangularIsing((4, 4), T=1.0).neighbours()
        >>> sites[5].tolist(), couplings[5].tolist()
        ([1, 9, 4, 6, 0, 10], [-1.0, -1.0, -1.0, -1.0, -1.0, -1.0])
        """
        J = self.couplings["J"].detach().double()
        sites = window(self.shape, OFFSETS).to(J.device)
        return sites, J.expand(sites.shape).clone()

    def energy(self, x: Tensor) -> Tensor:
        """(n, *shape) spins -> (n,) energies E in units of |J|."""
        x = self.batch(x)
        right = x.roll(1, -1)
        bonds = (x * (right + x.roll(1, -2) + right.roll(1, -2))).sum((-1, -2))
        return -self.couplings["J"].to(x.dtype) * bonds

    def log_weight(self, x: Tensor) -> Tensor:
        """(n, *shape) spins -> (n,): -E/T."""
        energy = self.energy(x)
        return -energy / self.couplings["T"].to(energy.dtype)

    def observables(self, x: Tensor) -> dict[str, Tensor]:
        """``energy_per_site`` E/N and ``magnetization`` Σs/N, each (n,)."""
        x = self.batch(x)
        return {"energy_per_site": self.energy(x) / self.n_sites, "magnetization": x.mean((-1, -2))}
