"""PixelCNN: causal convolutions give every conditional, and a sample costs about as much as one evaluation of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from flowlab.core import named_generator
from flowlab.core.arguments import checked
from flowlab.densities.autoregressive.autoregressive import Autoregressive
from flowlab.nn.causal_network import CausalNetwork
from flowlab.nn.masked_conv import CausalConv
from flowlab.systems.lattice import plane

SAMPLES_IN_CACHE = 256
"""How many samples are drawn together: their activations on a lattice fit into a processor's cache."""


class PixelCNN(Autoregressive):
    """±1 spins in raster order by masked convolutions (van den Oord et al. 2016, arXiv:1601.06759).

    The logit of a site is linear in φ of its units in a :class:`flowlab.nn.causal_network.CausalNetwork` (the
    variational autoregressive network of Wu, Wang and Zhang 2019, arXiv:1809.10606). Beyond the boundaries there are
    zeros: raster order has no translation symmetry around the torus. It starts near uniform spins, and a warm start
    takes over every weight on a lattice of any size.

    Sampling keeps the units of every layer and computes each of them once, at its site: a draw takes about one
    evaluation of the network instead of N.

    Args:
        shape: two sides of at least 2.
        channels, layers, kernel, residual: of the network.
        generator: draws the initial weights; None takes a fixed seed.

    Raises:
        ValueError: for sides, channels, layers or kernels that are not as above.

    >>> q = PixelCNN((4, 4), channels=8, layers=2, kernel=(5, 3))
    >>> x, log_q = q.sample(10, generator=torch.Generator().manual_seed(0))
    >>> x.shape, bool(torch.allclose(log_q, q.log_prob(x), atol=1e-5))
    (torch.Size([10, 4, 4]), True)
    """

    @checked
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
        super().__init__(plane(shape))
        generator = named_generator(0, "pixelcnn") if generator is None else generator
        self.network = CausalNetwork(
            channels=channels, layers=layers, kernel=kernel, residual=residual, generator=generator
        )
        self.output = CausalConv(channels, 1, kernel=1, own=True, gain=0.1, generator=generator)

    def logits(self, x: Tensor) -> Tensor:
        h = self.network(self.flatten_sites(x).view(-1, *self.shape))
        logits: Tensor = self.output(self.network.phi(h))
        return logits.flatten(1)

    def choose(self, thresholds: Tensor) -> tuple[Tensor, Tensor]:
        parts = [self._choose(part.t().contiguous()) for part in thresholds.split(SAMPLES_IN_CACHE)]
        x, logits = (torch.cat(both, dim=1).t() for both in zip(*parts, strict=True))
        return x, logits

    @torch.no_grad()
    def _choose(self, thresholds: Tensor) -> tuple[Tensor, Tensor]:
        """(N, n) thresholds -> spins and logits, both (N, n)."""
        logits, one = torch.empty_like(thresholds), thresholds.new_ones(())

        def choose(site: int, h: Tensor) -> Tensor:
            logits[site] = self.output.alone(self.network.phi(h))[0]
            return torch.copysign(one, logits[site] - thresholds[site])

        spins = self.network.in_raster(choose, self.shape, thresholds[0])
        return spins.flatten(0, 1), logits
