"""A recurrent density: what it knows of the spins drawn so far travels along and across the rows as a hidden state."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from flowlab.core import named_generator
from flowlab.core.arguments import checked
from flowlab.densities.autoregressive.autoregressive import Autoregressive, Order
from flowlab.systems.lattice import neighbours, plane


class RowRNN(Autoregressive):
    """±1 spins by a gated recurrent cell that all sites share (after Hibat-Allah et al. 2020, arXiv:2002.02973).

    Site i receives the states a of the site before it in the order and b of a lattice neighbour drawn earlier (in
    raster order the site above), and s: the spin before it and those of its four neighbours, zero where not yet drawn.
    With σ the logistic function, its state and its logit are

        h = u ⊙ tanh(W (a, b, s) + w) + (1 - u) ⊙ (a + b) / 2,   u = σ(W' (a, b, s) + w'),   logit = A h + B s + c.

    Sampling keeps the states, and so costs as much as one evaluation. It starts near uniform spins, and a warm start
    takes over every weight on a lattice of any size.

    Args:
        shape: two sides of at least 2.
        hidden: units of the state, at least 1.
        order: of the sites, see :class:`Autoregressive`.
        generator: draws the initial weights; None takes a fixed seed.

    Raises:
        ValueError: for sides, hidden or an order that are not as above.

    >>> q = RowRNN((4, 4), hidden=8)
    >>> x, log_q = q.sample(10, generator=torch.Generator().manual_seed(0))
    >>> x.shape, bool(torch.allclose(log_q, q.log_prob(x), atol=1e-5))
    (torch.Size([10, 4, 4]), True)
    """

    index: Tensor

    @checked
    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        hidden: int = 32,
        order: Order = "raster",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(plane(shape), order)
        if hidden < 1:
            raise ValueError(f"hidden must be at least 1, got {hidden}")
        generator = named_generator(0, "row_rnn") if generator is None else generator
        around = self.places[neighbours(self.shape)[self.sites]]
        site = torch.arange(self.n_sites)[:, None]
        drawn = around < site
        before = (site - 1).remainder(self.n_sites + 1)
        self.register_buffer("index", torch.cat([before, around.where(drawn, self.n_sites)], dim=1), persistent=False)
        self.across = [next((k for k in row if k < i - 1), None) for i, row in enumerate(self.index[:, 1:].tolist())]

        def random(outputs: int, inputs: int, gain: float = 1.0) -> nn.Parameter:
            noise = torch.randn(outputs, inputs, generator=generator, device=generator.device)
            return nn.Parameter(noise.to(torch.get_default_device()) * (gain / math.sqrt(inputs)))

        self.gates = random(2 * hidden, 2 * hidden + 5)
        self.constant = nn.Parameter(torch.zeros(2 * hidden, 1))
        self.output = random(1, hidden, gain=0.1)
        self.skip = nn.Parameter(torch.zeros(1, 5))
        self.bias = nn.Parameter(torch.zeros(1))

    def logits(self, x: Tensor) -> Tensor:
        spins = self.flatten_sites(x).t()
        spins = torch.cat([spins, spins.new_zeros(1, len(x))])  # what an index that sees nothing finds
        states: list[Tensor] = []
        seen = spins.index_select(0, self.index.flatten()).view(self.n_sites, 5, len(x))
        return torch.stack([self._next(s, states) for s in seen.unbind()], dim=1)

    def choose(self, thresholds: Tensor) -> tuple[Tensor, Tensor]:
        thresholds = thresholds.t().contiguous()
        logits, one, states = torch.empty_like(thresholds), thresholds.new_ones(()), list[Tensor]()
        x = thresholds.new_zeros(self.n_sites + 1, thresholds.shape[1])
        for site in range(self.n_sites):
            logits[site] = self._next(x.index_select(0, self.index[site]), states)
            torch.copysign(one, logits[site] - thresholds[site], out=x[site])
        return x[:-1].t(), logits.t()

    def _next(self, s: Tensor, states: list[Tensor]) -> Tensor:
        """The logit (n,) of the next site from the spins that it sees (5, n); its state joins the states so far."""
        site = len(states)
        across = self.across[site]
        none = s.new_zeros(self.output.shape[1], s.shape[1])
        a = states[-1] if site else none
        b = none if across is None else states[across]
        update, candidate = torch.addmm(self.constant, self.gates, torch.cat([a, b, s])).chunk(2)
        states.append(torch.lerp((a + b) / 2, candidate.tanh(), update.sigmoid()))
        return (self.output @ states[site] + self.skip @ s + self.bias)[0]
