"""Densities of a coarsest lattice of a few spins, every configuration in one table."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from flowlab.core import Density, Draw
from flowlab.systems.lattice import neighbours

MAX_SPINS = 16
AT_ONCE = 1 << 22
"""Probabilities in memory where configurations are completed."""


class SpinTable(Density):
    """q(s) = softmax(table)/2 over the configurations of a few spins, equal for s and -s.

    Args:
        side: of the lattice, 2, 3 or 4.
        exact: the table is not learned but K Σ s s' over the bonds of the torus, with K = ``scale`` times what
            ``set_coupling`` says; only ``scale`` is learned. A side of 2 has two bonds between neighbours.

    Raises:
        ValueError: for a lattice of more than 16 spins.

    >>> q = SpinTable(2, exact=True)
    >>> q.set_coupling(0.3)
    >>> aligned = q.log_prob(torch.ones(1, 2, 2)) - q.log_prob(torch.tensor([[[1.0, -1.0], [1.0, 1.0]]]))
    >>> round(float(aligned.detach()), 6)
    2.4
    """

    patterns: Tensor
    bonds: Tensor

    def __init__(self, side: int, *, exact: bool = False) -> None:
        super().__init__()
        if not 2 <= side**2 <= MAX_SPINS:
            raise ValueError(f"a table needs at most {MAX_SPINS} spins, got {side} x {side}")
        self.shape, self.exact, self.K = (side, side), exact, 0.0
        others = side**2 - 1
        bits = (torch.arange(2**others) >> torch.arange(others)[:, None]) & 1
        patterns = torch.cat([torch.ones(1, 2**others), 1.0 - 2.0 * bits])
        self.register_buffer("patterns", patterns, persistent=False)
        adjacent = neighbours(self.shape)[:, [1, 3]]
        bonds = (patterns[:, None] * patterns[adjacent]).sum((0, 1))
        self.register_buffer("bonds", bonds, persistent=False)
        if exact:
            self.scale = nn.Parameter(torch.ones(()))
        else:
            self.table = nn.Parameter(torch.zeros(2**others))

    def set_coupling(self, K: float) -> None:
        """K between nearest neighbours, used where the table is exact."""
        self.K = K

    def log_table(self) -> Tensor:
        """(2^(N-1),) ln q of the configurations with the first spin up."""
        weights = self.K * self.scale * self.bonds if self.exact else self.table
        return weights.log_softmax(0) - math.log(2)

    def draw(self, n: int, *, generator: torch.Generator | None = None) -> Draw:
        log_q = self.log_table()
        edges = (log_q.detach().double().exp() * 2).cumsum(0)
        u = torch.rand(2, n, generator=generator, dtype=torch.float64, device=log_q.device)
        pattern = torch.searchsorted(edges, u[0]).clamp(max=len(edges) - 1)
        x = self.patterns[:, pattern] * torch.where(u[1] < 0.5, 1.0, -1.0).to(self.patterns.dtype)
        score = log_q[pattern]
        return Draw(x.T.reshape(n, *self.shape), score.detach(), score)

    def log_prob(self, x: Tensor) -> Tensor:
        spins = x.flatten(1)
        unlike = (spins[:, 1:] != spins[:, :1]).long()
        return self.log_table()[(unlike << torch.arange(unlike.shape[1], device=x.device)).sum(1)]

    def complete(self, x: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """(n, side, side) spins, those that are NaN drawn given the others."""
        every = torch.cat([self.patterns, -self.patterns], 1)
        log_q, parts = self.log_table().detach().repeat(2), []
        for part in x.flatten(1).split(max(1, AT_ONCE // len(log_q))):
            known = part.nan_to_num(nan=0.0).to(every.dtype)
            fits = known @ every == known.abs().sum(1, keepdim=True)
            p = torch.where(fits, log_q, -torch.inf).softmax(1)
            parts.append(every[:, torch.multinomial(p, 1, generator=generator)[:, 0]].T)
        return torch.cat(parts).reshape(x.shape)

    def flip_action(self) -> Tensor:
        return -torch.ones(self.shape, device=self.patterns.device)
