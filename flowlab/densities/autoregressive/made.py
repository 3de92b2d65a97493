"""MADE: one masked network gives every conditional, and a sample costs about as much as one evaluation of it."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from flowlab.core import named_generator
from flowlab.core.arguments import checked
from flowlab.densities.autoregressive.autoregressive import Autoregressive, Order
from flowlab.nn.masked_linear import MaskedLinear


class MADE(Autoregressive):
    """Masked autoencoder for ±1 spins, site after site (Germain et al. 2015, arXiv:1502.03509).

    Every site owns hidden/N contiguous units in each hidden layer. Its units in the first layer see the sites before
    it; in later layers, the units of the layer before that belong to it or to earlier sites; its logit sees the last
    layer in the same way, plus, with ``skip``, a linear function of the sites before. Units are
    absolute values: beside the linear function, what is left of a spin's conditional is even to leading order (how
    strong its local field is, not which way it points). It starts near uniform spins.

    Args:
        shape: sides of one configuration, e.g. ``(8, 8)`` or ``(64,)``; N sites in all.
        hidden: units in each hidden layer, a positive multiple of N; None is 4N.
        layers: number of hidden layers, at least 1.
        skip: whether to add the linear function, ``skip.weight`` (N, N); it starts at zero and may be set.
        order: of the sites, see :class:`Autoregressive`.
        generator: draws the initial weights; None takes a fixed seed.

    Raises:
        ValueError: for sides, hidden or layers that are not as above.

    >>> made = MADE((4, 4))
    >>> x, log_q = made.sample(10, generator=torch.Generator().manual_seed(0))
    >>> x.shape, bool(torch.allclose(log_q, made.log_prob(x), atol=1e-5))
    (torch.Size([10, 4, 4]), True)
    """

    skip: MaskedLinear | None

    @checked
    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        hidden: int | None = None,
        layers: int = 1,
        skip: bool = True,
        order: Order = "raster",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(shape, order)
        sites = math.prod(self.shape)
        hidden = 4 * sites if hidden is None else hidden
        if hidden < 1 or hidden % sites:
            raise ValueError(
                f"hidden must be a positive multiple of the {sites} sites, since each has its own units, got {hidden}"
            )
        if layers < 1:
            raise ValueError(f"layers must be at least 1, got {layers}")
        generator = named_generator(0, "made") if generator is None else generator
        site, unit = torch.arange(sites), torch.arange(hidden) // (hidden // sites)
        masks = [unit[:, None] > site] + [unit[:, None] >= unit] * (layers - 1)
        self.hidden_layers = nn.ModuleList(MaskedLinear(mask, generator=generator) for mask in masks)
        self.output = MaskedLinear(site[:, None] >= unit, gain=0.1, generator=generator)
        self.skip = MaskedLinear(site[:, None] > site, bias=False, gain=0.0, generator=generator) if skip else None

    def logits(self, x: Tensor) -> Tensor:
        spins = self.flatten_sites(x)
        units = spins
        for layer in self.hidden_layers:
            units = layer(units).abs()
        weight, bias, skip = self.last_weights()
        logits = functional.linear(units, weight, bias)
        return logits if skip is None else logits + functional.linear(spins, skip)

    def last_weights(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """What makes the logits: (N, hidden) of the last units, (N,) constants, (N, N) of the spins."""
        skip = None if self.skip is None else self.skip.weight * self.skip.mask
        return self.output.weight * self.output.mask, self.output.bias, skip

    def choose(self, thresholds: Tensor) -> tuple[Tensor, Tensor]:
        """As one evaluation of the network per site would choose, for the price of about one in all.

        The sums at every unit are kept (rows are sites or units, columns samples) and every weight is used once: after
        site k-1, with s the largest power of two that divides k, what the sites [k-s, k) send to the sites [k, k+s) is
        added. Every pair of sites meets exactly once, and nearly all the work is in large matrix products.
        """
        thresholds = thresholds.t().contiguous()
        sites, samples = thresholds.shape
        x, one = torch.empty_like(thresholds), thresholds.new_ones(())
        layers = cast(list[MaskedLinear], list(self.hidden_layers))
        last_weight, last_bias, skip = self.last_weights()
        units = [layer.bias[:, None].repeat(1, samples) for layer in layers]
        margins = last_bias[:, None] - thresholds
        weights = [*(layer.weight for layer in layers[1:]), last_weight]
        within = [
            _Product(weight, source, target, sites)
            for weight, source, target in zip(weights, units, [*units[1:], margins], strict=True)
        ]
        across = [_Product(layers[0].weight, x, units[0], sites), *within]
        if skip is not None:
            across.append(_Product(skip, x, margins, sites))
        own_units = [layer_units.chunk(sites) for layer_units in units]
        for site in range(sites):
            for own, product in zip(own_units, within, strict=True):
                own[site].abs_()
                product.add(site, site + 1, site, site + 1)
            torch.copysign(one, margins[site], out=x[site])
            done = site + 1
            size = done & -done
            if done < sites:
                for product in across:
                    product.add(done - size, done, done, min(done + size, sites))
        return x.t(), margins.add_(thresholds).t()


class _Product:
    """A weight matrix from the rows of one table to those of another, applied to some sites at a time."""

    def __init__(self, weight: Tensor, source: Tensor, target: Tensor, sites: int) -> None:
        self.weight, self.source, self.target = weight, source, target
        self.per_source, self.per_target = len(source) // sites, len(target) // sites

    def add(self, first: int, last: int, to_first: int, to_last: int) -> None:
        """Add what the sites [first, last) send to the sites [to_first, to_last)."""
        sources = slice(first * self.per_source, last * self.per_source)
        targets = slice(to_first * self.per_target, to_last * self.per_target)
        self.target[targets].addmm_(self.weight[targets, sources], self.source[sources])
