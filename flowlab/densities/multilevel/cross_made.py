"""A masked network for some spins drawn one after the other among known ones, its log-odds exactly odd."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from flowlab.nn.masked_linear import MaskedLinear
from flowlab.nn.windows import on_windows


class CrossMADE(nn.Module):
    """Log-odds of the spins of a cross, each given those before it and the known spins around, odd in all of them.

    As in :class:`flowlab.densities.MADE`, every spin owns ``width`` hidden units that see the spins before it, and its
    log-odds see its own units, those of the spins before, and, linearly, the spins. All known spins are seen. There are
    no constants, and hidden units are tanh: that makes the log-odds odd.

    Args:
        known: how many spins are known.
        sites: how many are drawn.
        width: hidden units of each of them.
        generator: draws the initial weights; it starts near uniform spins.
    """

    def __init__(self, known: int, sites: int, *, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.known, self.sites, self.width = known, sites, width
        site, unit = torch.arange(sites), torch.arange(sites * width) // width
        before = torch.arange(-known, sites)
        self.first = MaskedLinear(unit[:, None] > before, bias=False, generator=generator)
        self.output = MaskedLinear(site[:, None] >= unit, bias=False, gain=0.1, generator=generator)
        self.skip = MaskedLinear(site[:, None] > before, bias=False, gain=0.0, generator=generator)

    def weights(self) -> list[Tensor]:
        """(sites · width, known + sites) to the units, (sites, sites · width) from them, (sites, known + sites)."""
        return [layer.weight * layer.mask for layer in (self.first, self.output, self.skip)]

    def forward(self, state: Tensor, windows: Tensor) -> Tensor:
        """(N, n) spins and (D, known + sites) rows of them -> (sites, D, n) log-odds in D domains."""
        return on_windows(_log_odds, state, windows, self.weights(), outputs=self.sites)

    def choose(self, known: Tensor, thresholds: Tensor) -> tuple[Tensor, Tensor]:
        """Spin after spin, +1 where its log-odds reach the threshold, for the price of about one evaluation in all.

        The sums at every unit are kept, and every weight is used once: after spin k-1, with s the largest power of two
        that divides k, what the spins [k-s, k) send to the spins [k, k+s) is added.

        Args:
            known: (known, m) spins.
            thresholds: (sites, m) finite log-odds.

        Returns:
            Spins and log-odds, both (sites, m).
        """
        first, output, skip = self.weights()
        units = first[:, : self.known] @ known
        margins = skip[:, : self.known] @ known - 0.5 * output.sum(1, keepdim=True) - thresholds
        first, skip = first[:, self.known :], skip[:, self.known :]
        x, one, width = torch.empty_like(thresholds), thresholds.new_ones(()), self.width
        for site in range(self.sites):
            own, done = slice(site * width, (site + 1) * width), site + 1
            units[own].sigmoid_()
            margins[site : site + 1].addmm_(output[site : site + 1, own], units[own])
            torch.copysign(one, margins[site], out=x[site])
            earlier, later = slice(done - (done & -done), done), slice(done, min(done + (done & -done), self.sites))
            its_units = slice(earlier.start * width, earlier.stop * width)
            target = slice(later.start * width, later.stop * width)
            units[target].addmm_(first[target, earlier], x[earlier])
            margins[later].addmm_(skip[later, earlier], x[earlier]).addmm_(output[later, its_units], units[its_units])
        return x, margins.add_(thresholds)


def _log_odds(v: Tensor, first: Tensor, output: Tensor, skip: Tensor) -> Tensor:
    """(known + sites, m) spins -> (sites, m); 2 sigmoid - 1 of half the argument is a tanh, but takes less time."""
    return torch.addmm(skip @ v - 0.5 * output.sum(1, keepdim=True), output, (first @ v).sigmoid())
