"""The ferromagnetic (or antiferromagnetic) Ising model on periodic lattices of one, two and three dimensions."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import softplus

from flowlab.core import Plane
from flowlab.core.arguments import checked
from flowlab.core.system import as_coupling
from flowlab.core.variables import Spins
from flowlab.systems.decimated import NearestNeighbour
from flowlab.systems.lattice import Lattice, takes_side

CRITICAL_TEMPERATURE = 2.0 / math.log(1.0 + math.sqrt(2.0))
CRITICAL_TEMPERATURES = {2: CRITICAL_TEMPERATURE, 3: 1 / 0.221654626}
"""Dimensions -> T_c in units of J: exact in two (Onsager 1944), in three by Ferrenberg, Xu and Landau 2018."""


class Ising(NearestNeighbour):
    """Ising spins: E(s) = -J Σ_<xy> s_x s_y - h Σ_x s_x, ln weight = -E/T, k_B = 1.

    The sum runs over the dN bonds of a torus; on a side of length 2 each pair of neighbours has two bonds.
    The critical temperature of the infinite plane is 2J / ln(1 + √2) (Onsager 1944).

    Args:
        shape: one, two or three sides of at least 2; or one number, L, for L x L, which ``L=8`` gives too.
        T: temperature in units of J / k_B, positive.
        J: exchange coupling; positive is ferromagnetic.
        h: magnetic field in units of J.

    Raises:
        ValueError: for a shape that is no lattice, T <= 0, or a coupling that is not finite.

    >>> ising = Ising((4, 4), T=2.0)
    >>> float(ising.energy(torch.ones(1, 4, 4)))
    -32.0
    >>> float(ising.at(T=4.0).log_weight(torch.ones(1, 4, 4)))
    8.0
    >>> ising.title
    'Ising 4 × 4, T = 2'
    """

    @takes_side
    @checked
    def __init__(
        self, shape: int | tuple[int, ...], T: float | Tensor, J: float | Tensor = 1.0, h: float | Tensor = 0.0
    ) -> None:
        super().__init__()
        self.shape = lattice = Lattice(shape)
        self.dims, self.square = lattice.dims, len(lattice) == 2
        self.variables = Spins()
        self.couplings = {"T": as_coupling("T", T), "J": as_coupling("J", J), "h": as_coupling("h", h)}
        self.check_couplings()

    @property
    def title(self) -> str:
        T, J, h = (float(self.couplings[name].detach()) for name in ("T", "J", "h"))
        others = [f"{name} = {value:.4g}" for name, value, usual in (("J", J, 1.0), ("h", h, 0.0)) if value != usual]
        return ", ".join([f"Ising {' × '.join(map(str, self.shape))}", f"T = {T:.4g}", *others])

    @property
    def critical_temperature(self) -> float | None:
        """That of the infinite lattice without field; None in a field, and in one dimension."""
        known = CRITICAL_TEMPERATURES.get(len(self.shape)) if self.flip_symmetric else None
        return None if known is None else known * abs(float(self.couplings["J"].detach()))

    @property
    def flip_symmetric(self) -> bool:
        return float(self.couplings["h"].detach()) == 0.0

    @property
    def hypercubic(self) -> bool:
        return True

    def energy(self, x: Tensor) -> Tensor:
        """(n, *shape) spins -> (n,) energies E in units of J."""
        x = self.batch(x)
        J, h = self.couplings["J"], self.couplings["h"]
        sides = tuple(range(1, x.ndim))
        before = x.roll(1, -1)
        for side in sides[-2::-1]:
            before = before + x.roll(1, side)
        energy = -J.to(x.dtype) * (x * before).sum(sides)
        if h.requires_grad or float(h) != 0.0:
            energy = energy - h.to(x.dtype) * x.sum(sides)
        return energy

    def log_weight(self, x: Tensor) -> Tensor:
        """(n, *shape) spins -> (n,): -E/T."""
        energy = self.energy(x)
        return -energy / self.couplings["T"].to(energy.dtype)

    def observables(self, x: Tensor) -> dict[str, Tensor]:
        """``energy_per_site`` E/N and ``magnetization`` Σs/N, each (n,)."""
        x = self.batch(x)
        return {"energy_per_site": self.energy(x) / self.n_sites, "magnetization": x.flatten(1).mean(1)}

    def plane(self) -> Plane | None:
        if not self.square:
            return None
        n, m = self.shape
        T, J, h = (float(self.couplings[name].detach()) for name in ("T", "J", "h"))
        spins = torch.tensor([-1.0, 1.0], dtype=torch.float64)
        bonds = (J / T) * spins[:, None] * spins
        return Plane((h / T) * spins.repeat(n, m, 1), *(bonds.repeat(n, m, 1, 1) for _ in range(2)))

    @property
    def bond(self) -> Tensor:
        """J/T."""
        return self.couplings["J"] / self.couplings["T"]

    def on_site(self, x: Tensor) -> Tensor:
        """-h s/T at every site, the shape of x."""
        x = self.numbers(x)
        return -(self.couplings["h"] / self.couplings["T"]).to(x.dtype) * x

    def log_z_site(self, t: Tensor) -> Tensor:
        """ln 2cosh(t + h/T), the shape of t."""
        u = t + (self.couplings["h"] / self.couplings["T"]).to(t.dtype)
        return softplus(2 * u, threshold=40.0) - u  # beyond 40 it is linear to double precision

    def draw_site(self, t: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Heat bath: a spin for each field t, +1 with probability 1 / (1 + exp(-2 (t + h/T)))."""
        u = t + (self.couplings["h"] / self.couplings["T"]).to(t.dtype)
        uniform = torch.rand(t.shape, generator=generator, dtype=t.dtype, device=t.device)
        return torch.where(uniform < torch.sigmoid(2 * u), 1.0, -1.0).to(t.dtype)
