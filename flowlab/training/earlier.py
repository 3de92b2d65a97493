"""Names of earlier versions for trainings in stages, with continuous flows and with learned fine couplings."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from flowlab.core import Density, System
from flowlab.training.integration_check import IntegrationCheck
from flowlab.training.objectives.reverse_kl import Objective
from flowlab.training.stage import Stage
from flowlab.training.training import Training


def Grown(before: Sequence[Training], target: System, density: Density, objective: Objective, **how: Any) -> Training:
    """A :class:`.Training` with ``stages``, given as trainings that have not begun.

    Raises:
        ValueError: for a stage that has begun.
    """
    _warn("Grown(before, ...)", "Training(..., stages=[Stage(...), ...])")
    if "hand_on" in how:
        how["start_from"] = how.pop("hand_on")
    return Training(target, density, objective, stages=_stages(before), **how)


def ContinuousTraining(
    target: System,
    density: Density,
    objective: Objective,
    *,
    before: Sequence[Training] = (),
    check_every: int = 50,
    largest_error: float = 0.05,
    **how: Any,
) -> Training:
    """A :class:`.Training` with a check of the integration, and with ``stages`` given as trainings."""
    _warn("ContinuousTraining(...)", "Training(..., integration=IntegrationCheck(...))")
    check = IntegrationCheck(check_every, largest_error)
    return Training(target, density, objective, stages=_stages(before), integration=check, **how)


def UVTraining(target: System, density: Density, objective: Objective, **how: Any) -> Training:
    """The same; the target of any :class:`.Training` has the couplings that its objective has learned."""
    return ContinuousTraining(target, density, objective, **how)


def _stages(before: Sequence[Training]) -> list[Stage]:
    if any(training.step for training in before):
        raise ValueError("stages must not have begun: build them for this run")
    return [stage for training in before for stage in training.stages]


def _warn(old: str, new: str) -> None:
    warnings.warn(f"{old} is {new} now", DeprecationWarning, stacklevel=3)
