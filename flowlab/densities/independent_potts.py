"""Potts states that know nothing of each other."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from flowlab.densities.potts_autoregressive import PottsAutoregressive


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

    def __init__(self, shape: tuple[int, ...], q: int = 3, *, bias: float = 0.0) -> None:
        super().__init__(shape, q)
        start = torch.zeros(self.n_sites, self.q)
        start[:, 0] = float(bias)
        self.bias = nn.Parameter(start)

    def logits(self, x: Tensor) -> Tensor:
        return self.bias.expand(len(x), -1, -1)

    def choose(self, u: Tensor) -> Tensor:
        return self.from_cumulative(self.bias, u)
