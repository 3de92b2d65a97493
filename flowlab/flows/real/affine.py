"""Affine coupling layers for real fields: half of the sites are scaled and shifted by networks of the other half."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from flowlab.core import named_generator
from flowlab.core.arguments import checked
from flowlab.flows.real.coupling import Coupling, Network
from flowlab.nn.field_network import FieldNetwork
from flowlab.nn.given_network import GivenNetwork
from flowlab.nn.mlp import MLP, Activation
from flowlab.systems.lattice import checkerboard


class AffineCoupling(Coupling):
    """x_A = t(z_B) + z_A exp(s(z_B)), x_B = z_B, with ln|det dx/dz| = Σ_A s(z_B).

    s = tanh of one multilayer perceptron and t = another, each |B| inputs to |A| outputs (Dinh, Sohl-Dickstein and
    Bengio 2016, arXiv:1605.08803; for spin glasses, Hartnett and Mohseni 2020, arXiv:2001.00585, appendix A). The layer
    starts near the identity.

    With ``odd`` the shift t is an odd function and s an even one, so that the layer commutes with a flip of all fields,
    exactly in floating point. Without it there is no flip symmetry: symmetrise the density instead.

    Args:
        mask: (*shape) booleans, True on A, the sites that are changed; B is the rest.
        odd: whether f(-z) = -f(z).
        network: "mlp", fully connected, "conv", the same function of a window around every site of A, or "stack", 3 x 3
            convolutions one upon another; or a module
            (n, |B|) -> (n, k, |A|), s and t, k = 2,
            or a function of inputs and outputs that makes it, see :class:`Coupling`.
        windows: (|A|, k) site numbers for "conv"; None takes :func:`coupling_windows` of the mask.
        hidden: width of the hidden layers; None takes the number of sites N, for "conv" 16, for "stack" 8.
        layers: number of hidden layers.
        activation: between the layers of both networks; None takes "tanh" with ``odd``, else "leaky_relu".
        learned_scale: s = c tanh(...) with a trainable c at every site of A that starts at 1; for "conv" one c.
        generator: for the initial weights.

    Raises:
        ValueError: for a mask that is not boolean, or that leaves A or B empty; windows that do not fit.

    >>> layer = AffineCoupling(torch.tensor([True, False, True, False]))
    >>> z = torch.ones(2, 4)
    >>> x, log_det = layer(z)
    >>> bool((layer.inverse(x)[0] - z).abs().max() < 1e-6), log_det.shape
    (True, torch.Size([2]))
    """

    label = "affine"

    @checked
    def __init__(
        self,
        mask: Tensor,
        *,
        odd: bool = False,
        network: Network = "mlp",
        windows: Tensor | None = None,
        hidden: int | None = None,
        layers: int = 3,
        activation: Activation | None = None,
        learned_scale: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(mask, odd=odd)
        generator = generator if generator is not None else named_generator(0, "affine")
        activation = activation if activation is not None else "tanh" if odd else "leaky_relu"
        self._dense = network == "mlp" and not odd and windows is None
        if self._dense:
            width = mask.numel() if hidden is None else hidden
            if width < 1:
                raise ValueError(f"hidden must be at least 1, got {hidden}")
            self.network: MLP | FieldNetwork | GivenNetwork = MLP(
                (len(self.read), *[width] * layers, len(self.changed)),
                copies=2,
                activation=activation,
                output_gain=0.01,
                generator=generator,
            )
        else:
            self.network = self._network(
                network,
                windows,
                even=1,
                odd=1,
                hidden=hidden,
                layers=layers,
                activation=activation,
                generator=generator,
            )
        scales = 1 if network == "conv" else len(self.changed)
        self.scale = nn.Parameter(torch.ones(scales)) if learned_scale else None

    def _log_scale_and_shift(self, sites: Tensor) -> tuple[Tensor, Tensor]:
        """(n, N) -> s and t, each (n, |A|)."""
        if self._dense:
            s, t = self.network(sites.index_select(1, self.read))
        else:
            network = cast("FieldNetwork | GivenNetwork", self.network)
            s, t = (head.squeeze(0).T for head in self._heads(network, sites))
        s = s.tanh()
        return s if self.scale is None else s * self.scale, t

    def _move(self, own: Tensor, sites: Tensor, *, inverse: bool) -> tuple[Tensor, Tensor]:
        s, t = self._log_scale_and_shift(sites)
        if inverse:
            return (own - t) * (-s).exp(), -s.sum(1)
        return torch.addcmul(t, own, s.exp()), s.sum(1)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, learned_scale={self.scale is not None}"


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


@checked
def checkerboard_masks(shape: tuple[int, ...], layers: int) -> list[Tensor]:
    """The even and the odd sublattice in turns, for lattices of even sides.

    >>> [int(mask[0, 0]) for mask in checkerboard_masks((4, 4), 3)]
    [1, 0, 1]
    """
    even = checkerboard(shape)
    return [even if i % 2 == 0 else ~even for i in range(layers)]


@checked
def row_masks(shape: tuple[int, ...], layers: int) -> list[Tensor]:
    """The rows of even and of odd y in turns: on the even sublattice of a square lattice they are its checkerboard.

    Args:
        shape: (L, M), L even; of a staggered array, in which (y, k) is the site (y, 2k + y % 2).
        layers: how many masks.

    Raises:
        ValueError: unless there are two sides, the first of them even.

    >>> row_masks((4, 2), 1)[0].int().tolist()
    [[1, 1], [0, 0], [1, 1], [0, 0]]
    """
    if len(shape) != 2 or min(shape) < 1 or shape[0] % 2:
        raise ValueError(f"shape must be two sides, the first of them even, for rows in turns, got {tuple(shape)}")
    even = (torch.arange(shape[0]) % 2 == 0)[:, None].expand(shape).contiguous()
    return [even if i % 2 == 0 else ~even for i in range(layers)]
