"""Densities of a coarsest lattice of a few spins, every configuration in one table."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from flowlab.core import Density, Draw, States
from flowlab.core.generators import everyone, own
from flowlab.densities.multilevel.spins import learned_factor
from flowlab.systems.lattice import neighbours

MAX_SPINS = 16
MAX_STATES = 1 << 16
"""Configurations of a table of states."""
AT_ONCE = 1 << 22
"""Probabilities in memory where configurations are completed."""


class Table(Density):
    """A density of a small lattice whose configurations all stand in a table, so that a part of one can be completed.

    Args:
        side: of the lattice.
        dims: its dimensions.
    """

    def __init__(self, side: int, dims: int = 2) -> None:
        super().__init__()
        self.shape = (side,) * dims

    @abstractmethod
    def every(self) -> tuple[Tensor, Tensor]:
        """(N, configurations) all of them, and (configurations,) their ln q."""

    def set_coupling(self, K: float) -> None:
        """K between nearest neighbours, for a table that depends on it."""

    def complete(self, x: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """(n, side, side) sites, those that are NaN drawn given the others."""
        every, log_q = self.every()
        parts = []
        for part in x.flatten(1).split(max(1, AT_ONCE // (len(log_q) * len(every)))):
            unlike = (part[:, :, None] != every) & ~part.isnan()[:, :, None]
            p = torch.where(unlike.any(1), -torch.inf, log_q.detach()).softmax(1)
            parts.append(every[:, torch.multinomial(p, 1, generator=generator)[:, 0]].T)
        return torch.cat(parts).reshape(x.shape)


class SpinTable(Table):
    """q(s) = softmax(table)/2 over the configurations of a few spins, equal for s and -s unless it has a field.

    Args:
        side: of the lattice, 2, 3 or 4 in the plane.
        dims: its dimensions.
        exact: the table is not learned but K Σ s s' over the bonds of the torus, with K = ``scale`` times what
            ``set_coupling`` says; only ``scale`` is learned. A side of 2 has two bonds between neighbours.
        symmetric: False adds what tells s from -s: a logit of each pair, learned, zero at the start.

    Raises:
        ValueError: for a lattice of more than 16 spins.

    >>> q = SpinTable(2, exact=True)
    >>> q.set_coupling(0.3)
    >>> aligned = q.log_prob(torch.ones(1, 2, 2)) - q.log_prob(torch.tensor([[[1.0, -1.0], [1.0, 1.0]]]))
    >>> round(float(aligned.detach()), 6)
    2.4
    """

    divisible = True
    patterns: Tensor
    bonds: Tensor

    def __init__(self, side: int, dims: int = 2, *, exact: bool = False, symmetric: bool = True) -> None:
        super().__init__(side, dims)
        if not 2 <= side**dims <= MAX_SPINS:
            raise ValueError(f"a table needs at most {MAX_SPINS} spins, got {' x '.join([str(side)] * dims)}")
        self.exact, self.K = exact, 0.0
        others = side**dims - 1
        bits = (torch.arange(2**others) >> torch.arange(others)[:, None]) & 1
        patterns = torch.cat([torch.ones(1, 2**others), 1.0 - 2.0 * bits])
        self.register_buffer("patterns", patterns, persistent=False)
        adjacent = neighbours(self.shape)[:, 1::2]
        bonds = (patterns[:, None] * patterns[adjacent]).sum((0, 1))
        self.register_buffer("bonds", bonds, persistent=False)
        if exact:
            self.shift = nn.Parameter(torch.zeros(()))
        else:
            self.table = nn.Parameter(torch.zeros(2**others))
        self.sign = None if symmetric else nn.Parameter(torch.zeros(2**others))

    def set_coupling(self, K: float) -> None:
        """K between nearest neighbours, used where the table is exact."""
        self.K = K

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        learned_factor(state, prefix, self.K)
        super()._load_from_state_dict(state, prefix, *rest)

    def log_table(self) -> tuple[Tensor, Tensor]:
        """(2^(N-1),) ln q of the configurations with the first spin up, and of the same with all spins flipped."""
        weights = (self.K + self.shift) * self.bonds if self.exact else self.table
        both = weights.log_softmax(0)
        if self.sign is None:
            return both - math.log(2), both - math.log(2)
        return both + logsigmoid(self.sign), both + logsigmoid(-self.sign)

    def exported(self) -> dict[str, Any]:
        """What a page needs to draw from it; ``learned`` is linear in the weights."""
        logits = (self.K + self.shift) * self.bonds if self.exact else self.table
        sign = None if self.sign is None else self.sign.tolist()
        return {"patterns": self.patterns.T.tolist(), "learned": {"logits": logits.tolist(), "sign": sign}}

    def draw(self, n: int, *, generator: torch.Generator | None = None) -> Draw:
        up, down = self.log_table()
        edges = (up.detach().double().exp() + down.detach().double().exp()).cumsum(0)
        u = own(torch.rand(2, everyone(n), generator=generator, dtype=torch.float64, device=up.device), 1)
        pattern = torch.searchsorted(edges, u[0]).clamp(max=len(edges) - 1)
        is_up = u[1] < (0.5 if self.sign is None else self.sign.detach().sigmoid()[pattern])
        x = self.patterns[:, pattern] * torch.where(is_up, 1.0, -1.0).to(self.patterns.dtype)
        score = torch.where(is_up, up[pattern], down[pattern])
        return Draw(x.T.reshape(n, *self.shape), score.detach(), score)

    def log_prob(self, x: Tensor) -> Tensor:
        spins = x.flatten(1)
        unlike = (spins[:, 1:] != spins[:, :1]).long()
        pattern = (unlike << torch.arange(unlike.shape[1], device=x.device)).sum(1)
        up, down = self.log_table()
        return torch.where(spins[:, 0] > 0, up[pattern], down[pattern])

    def every(self) -> tuple[Tensor, Tensor]:
        return torch.cat([self.patterns, -self.patterns], 1), torch.cat(self.log_table())

    def flip_action(self) -> Tensor | None:
        return -torch.ones(self.shape, device=self.patterns.device) if self.sign is None else None


class StateTable(Table):
    """q(s) = softmax(K Σ δ(s, s') + table) over the configurations of a few Potts states on a torus.

    The table has one number for each way to part the sites into sets of equal states, so that permutations of the
    states leave q(s) alone; K is learned too, and moves all of them at once.

    Args:
        side: of the lattice. One of 2 has two bonds between neighbours.
        q: number of states.
        start: K at the start.

    Raises:
        ValueError: for more than 2^16 configurations.

    >>> table = StateTable(2, 3, start=0.5)
    >>> x = torch.tensor([[[0.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [1.0, 1.0]]])
    >>> equal, halves = table.log_prob(x).tolist()
    >>> len(table.table), round(equal - halves, 5)
    (14, 2.0)
    """

    divisible = True
    patterns: Tensor
    parting: Tensor
    bonds: Tensor

    def __init__(self, side: int, q: int, *, start: float = 0.0) -> None:
        super().__init__(side)
        sites = side**2
        if not (side >= 2 and q >= 2 and q**sites <= MAX_STATES):
            raise ValueError(f"a table needs at most {MAX_STATES} configurations, got {q} states on {side} x {side}")
        self.q, self.variables = q, States(q)
        numbers = torch.arange(q**sites)
        patterns = torch.stack([numbers // q**site % q for site in range(sites)])
        equal = (patterns[:, None] == patterns[None]).flatten(0, 1)  # which pairs of sites are in one state
        found, parting = equal.unique(dim=1, return_inverse=True)
        self.register_buffer("patterns", patterns.to(torch.get_default_dtype()), persistent=False)
        self.register_buffer("parting", parting, persistent=False)
        bonds = (patterns[:, None] == patterns[neighbours(self.shape)[:, 1::2]]).sum((0, 1))
        self.register_buffer("bonds", bonds.to(self.patterns), persistent=False)
        self.K = nn.Parameter(torch.tensor(start))
        self.table = nn.Parameter(torch.zeros(found.shape[1]))

    def log_table(self) -> Tensor:
        """(q^N,) ln q of every configuration, site after site the digits of its number, the first the lowest."""
        return (self.K * self.bonds + self.table[self.parting]).log_softmax(0)

    def every(self) -> tuple[Tensor, Tensor]:
        return self.patterns, self.log_table()

    def draw(self, n: int, *, generator: torch.Generator | None = None) -> Draw:
        log_q = self.log_table()
        edges = log_q.detach().double().exp().cumsum(0)
        u = own(torch.rand(everyone(n), generator=generator, dtype=torch.float64, device=log_q.device))
        pattern = torch.searchsorted(edges, u).clamp(max=len(edges) - 1)
        score = log_q[pattern]
        return Draw(self.patterns[:, pattern].T.reshape(n, *self.shape), score.detach(), score)

    def log_prob(self, x: Tensor) -> Tensor:
        digits = x.detach().flatten(1).long()
        return self.log_table()[(digits * self.q ** torch.arange(digits.shape[1], device=x.device)).sum(1)]
