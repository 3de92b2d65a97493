"""The XY model: planar spins on the square lattice."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from flowlab.core import Angles, von_mises
from flowlab.core.arguments import checked
from flowlab.core.system import as_coupling
from flowlab.systems.decimated import NearestNeighbour
from flowlab.systems.lattice import plane, takes_side

T_KT = 0.8929
"""Where vortices of the infinite lattice unbind, in units of J, 1 / 1.1199 (Hasenbusch 2005, cond-mat/0502556)."""


class XY(NearestNeighbour):
    """Angles θ of planar spins: E(θ) = -J Σ_<xy> cos(θ_x - θ_y), ln weight = -E/T, k_B = 1.

    The sum runs over the 2N bonds of an n x m torus, on a side of length 2 two for each pair of neighbours. Rotations
    of all spins are a symmetry that no temperature breaks; vortices unbind at T_KT = .8929 J (Kosterlitz and Thouless
    1973), where the helicity modulus jumps from 2T/π to 0.

    Args:
        shape: (n, m), both sides at least 2; or one number, L, for L x L, which ``L=8`` gives too.
        T: temperature in units of J / k_B, positive.
        J: exchange coupling; positive is ferromagnetic.

    Raises:
        ValueError: for a shape that is no lattice, T <= 0, or a coupling that is not finite.

    >>> xy = XY((4, 4), T=0.9)
    >>> x = torch.zeros(1, 4, 4)
    >>> float(xy.energy(x)), {name: float(value) for name, value in xy.observables(x).items()}
    (-32.0, {'energy_per_site': -2.0, 'magnetization': 1.0, 'helicity_modulus': 1.0, 'vortices_per_site': 0.0})
    """

    @takes_side
    @checked
    def __init__(self, shape: int | tuple[int, int], T: float | Tensor, J: float | Tensor = 1.0) -> None:
        super().__init__()
        self.shape, self.dims, self.variables = plane(shape), ("y", "x"), Angles()
        self.couplings = {"T": as_coupling("T", T), "J": as_coupling("J", J)}
        self.check_couplings()

    @property
    def title(self) -> str:
        T, J = (float(self.couplings[name].detach()) for name in ("T", "J"))
        return f"XY {self.shape[0]} × {self.shape[1]}, T = {T:.4g}" + f", J = {J:.4g}" * (J != 1)

    @property
    def critical_temperature(self) -> float:
        """T_KT of the infinite lattice."""
        return T_KT * float(self.couplings["J"].detach())

    def energy(self, x: Tensor) -> Tensor:
        """(n, *shape) angles -> (n,) energies E in units of J."""
        x = self.batch(x)
        bonds = sum((x - x.roll(-1, side)).cos().sum((1, 2)) for side in (1, 2))
        return -self.couplings["J"].to(x.dtype) * bonds

    def log_weight(self, x: Tensor) -> Tensor:
        """(n, *shape) angles -> (n,): -E/T."""
        energy = self.energy(x)
        return -energy / self.couplings["T"].to(energy.dtype)

    def observables(self, x: Tensor) -> dict[str, Tensor]:
        """Of each configuration, (n,).

        ``energy_per_site`` E/N, ``magnetization`` |Σ exp(iθ)|/N, ``vortices_per_site``, how many plaquettes the angle
        turns around once, either way, over N, and ``helicity_modulus``, whose mean is the stiffness against a twist,
        J <Σ_x cos Δ>/N - J² <(Σ_x sin Δ)²>/(N T) with Δ the differences along one side, the mean of both sides
        (Teitel and Jayaprakash 1983).
        """
        x = self.batch(x)
        T, J = (self.couplings[name].to(x.dtype) for name in ("T", "J"))
        steps = [x.roll(-1, side) - x for side in (1, 2)]
        stiffness = [J * d.cos().sum((1, 2)) - J**2 / T * d.sin().sum((1, 2)).square() for d in steps]
        return {
            "energy_per_site": self.energy(x) / self.n_sites,
            "magnetization": self.variables.magnetization(x),
            "helicity_modulus": (stiffness[0] + stiffness[1]) / (2 * self.n_sites),
            "vortices_per_site": self.vortices(x).abs().mean((1, 2)),
        }

    def vortices(self, x: Tensor) -> Tensor:
        """(n, *shape) angles -> (n, *shape): +1, 0 or -1 turns around the plaquette whose corner is the site.

        Their sum over the torus is 0.
        """
        x = self.batch(x)
        down, right = (self.variables.principal(x.roll(-1, side) - x) for side in (1, 2))
        return ((right + down.roll(-1, 2) - right.roll(-1, 1) - down) / (2 * math.pi)).round()

    @property
    def bond(self) -> Tensor:
        """J/T."""
        return self.couplings["J"] / self.couplings["T"]

    def vectors(self, x: Tensor) -> Tensor:
        """(n, *shape) angles -> (n, *shape, 2) planar spins: the product of two is cos(θ - θ')."""
        return torch.stack([x.cos(), x.sin()], -1)

    def dot(self, t: Tensor, x: Tensor) -> Tensor:
        return t[..., 0] * x.cos() + t[..., 1] * x.sin()

    def on_site(self, x: Tensor) -> Tensor:
        """Zeros: no field."""
        return torch.zeros_like(self.numbers(x))

    def log_z_site(self, t: Tensor) -> Tensor:
        """(..., 2) fields -> (...) ln 2π I_0(|t|)."""
        return von_mises.log_norm(length(t))

    def draw_site(self, t: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Heat bath: (..., 2) fields -> (...) angles in [-π, π), by von Mises' distribution around each field."""
        around = von_mises.draw(length(t), generator=generator)
        return self.variables.principal(around + torch.atan2(t[..., 1], t[..., 0]))


def length(t: Tensor) -> Tensor:
    """(..., 2) -> (...) |t|, with a gradient of 0 where t is 0."""
    return (t.square().sum(-1) + torch.finfo(t.dtype).tiny).sqrt()
