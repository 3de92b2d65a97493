"""Potts states drawn one site after the other, each from its distribution given the sites before."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from flowlab.core import Density, Draw, States
from flowlab.core.generators import everyone, own


class PottsAutoregressive(Density):
    """q(x) = Π_i q(x_i | x_0 ... x_{i-1}) for states x_i = 0 .. q-1, sites in raster order.

    To write one: give ``logits``, so that the logits of site i depend on the sites before i alone. Override ``choose``
    where sampling can be faster than one evaluation of the network per site.

    Args:
        shape: sides of one configuration; N sites in all.
        q: number of states, at least 2.

    Raises:
        ValueError: for sides that are not positive, or q < 2.
    """

    divisible = True

    def __init__(self, shape: tuple[int, ...], q: int = 3) -> None:
        super().__init__()
        self.shape = tuple(shape)
        if not self.shape or any(side < 1 for side in self.shape):
            raise ValueError(f"shape must be positive sides, got {shape}")
        if int(q) != q or q < 2:
            raise ValueError(f"q must be a number of states of at least 2, got {q}")
        self.q, self.variables = int(q), States(int(q))

    @property
    def n_sites(self) -> int:
        """Number of sites N."""
        return int(torch.Size(self.shape).numel())

    @abstractmethod
    def logits(self, x: Tensor) -> Tensor:
        """(n, N) states -> (n, N, q): ln q(x_i = k | x_<i) up to a constant of each site."""

    def log_conditionals(self, x: Tensor) -> Tensor:
        """(n, *shape) states -> (n, N): ln q(x_i | x_<i), in nats.

        Raises:
            ValueError: for a wrong shape, or states that are not 0 .. q-1; on a GPU, which is not waited for, those are
                NaN.
        """
        if tuple(x.shape[1:]) != self.shape:
            expected = ", ".join(map(str, self.shape))
            raise ValueError(f"configurations must have shape (n, {expected}), got {tuple(x.shape)}")
        sites = x.detach().flatten(1).to(next(self.parameters()).dtype)
        wrong = ~((sites >= 0) & (sites < self.q) & (sites == sites.round()))
        if sites.device.type != "cpu":
            states = sites.masked_fill(wrong, 0).long()
            found = self.logits(sites).log_softmax(-1).gather(-1, states[..., None]).squeeze(-1)
            return found.masked_fill(wrong, torch.nan)
        if bool(wrong.any()):
            raise ValueError(f"states must be 0, ..., {self.q - 1}, got {sites[wrong][0].item()}")
        return self.logits(sites).log_softmax(-1).gather(-1, sites.long()[..., None]).squeeze(-1)

    def log_prob(self, x: Tensor) -> Tensor:
        """(n, *shape) states -> (n,): ln q(x) = Σ_i ln q(x_i | x_<i), exact."""
        return self.log_conditionals(x).sum(-1)

    def draw(self, n: int, *, generator: torch.Generator | None = None) -> Draw:
        """n configurations; ``score`` is ln q with its gradient, ``log_q`` the same number without."""
        if n < 1:
            raise ValueError(f"n must be at least 1, got {n}")
        like = next(self.parameters())
        sizes = (everyone(n), self.n_sites)
        u = own(torch.rand(sizes, generator=generator, dtype=like.dtype, device=like.device))
        with torch.no_grad():
            x = self.choose(u).reshape(n, *self.shape)
        score = self.log_prob(x)
        return Draw(x, score.detach(), score)

    def choose(self, u: Tensor) -> Tensor:
        """(n, N) uniform numbers in [0, 1) -> (n, N) states, each the first whose cumulative probability exceeds u."""
        x = torch.zeros_like(u)
        for site in range(self.n_sites):
            x[:, site] = self.from_cumulative(self.logits(x)[:, site], u[:, site])
        return x

    def from_cumulative(self, logits: Tensor, u: Tensor) -> Tensor:
        """(..., q) logits and (...) uniform numbers -> (...) states."""
        below = logits.softmax(-1).cumsum(-1)[..., :-1]
        return (below <= u[..., None]).sum(-1).to(u.dtype)
