"""Training that begins on smaller lattices."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from flowlab.core import Density, System
from flowlab.training.metrics import OF_DRAWS
from flowlab.training.objectives.reverse_kl import Objective
from flowlab.training.optimisation import has_plateaued
from flowlab.training.training import Training


class Grown(Training):
    """Trains one density after the other, each warm-started from the one before it; the last is the run's own.

    A sampler of a large lattice is thus grown from one of a small lattice whose weights it takes over (Singha et al.
    2025, arXiv:2503.08918, algorithm 1). The records number the ``stage`` from 0 and hold ``stage_ess`` and
    ``stage_acceptance`` of each; the bound and the ESS of the run's own target are NaN until its own stage. A stage
    with ``patience`` ends where its ESS has not improved for that long, and the run is so much shorter.

    Args:
        before: the stages before the last, in order: trainings that have not begun and are not used otherwise.
        hand_on: called with the density of a stage and that of the one before it; by default the warm start of the
            first from the second.
        target, density, objective, steps, training: of the last stage, see :class:`Training`.

    Raises:
        ValueError: for a stage that has begun.

    >>> from flowlab.densities import MADE
    >>> from flowlab.systems import Ising
    >>> from flowlab.training import ReverseKL
    >>> how = dict(steps=2, batch=50, learning_rate={"base": 1e-3})
    >>> small = Training(Ising((2, 2), T=3.0), MADE((2, 2)), ReverseKL(), **how)
    >>> run = Grown([small], Ising((4, 4), T=3.0), MADE((4, 4)), ReverseKL(), **how)
    >>> [int(record["stage"]) for record in run.stream()]
    [0, 0, 1, 1]
    """

    def __init__(
        self,
        before: Sequence[Training],
        target: System,
        density: Density,
        objective: Objective,
        *,
        steps: int,
        hand_on: Callable[[Any, Any], object] = lambda density, before: density.warm_start(before),
        **training: Any,
    ) -> None:
        super().__init__(target, density, objective, steps=steps, **training)
        if any(stage.step for stage in before):
            raise ValueError("stages must not have begun: build them for this run")
        self.before, self.hand_on = tuple(before), hand_on
        self.own_steps = self.steps
        self.steps += sum(stage.steps for stage in self.before)

    def describe(self) -> dict[str, Any]:
        """``stages`` are the lattices in order, e.g. "4 × 4, 8 × 8"."""
        systems = [*(stage.system for stage in self.before), self.system]
        return super().describe() | {"stages": ", ".join(" × ".join(map(str, system.shape)) for system in systems)}

    @property
    def progress(self) -> float:
        return (self.step - self.steps + self.own_steps) / self.own_steps

    @property
    def drawn(self) -> int:
        return self.batch * max(0, self.step - self.steps + self.own_steps)

    def stage(self, step: int) -> tuple[int, int]:
        """The stage in which the step after ``step`` falls, and how many steps of it are done by then."""
        for k, stage in enumerate(self.before):
            if step < stage.steps:
                return k, step
            step -= stage.steps
        return len(self.before), step

    def advance(self) -> dict[str, float]:
        k, done = self.stage(self.step)
        stage = self.before[k] if k < len(self.before) else self
        if done == 0:
            self._begin(k)
        if stage is self:
            record = super().advance()
        else:
            stage.step = done
            try:
                record = stage.advance()
            except FloatingPointError as error:
                raise FloatingPointError(f"{error} (stage {k}, {stage.system.title})") from None
        own = {"stage": float(k), "stage_ess": record["ess"], "stage_acceptance": record["acceptance"]}
        if stage is not self:
            record |= dict.fromkeys(
                [name for name in (*OF_DRAWS, "energy_mean", "action_mean") if name in record], math.nan
            )
            if 0 < 2 * stage.patience <= done + 1 and self._plateaued(stage, own["stage_ess"]):
                self._last([s.step + 1 if s is stage else s.steps for s in self.before])
        return record | own

    def _plateaued(self, stage: Training, ess: float) -> bool:
        """Whether a stage before the last no longer gets better; its step at hand, with this ESS, has no record yet."""
        seen = self._records.column("stage_ess")[self.step - stage.step :]
        return has_plateaued(np.append(seen, ess), stage.patience)

    def _last(self, steps: Sequence[int]) -> None:
        """Let the stages before the last take so many steps each, and the run as many as that makes."""
        for stage, number in zip(self.before, steps, strict=True):
            stage.steps = int(number)
        self.steps = self.own_steps + sum(stage.steps for stage in self.before)

    def _begin(self, k: int) -> None:
        """Called before the first step of stage k."""
        if k > 0:
            density = self.before[k].density if k < len(self.before) else self.density
            self.hand_on(density, self.before[k - 1].density)

    def _converged(self) -> bool:
        return self.stage(max(self.step - 2 * self.patience, 0))[0] == len(self.before) and super()._converged()

    def seconds_per_step(self) -> float:
        """The mean over all stages."""
        spent = sum(stage.steps * stage.seconds_per_step() for stage in self.before)
        return (spent + self.own_steps * super().seconds_per_step()) / self.steps

    def _publish(self) -> None:
        """What the weights of the stage so far make on the final lattice."""
        super()._publish()
        k, _ = self.stage(max(self.step - 1, 0))
        if k < len(self.before):
            assert self._copy is not None
            self.hand_on(self._copy[2], self.before[k].density)

    def state_dict(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        k, _ = self.stage(max(self.step - 1, 0))
        tensors, state = super().state_dict() if k == len(self.before) else self.before[k].state_dict()
        return tensors, {"stage": k, "stage_steps": [stage.steps for stage in self.before], "own": state}

    def load_state_dict(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        k = int(state["stage"])
        if k == len(self.before):
            super().load_state_dict(tensors, state["own"])
        else:
            self.before[k].load_state_dict(tensors, state["own"])
        self._last(state.get("stage_steps", [stage.steps for stage in self.before]))
        self._copy = None

    def _mark(self) -> Any:
        k, _ = self.stage(self.step)
        stage = self.before[k]._mark() if k < len(self.before) else super()._mark()
        return k, [stage.steps for stage in self.before], stage

    def _return_to(self, mark: Any) -> None:
        k, steps, stage = mark
        self._last(steps)
        if k < len(self.before):
            self.before[k]._return_to(stage)
        else:
            super()._return_to(stage)
        self._copy = None
