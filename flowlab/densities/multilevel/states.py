"""Conditionals of one of q states given the known sites around: logits that permutations of the states permute."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from flowlab.densities.multilevel.spins import nearest, normal, sums_of_others
from flowlab.nn.windows import gather, on_windows


class StateLogits(nn.Module):
    """ln q(k) up to a constant, for each state k, from where the window has it: the same function at every site.

    With e_k the sites of the window that are in state k (ones, else zeros), h_k = σ(W e_k + b) and h their mean over
    the states, the logits are s·e_k + w·σ(A h_k + B h + c): a permutation of the states permutes them. It starts near
    s·e_k, with s the coupling ``start`` on the nearest known sites.

    Args:
        offsets: displacements of the k sites in a window.
        q: number of states.
        hidden: units of the two layers.
        start: J/T.
        generator: draws the initial weights.
    """

    def __init__(
        self,
        offsets: Sequence[tuple[int, ...]],
        q: int,
        *,
        hidden: tuple[int, int],
        start: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        inputs, (first, second) = len(offsets), hidden
        self.q = q
        self.window = nn.Parameter(normal(first, inputs, 2 / math.sqrt(max(inputs, 1)), generator))
        self.bias = nn.Parameter(normal(first, 1, 0.5, generator))
        self.own = nn.Parameter(normal(second, first, 2 / math.sqrt(first), generator))
        self.mean = nn.Parameter(normal(second, first, 2 / math.sqrt(first), generator))
        self.shift = nn.Parameter(normal(second, 1, 0.5, generator))
        self.output = nn.Parameter(normal(1, second, 0.1 / math.sqrt(second), generator))
        self.skip = nn.Parameter(start * nearest(offsets)[None])

    def forward(self, state: Tensor, windows: Tensor) -> Tensor:
        """(N, n) states, the batch last, and (M, k) rows of them -> (q, M, n) logits."""
        weights = [self.window, self.bias, self.own, self.mean, self.shift, self.output, self.skip]
        return on_windows(self._logits, state, windows, weights, self.q)

    def _logits(
        self,
        v: Tensor,
        window: Tensor,
        bias: Tensor,
        own: Tensor,
        mean: Tensor,
        shift: Tensor,
        output: Tensor,
        skip: Tensor,
    ) -> Tensor:
        """(k, m) states -> (q, m)."""
        m = v.shape[1]
        sites = where(v, self.q)
        units = torch.addmm(bias, window, sites).sigmoid()
        shared = torch.addmm(shift, mean, units.view(-1, self.q, m).mean(1))
        second = ((own @ units).view(-1, self.q, m) + shared[:, None]).sigmoid().flatten(1)
        return torch.addmm(skip @ sites, output, second).view(self.q, m)


class EqualLogits(nn.Module):
    """Logits of a first site, which knows of no other: zeros.

    Args:
        q: number of states.
    """

    def __init__(self, q: int) -> None:
        super().__init__()
        self.q = q

    def forward(self, state: Tensor, windows: Tensor) -> Tensor:
        """(N, n) states, the batch last, and (M, 0) rows of them -> (q, M, n) zeros."""
        return state.new_zeros(self.q, len(windows), state.shape[1])


class ExactStateLogits(nn.Module):
    """The exact logits of an even site on the decimated lattice, all the sites it interacts with being known.

    Each of the odd neighbours was summed over. With n_s how many of its other even neighbours are in state
    s, the logits are Σ ln [Σ_s exp(K n_s) + (exp K - 1) exp(K n_k)].

    Args:
        offsets: displacements of the known sites in the window.
        q: number of states.
    """

    sums: Tensor

    def __init__(self, offsets: Sequence[tuple[int, ...]], q: int) -> None:
        super().__init__()
        self.q, self.K = q, 0.0
        self.register_buffer("sums", sums_of_others(offsets), persistent=False)

    def set_coupling(self, K: float) -> None:
        """K = J/T of the fine lattice."""
        self.K = K

    def forward(self, state: Tensor, windows: Tensor) -> Tensor:
        """(N, n) states, the batch last, and (M, k) rows of them -> (q, M, n) logits."""
        count = self.sums.to(state.dtype) @ where(gather(state, windows), self.q)
        weight = (self.K * count).exp().view(len(self.sums), self.q, -1)
        logits = (weight.sum(1, keepdim=True) + math.expm1(self.K) * weight).log().sum(0)
        return logits.view(self.q, len(windows), -1)


def where(v: Tensor, q: int) -> Tensor:
    """(k, m) states -> (k, q m) ones where a site is in state 0, then where it is in state 1, ..., else zeros."""
    numbers = torch.arange(q, dtype=v.dtype, device=v.device)[:, None]
    return (v[:, None] == numbers).to(v.dtype).flatten(1)


def check_states(x: Tensor, q: int, *, unknown: bool = False) -> None:
    """ValueError where something is not 0 .. q-1, nor NaN if states may be unknown."""
    x = x.detach()
    wrong = (x < 0) | (x >= q) | (x != x.round())
    wrong = wrong & ~x.isnan() if unknown else wrong | x.isnan()
    if bool(wrong.any()):
        also = ", or NaN to be drawn" * unknown
        raise ValueError(f"states must be whole numbers from 0 to {q - 1}{also}, got {x[wrong][0].item()}")
