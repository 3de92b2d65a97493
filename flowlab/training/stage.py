"""A stage of training: one density on one target, step by step."""

from __future__ import annotations

import copy
import hashlib
import inspect
import math
import time
import warnings
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, TypeVarTuple

import numpy as np
import torch
from torch import Tensor

from flowlab.core import Density, System, named_generator
from flowlab.core.generators import named_seed
from flowlab.core.made import Made
from flowlab.core.numbers import whole_number
from flowlab.core.types import Report
from flowlab.runs.extension import Extension
from flowlab.runs.kind import cloned
from flowlab.runs.process import resolve_device
from flowlab.storage.records import Records
from flowlab.training.glasses import Annealing, Auto, annealing_of
from flowlab.training.integration_check import IntegrationCheck
from flowlab.training.metrics import loss_metrics, trained_at
from flowlab.training.objectives.reverse_kl import Loss, Objective, together
from flowlab.training.optimisation import Optimisation, has_plateaued

GENERATORS = (16, 5056)
"""Bytes of the state of a generator of random numbers, on a GPU and on a processor."""

Parts = TypeVarTuple("Parts")


def placed(device: torch.device, *parts: *Parts) -> tuple[*Parts]:
    """Modules on a device: the same ones where they are there, else copies, so that those given stay where they are.

    >>> from flowlab.densities import MADE
    >>> density = MADE((2, 2))
    >>> placed(torch.device("cpu"), density)[0] is density
    True
    """
    modules: Any = parts
    tensors = (tensor for module in modules for tensor in (*module.parameters(), *module.buffers()))
    if all(tensor.device.type == device.type for tensor in tensors):
        return parts
    copies: Any = tuple(module.to(device) for module in copy.deepcopy(modules))
    return copies  # type: ignore[no-any-return]


def _refuse_unknown(optimiser: Mapping[str, Any]) -> None:
    known = list(inspect.signature(Optimisation).parameters)[2:]
    for name in optimiser:
        if name not in known:
            instead = {"out": ": attach(path) of a run keeps it on disk", "lr": ": it is learning_rate here"}.get(
                name, ""
            )
            raise TypeError(f"there is no argument {name!r}{instead}; of the optimiser there are {', '.join(known)}")


class Diverged(FloatingPointError):
    """The loss or its gradient became no number."""


class Stage(Made):
    """One density, what it is trained on and by what: a :class:`.Training` takes the steps of its stages in order.

    Args:
        target, density, objective, batch, learning_rate, accumulate, annealing, patience, integration, device: as of
            :class:`.Training`.
        steps: the horizon of the schedules of this stage.
        seed: of the draws of this stage.
        optimiser: see :class:`flowlab.training.optimisation.Optimisation`.

    Raises:
        ValueError: where density and target do not fit, or an argument makes no sense.

    >>> from flowlab.densities import MADE
    >>> from flowlab.systems import Ising
    >>> from flowlab.training import ReverseKL
    >>> stage = Stage(Ising((2, 2), T=3.0), MADE((2, 2)), ReverseKL(), steps=2, batch=50, learning_rate=1e-3)
    >>> [round(stage.advance(done)["inverse_temperature"], 3) for done in range(2)]
    [0.333, 0.333]
    """

    def __init__(
        self,
        target: System,
        density: Density,
        objective: Objective,
        *,
        steps: int,
        batch: int,
        learning_rate: float | Mapping[str, float],
        accumulate: int = 1,
        annealing: Annealing | Auto | None = "auto",
        patience: int = 0,
        integration: IntegrationCheck | None = None,
        seed: int = 0,
        device: torch.device | str = "cpu",
        **optimiser: Any,
    ) -> None:
        _refuse_unknown(optimiser)
        steps, batch = whole_number("steps", steps), whole_number("batch", batch)
        accumulate, patience = whole_number("accumulate", accumulate), whole_number("patience", patience)
        if steps < 1:
            raise ValueError(f"steps must be at least 1, got {steps}")
        if batch < 2:
            raise ValueError(f"batch must be at least 2, got {batch}")
        if accumulate < 1 or batch % accumulate or batch < 2 * accumulate:
            raise ValueError(f"accumulate must divide a batch of {batch} into parts of at least 2, got {accumulate}")
        if patience < 0 or patience == 1:
            raise ValueError(f"patience must be 0 (never stop early) or at least 2 steps, got {patience}")
        self.steps, self.batch, self.accumulate, self.patience, self.seed = steps, batch, accumulate, patience, seed
        self.extensions: list[Extension] = []
        self.device = resolve_device(str(device))
        density.bind(target)
        target, density, objective = placed(self.device, target, density, objective)
        self._target, self.density, self.objective = target, density, objective
        self.annealing = annealing_of(self._target, objective) if annealing == "auto" else annealing
        self.optimisation = Optimisation(objective.parameter_groups(density), learning_rate, **optimiser)
        self.generator = named_generator(seed, "train", device=self.device)
        # an eighth of what the optimiser and the marks of two steps hold; to build a study again for it takes longer
        self._untrained = {name: value.detach().cpu().clone() for name, value in density.state_dict().items()}
        self.integration = integration
        if integration is not None:
            integration.refuse_chains(density, batch // accumulate)

    @property
    def target(self) -> System:
        """What is sampled, at the couplings that the objective has learned so far where it learns them."""
        return self.objective.present(self._target)

    @property
    def system(self) -> System:
        """The physical system that the target stands for."""
        return self.target.physical

    @property
    def fixed(self) -> bool:
        """Whether the target stays as it was given."""
        return self.target is self._target

    def begin(self) -> None:
        """Called before the first step, with the weights that it starts from."""
        if self.integration is not None:
            self.integration.keep(self)

    def advance(self, done: int, number: int | None = None) -> dict[str, float]:
        """The step after ``done`` ones; returns its record.

        Args:
            done: steps of this stage before.
            number: for the random numbers of the check of the integration, ``done`` where not given.

        Raises:
            Diverged: where the loss or its gradient is no number.
        """
        progress, of_rate = self._progress(done)
        couplings = self.annealing(progress) if self.annealing is not None else {}
        target = self.target.at(**couplings) if couplings else self.target
        if self.annealing is not None:
            self.density.bind(target)
        self.density.anneal(progress)
        parts: list[Loss] = []
        grad_norm, learning_rate = self._followed(self._losses(target, parts), of_rate)
        loss = together(parts)
        value = float(loss.loss)
        for what, size in (("loss", value), ("gradient norm", grad_norm)):
            if not math.isfinite(size):
                raise Diverged(f"the {what} became {size}")
        record = loss_metrics(loss, self.target, annealed=bool(couplings), generator=self.generator) | {
            "loss": value,
            "grad_norm": grad_norm,
            "learning_rate": learning_rate,
            **trained_at(target),
            **loss.metrics,
        }
        return record if self.integration is None else record | self.integration.after(self, done, number)

    def _progress(self, done: int) -> tuple[float, float]:
        """How much of the schedules is done, and of that of the learning rate, which an extension may begin again."""
        for first, steps, restart in reversed(self.extensions):
            if done >= first:
                return 1.0, (done - first) / steps if restart else 1.0
        return done / self.steps, done / self.steps

    def ends(self, done: int) -> bool:
        """Whether these steps are all that were asked for, at the first time or later."""
        return done == self.steps or any(done == first + steps for first, steps, _ in self.extensions)

    def _followed(self, losses: Iterator[Tensor], progress: float) -> tuple[float, float]:
        """The norm of the gradient that was followed, and the learning rate; a density that learns nothing has none."""
        if self.density.learns:
            return self.optimisation.step(losses, progress)
        with torch.no_grad():
            deque(losses, maxlen=0)
        return 0.0, 0.0

    def _losses(self, target: System, parts: list[Loss]) -> Iterator[Tensor]:
        """The losses of the parts of one batch, one in memory at a time; their values are left in ``parts``."""
        for _ in range(self.accumulate):
            loss = self.objective.loss(self.density, target, self.batch // self.accumulate, generator=self.generator)
            yield loss.value / self.accumulate
            parts.append(loss._replace(value=loss.value.detach()))

    def converged(self, done: int, records: Records) -> bool:
        """Whether what the objective watches has not improved over the last ``patience`` of ``done`` steps.

        ``records`` are those of the run, of which these are the last.
        """
        first = done - 2 * self.patience
        if not self.patience or first < (self.extensions[-1].after if self.extensions else 0):
            return False
        if self.annealing is not None and self.annealing(self._progress(first)[0]) != self.annealing(1.0):
            return False  # the bound refers to the final target, and says little while another is trained on
        name, direction = self.objective.watched
        column = records.column(name)[len(records) - 2 * self.patience :]
        seen = column[~np.isnan(column)]
        return has_plateaued(seen if direction == "rises" else -seen, len(seen) // 2)

    def untrained(self, density: Density) -> Density:
        """A copy of ``density`` with the weights that this stage's had when it was built."""
        density = copy.deepcopy(density)
        density.load_state_dict(self._untrained)
        return density

    def prepare(self, fresh: bool, report: Report) -> None:
        """What the objective needs before the first step; ``fresh`` as in :meth:`.Objective.prepare`."""
        self.objective.prepare(self.density, self.target, fresh=fresh, report=report)

    def seconds_per_step(self, fresh: bool, report: Report) -> float:
        """Time of one step in seconds, of ten by a copy; the arguments are those of ``prepare``."""
        self.prepare(fresh, report)
        probe = Stage(
            self.target,
            copy.deepcopy(self.density),
            copy.deepcopy(self.objective),
            steps=100,
            batch=self.batch,
            accumulate=self.accumulate,
            learning_rate=self.optimisation.learning_rate,
            annealing=None,
            seed=named_seed(self.seed, "probe"),
            device=self.device,
        )
        for done in range(3):
            probe.advance(done)
        started = time.perf_counter()
        for done in range(3, 13):
            probe.advance(done)
        return (time.perf_counter() - started) / 10

    @property
    def identity(self) -> dict[str, Any]:
        """What makes its training this one and no other, as JSON."""
        return {
            "density": type(self.density).__qualname__,
            "objective": type(self.objective).__qualname__,
            "batch": self.batch,
            "accumulate": self.accumulate,
            "patience": self.patience,
            **self.optimisation.settings,
        }

    # where it stands

    def weights(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All that its next step depends on but the check of the integration, as of now (not a copy)."""
        tensors = {f"density.{k}": v for k, v in self.density.state_dict().items()}
        tensors |= {f"objective.{k}": v for k, v in self.objective.state_dict().items()}
        return tensors, {"optimisation": self.optimisation.state_dict(), "generator": self.generator.get_state()}

    def take(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Go back to where ``weights`` were."""
        modules: dict[str, torch.nn.Module] = {"density.": self.density, "objective.": self.objective}
        for name, module in modules.items():
            module.load_state_dict({k.removeprefix(name): v for k, v in tensors.items() if k.startswith(name)})
        self.optimisation.load_state_dict(state["optimisation"])
        self._draw_on(state["generator"].cpu())

    def _draw_on(self, state: Tensor) -> None:
        """Go on with the random numbers of ``state``; those of another kind of device cannot be gone on with."""
        if len(state) == len(self.generator.get_state()) or len(state) not in GENERATORS:
            self.generator.set_state(state)
            return
        drawn = hashlib.sha256(bytes(state.tolist())).hexdigest()
        self.generator = named_generator(self.seed, "train", drawn, device=self.device)
        warnings.warn(
            f"this run was kept on another kind of device, and goes on on {self.device} with other random numbers than "
            "it would have had there: its further records are as good, and not the same",
            RuntimeWarning,
            stacklevel=2,
        )

    def state_dict(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors by name and a state of plain values, as in a checkpoint."""
        tensors, state = self.weights()
        if self.integration is None:
            return tensors, state
        more, kept = self.integration.state_dict(self.density)
        return tensors | more, state | kept

    def load_state_dict(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Go back to where ``state_dict`` was taken."""
        self.take(tensors, state)
        if self.integration is not None:
            self.integration.load_state_dict(self, tensors, state)

    def mark(self) -> Any:
        """What the next step changes, a copy."""
        weights = cloned(self.weights())
        return weights, None if self.integration is None else self.integration.mark(self.density)

    def return_to(self, mark: Any) -> None:
        """Undo what was done since ``mark``."""
        weights, of_check = mark
        self.take(*weights)
        if self.integration is not None:
            self.integration.return_to(self, of_check)
