"""A learned power spectrum: the linear map that commutes with every translation of the lattice."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from flowlab.core import Flow
from flowlab.core.arguments import checked
from flowlab.flows.real.coupling import lattice_coordinates


class SpectralScaling(Flow):
    """x = F⁻¹ √P(k) F z with a learned P(k) > 0, so unit latents get the power spectrum P; ln|det| = ½ Σ_k ln P(k).

    P(k) = P(-k) keeps the fields real. It starts at the free field with S = Σ ½ [Σ_μ (φ_{x+μ} - φ_x)² + m² φ²], that is
    P(k) = 1 / (m² + Σ_μ 4 sin²(k_μ / 2)), the exact density of that field.

    A staggered array holds the even sublattice of a lattice with momenta k, on which k and k + (π, ..., π) are the same
    wave. There P starts at ½ [P(k) + P(k + π)], the spectrum of the free field with its odd sites integrated out.

    Args:
        shape: sides of one configuration, N sites together; in one, two or three dimensions.
        mass: m, positive, in units of the inverse spacing, of the free field at the start; None starts at P = 1.
        staggered: the array holds the even sublattice of a lattice whose last side is twice as long: element
            (..., y, k) is the site (..., y, 2k + (... + y) % 2).
        symmetric: P is the same for momenta that reflections of the lattice and exchanges of equal sides turn into
            each other, not only for k and -k.

    Raises:
        ValueError: for a mass that is not positive, or a staggered array with an odd side before its last.

    >>> flow = SpectralScaling((4, 4), mass=0.5)
    >>> x, log_det = flow(torch.ones(1, 4, 4))
    >>> round(x[0, 0, 0].item(), 4), len(flow.log_amplitude), torch.allclose(flow.inverse(x)[0], torch.ones(1, 4, 4))
    (2.0, 6, True)
    """

    label = "spectral"

    @checked
    def __init__(
        self, shape: Sequence[int], mass: float | None = 1.0, *, staggered: bool = False, symmetric: bool = True
    ) -> None:
        super().__init__()
        if mass is not None and not 0 < mass < math.inf:
            raise ValueError(f"mass must be positive, got {mass}")
        self.shape, self.staggered, self.symmetric = tuple(shape), staggered, symmetric
        self.sides, sites = lattice_coordinates(self.shape, staggered=staggered)
        momenta = lattice_coordinates(self.sides, staggered=False)[1]
        numbers = _orbits(self.sides, momenta, staggered=staggered, symmetric=symmetric)
        modes, multiplicity = numbers.unique(return_counts=True)
        self.register_buffer("mode", torch.searchsorted(modes, numbers).view(self.sides), persistent=False)
        self.register_buffer("multiplicity", multiplicity // (2 if staggered else 1), persistent=False)
        self.register_buffer("site", _raster(self.sides, sites) if staggered else None, persistent=False)
        power = torch.ones(len(modes), dtype=torch.float64)
        if mass is not None:
            power = _free(self.sides, momenta[modes], mass)
        if mass is not None and staggered:
            opposite = momenta[modes] + torch.tensor(self.sides) // 2
            power = 0.5 * (power + _free(self.sides, opposite, mass))
        self.log_amplitude = nn.Parameter((0.5 * power.log()).to(torch.get_default_dtype()))

    mode: Tensor
    multiplicity: Tensor
    site: Tensor | None

    @property
    def spectrum(self) -> Tensor:
        """P(k) at every momentum 2π (j_y / L_y, ...), in the order of the FFT; of the whole lattice if staggered."""
        spectrum: Tensor = (2 * self.log_amplitude).exp()[self.mode]
        return spectrum

    def forward(self, z: Tensor, *, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        return self._scale(z, self.log_amplitude), self._log_det(z)

    def inverse(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self._scale(x, -self.log_amplitude), -self._log_det(x)

    def _scale(self, x: Tensor, log_amplitude: Tensor) -> Tensor:
        if tuple(x.shape[1:]) != self.shape:
            raise ValueError(f"expected fields of shape (n, {', '.join(map(str, self.shape))}), got {tuple(x.shape)}")
        field = x
        if self.site is not None:
            whole = x.new_zeros(len(x), math.prod(self.sides))
            field = whole.index_copy(1, self.site, x.flatten(1)).view(-1, *self.sides)
        amplitude = log_amplitude.to(x.dtype).exp()[self.mode[..., : self.sides[-1] // 2 + 1]]
        axes = tuple(range(1, field.ndim))
        scaled: Tensor = torch.fft.irfftn(torch.fft.rfftn(field, dim=axes) * amplitude, s=self.sides, dim=axes)
        if self.site is not None:
            return scaled.flatten(1).index_select(1, self.site).view_as(x)
        return scaled

    def _log_det(self, x: Tensor) -> Tensor:
        return (self.multiplicity * self.log_amplitude.to(x.dtype)).sum().expand(len(x))

    def pull_flip(self, action: Tensor) -> Tensor | None:
        return action if bool((action == -1).all()) else None

    def extra_repr(self) -> str:
        return f"shape={self.shape}, staggered={self.staggered}, symmetric={self.symmetric}"


def _raster(sides: tuple[int, ...], points: Tensor) -> Tensor:
    """(N, d) lattice points around the torus -> their raster numbers."""
    number = torch.zeros(len(points), dtype=torch.long)
    for axis, side in enumerate(sides):
        number = number * side + points[:, axis] % side
    return number


def _orbits(sides: tuple[int, ...], momenta: Tensor, *, staggered: bool, symmetric: bool) -> Tensor:
    """(N,) for each momentum the least raster number among those that share its power."""
    d = len(sides)
    signs = list(itertools.product((1, -1), repeat=d)) if symmetric else [(1,) * d, (-1,) * d]
    exchanges = [p for p in itertools.permutations(range(d)) if tuple(sides[i] for i in p) == sides]
    shifts = [torch.zeros(d, dtype=torch.long), *([torch.tensor(sides) // 2] if staggered else [])]
    images = [
        _raster(sides, momenta[:, list(p)] * torch.tensor(sign) + shift)
        for p in (exchanges if symmetric else [tuple(range(d))])
        for sign in signs
        for shift in shifts
    ]
    return torch.stack(images).amin(0)


def _free(sides: tuple[int, ...], momenta: Tensor, mass: float) -> Tensor:
    """(M, d) momenta in units of 2π/L -> (M,) the propagator 1 / (m² + Σ_μ 4 sin²(k_μ/2)) in double precision."""
    half = math.pi * momenta / torch.tensor(sides, dtype=torch.float64)
    return 1 / (mass**2 + 4 * half.sin().square().sum(1))
