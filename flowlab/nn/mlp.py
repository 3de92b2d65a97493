"""Fully connected networks, one or several of the same form evaluated together."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

Activation = Literal["leaky_relu", "relu", "tanh", "silu"]
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "leaky_relu": nn.functional.leaky_relu,
    "relu": torch.relu,
    "tanh": torch.tanh,
    "silu": nn.functional.silu,
}


class MLP(nn.Module):
    """``copies`` independent networks of the same input, each y = W_k φ(... φ(W_1 x + b_1) ...) + b_k.

    The copies share nothing but the input; every layer is one batched matrix product over all of them, which for small
    networks is about a third faster than one network after the other. Weights and biases start uniform in
    ±gain/√(inputs of the layer), as torch's linear layers do.

    Args:
        sizes: widths from input to output, e.g. ``(32, 64, 64, 32)`` for two hidden layers of 64.
        copies: how many networks.
        activation: φ, between the layers: "leaky_relu" (slope 0.01), "relu", "tanh" or "silu".
        output_gain: scale of the last layer's initial weights and biases; small ones start the network near zero.
        biases: without them a network with tanh is odd.
        generator: for the initial weights.

    Raises:
        ValueError: for fewer than two widths, a width below 1, no copies, or an unknown activation.

    >>> network = MLP((3, 8, 2), copies=2, generator=torch.Generator().manual_seed(0))
    >>> network(torch.zeros(5, 3)).shape
    torch.Size([2, 5, 2])
    """

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        copies: int = 1,
        activation: Activation = "leaky_relu",
        output_gain: float = 1.0,
        biases: bool = True,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        if len(sizes) < 2 or min(sizes) < 1:
            raise ValueError(f"sizes must be at least two positive widths, input to output, got {tuple(sizes)}")
        if copies < 1:
            raise ValueError(f"copies must be at least 1, got {copies}")
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {activation!r}")
        self.sizes, self.copies, self.activation = tuple(sizes), copies, activation
        gains = [1.0] * (len(sizes) - 2) + [output_gain]
        shapes = [(a, b, gain / math.sqrt(a)) for (a, b), gain in zip(itertools.pairwise(sizes), gains, strict=True)]
        self.weights = nn.ParameterList(_uniform((copies, a, b), bound, generator) for a, b, bound in shapes)
        self.biases = nn.ParameterList(_uniform((copies, 1, b), bound, generator) for _, b, bound in shapes if biases)

    def forward(self, x: Tensor) -> Tensor:
        """(n, n_in) -> (copies, n, n_out)."""
        phi = ACTIVATIONS[self.activation]
        y = x.expand(self.copies, *x.shape)
        if not len(self.biases):
            for i, weight in enumerate(self.weights):
                y = torch.bmm(phi(y) if i else y, weight)
            return y
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            y = torch.baddbmm(bias, phi(y) if i else y, weight)
        return y

    def extra_repr(self) -> str:
        return f"{' -> '.join(map(str, self.sizes))}, copies={self.copies}, activation={self.activation}"


class Perceptron(MLP):
    """One such network: (n, n_in) -> (n, n_out).

    >>> Perceptron((3, 8, 2), generator=torch.Generator().manual_seed(0))(torch.zeros(5, 3)).shape
    torch.Size([5, 2])
    """

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).squeeze(0)


def _uniform(shape: tuple[int, ...], bound: float, generator: torch.Generator) -> Tensor:
    noise = torch.rand(shape, generator=generator, device=generator.device)
    return noise.to(torch.get_default_device()).mul_(2 * bound).sub_(bound)
