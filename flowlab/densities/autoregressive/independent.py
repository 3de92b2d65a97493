"""Spins that know nothing of each other."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from flowlab.core.arguments import checked
from flowlab.densities.autoregressive.autoregressive import Autoregressive
from flowlab.densities.autoregressive.potts_autoregressive import PottsAutoregressive


class IndependentSpins(Autoregressive):
    """q(s) = Π_x sigmoid(s_x b_x) with a trainable log-odds b_x at every site: the naive mean-field ansatz.

    Args:
        shape: sides of one configuration.
        bias: initial log-odds b, in nats, the same at every site; 0 is a fair coin.

    >>> IndependentSpins((2, 2)).log_prob(torch.ones(1, 2, 2)).exp().tolist()
    [0.0625]
    """

    @checked
    def __init__(self, shape: tuple[int, ...], *, bias: float = 0.0) -> None:
        super().__init__(shape)
        self.bias = nn.Parameter(torch.full(self.shape, float(bias)))

    def logits(self, x: Tensor) -> Tensor:
        return self.bias.flatten().expand(x.shape[0], -1)

    def choose(self, thresholds: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.bias.flatten().expand_as(thresholds)
        return torch.where(logits > thresholds, 1.0, -1.0).to(thresholds.dtype), logits


class IndependentPotts(PottsAutoregressive):
    """q(x) = Π_i softmax(b_i)[x_i] with trainable b_i at every site: the naive mean-field ansatz.

    Args:
        shape: sides of one configuration.
        q: number of states, at least 2.
        bias: initial log-odds of state 0 against each other one, the same at every site; 0 is a fair die.

    >>> x = torch.zeros(1, 2, 2)
    >>> round(IndependentPotts((2, 2), 3).log_prob(x).exp().item() * 3**4, 5)
    1.0
    """

    @checked
    def __init__(self, shape: tuple[int, ...], q: int = 3, *, bias: float = 0.0) -> None:
        super().__init__(shape, q)
        start = torch.zeros(self.n_sites, self.q)
        start[:, 0] = float(bias)
        self.bias = nn.Parameter(start)

    def logits(self, x: Tensor) -> Tensor:
        return self.bias.expand(len(x), -1, -1)

    def choose(self, u: Tensor) -> Tensor:
        return self.from_cumulative(self.bias, u)
