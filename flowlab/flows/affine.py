"""Affine coupling layers for real fields: half of the sites are scaled and shifted by networks of the other half."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from flowlab.core import Flow, named_generator
from flowlab.nn.mlp import MLP, Activation
from flowlab.systems.lattice import checkerboard


class AffineCoupling(Flow):
    """x_A = t(z_B) + z_A exp(s(z_B)), x_B = z_B, with ln|det dx/dz| = Σ_A s(z_B).

    s = tanh of one multilayer perceptron and t = another, each |B| inputs to |A| outputs (Dinh, Sohl-Dickstein and
    Bengio 2016, arXiv:1605.08803; for spin glasses, Hartnett and Mohseni 2020, arXiv:2001.00585, appendix A). The layer
    starts near the identity. It has no flip symmetry: symmetrise the density instead.

    Args:
        mask: (*shape) booleans, True on A, the sites that are changed; B is the rest.
        hidden: width of the hidden layers; None takes the number of sites N.
        layers: number of hidden layers.
        activation: between the layers of both networks.
        learned_scale: s = c tanh(...) with a trainable c at every site of A that starts at 1.
        generator: for the initial weights.

    Raises:
        ValueError: for a mask that is not boolean, or that leaves A or B empty.

    >>> layer = AffineCoupling(torch.tensor([True, False, True, False]))
    >>> z = torch.ones(2, 4)
    >>> x, log_det = layer(z)
    >>> bool((layer.inverse(x)[0] - z).abs().max() < 1e-6), log_det.shape
    (True, torch.Size([2]))
    """

    label = "affine"

    def __init__(
        self,
        mask: Tensor,
        *,
        hidden: int | None = None,
        layers: int = 3,
        activation: Activation = "leaky_relu",
        learned_scale: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if mask.dtype != torch.bool or mask.all() or not mask.any():
            raise ValueError(
                f"mask must be boolean with sites to change (True) and sites to read (False), got {mask.dtype} with "
                f"{int((mask != 0).sum())} of {mask.numel()} sites to change"
            )
        self.shape = tuple(mask.shape)
        changed, read = mask.flatten().nonzero().flatten(), (~mask).flatten().nonzero().flatten()
        self.register_buffer("changed", changed, persistent=False)
        self.register_buffer("read", read, persistent=False)
        width = mask.numel() if hidden is None else hidden
        self.network = MLP(
            (len(read), *[width] * layers, len(changed)),
            copies=2,
            activation=activation,
            output_gain=0.01,
            generator=generator if generator is not None else named_generator(0, "affine"),
        )
        self.scale = nn.Parameter(torch.ones(len(changed))) if learned_scale else None

    changed: Tensor
    read: Tensor

    def _log_scale_and_shift(self, sites: Tensor) -> tuple[Tensor, Tensor]:
        """(n, N) -> s and t, each (n, |A|)."""
        s, t = self.network(sites.index_select(1, self.read))
        s = s.tanh()
        return s if self.scale is None else s * self.scale, t

    def forward(self, z: Tensor, *, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        sites = z.flatten(1)
        s, t = self._log_scale_and_shift(sites)
        moved = torch.addcmul(t, sites.index_select(1, self.changed), s.exp())
        return sites.index_copy(1, self.changed, moved).view_as(z), s.sum(1)

    def inverse(self, x: Tensor) -> tuple[Tensor, Tensor]:
        sites = x.flatten(1)
        s, t = self._log_scale_and_shift(sites)
        moved = (sites.index_select(1, self.changed) - t) * (-s).exp()
        return sites.index_copy(1, self.changed, moved).view_as(x), -s.sum(1)

    def extra_repr(self) -> str:
        return f"shape={self.shape}, {len(self.changed)} sites changed, learned_scale={self.scale is not None}"


def complementary_masks(shape: Sequence[int], layers: int, *, generator: torch.Generator | None = None) -> list[Tensor]:
    """Random masks in pairs: each site with probability 1/2, then the complement, so that two layers change every site.

    Args:
        shape: sides of one configuration, at least two sites.
        layers: how many masks; every odd one completes the one before it.
        generator: for the choice of sites.

    Returns:
        Boolean masks (*shape), none of them empty or full (such a choice is drawn again).

    Raises:
        ValueError: for fewer than two sites.

    >>> first, second = complementary_masks((8,), 2)
    >>> bool((first == ~second).all())
    True
    """
    if math.prod(shape) < 2:
        raise ValueError(f"a coupling needs at least two sites, got shape {tuple(shape)}")
    generator = generator if generator is not None else named_generator(0, "masks")
    masks: list[Tensor] = []
    while len(masks) < layers:
        mask = (torch.rand(tuple(shape), generator=generator, device=generator.device) < 0.5).to(
            torch.get_default_device()
        )
        if mask.any() and not mask.all():
            masks += [mask, ~mask]
    return masks[:layers]


def checkerboard_masks(shape: tuple[int, ...], layers: int) -> list[Tensor]:
    """The even and the odd sublattice in turns, for lattices of even sides.

    >>> [int(mask[0, 0]) for mask in checkerboard_masks((4, 4), 3)]
    [1, 0, 1]
    """
    even = checkerboard(shape)
    return [even if i % 2 == 0 else ~even for i in range(layers)]
