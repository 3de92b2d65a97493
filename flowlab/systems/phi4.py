"""Lattice phi^4 theory: one real field a site, periodic boundaries, in one, two or three dimensions."""

from __future__ import annotations

import math
from typing import Self

import torch
from torch import Tensor

from flowlab.core.arguments import checked
from flowlab.core.system import as_coupling
from flowlab.core.variables import Reals
from flowlab.systems.decimated import NearestNeighbour
from flowlab.systems.lattice import Lattice, structure_factor_1, takes_side
from flowlab.systems.site_table import site_table


class Phi4(NearestNeighbour):
    """Lattice phi^4: S(φ) = Σ_x [-2κ Σ_μ φ_x φ_{x+μ} + (1 - 2λ) φ_x² + λ φ_x⁴] + constant, ln weight = -S.

    The sum over μ runs over the positive directions; on a side of length 2 each pair of neighbours has two bonds. The
    constant is λ per site for a system made by :meth:`from_beta`, else 0.

    Args:
        shape: one, two or three sides of at least 2; or one number, L, for L x L, which ``L=8`` gives too.
        kappa: hopping parameter κ; λ = 0 needs \\|κ\\| < 1 / (2 d), d the number of sides.
        lam: quartic coupling λ >= 0.

    Raises:
        ValueError: for a shape that is no lattice, λ < 0, a free part that is not stable, or couplings not finite.

    >>> import torch
    >>> phi4 = Phi4((4, 4), kappa=0.25, lam=0.5)
    >>> float(phi4.action(torch.ones(1, 4, 4)))
    -8.0
    >>> float(Phi4.from_beta((4, 4), beta=0.5, lam=0.5).action(torch.ones(1, 4, 4)))
    0.0
    """

    positive = ("lam",)

    @takes_side
    @checked
    def __init__(self, shape: int | tuple[int, ...], kappa: float | Tensor, lam: float | Tensor) -> None:
        super().__init__()
        lattice = Lattice(shape)
        self.shape, self.dims = lattice, lattice.dims
        self.variables = Reals()
        self.form = "kappa"
        self.couplings = {"kappa": as_coupling("kappa", kappa), "lam": as_coupling("lam", lam)}
        self.check_couplings()

    @classmethod
    @checked
    def from_beta(cls, shape: tuple[int, ...], beta: float | Tensor, lam: float | Tensor) -> Self:
        """S(φ) = Σ_x [-β Σ_μ φ_x φ_{x+μ} + φ_x² + λ (φ_x² - 1)²]: κ = β/2, and the constant λ per site stays in S.

        The form of Del Debbio, Marsh Rossney and Wilson 2021 (arXiv:2105.12481, eq. 40).
        """
        half = as_coupling("beta", beta) / 2
        if not bool(half.isfinite()):
            raise ValueError(f"beta must be a finite number, got {float(half)}")
        system = cls(shape, half, lam)
        system.form = "beta"
        return system

    @classmethod
    @checked
    def from_mass(cls, shape: tuple[int, ...], m0_squared: float, g0: float) -> Self:
        """The couplings of S = Σ_x [½ Σ_μ (Φ_{x+μ} - Φ_x)² + ½ m0² Φ_x² + (g0 / 4!) Φ_x⁴], with Φ = √β φ.

        d + m0²/2 = (1 - 2λ)/β and g0/4! = λ/β² in d dimensions (arXiv:2105.12481, A6 and A7, where d = 2). ln Z is
        that of the variables φ, in the form of :meth:`from_beta`.

        Raises:
            ValueError: for g0 < 0, or g0 = 0 with m0² <= 0 (no weight that can be normalised).

        >>> system = Phi4.from_mass((6, 6), m0_squared=-4.0, g0=24.0)
        >>> beta, lam = 2 * float(system.couplings["kappa"]), float(system.couplings["lam"])
        >>> bool(abs((1 - 2 * lam) / beta - 0.0) < 1e-12), round(lam / beta**2, 12)
        (True, 1.0)
        """
        if g0 < 0 or (g0 == 0 and m0_squared <= 0):
            raise ValueError(f"g0 must be positive, or zero with a positive m0², got g0 = {g0} and m0² = {m0_squared}")
        quartic, half = g0 / 24, len(Lattice(shape)) + m0_squared / 2
        # 2 quartic β² + half β - 1 = 0, the root that is positive for every sign of half
        sum_of_roots = half + math.sqrt(half**2 + 8 * quartic)
        if not sum_of_roots > 0:
            raise ValueError(f"m0_squared is too far below zero for this g0 in double precision, got {m0_squared}")
        beta = 2 / sum_of_roots
        return cls.from_beta(shape, beta, quartic * beta**2)

    @property
    def beta(self) -> float:
        """β = 2κ, the same coupling in the form of :meth:`from_beta`."""
        return 2 * float(self.couplings["kappa"].detach())

    def spelled(self, name: str, value: float) -> tuple[str, float]:
        return ("kappa", value / 2) if name == "beta" else super().spelled(name, value)

    def in_its_form(self, name: str, value: float) -> tuple[str, float]:
        if name == self.form or name not in ("beta", "kappa"):
            return name, value
        return (self.form, 2 * value if self.form == "beta" else value / 2)

    def value_of(self, name: str) -> float:
        return self.beta if name == "beta" else super().value_of(name)

    @property
    def title(self) -> str:
        kappa, lam = (float(self.couplings[name].detach()) for name in ("kappa", "lam"))
        coupling = f"β = {self.beta:.4g}" if self.form == "beta" else f"κ = {kappa:.4g}"
        return f"φ⁴ {' × '.join(map(str, self.shape))}, {coupling}, λ = {lam:.4g}"

    @property
    def conventions(self) -> dict[str, dict[str, float]]:
        """κ-λ; β-λ, of the same φ; m²-λ and m0²-g0 of rescaled fields, whose factor is ``field``.

        >>> Phi4((4, 4), kappa=0.25, lam=0.5).conventions["m2-lambda"]
        {'m2': -4.0, 'lambda': 8.0, 'field': 0.5}
        """
        kappa, lam = (float(self.couplings[name].detach()) for name in ("kappa", "lam"))
        found = {"kappa-lambda": {"kappa": kappa, "lambda": lam}, "beta-lambda": {"beta": 2 * kappa, "lambda": lam}}
        if kappa > 0:
            m2 = (1 - 2 * lam) / kappa - 2 * len(self.shape)
            found["m2-lambda"] = {"m2": m2, "lambda": lam / kappa**2, "field": math.sqrt(kappa)}
            found["m0_squared-g0"] = {"m0_squared": m2, "g0": 6 * lam / kappa**2, "field": math.sqrt(2 * kappa)}
        return found

    @property
    def action_in_words(self) -> str:
        """Of every convention."""
        return (
            "kappa-lambda: S = sum_x [-2 kappa sum_mu phi_x phi_(x+mu) + (1 - 2 lambda) phi_x^2 + lambda phi_x^4]; "
            "beta-lambda: S = sum_x [-beta sum_mu phi_x phi_(x+mu) + phi_x^2 + lambda (phi_x^2 - 1)^2]; "
            "m2-lambda, Phi = field * phi: S = sum_x [sum_mu (Phi_(x+mu) - Phi_x)^2 + m2 Phi_x^2 + lambda Phi_x^4]; "
            "m0_squared-g0, Phi = field * phi: S = sum_x [1/2 sum_mu (Phi_(x+mu) - Phi_x)^2 + 1/2 m0_squared Phi_x^2 "
            "+ g0/4! Phi_x^4]; periodic, up to a constant; configurations are phi"
        )

    @property
    def flip_symmetric(self) -> bool:
        return True

    def check_couplings(self) -> None:
        super().check_couplings()
        kappa, lam = (float(self.couplings[name].detach()) for name in ("kappa", "lam"))
        if lam < 0:
            raise ValueError(f"lam must be 0 or positive, got {lam}")
        if lam == 0 and not 2 * abs(kappa) * len(self.shape) < 1:
            raise ValueError(
                f"with lam = 0 the field is free and needs |kappa| < 1/{2 * len(self.shape)} to be stable, got {kappa}"
            )

    @property
    def constant(self) -> float | Tensor:
        """What the action has beside the form in κ, the whole lattice: λ N for :meth:`from_beta`, else 0."""
        return self.couplings["lam"] * self.n_sites if self.form == "beta" else 0.0

    def on_site(self, x: Tensor) -> Tensor:
        """V(φ) = (1 - 2λ) φ² + λ φ⁴ at every site, the shape of x."""
        x = self.numbers(x)
        lam = self.couplings["lam"].to(x.dtype)
        squared = x.square()
        return squared * (1 - 2 * lam + lam * squared)

    def action(self, x: Tensor) -> Tensor:
        """(n, *shape) fields -> (n,) actions S."""
        x = self.batch(x)
        sides = range(1, x.ndim)
        neighbours = sum(x.roll(1, side) for side in sides)
        kappa = self.couplings["kappa"].to(x.dtype)
        return (self.on_site(x) - 2 * kappa * x * neighbours).flatten(1).sum(1) + self.constant

    def log_weight(self, x: Tensor) -> Tensor:
        """(n, *shape) fields -> (n,): -S."""
        return -self.action(x)

    def force(self, x: Tensor) -> Tensor:
        """The gradient of log_weight, (n, *shape): 2κ Σ_±μ φ_{x±μ} - 2 (1 - 2λ) φ_x - 4λ φ_x³; differentiable itself.

        >>> import torch
        >>> Phi4((2, 2), kappa=0.25, lam=0.5).force(torch.ones(1, 2, 2)).flatten().tolist()
        [0.0, 0.0, 0.0, 0.0]
        """
        x = self.batch(x)
        kappa, lam = (self.couplings[name].to(x.dtype) for name in ("kappa", "lam"))
        neighbours = sum(x.roll(step, side) for side in range(1, x.ndim) for step in (1, -1))
        return 2 * kappa * neighbours - x * (2 - 4 * lam + 4 * lam * x.square())

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

    @property
    def bond(self) -> Tensor:
        """2κ."""
        return 2 * self.couplings["kappa"]

    def log_z_site(self, t: Tensor) -> Tensor:
        """ln ∫ exp(tφ - V(φ)) dφ, the shape of t."""
        lam = self.couplings["lam"]
        return site_table(float(lam.detach()), t.device).log_z(t, lam)

    def draw_site(self, t: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """A draw from exp(tφ - V(φ)) for each field t, the shape of t."""
        return site_table(float(self.couplings["lam"].detach()), t.device).draw(t, generator=generator)
