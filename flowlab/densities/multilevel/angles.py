"""Conditionals of an angle given the known sites around: mixtures of von Mises densities that turn with the sites."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from flowlab.core import von_mises
from flowlab.densities.multilevel.spins import nearest, normal, sums_of_others
from flowlab.nn.windows import on_windows


class AngleNetwork(nn.Module):
    """Fields K_c of a mixture from the planar spins v_j where the window has them: the same function at every site.

    With |·|₁ a vector shortened to u/√(1 + |u|²), the vectors o = |W v|₁ turn with the sites and e = |o|² do not. A
    second layer makes O = |A o|₁ (B e + b) and E = σ(C e + c) of them; K_c is exp(s_c) times what is linear in O and
    v, and s_c and the logits of the components are linear in E. A mirror image of the sites mirrors the fields, too.

    Args:
        offsets: displacements of the k sites in a window.
        components: how many densities are mixed.
        hidden: units of the two layers.
        start: the coupling J/T of nearest known neighbours that it starts with.
        last: whether all sites around have been drawn, so that it sees, in place of the sites, the sums that each of
            the four neighbours which are integrated out is coupled to.
        generator: draws the initial weights.
    """

    features: Tensor | None

    def __init__(
        self,
        offsets: Sequence[tuple[int, ...]],
        *,
        components: int,
        hidden: tuple[int, int],
        start: float,
        last: bool,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        first, second = hidden
        features = sums_of_others(offsets) if last else None
        self.register_buffer("features", features, persistent=False)
        seen = nearest(offsets) if features is None else torch.full((len(features),), 0.5)
        inputs = len(seen)
        self.components = components
        self.window = nn.Parameter(normal(first, inputs, 1 / math.sqrt(inputs), generator))
        self.mixed = nn.Parameter(normal(second, first, 1 / math.sqrt(first), generator))
        self.gates = nn.Parameter(normal(2 * second, first, 1 / math.sqrt(first), generator))
        self.levels = nn.Parameter(torch.cat([torch.ones(second, 1), torch.zeros(second, 1)]))
        self.of_odd = nn.Parameter(normal(components, second, 0.1 / math.sqrt(second), generator))
        self.of_even = nn.Parameter(normal(2 * components, second, 0.1 / math.sqrt(second), generator))
        scales = torch.linspace(-0.5, 0.5, components) if components > 1 else torch.zeros(1)
        self.constants = nn.Parameter(torch.cat([scales, torch.zeros(components)])[:, None])
        self.skip = nn.Parameter(start * seen.repeat(components, 1))

    def forward(self, vectors: Tensor, windows: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 2 n) planar spins, all cosines before all sines, and (M, k) rows -> fields and logits of the components.

        Returns:
            (C, M, 2, n) fields, and (C, M, n) logits.
        """
        n = vectors.shape[1] // 2
        weights: list[Tensor] = [
            self.window,
            self.mixed,
            self.gates,
            self.levels,
            self.of_odd,
            self.of_even,
            self.constants,
        ]
        weights += [self.skip] if self.features is None else [self.skip, self.features]

        def network(v: Tensor, *weights: Tensor) -> Tensor:
            return _fields(v, n, *weights)

        found = on_windows(network, vectors, windows, weights, 2 * self.components)
        fields, logits = found.view(2, self.components, len(windows), 2, n)
        return fields, logits[:, :, 0]


def _fields(
    v: Tensor,
    n: int,
    window: Tensor,
    mixed: Tensor,
    gates: Tensor,
    levels: Tensor,
    of_odd: Tensor,
    of_even: Tensor,
    constants: Tensor,
    skip: Tensor,
    features: Tensor | None = None,
) -> Tensor:
    """(k, m) windows of cosines and sines -> (2 C, m): the fields, then the logits, twice."""
    if features is not None:
        v = features @ v
    o, e = _shortened(window @ v, n)
    gate, even = torch.addmm(levels, gates, e).chunk(2)
    odd, _ = _shortened(mixed @ o, n)
    odd = odd.view(len(gate), -1, 2, n) * gate.view(len(gate), -1, 1, n)
    scales, logits = torch.addmm(constants, of_even, even.sigmoid()).chunk(2)
    fields = torch.addmm(of_odd @ odd.flatten(1), skip, v).view(len(scales), -1, 2, n)
    fields = fields * scales.exp().view(len(scales), -1, 1, n)
    both = logits.view(len(logits), -1, 1, n).expand(-1, -1, 2, -1)
    return torch.cat([fields, both]).flatten(1)


def _shortened(u: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """(h, m) vectors, their cosines and sines apart -> u/√(1 + |u|²), and (h, m/2) its square."""
    apart = u.view(len(u), -1, 2, n)
    square = apart.square().sum(2, keepdim=True)
    short = apart * (1 + square).rsqrt()
    return short.view_as(u), (square / (1 + square)).flatten(1)


class Isotropic(nn.Module):
    """A first site, which knows of no other: every angle is as likely as any other."""

    def forward(self, vectors: Tensor, windows: Tensor) -> tuple[Tensor, Tensor]:
        """Fields of zero of one component; see :meth:`AngleNetwork.forward`."""
        n = vectors.shape[1] // 2
        return vectors.new_zeros(1, len(windows), 2, n), vectors.new_zeros(1, len(windows), n)


def strength(fields: Tensor) -> Tensor:
    """(C, M, 2, n) fields -> (C, M, n) their lengths, with a gradient of 0 where they are 0."""
    return (fields.square().sum(2) + torch.finfo(fields.dtype).tiny).sqrt()


def log_density(fields: Tensor, logits: Tensor, vectors: Tensor) -> Tensor:
    """ln q of the angles whose planar spins are (M, 2, n), given (C, M, 2, n) fields and (C, M, n) logits: (M, n)."""
    along = (fields * vectors).sum(2) - von_mises.log_norm(strength(fields))
    return (logits.log_softmax(0) + along).logsumexp(0)


def draw_angles(fields: Tensor, logits: Tensor, *, generator: torch.Generator | None) -> Tensor:
    """(M, n) angles in [-π, π], one from each mixture, without a gradient."""
    edges = logits.detach().softmax(0).cumsum(0)[:-1]
    u = torch.rand(logits.shape[1:], generator=generator, dtype=logits.dtype, device=logits.device)
    chosen = (u >= edges).sum(0)
    field = fields.detach().gather(0, chosen[None, :, None].expand(1, -1, 2, -1))[0]
    around = von_mises.draw(torch.hypot(field[:, 0], field[:, 1]), generator=generator)
    angle = around + torch.atan2(field[:, 1], field[:, 0])
    return torch.remainder(angle + math.pi, 2 * math.pi) - math.pi
