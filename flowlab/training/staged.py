"""Stages one after the other: where a step falls, what is handed on, how long each lasts."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from flowlab.core import Density
from flowlab.core.types import Report
from flowlab.runs.extension import Extension
from flowlab.storage.records import Records
from flowlab.training.metrics import OF_DRAWS
from flowlab.training.optimisation import has_plateaued
from flowlab.training.stage import Stage

StartFrom = Callable[[Any, Any], object]


def warm_start(density: Density, before: Density) -> None:
    """What a stage takes over from the one before it where nothing else is said."""
    density.warm_start(before)


class Stages:
    """The stages of a training, each warm-started from the one before it.

    A sampler of a large lattice is thus grown from one of a small lattice (Singha et al. 2025, arXiv:2503.08918,
    algorithm 1).

    The records number the ``stage`` from 0 and, where there are several or a check of the integration, hold
    ``stage_ess`` and ``stage_acceptance`` of each; the bound and the ESS of the run's own target are NaN until the last
    stage. A stage with ``patience`` ends where its ESS has not improved for that long, and the run is so much shorter.

    Args:
        stages: in order.
        start_from: called with the density of a stage and that of the one before it.

    Attributes:
        lengths: steps that each stage takes.
        told: whether the records and the attributes of a run tell of stages.
    """

    def __init__(self, stages: Sequence[Stage], start_from: StartFrom) -> None:
        self._stages, self.start_from = tuple(stages), start_from
        self.lengths = [stage.steps for stage in self._stages]
        self.told = len(self._stages) > 1 or self._stages[-1].integration is not None

    @property
    def total(self) -> int:
        """Steps of all of them."""
        return sum(self.lengths)

    def at(self, step: int) -> tuple[int, int]:
        """The stage in which the step after ``step`` falls, and how many steps of it are done by then.

        >>> from flowlab.densities import IndependentSpins
        >>> from flowlab.systems import Ising
        >>> from flowlab.training import ReverseKL
        >>> how = {"steps": 3, "batch": 10, "learning_rate": 0.01}
        >>> one, two = (Stage(Ising((L, L), 2.0), IndependentSpins((L, L)), ReverseKL(), **how) for L in (2, 4))
        >>> stages = Stages([one, two], warm_start)
        >>> stages.at(2), stages.at(3), stages.at(6)
        ((0, 2), (1, 0), (1, 3))
        """
        for k, length in enumerate(self.lengths[:-1]):
            if step < length:
                return k, step
            step -= length
        return len(self._stages) - 1, step

    def own(self, step: int) -> int:
        """Steps of the last stage that are done by then; below 0 before it begins."""
        return step - sum(self.lengths[:-1])

    def advance(self, step: int, records: Records) -> dict[str, float]:
        """The step after ``step``; returns its record. ``records`` are those so far."""
        k, done = self.at(step)
        stage, last = self._stages[k], k == len(self._stages) - 1
        if done == 0:
            if k > 0:
                self.start_from(stage.density, self._stages[k - 1].density)
            stage.begin()
        try:
            record = stage.advance(done, step if last else done)
        except FloatingPointError as error:
            if last:
                raise
            raise type(error)(f"{error} (stage {k}, {stage.system.title})") from None
        own: dict[str, float] = {"stage": k}
        if self.told:
            own |= {"stage_ess": record["ess"], "stage_acceptance": record["acceptance"]}
        if not last:
            record |= {name: math.nan for name in (*OF_DRAWS, "energy_mean", "action_mean") if name in record}
            if 0 < 2 * stage.patience <= done + 1:
                seen = records.column("stage_ess")[step - done :]
                if has_plateaued(np.append(seen, own["stage_ess"]), stage.patience):
                    self.lengths[k] = done + 1
        return record | own

    def lengthen(self, extension: Extension) -> int:
        """Let the last stage go on after the steps that it has done; returns how many it takes then."""
        own = extension._replace(after=self.own(extension.after))
        self._stages[-1].extensions.append(own)
        self.lengths[-1] = own.after + own.steps
        return self.lengths[-1]

    def converged(self, step: int, records: Records) -> bool:
        """Whether the last stage no longer gets better."""
        return self._stages[-1].converged(self.own(step), records)

    def copied(self, step: int) -> Density:
        """A detached copy of the last stage's density, warm-started from the stage that took the last of the steps."""
        last, (k, _) = self._stages[-1], self.at(max(step - 1, 0))
        density = copy.deepcopy(last.density).requires_grad_(False)
        density.bind(last.target)
        if k < len(self._stages) - 1:
            self.start_from(density, self._stages[k].density)
        return density

    @property
    def identity(self) -> dict[str, Any]:
        """What makes their training this one and no other, as JSON."""
        before = [list(stage.system.shape) for stage in self._stages[:-1]]
        return self._stages[-1].identity | ({"stages": before} if before else {})

    def describe(self) -> dict[str, str]:
        """The lattices in order, where the run tells of stages."""
        shapes = (" × ".join(map(str, stage.system.shape)) for stage in self._stages)
        return {"stages": ", ".join(shapes)} if self.told else {}

    def seconds_per_step(self, fresh: bool, report: Report) -> float:
        """The mean over all of them; the arguments are those of :meth:`.Objective.prepare`."""
        stages = zip(self.lengths, self._stages, strict=True)
        return sum(length * stage.seconds_per_step(fresh, report) for length, stage in stages) / self.total

    # where they stand

    def state_dict(self, step: int) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Of the stage that took the last of ``step`` steps: earlier ones are done, later ones begin from it."""
        k, _ = self.at(max(step - 1, 0))
        tensors, state = self._stages[k].state_dict()
        return tensors, {"stage": k, "stage_steps": self.lengths[:-1]} | state

    def load_state_dict(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        """Go back to where ``state_dict`` was taken."""
        state = _of_any_version(state)
        k, lengths = int(state.get("stage", 0)), [*state.get("stage_steps", self.lengths[:-1]), self.lengths[-1]]
        if k >= len(self._stages) or len(lengths) != len(self._stages):
            raise ValueError(f"stage {k} of {len(lengths)} is kept, and this training has {len(self._stages)}")
        self._stages[k].load_state_dict(tensors, state)
        self.lengths = [int(length) for length in lengths]

    def mark(self, step: int) -> Any:
        """What the step after ``step`` changes, a copy."""
        k, _ = self.at(step)
        return k, list(self.lengths), self._stages[k].mark()

    def return_to(self, mark: Any) -> None:
        """Undo what was done since ``mark``."""
        k, lengths, stage = mark
        self.lengths = list(lengths)
        self._stages[k].return_to(stage)


def _of_any_version(state: dict[str, Any]) -> dict[str, Any]:
    """The state as it is kept now: earlier versions kept that of a stage as ``own``, in each other.

    >>> _of_any_version({"stage": 1, "stage_steps": [3], "own": {"stage": 0, "own": {"generator": None}}, "good": 2})
    {'generator': None, 'stage': 1, 'stage_steps': [3], 'good': 2}
    """
    if "own" not in state:
        return state
    return _of_any_version(state["own"]) | {name: value for name, value in state.items() if name != "own"}
