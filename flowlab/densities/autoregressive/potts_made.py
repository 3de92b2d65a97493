"""MADE for Potts states: one masked network of one-hot inputs gives every conditional."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from flowlab.core import named_generator
from flowlab.core.arguments import checked
from flowlab.core.one_hot import one_hot
from flowlab.densities.autoregressive.potts_autoregressive import PottsAutoregressive
from flowlab.nn.masked_linear import MaskedLinear


class PottsMADE(PottsAutoregressive):
    """Masked autoencoder of one hidden layer for states 0 .. q-1 (Germain et al. 2015, arXiv:1502.03509).

    Every site owns ``width`` hidden units, which see the one-hot states of the sites before it; its q logits see the
    units of its own and of earlier sites, and a linear function of the states before. It starts near uniform states.

    Args:
        shape: sides of one configuration.
        q: number of states, at least 2.
        width: hidden units a site, at least 1.
        generator: draws the initial weights; None takes a fixed seed.

    Raises:
        ValueError: for sides, q or width that are not as above.

    >>> made = PottsMADE((2, 2), 3)
    >>> x, log_q = made.sample(10, generator=torch.Generator().manual_seed(0))
    >>> x.shape, bool(torch.allclose(log_q, made.log_prob(x)))
    (torch.Size([10, 2, 2]), True)
    """

    @checked
    def __init__(
        self, shape: tuple[int, ...], q: int = 3, *, width: int = 8, generator: torch.Generator | None = None
    ) -> None:
        super().__init__(shape, q)
        if width < 1:
            raise ValueError(f"width must be at least 1 hidden unit a site, got {width}")
        generator = named_generator(0, "potts made") if generator is None else generator
        state = torch.arange(self.n_sites).repeat_interleave(self.q)
        unit = torch.arange(self.n_sites).repeat_interleave(width)
        self.hidden = MaskedLinear(unit[:, None] > state, generator=generator)
        self.output = MaskedLinear(state[:, None] >= unit, gain=0.1, generator=generator)
        self.skip = MaskedLinear(state[:, None] > state, bias=False, gain=0.0, generator=generator)

    def logits(self, x: Tensor) -> Tensor:
        e = one_hot(x, self.q).flatten(1)
        logits: Tensor = self.output(functional.leaky_relu(self.hidden(e), 0.1)) + self.skip(e)
        return logits.view(-1, self.n_sites, self.q)

    def choose(self, u: Tensor) -> Tensor:
        """As one evaluation of the network per site would choose; each state adds its column of the weights once."""
        n, q, width = len(u), self.q, self.hidden.weight.shape[0] // self.n_sites
        columns, skip_columns = (self.hidden.weight * self.hidden.mask).T, (self.skip.weight * self.skip.mask).T
        output = self.output.weight * self.output.mask
        x, units = torch.empty_like(u), u.new_empty(n, 0)
        sums, logits = self.hidden.bias.repeat(n, 1), self.output.bias.repeat(n, 1)
        for site in range(self.n_sites):
            own, later = width * (site + 1), q * (site + 1)
            units = torch.cat([units, functional.leaky_relu(sums[:, :width], 0.1)], 1)
            scores = logits[:, :q] + units @ output[later - q : later, :own].T
            x[:, site] = self.from_cumulative(scores, u[:, site])
            state = x[:, site].long() + q * site
            sums = sums[:, width:] + columns[:, own:].index_select(0, state)
            logits = logits[:, q:] + skip_columns[:, later:].index_select(0, state)
        return x
