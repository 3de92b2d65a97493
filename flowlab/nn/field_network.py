"""A small network of real fields in windows, with outputs that are exactly even and exactly odd under a flip."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn

from flowlab.nn.mlp import ACTIVATIONS, Activation


class FieldNetwork(nn.Module):
    """Numbers for each output site from the fields v in a window around it, by the same function everywhere.

    One gather and matrix products over the whole batch: a periodic convolution and 1x1 convolutions after it. One
    window and many outputs is a fully connected network.

    With ``parity`` the hidden layers are g = tanh(... tanh(W v)) without biases, the odd numbers linear in g and v, the
    even ones linear in g²: exactly odd and even in floating point, and with enough hidden units any such function.
    Without it both heads are linear maps of the same hidden layer.

    Hidden weights start uniform in ±1/√(inputs of the layer), half of that with ``parity``, hidden biases in ±1; the
    linear map of v and the last layer's biases start at zero.

    Args:
        windows: (M, k) site numbers: the k inputs that each of the M output sites sees, in the same order for all.
        hidden: widths of the hidden layers, at least one; all but the first are pointwise.
        even: numbers for each window that a flip v -> -v leaves alone.
        odd: numbers for each window that change their sign with v.
        parity: False lifts both constraints.
        activation: "tanh", which parity needs, or "silu", "relu", "leaky_relu" (slope 0.01).
        output_gain: scale of the last layer's initial weights; small ones start the network near zero.
        generator: for the initial weights.

    Raises:
        ValueError: for no hidden layer, no output, or an unknown activation or one that is not odd with ``parity``.

    >>> network = FieldNetwork(
    ...     torch.tensor([[0, 1], [1, 2]]), hidden=(8,), even=3, odd=1, generator=torch.Generator().manual_seed(0)
    ... )
    >>> even, odd = network(torch.ones(3, 5))
    >>> even.shape, odd.shape
    (torch.Size([3, 2, 5]), torch.Size([1, 2, 5]))
    """

    def __init__(
        self,
        windows: Tensor,
        *,
        hidden: tuple[int, ...],
        even: int,
        odd: int,
        parity: bool = True,
        activation: Activation = "tanh",
        output_gain: float = 0.01,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        if not hidden or min(hidden) < 1:
            raise ValueError(f"hidden must name at least one positive width, got {hidden}")
        if even + odd < 1 or min(even, odd) < 0:
            raise ValueError(f"a network needs outputs, got {even} even and {odd} odd ones")
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {activation!r}")
        if parity and activation != "tanh":
            raise ValueError(f"an odd layer needs the activation 'tanh', got {activation!r}")
        self.register_buffer("index", windows.T.flatten(), persistent=False)
        self.parity, self.activation, self.even, self.odd = parity, activation, even, odd
        self.widths = (windows.shape[1], *hidden)

        def uniform(rows: int, columns: int, bound: float) -> nn.Parameter:
            noise = torch.rand(rows, columns, generator=generator, device=generator.device)
            return nn.Parameter(noise.to(torch.get_default_device()).mul_(2 * bound).sub_(bound))

        steps = list(itertools.pairwise(self.widths))
        gain = 0.5 if parity else 1.0
        self.weights = nn.ParameterList(uniform(b, a, gain / math.sqrt(a)) for a, b in steps)
        self.biases = nn.ParameterList(uniform(b, 1, 1.0) for _, b in steps if not parity)
        bound = output_gain / math.sqrt(hidden[-1])
        self.even_weight = uniform(even, hidden[-1], bound) if even else None
        self.even_bias = nn.Parameter(torch.zeros(even, 1)) if even else None
        self.odd_weight = uniform(odd, hidden[-1], bound) if odd else None
        self.odd_bias = nn.Parameter(torch.zeros(odd, 1)) if odd and not parity else None
        self.linear = nn.Parameter(torch.zeros(odd, self.widths[0])) if odd and parity else None

    index: Tensor

    def forward(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """(N, n) fields with the batch last -> (even, M, n) and (odd, M, n)."""
        n, m = v.shape[1], len(self.index) // self.widths[0]
        v = v.index_select(0, self.index).view(self.widths[0], -1)
        h = self._hidden(v)
        even = odd = v.new_zeros(0, v.shape[1])
        if self.even_weight is not None and self.even_bias is not None:
            even = torch.addmm(self.even_bias, self.even_weight, h.square() if self.parity else h)
        if self.odd_weight is not None:
            constant = self.odd_bias if self.linear is None else self.linear @ v
            assert constant is not None
            odd = torch.addmm(constant, self.odd_weight, h)
        return even.view(self.even, m, n), odd.view(self.odd, m, n)

    def _hidden(self, y: Tensor) -> Tensor:
        phi = ACTIVATIONS[self.activation]
        if self.parity:
            for weight in self.weights:
                y = phi(weight @ y)
            return y
        for weight, bias in zip(self.weights, self.biases, strict=True):
            y = phi(torch.addmm(bias, weight, y))
        return y

    def extra_repr(self) -> str:
        widths = " -> ".join(map(str, self.widths))
        return f"{widths} -> {self.even} even and {self.odd} odd, parity={self.parity}, activation={self.activation}"
