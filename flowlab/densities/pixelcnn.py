"""PixelCNN: causal convolutions give every conditional, and a sample costs about as much as one evaluation of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from flowlab.core import named_generator
from flowlab.densities.autoregressive import Autoregressive
from flowlab.nn.masked_conv import CausalConv
from flowlab.systems.lattice import check_shape

SAMPLES_IN_CACHE = 256
"""How many samples are drawn together: their activations on a lattice fit into a processor's cache."""

SLOPE = 0.1
"""Of the leaky ReLU for negative arguments."""


class PixelCNN(Autoregressive):
    """±1 spins in raster order by masked convolutions (van den Oord et al. 2016, arXiv:1601.06759).

    The first of ``layers`` masked convolutions sees the spins before a site, the others h -> h + conv(φ(P φ(h) + b))
    the units there and at the site, with φ a leaky ReLU and P a pointwise matrix (the variational autoregressive
    network of Wu, Wang and Zhang 2019, arXiv:1809.10606); the logit is linear in φ(h). Beyond the boundaries there are
    zeros: raster order has no translation symmetry around the torus. It starts near uniform spins, and a warm start
    takes over every weight on a lattice of any size.

    Sampling keeps the units of every layer and computes each of them once, at its site: a draw takes about one
    evaluation of the network instead of N.

    Args:
        shape: two sides of at least 2.
        channels: units of a site in each layer.
        layers: number of masked convolutions, at least 1.
        kernel: side of their windows, odd, the first at least 3; one for all of them, or one for each.
        residual: whether h is added in the layers after the first.
        generator: draws the initial weights; None takes a fixed seed.

    Raises:
        ValueError: for sides, channels, layers or kernels that are not as above.

    >>> q = PixelCNN((4, 4), channels=8, layers=2, kernel=(5, 3))
    >>> x, log_q = q.sample(10, generator=torch.Generator().manual_seed(0))
    >>> x.shape, bool(torch.allclose(log_q, q.log_prob(x), atol=1e-5))
    (torch.Size([10, 4, 4]), True)
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        channels: int = 32,
        layers: int = 6,
        kernel: int | Sequence[int] = 13,
        residual: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(check_shape(shape))
        if channels < 1 or layers < 1:
            raise ValueError(f"channels and layers must be at least 1, got {channels} and {layers}")
        kernels = [kernel] * layers if isinstance(kernel, int) else list(kernel)
        if len(kernels) != layers:
            raise ValueError(f"kernel must be one odd side, or one for each of the {layers} layers, got {kernel}")
        generator = named_generator(0, "pixelcnn") if generator is None else generator
        self.residual = bool(residual)
        self.first = CausalConv(1, channels, kernel=kernels[0], own=False, generator=generator)
        self.blocks = nn.ModuleList(_Block(channels, side, generator) for side in kernels[1:])
        self.output = CausalConv(channels, 1, kernel=1, own=True, gain=0.1, generator=generator)

    def logits(self, x: Tensor) -> Tensor:
        h = self.first(self.flatten_sites(x).view(-1, 1, *self.shape))
        for block in self._blocks():
            new = block.conv(leaky_relu(block.mix(leaky_relu(h, SLOPE)), SLOPE))
            h = h + new if self.residual else new
        logits: Tensor = self.output(leaky_relu(h, SLOPE))
        return logits.flatten(1)

    def choose(self, thresholds: Tensor) -> tuple[Tensor, Tensor]:
        parts = [self._choose(part.t().contiguous()) for part in thresholds.split(SAMPLES_IN_CACHE)]
        x, logits = (torch.cat(both, dim=1).t() for both in zip(*parts, strict=True))
        return x, logits

    def _choose(self, thresholds: Tensor) -> tuple[Tensor, Tensor]:
        """(N, n) thresholds -> spins and logits, both (N, n)."""
        (height, width), n = self.shape, thresholds.shape[1]
        spins, logits = thresholds.new_zeros(height, width, 1, n), torch.empty_like(thresholds)
        blocks = self._blocks()
        units = [thresholds.new_zeros(height, width, block.conv.weight.shape[1], n) for block in blocks]
        rows = [block.conv.rows() for block in blocks]
        first_rows, one = self.first.rows(), thresholds.new_ones(())
        for site in range(self.n_sites):
            row, column = divmod(site, width)
            h = self.first.at(first_rows, spins, row, column)
            for block, seen, block_rows in zip(blocks, units, rows, strict=True):
                seen[row, column] = leaky_relu(block.mix.alone(leaky_relu(h, SLOPE)), SLOPE)
                new = block.conv.at(block_rows, seen, row, column)
                h = h + new if self.residual else new
            logits[site] = self.output.alone(leaky_relu(h, SLOPE))[0]
            torch.copysign(one, logits[site] - thresholds[site], out=spins[row, column, 0])
        return spins.view(-1, n), logits

    def _blocks(self) -> list[_Block]:
        return cast("list[_Block]", list(self.blocks))


class _Block(nn.Module):
    """What a layer after the first adds to the units h: conv(φ(P φ(h) + b))."""

    def __init__(self, channels: int, kernel: int, generator: torch.Generator) -> None:
        super().__init__()
        self.mix = CausalConv(channels, channels, kernel=1, own=True, generator=generator)
        self.conv = CausalConv(channels, channels, kernel=kernel, own=True, generator=generator)
