"""A mixture of densities with fixed shares."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from flowlab.core import Density, Draw
from flowlab.core.arguments import checked

ROUNDS = 300
"""Of the search for shares."""


class Mixture(Density):
    """q(x) = Σ_i share_i q_i(x): each configuration is drawn from one of the densities, ln q is that of all of them.

    As a proposal it is never much smaller than any of them: where one draws a kind of configuration too seldom and
    another does not, weights stay bounded (defensive importance sampling; Hesterberg 1995, Technometrics 37, 185).

    Args:
        densities: q_i, of one shape; each keeps the target that it is bound to.
        shares: positive, one for each; they are divided by their sum.

    Raises:
        ValueError: for no densities, other shapes, or shares that are not positive or not as many.

    >>> from flowlab.densities import IndependentSpins
    >>> q = Mixture([IndependentSpins((2, 2)), IndependentSpins((2, 2), bias=3.0)], [0.8, 0.2])
    >>> x, log_q = q.sample(5, generator=torch.Generator().manual_seed(0))
    >>> bool(torch.allclose(log_q, q.log_prob(x)))
    True
    """

    @checked
    def __init__(self, densities: Sequence[Density], shares: Sequence[float]) -> None:
        super().__init__()
        if not densities or len(densities) != len(shares):
            raise ValueError(f"densities and shares must be as many, got {len(densities)} and {len(shares)}")
        if len({tuple(density.shape) for density in densities}) > 1:
            raise ValueError(f"densities must have one shape, got {[tuple(density.shape) for density in densities]}")
        if not all(0 < share < math.inf for share in shares):
            raise ValueError(f"shares must be positive, got {list(shares)}")
        self.densities = nn.ModuleList(densities)
        self.shape, self.variables = densities[0].shape, densities[0].variables
        self.shares = [float(share) / sum(shares) for share in shares]

    @property
    def parts(self) -> list[Density]:
        """The densities, in order."""
        return [density for density in self.densities if isinstance(density, Density)]

    @property
    def iid(self) -> bool:  # type: ignore[override]
        return all(density.iid for density in self.parts)

    @property
    def log_norm(self) -> float | None:  # type: ignore[override]
        return 0.0 if all(density.log_norm == 0.0 for density in self.parts) else None

    def draw(self, n: int, *, generator: torch.Generator | None = None) -> Draw:
        """n configurations in random order of what they come from; ``score`` is as that of the densities."""
        device = next((p.device for p in self.parameters()), torch.device("cpu"))
        ends = torch.tensor(self.shares, dtype=torch.float64).cumsum(0)[:-1].to(device)
        which = torch.bucketize(torch.rand(n, generator=generator, device=device, dtype=torch.float64), ends)
        order = which.argsort(stable=True).argsort()
        counts = torch.bincount(which, minlength=len(self.shares)).tolist()
        parts = [q.draw(k, generator=generator) for q, k in zip(self.parts, counts, strict=True) if k]
        x, log_q, score = (torch.cat(values)[order] for values in zip(*parts, strict=True))
        found = self.log_prob(x)
        if torch.equal(score.detach(), log_q.detach()):  # discrete choices are all there is to x
            return Draw(x, found.detach(), found)
        return Draw(x, found - (score - score.detach()), score)

    def log_prob(self, x: Tensor) -> Tensor:
        log_q = [density.log_prob(x) + math.log(share) for density, share in zip(self.parts, self.shares, strict=True)]
        return torch.stack(log_q).logsumexp(0)

    def flip_action(self) -> Tensor | None:
        """That of all of them, where it is the same."""
        first, *others = [density.flip_action() for density in self.parts]
        same = first is not None and all(other is not None and torch.equal(first, other) for other in others)
        return first if same else None


def best_shares(log_weight: Tensor, log_q: Tensor, drawn: Sequence[float], least: Sequence[float]) -> list[float]:
    """Shares α of a mixture Σ_j α_j q_j whose weights have the largest ESS, as far as pilot draws know.

    E[w²] is convex in α, and Σ_i p_i² / (q_i Σ_j α_j q_ij) estimates it from draws i of a mixture q (He and Owen 2014,
    arXiv:1411.3954). Each step multiplies the shares by the square root of what E[w²] would lose by more of them.

    Args:
        log_weight: (n,) ln p of the target, up to a constant.
        log_q: (J, n) ln q_j on the same draws.
        drawn: (J,) the shares in which they were drawn.
        least: (J,) the least that each share may be; they sum to less than 1.

    Returns:
        (J,) shares, which sum to 1.

    >>> p = torch.tensor([0.5, 0.3, 0.2]).log()
    >>> shares = best_shares(p, torch.stack([p, torch.tensor([0.98, 0.01, 0.01]).log()]), [0.5, 0.5], [0.0, 0.01])
    >>> [round(share, 2) for share in shares]
    [0.99, 0.01]
    """
    floor, shares = (torch.tensor(values, dtype=torch.float64) for values in (least, drawn))
    shares, free = shares / shares.sum(), 1 - floor.sum()
    log_q, log_weight = log_q.cpu().double(), log_weight.cpu().double()
    log_pilot = (log_q + shares.log()[:, None]).logsumexp(0)
    q, log_w = (log_q - log_pilot).exp(), log_weight - log_pilot  # in units of what was drawn from
    squares = (2 * (log_w - log_w.max())).exp()
    for _ in range(ROUNDS):
        shares = shares * (q @ (squares / ((floor + free * shares) @ q).square())).sqrt()
        shares = shares / shares.sum()
    found: list[float] = (floor + free * shares).tolist()
    return found
