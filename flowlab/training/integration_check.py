"""An eye on the error of continuous flows while they are trained."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from flowlab.analysis.integration import integration_error
from flowlab.core import Density, named_generator
from flowlab.core.flow import integrators
from flowlab.core.made import Made
from flowlab.core.numbers import whole_number
from flowlab.densities.refined.coarse_chain import chains_of
from flowlab.training.optimisation import Optimisation


class Watched(Protocol):
    """What is checked: a :class:`.Stage`."""

    density: Density
    optimisation: Optimisation
    generator: torch.Generator
    device: torch.device
    batch: int
    seed: int

    def ends(self, done: int) -> bool:
        """Whether these steps are all that were asked for."""

    def weights(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and the rest that the next step depends on, as of now."""

    def take(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Go back to where ``weights`` were."""


class IntegrationCheck(Made):
    """Keeps an error of the integration of continuous flows from flattering their training.

    An optimiser finds weights at which a coarse integration of ln|det| is wrong in its favour. Every ``every`` steps
    the ln|det| of fresh draws is therefore compared with that at twice the steps, ``integration_error`` in the
    records. Where it is above ``largest_error``, weights and optimiser go back to the last check that was good or to
    the beginning of the stage, the learning rate is halved and the flows take a quarter more steps; ``rolled_back`` in
    the records counts how often. Each stage has a check of its own.

    Args:
        every: steps between two checks.
        largest_error: in nats, the root mean square over the draws.

    Raises:
        ValueError: for a check that never comes, or an error that is not positive.

    >>> IntegrationCheck(every=10).largest_error
    0.05
    """

    def __init__(self, every: int = 50, largest_error: float = 0.05) -> None:
        self.every, self.largest_error = whole_number("check_every", every), float(largest_error)
        if self.every < 1 or not self.largest_error > 0:
            raise ValueError(f"check_every and largest_error must be positive, got {every} and {largest_error}")
        self._rolled_back = 0
        self._good: tuple[dict[str, Tensor], dict[str, Any]] | None = None

    def refuse_chains(self, density: Density, drawn: int) -> None:
        """ValueError where coarse fields have another number of chains than are ``drawn`` at once."""
        if chains_of(density) not in (None, drawn):
            raise ValueError(
                f"coarse fields must have as many chains as are drawn at once, batch / accumulate = {drawn}, got "
                f"{chains_of(density)}: others are not saved with the run"
            )

    def keep(self, stage: Watched) -> None:
        """Keep weights and optimiser, to which the stage may go back."""
        self._good = copy.deepcopy(stage.weights())

    def after(self, stage: Watched, done: int, number: int | None = None) -> dict[str, float]:
        """What is recorded of the step after ``done`` ones; ``number`` names the random numbers of its check."""
        error = math.nan
        if (done + 1) % self.every == 0 or stage.ends(done + 1):
            number = done if number is None else number
            generator = named_generator(stage.seed, "integration", number, device=stage.device)
            found = integration_error(copy.deepcopy(stage.density), stage.batch, generator)
            error = found.get("log_det", found.get("closure", 0.0))
            if error < self.largest_error:
                self.keep(stage)
            else:
                self._go_back(stage)
        return {"integration_error": error, "rolled_back": float(self._rolled_back)}

    def _go_back(self, stage: Watched) -> None:
        assert self._good is not None
        tensors, state = self._good
        now = stage.generator.get_state()
        stage.take(tensors, copy.deepcopy(state))
        stage.generator.set_state(now)
        steps = [math.ceil(1.25 * flow.steps) for flow in integrators(stage.density)]
        self._set(stage, self._rolled_back + 1, steps)

    def _set(self, stage: Watched, rolled_back: int, flow_steps: Sequence[int]) -> None:
        self._rolled_back = int(rolled_back)
        stage.optimisation.halve(self._rolled_back)
        for flow, steps in zip(integrators(stage.density), flow_steps, strict=True):
            flow.steps = int(steps)

    def state_dict(self, density: Density) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The weights that are kept, and the rest."""
        tensors, state = self._good or ({}, None)
        _, rolled_back, flow_steps = self.mark(density)
        own = {"good": state, "rolled_back": rolled_back, "flow_steps": flow_steps}
        return {f"good.{name}": value for name, value in tensors.items()}, own

    def load_state_dict(self, stage: Watched, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Go back to where ``state_dict`` was taken, the stage's learning rate and integration too."""
        good = {name.removeprefix("good."): value for name, value in tensors.items() if name.startswith("good.")}
        self._good = (good, state["good"]) if state["good"] is not None else None
        self._set(stage, state["rolled_back"], state["flow_steps"])

    def mark(self, density: Density) -> tuple[Any, int, list[int]]:
        """What a step changes."""
        return self._good, self._rolled_back, [flow.steps for flow in integrators(density)]

    def return_to(self, stage: Watched, mark: tuple[Any, int, list[int]]) -> None:
        """Undo what was done since ``mark``."""
        self._good, rolled_back, flow_steps = mark
        self._set(stage, rolled_back, flow_steps)
