"""Training over a range of couplings at once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from flowlab.core import Density, Draw, System
from flowlab.core.types import Report, silent
from flowlab.training.objectives.reverse_kl import Loss, Objective

DECAY = 0.9
"""Of the running means of the ESS."""
LEARNED_FROM = 4
"""One in so many draws of a batch is of a neighbouring coupling."""


class OverCouplings(Objective):
    """The mean of an objective over couplings: each step several of them, each with its part of the batch.

    They are random, one in each of as many parts of the interval, all parts as likely. ``adaptive`` of this likelihood
    goes with 1 - ESS, so that couplings are drawn where the ESS is lowest; the rest, and all of it at the start, is
    even in the angle θ of a coupling at middle - half width · cos θ, since polynomials are least certain at the ends.
    Density and target are bound to each in turn, so that what the objective averages over a batch (as the baseline of
    :class:`.ReverseKL`) belongs to one coupling.

    Draws of q at one coupling β hardly know of what q draws too seldom there, as stripes in an ordered phase. On the
    way to the transition it draws them more often: each step takes a few more draws x of q at a neighbour β', with
    weights w ~ p(x; β) / q(x; β'), and adds half of the variance of R = ln q - ln p, Σ w (R - Σ w R)² / 2, to the loss
    (the log-variance under p; Richter et al. 2020, arXiv:2010.10436). Its gradient, too, vanishes draw by draw where q
    is exact, and where the neighbour is so different that one draw has all the weight. The objective may give it less
    weight, and let large deviations count linearly (Huber 1964, Ann. Math. Statist. 35, 73).

    The records tell of the run's own coupling, of as many draws as any other gets: bound, ESS, acceptance. ``ess_min``
    and ``ess_mean`` are those over the couplings of the step, ``ess_beta_00``, ... the running mean in each of the
    ``cells`` of the interval of ``beta``, NaN until one was drawn there.

    Args:
        objective: made of the density's own draws, e.g. ``ReverseKL()``.
        over: coupling -> its interval, e.g. ``{"beta": (0.35, 0.55)}``, as that of the :class:`flowlab.Conditional`.
        n: couplings a step, fewer if the batch has not two draws for each.
        adaptive: share of the couplings that the ESS decides on, in [0, 1).
        cells: of each interval, in which the ESS is known.
        near: how far away the neighbour may be, in units of the interval; 0 for no such draws.

    Raises:
        ValueError: for an objective that is made of samples of the target, no coupling, or numbers that make no sense.

    >>> from flowlab.densities import Conditional, MADE
    >>> from flowlab.systems import Ising
    >>> from flowlab.training import ReverseKL, Training
    >>> over = {"beta": (0.2, 0.4)}
    >>> run = Training(Ising((4, 4), T=3.0), Conditional(MADE((4, 4)), over), OverCouplings(ReverseKL(), over),
    ...                steps=3, batch=100, learning_rate=1e-2)
    >>> bool((run.run(progress=False).ess_min > 0).all())
    True
    """

    def __init__(
        self,
        objective: Objective,
        over: Mapping[str, tuple[float, float]],
        n: int = 4,
        *,
        adaptive: float = 0.5,
        cells: int = 10,
        near: float = 0.2,
    ) -> None:
        super().__init__()
        if not objective.own_draws:
            raise ValueError(f"objective must be made of own draws, got {type(objective).__name__}")
        if not over or n < 1:
            raise ValueError(f"over must name a coupling, and n be at least 1, got {dict(over)} and {n}")
        if not 0 <= adaptive < 1 or cells < 1:
            raise ValueError(f"adaptive must lie in [0, 1) and cells be at least 1, got {adaptive} and {cells}")
        if not 0 <= near < 1:
            raise ValueError(f"near must lie in [0, 1), a part of the interval, got {near}")
        self.objective, self.over, self.n = objective, dict(over), int(n)
        self.adaptive, self.near, self.watched = float(adaptive), float(near), objective.watched
        for name in self.over:
            self.register_buffer(f"ess_{name}", torch.full((cells,), math.nan, dtype=torch.float64))

    def divisible(self, n: int) -> int:
        return self.objective.divisible(n // max(1, min(self.n, n // 2)))

    def prepare(self, density: Density, target: System, *, fresh: bool, report: Report = silent) -> None:
        self.objective.prepare(density, target, fresh=fresh, report=report)

    def loss(self, density: Density, target: System, n: int, *, generator: torch.Generator | None = None) -> Loss:
        several = max(1, min(self.n, n // 2))
        losses, ess = [], []
        try:
            for couplings in self._couplings(several, target, generator):
                here = target.at(**dict(target.spelled(name, value) for name, value in couplings.items()))
                density.bind(here)
                loss = self.objective.loss(density, here, n // several, generator=generator)
                losses.append(loss)
                if loss.draw is not None and loss.log_weight is not None:
                    ess.append(_ess(loss.log_weight - loss.draw.log_q))
                    self._see(couplings, ess[-1])
            taught = self._from_neighbour(density, target, max(2, n // LEARNED_FROM), generator)
        finally:
            density.bind(target)
        x, log_q = density.sample(n // several, generator=generator)
        with torch.no_grad():
            log_weight = target.log_weight(x)
        metrics = {name: sum(loss.metrics[name] for loss in losses) / several for name in losses[0].metrics}
        return Loss(
            torch.stack([loss.value for loss in losses]).mean() + taught,
            torch.stack([loss.loss for loss in losses]).mean(),
            Draw(x, log_q, log_q),
            log_weight,
            metrics
            | {"ess_min": min(ess, default=math.nan), "ess_mean": sum(ess) / len(ess) if ess else math.nan}
            | {
                f"{of}_{i:02d}": value for of, cells in self.named_buffers(recurse=False) for i, value in _listed(cells)
            },
        )

    def _from_neighbour(
        self, density: Density, target: System, n: int, generator: torch.Generator | None
    ) -> Tensor | float:
        """What draws at a neighbouring coupling add, a number with the gradient of half the variance."""
        if not self.near:
            return 0.0
        (couplings,) = self._couplings(1, target, generator)
        target_at_neighbour, here = (
            target.at(**dict(target.spelled(name, value) for name, value in at.items()))
            for at in (self._neighbour(couplings, target, generator), couplings)
        )
        density.bind(target_at_neighbour)
        with torch.no_grad():
            x, drawn_with = density.sample(n, generator=generator)
            log_weight = here.log_weight(x)
        density.bind(here)
        log_q = density.log_prob(x)
        R = log_q.detach() - log_weight
        w = (log_weight - drawn_with).softmax(0)
        share, bend = self.objective.from_neighbours
        return share * (w * (R - (w * R).sum()).clamp(-bend, bend) * log_q).sum()

    def _neighbour(
        self, couplings: Mapping[str, float], target: System, generator: torch.Generator | None
    ) -> dict[str, float]:
        """Couplings up to ``near`` away on either side, inside of their intervals."""
        found = {}
        for name, (low, high) in self.over.items():
            moved = (2 * _random(1, target, generator).item() - 1) * self.near * (high - low)
            inside = low <= couplings[name] + moved <= high
            found[name] = min(max(couplings[name] + (moved if inside else -moved), low), high)
        return found

    def _see(self, couplings: Mapping[str, float], ess: float) -> None:
        """Take an ESS into the running mean of its cell."""
        for name, (low, high) in self.over.items():
            cells = self.get_buffer(f"ess_{name}")
            at = min(int(len(cells) * (couplings[name] - low) / (high - low)), len(cells) - 1)
            before = float(cells[at])
            cells[at] = ess if math.isnan(before) else DECAY * before + (1 - DECAY) * ess

    def _likelihood(self, name: str) -> np.ndarray:
        """Of the cells of an interval; all by their angle until each has an ESS."""
        lost = 1 - self.get_buffer(f"ess_{name}").cpu().numpy()
        even = np.diff(np.arccos(1 - 2 * np.linspace(0, 1, len(lost) + 1)) / np.pi)
        return (1 - self.adaptive) * even + self.adaptive * lost / lost.sum() if lost.sum() > 0 else even

    def _couplings(self, several: int, target: System, generator: torch.Generator | None) -> list[dict[str, float]]:
        """As many points, of which each coupling has one in each of as many parts of its interval, equally likely."""
        points: list[dict[str, float]] = [{} for _ in range(several)]
        for i, (name, (low, high)) in enumerate(self.over.items()):
            u = _random(several, target, generator)
            part = torch.arange(several)
            if i:  # parts of different couplings meet at random
                part = torch.randperm(several, generator=generator, device=_device(target, generator)).cpu()
            ends = np.concatenate([[0.0], self._likelihood(name).cumsum()])
            at = np.interp(((part + u) / several).numpy(), ends / ends[-1], np.linspace(0, 1, len(ends)))
            for point, value in zip(points, list(map(float, at)), strict=True):
                point[name] = low + (high - low) * value
        return points

    def parameter_groups(self, density: Density) -> dict[str, list[nn.Parameter]]:
        return self.objective.parameter_groups(density)

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *others: Any) -> None:
        """Runs that were kept before there were cells go on with none seen."""
        for name, cells in self.named_buffers(recurse=False):
            state_dict.setdefault(prefix + name, torch.full_like(cells, math.nan))
        super()._load_from_state_dict(state_dict, prefix, *others)


def _listed(cells: Tensor) -> Iterator[tuple[int, float]]:
    return iter(enumerate(cells.tolist()))


def _random(n: int, target: System, generator: torch.Generator | None) -> Tensor:
    """(n,) numbers in [0, 1), on the processor."""
    return torch.rand(n, generator=generator, device=_device(target, generator), dtype=torch.float64).cpu()


def _device(target: System, generator: torch.Generator | None) -> torch.device:
    return next(iter(target.couplings.values())).device if generator is None else generator.device


def _ess(log_w: torch.Tensor) -> float:
    w = (log_w.double() - log_w.double().max()).exp()
    return float(w.mean().square() / w.square().mean())
