"""Affine coupling layers as published for lattice phi^4: the magnitude of an odd network is the scale."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, cast

import torch
from torch import Tensor, nn

from flowlab.core import named_generator
from flowlab.core.arguments import checked
from flowlab.flows.real.coupling import Coupling
from flowlab.nn.given_network import GivenNetwork
from flowlab.nn.mlp import MLP


class ContractingCoupling(Coupling):
    """x_A = (z_A - t(z_B)) exp(-s(z_B)), x_B = z_B, with ln|det dx/dz| = -Σ_A s(z_B).

    As in Del Debbio, Marsh Rossney and Wilson 2021 (arXiv:2105.12481, eq. 25 and section III F). With ``odd``, s is the
    magnitude of a network without constants and t another: the layer commutes with a flip of all fields, and never
    spreads them. :class:`flowlab.AffineCoupling` has a bounded s of either sign. Nothing bounds what the networks give.

    Args:
        mask: (*shape) booleans, True on A, the sites that are changed; B is the rest.
        odd: whether f(-z) = -f(z); without it s is the network itself, and the networks have constants.
        network: "mlp", two fully connected networks with tanh, or "stack", 3 x 3 convolutions one upon another for
            both s and t; or a module or function of inputs and outputs, see :class:`Coupling`, itself odd with ``odd``.
        hidden: width of the hidden layers; None takes the number of sites N, for "stack" 8.
        layers: number of hidden layers.
        generator: for the initial weights, uniform in ±1/√inputs in every layer.

    Raises:
        ValueError: for a mask that is not boolean, or that leaves A or B empty.

    >>> layer = ContractingCoupling(torch.tensor([True, False, True, False]))
    >>> z = torch.ones(2, 4)
    >>> bool((layer(-z)[0] == -layer(z)[0]).all()), bool((layer(z)[1] <= 0).all())
    (True, True)
    """

    label = "affine"

    @checked
    def __init__(
        self,
        mask: Tensor,
        *,
        odd: bool = True,
        network: Literal["mlp", "stack"] | nn.Module | Callable[[int, int], nn.Module] = "mlp",
        hidden: int | None = None,
        layers: int = 1,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(mask, odd=odd)
        if layers < 1:
            raise ValueError(f"layers must be at least 1 hidden layer, got {layers}")
        if hidden is not None and hidden < 1:
            raise ValueError(f"hidden must be at least 1, got {hidden}")
        inputs, count = len(self.read), len(self.changed)
        generator = generator if generator is not None else named_generator(0, "contracting")
        self.network: MLP | GivenNetwork
        if network == "mlp":
            sizes = (inputs, *[mask.numel() if hidden is None else hidden] * layers, count)
            self.network = MLP(sizes, copies=2, activation="tanh", biases=not odd, generator=generator)
        elif isinstance(network, str) and network != "stack":
            raise ValueError(f"network must be 'mlp' or 'stack', got {network!r}; or a module, or a function")
        else:
            if network == "stack":
                network = self._stack(2, hidden=hidden, layers=layers, biases=not odd, generator=generator)
            self.network = GivenNetwork(network, self.read, even=count, odd=count, parity=False)
        self._apart = network == "mlp"

    def _move(self, own: Tensor, sites: Tensor, *, inverse: bool) -> tuple[Tensor, Tensor]:
        if self._apart:
            s, t = self.network(sites.index_select(1, self.read))
        else:
            s, t = (head.squeeze(0).T for head in self._heads(cast("GivenNetwork", self.network), sites))
        s = s.abs() if self.odd else s
        if inverse:
            return torch.addcmul(t, own, s.exp()), s.sum(1)
        return (own - t) * (-s).exp(), -s.sum(1)
