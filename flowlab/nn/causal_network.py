"""Layers of causal convolutions on a lattice, all sites at once or one site after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from flowlab.nn.masked_conv import CausalConv

SLOPE = 0.1
"""Of the leaky ReLU for negative arguments."""

Choose = Callable[[int, Tensor], Tensor]


class CausalNetwork(nn.Module):
    """Units of every site of a lattice that see the values before it in raster order, and nothing else.

    The first of ``layers`` masked convolutions sees the values before a site, the others h -> h + conv(φ(P φ(h) + b))
    the units there and at the site, with P a pointwise matrix; a leaky ReLU is φ (the network of Wu, Wang and Zhang
    2019, arXiv:1809.10606). Beyond the boundaries there are zeros. The weights are those of any lattice.

    Args:
        channels: units of a site in each layer.
        layers: number of masked convolutions, at least 1.
        kernel: side of their windows, odd, the first at least 3; one for all of them, or one for each.
        residual: whether h is added in the layers after the first.
        odd: tanh for φ and no constants: units that change their sign with the values.
        generator: draws the initial weights.

    Raises:
        ValueError: for channels, layers or kernels that are not as above.

    >>> network = CausalNetwork(channels=8, layers=2, kernel=(5, 3), generator=torch.Generator().manual_seed(0))
    >>> network(torch.ones(10, 4, 6)).shape
    torch.Size([10, 8, 4, 6])
    """

    def __init__(
        self,
        *,
        channels: int,
        layers: int,
        kernel: int | Sequence[int],
        residual: bool = True,
        odd: bool = False,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        if channels < 1 or layers < 1:
            raise ValueError(f"channels and layers must be at least 1, got {channels} and {layers}")
        kernels = [kernel] * layers if isinstance(kernel, int) else list(kernel)
        if len(kernels) != layers:
            raise ValueError(f"kernel must be one odd side, or one for each of the {layers} layers, got {kernel}")
        self.residual, self.odd = bool(residual), odd
        self.first = CausalConv(1, channels, kernel=kernels[0], own=False, bias=not odd, generator=generator)
        self.blocks = nn.ModuleList(_Block(channels, side, bias=not odd, generator=generator) for side in kernels[1:])

    def forward(self, x: Tensor) -> Tensor:
        """(n, height, width) values -> (n, channels, height, width) units of the last layer, before its φ."""
        h = self.first(x[:, None])
        for block in self._blocks():
            new = block.conv(self.phi(block.mix(self.phi(h))))
            h = h + new if self.residual else new
        return cast(Tensor, h)

    def phi(self, h: Tensor) -> Tensor:
        """The nonlinearity between the layers."""
        return h.tanh() if self.odd else leaky_relu(h, SLOPE)

    def in_raster(self, choose: Choose, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """Values chosen one site after the other, each unit computed once, at its site.

        Without gradients the units are kept in one array for each layer. With them every site keeps its own, so that
        the values may depend on the weights through those before.

        Args:
            choose: called with the site's number and its units of the last layer, (channels, n), before their φ; gives
                its (n,) values.
            shape: sides of the lattice.
            like: (n,) numbers, for the batch, dtype and device.

        Returns:
            (height, width, n).
        """
        (height, width), n = shape, len(like)
        blocks, graph = self._blocks(), torch.is_grad_enabled()

        def kept(inputs: int) -> Tensor | list[list[Tensor]]:
            zeros = like.new_zeros(inputs, n)
            return [[zeros] * width for _ in range(height)] if graph else like.new_zeros(height, width, inputs, n)

        x, units = kept(1), [kept(block.conv.weight.shape[1]) for block in blocks]
        rows, first_rows = [block.conv.rows() for block in blocks], self.first.rows()
        for site in range(height * width):
            row, column = divmod(site, width)
            h = self.first.at(first_rows, x, row, column)
            for block, seen, block_rows in zip(blocks, units, rows, strict=True):
                seen[row][column] = self.phi(block.mix.alone(self.phi(h)))
                new = block.conv.at(block_rows, seen, row, column)
                h = h + new if self.residual else new
            x[row][column] = choose(site, h)[None]
        return x[:, :, 0] if isinstance(x, Tensor) else torch.stack([torch.cat(line) for line in x])

    def _blocks(self) -> list[_Block]:
        return cast("list[_Block]", list(self.blocks))


class _Block(nn.Module):
    """What a layer after the first adds to the units h: conv(φ(P φ(h) + b))."""

    def __init__(self, channels: int, kernel: int, *, bias: bool, generator: torch.Generator) -> None:
        super().__init__()
        self.mix = CausalConv(channels, channels, kernel=1, own=True, bias=bias, generator=generator)
        self.conv = CausalConv(channels, channels, kernel=kernel, own=True, bias=bias, generator=generator)
