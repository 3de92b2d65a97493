"""The q-state Potts model on a square lattice."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from flowlab.core import Plane, States
from flowlab.core.arguments import checked
from flowlab.core.one_hot import one_hot
from flowlab.core.system import as_coupling
from flowlab.systems.decimated import NearestNeighbour
from flowlab.systems.lattice import Boundary, joined, plane, takes_side


class Potts(NearestNeighbour):
    """Potts states 0 .. q-1: E(s) = -J Σ_<xy> δ(s_x, s_y), ln weight = -E/T, k_B = 1.

    The sum runs over the 2N bonds of an n x m torus, on a side of length 2 two for each pair of neighbours, or over
    those of a lattice with open sides. For
    q = 2 it is the Ising model with coupling J/2 and energy shifted by -J a site. States are floats, as spins are; a
    gradient in them is that of polynomials through the states, or of their one-hot form where a flow made them.

    Args:
        shape: (n, m), both sides at least 2; or one number, L, for L x L, which ``L=8`` gives too.
        T: temperature in units of J / k_B, positive.
        q: number of states, at least 2.
        J: exchange coupling; positive is ferromagnetic.
        boundary: "periodic", "open", or "cylinder", which is open along y, its first side, and periodic along x.

    Raises:
        ValueError: for a shape that is no lattice, q < 2, T <= 0, a coupling that is not finite, or another
            boundary.

    >>> potts = Potts((4, 4), T=1.0)
    >>> x = torch.zeros(1, 4, 4)
    >>> float(potts.energy(x)), float(potts.observables(x)["magnetization"])
    (-32.0, 1.0)
    >>> potts.title, round(potts.critical_temperature, 6)
    ('Potts 4 × 4, q = 3, T = 1', 0.994973)
    """

    @takes_side
    @checked
    def __init__(
        self,
        shape: int | tuple[int, int],
        T: float | Tensor,
        q: int = 3,
        J: float | Tensor = 1.0,
        *,
        boundary: Boundary = "periodic",
    ) -> None:
        super().__init__()
        if int(q) != q or q < 2:
            raise ValueError(f"q must be a number of states of at least 2, got {q}")
        self.shape, self.q = plane(shape), int(q)
        self.boundary, self.joined = boundary, joined(boundary, 2)
        self.square = all(self.joined)
        self.dims = ("y", "x")
        self.variables = States(self.q)
        self.couplings = {"T": as_coupling("T", T), "J": as_coupling("J", J)}
        self.check_couplings()

    @property
    def title(self) -> str:
        T, J = (float(self.couplings[name].detach()) for name in ("T", "J"))
        parts = [f"Potts {self.shape[0]} × {self.shape[1]}", f"q = {self.q}", f"T = {T:.4g}"]
        others = [self.boundary] * (not self.square) + [f"J = {J:.4g}"] * (J != 1)
        return ", ".join([*parts, *others])

    @property
    def critical_temperature(self) -> float:
        """J / ln(1 + √q) of the infinite lattice, exact; the transition is of first order for q > 4 (Wu 1982)."""
        return float(self.couplings["J"].detach()) / math.log(1 + math.sqrt(self.q))

    def energy(self, x: Tensor) -> Tensor:
        """(n, *shape) states -> (n,) energies E in units of J."""
        x = self.batch(x)
        if x.requires_grad and torch.is_grad_enabled():
            e = one_hot(x, self.q)
            equal = [(e * e.roll(-1, axis)).sum(-1) for axis in (1, 2)]
        else:
            equal = [(x == x.roll(-1, axis)).to(x.dtype) for axis in (1, 2)]
        rows, columns = (side - (not around) for side, around in zip(self.shape, self.joined, strict=True))
        bonds = equal[0][:, :rows].sum((1, 2)) + equal[1][:, :, :columns].sum((1, 2))
        return -self.couplings["J"].to(x.dtype) * bonds

    def plane(self) -> Plane:
        n, m = self.shape
        same = torch.eye(self.q, dtype=torch.float64) * (self.couplings["J"] / self.couplings["T"]).detach().cpu()
        down, right = (same.repeat(n, m, 1, 1) for _ in range(2))
        down[-1] *= self.joined[0]
        right[:, -1] *= self.joined[1]
        return Plane(torch.zeros(n, m, self.q, dtype=torch.float64), right, down)

    def log_weight(self, x: Tensor) -> Tensor:
        """(n, *shape) states -> (n,): -E/T."""
        energy = self.energy(x)
        return -energy / self.couplings["T"].to(energy.dtype)

    def observables(self, x: Tensor) -> dict[str, Tensor]:
        """``energy_per_site`` E/N and ``magnetization`` (q max_k ρ_k - 1)/(q - 1), with ρ_k the share of state k."""
        x = self.batch(x)
        return {"energy_per_site": self.energy(x) / self.n_sites, "magnetization": self.variables.magnetization(x)}

    @property
    def periodic(self) -> bool:  # type: ignore[override]
        return self.square

    @property
    def bond(self) -> Tensor:
        """J/T."""
        return self.couplings["J"] / self.couplings["T"]

    def vectors(self, x: Tensor) -> Tensor:
        """(n, *shape) states -> (n, *shape, q), 1 at the state: the product of two is δ(s, s')."""
        return one_hot(x, self.q)

    def dot(self, t: Tensor, x: Tensor) -> Tensor:
        return t.gather(-1, x.detach().long()[..., None])[..., 0]

    def on_site(self, x: Tensor) -> Tensor:
        """Zeros: no field."""
        return torch.zeros_like(self.numbers(x))

    def log_z_site(self, t: Tensor) -> Tensor:
        """(..., q) fields of the states -> (...) ln Σ_s exp t_s."""
        return t.logsumexp(-1)

    def draw_site(self, t: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Heat bath: (..., q) fields -> (...) states, s with probability exp(t_s) / Σ exp t."""
        edges = t.softmax(-1).cumsum(-1)[..., :-1]
        u = torch.rand(t.shape[:-1], generator=generator, dtype=t.dtype, device=t.device)
        return (u[..., None] >= edges).sum(-1).to(t.dtype)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, q={self.q}"
