"""Training of continuous flows that keeps an eye on the error of their integration."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from flowlab.analysis.integration import integration_error
from flowlab.core import Density, System, named_generator
from flowlab.core.flow import integrators
from flowlab.densities.refined.coarse_chain import ChainFields
from flowlab.training.objectives.reverse_kl import Objective
from flowlab.training.staged import Grown
from flowlab.training.training import Training


class ContinuousTraining(Grown):
    """Training of densities with continuous flows, in stages, that an error of the integration cannot flatter.

    An optimiser finds weights at which a coarse integration of ln|det| is wrong in its favour. Every ``check_every``
    steps the ln|det| of fresh draws is therefore compared with that at twice the steps, ``integration_error`` in the
    records. Where it is above ``largest_error``, weights and optimiser go back to the last check that was good or to
    the beginning of the stage, the learning rate is halved and the flows take a quarter more steps; ``rolled_back`` in
    the records counts how often.

    Args:
        target, density, objective, steps, training: of the last stage, see :class:`.Training`.
        before: the stages before it, see :class:`.Grown`.
        check_every: steps between two checks.
        largest_error: in nats, the root mean square over the draws.

    Raises:
        ValueError: for a check that never comes, an error that is not positive, or another number of coarse chains than
            of coarse fields that are drawn at once.
    """

    def __init__(
        self,
        target: System,
        density: Density,
        objective: Objective,
        *,
        before: Sequence[Training] = (),
        steps: int,
        check_every: int = 50,
        largest_error: float = 0.05,
        **training: Any,
    ) -> None:
        super().__init__(before, target, density, objective, steps=steps, **training)
        if check_every < 1 or not largest_error > 0:
            raise ValueError(f"check_every and largest_error must be positive, got {check_every} and {largest_error}")
        drawn = self.batch // self.accumulate
        if chains_of(density) not in (None, drawn):
            raise ValueError(
                f"coarse fields must have as many chains as are drawn at once, batch / accumulate = {drawn}, got "
                f"{chains_of(density)}: others are not saved with the run"
            )
        self.check_every, self.largest_error = int(check_every), float(largest_error)
        self._rates = dict(self.optimisation.learning_rate)
        self._good: tuple[dict[str, Tensor], dict[str, Any]] | None = None
        self._rolled_back = 0

    def advance(self) -> dict[str, float]:
        record = super().advance()
        k, done = self.stage(self.step)
        if k < len(self.before):
            return record
        error = math.nan
        if (done + 1) % self.check_every == 0 or done + 1 == self.own_steps:
            generator = named_generator(self.seed, "integration", self.step, device=self.device)
            found = integration_error(copy.deepcopy(self.density), self.batch, generator)
            error = found.get("log_det", found.get("closure", 0.0))
            if error < self.largest_error:
                self._keep()
            else:
                self._go_back()
        return record | {"integration_error": error, "rolled_back": float(self._rolled_back)}

    def _begin(self, k: int) -> None:
        super()._begin(k)
        if k == len(self.before):
            self._keep()

    def _keep(self) -> None:
        """Weights and optimiser of the run's own stage, to which it may go back."""
        self._good = copy.deepcopy(Training.state_dict(self))

    def _go_back(self) -> None:
        assert self._good is not None
        tensors, state = self._good
        now = self.generator.get_state()
        Training.load_state_dict(self, tensors, copy.deepcopy(state))
        self.generator.set_state(now)
        self._rolled_back += 1
        for flow in integrators(self.density):
            flow.steps = math.ceil(1.25 * flow.steps)
        self._set_rates()

    def _set_rates(self) -> None:
        self.optimisation.learning_rate = {role: rate / 2**self._rolled_back for role, rate in self._rates.items()}

    def state_dict(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors, state = super().state_dict()
        if state["stage"] < len(self.before):
            return tensors, state
        good, good_state = self._good or ({}, None)
        return tensors | {f"good.{name}": value for name, value in good.items()}, state | {
            "good": good_state,
            "rolled_back": self._rolled_back,
            "flow_steps": [flow.steps for flow in integrators(self.density)],
        }

    def load_state_dict(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        super().load_state_dict(tensors, state)
        if state["stage"] < len(self.before):
            return
        good = {name.removeprefix("good."): value for name, value in tensors.items() if name.startswith("good.")}
        self._good = (good, state["good"]) if state["good"] is not None else None
        self._rolled_back = int(state["rolled_back"])
        self._set_rates()
        for flow, steps in zip(integrators(self.density), state["flow_steps"], strict=True):
            flow.steps = int(steps)

    def _mark(self) -> Any:
        steps = [flow.steps for flow in integrators(self.density)]
        return super()._mark(), self._good, self._rolled_back, steps

    def _return_to(self, mark: Any) -> None:
        own, self._good, self._rolled_back, steps = mark
        super()._return_to(own)
        self._set_rates()
        for flow, number in zip(integrators(self.density), steps, strict=True):
            flow.steps = number


def chains_of(density: Density) -> int | None:
    """The number of chains that draw the coarsest fields of a density, None where none do."""
    chains = (part for part in density.modules() if isinstance(part, ChainFields))
    sampler = next(chains, None)  # others inside are for readings
    return None if sampler is None else len(sampler.fields)
