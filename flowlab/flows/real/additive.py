"""Additive coupling layers for real fields: half of the sites are shifted by a network of the other half."""

from __future__ import annotations

import torch
from torch import Tensor

from flowlab.core import named_generator
from flowlab.core.arguments import checked
from flowlab.flows.real.coupling import Coupling, Network
from flowlab.nn.mlp import Activation


class AdditiveCoupling(Coupling):
    """x_A = z_A + t(z_B), x_B = z_B, with ln|det dx/dz| = 0 (Dinh, Krueger and Bengio 2014, arXiv:1410.8516).

    With ``odd`` the shift t is an odd function, so that the layer commutes with a flip of all fields, exactly in
    floating point. The layer starts near the identity.

    Args:
        mask: (*shape) booleans, True on A, the sites that are changed; B is the rest.
        odd: whether f(-z) = -f(z).
        network: "mlp", fully connected, "conv", the same function of a window around every site of A, or "stack", 3 x 3
            convolutions one upon another; or a module
            (n, |B|) -> (n, k, |A|), t, k = 1,
            or a function of inputs and outputs that makes it, see :class:`Coupling`.
        windows: (|A|, k) site numbers for "conv"; None takes :func:`coupling_windows` of the mask.
        hidden: width of the hidden layers; None takes the number of sites N, for "conv" 16, for "stack" 8.
        layers: number of hidden layers.
        activation: between the layers.
        generator: for the initial weights.

    Raises:
        ValueError: for a mask that is not boolean, or that leaves A or B empty; windows that do not fit.

    >>> layer = AdditiveCoupling(torch.tensor([True, False, True, False]), odd=True)
    >>> z = torch.ones(2, 4)
    >>> bool((layer(-z)[0] == -layer(z)[0]).all()), layer(z)[1].tolist()
    (True, [0.0, 0.0])
    """

    label = "additive"

    @checked
    def __init__(
        self,
        mask: Tensor,
        *,
        odd: bool = False,
        network: Network = "mlp",
        windows: Tensor | None = None,
        hidden: int | None = None,
        layers: int = 1,
        activation: Activation = "tanh",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(mask, odd=odd)
        self.network = self._network(
            network,
            windows,
            even=0,
            odd=1,
            hidden=hidden,
            layers=layers,
            activation=activation,
            generator=generator if generator is not None else named_generator(0, "additive"),
        )

    def _move(self, own: Tensor, sites: Tensor, *, inverse: bool) -> tuple[Tensor, Tensor]:
        shift = self._heads(self.network, sites)[1].squeeze(0).T
        return (own - shift if inverse else own + shift), own.new_zeros(len(own))
