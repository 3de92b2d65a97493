"""Training of a density on a target."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import xarray as xr
from numpy.typing import ArrayLike
from torch import Tensor

from flowlab.analysis.diagnosis import Part
from flowlab.analysis.reference import Reference
from flowlab.core import Density, System
from flowlab.runs.extension import Extension
from flowlab.runs.kind import Observables, Together
from flowlab.runs.precision import in_own_dtype
from flowlab.runs.process import torch_threads
from flowlab.runs.registry import LITTLE, neighbour, same_couplings
from flowlab.runs.run import Experiment
from flowlab.training import ranges
from flowlab.training.evaluations import Evaluations, Held
from flowlab.training.glasses import Annealing, Auto, comparison_of, shelved
from flowlab.training.integration_check import IntegrationCheck
from flowlab.training.objectives.reverse_kl import Objective
from flowlab.training.processes import evaluated, together_or_refused
from flowlab.training.published import Published
from flowlab.training.stage import Diverged, Stage
from flowlab.training.staged import Stages, StartFrom, warm_start


class Training(Experiment):
    """Trains a density on a target and records how well it does.

    With ``stages`` it trains other densities first and hands their weights on, see :class:`.Stages`.

    Args:
        target: the system to be sampled.
        density: what is trained; its shape must be the target's.
        objective: the loss, e.g. ``ReverseKL()``.
        steps: the horizon of the schedules.
        batch: configurations drawn a step; accumulate: in how many equal parts, of which memory holds one at a time.
        learning_rate: peak rate by role, e.g. ``{"base": 1e-3, "flow": 1e-3}``, or one for all roles.
        annealing: progress (0 to 1) -> couplings to train at, empty for the target's own; None for these all the time.
            By default beta rises over 0.7 of the run where the couplings are random and the loss is made of own draws.
        patience: stop when what the objective watches (the bound, or the loss on held-out samples) has not improved
            over this many steps; 0 never stops early.
        comparison: configurations of the system at equilibrium to compare with, None for none; by default parallel
            tempering of spins with random couplings, run by the first evaluation.
        stages: what is trained before, in order, each a :class:`.Stage` that no other run uses.
        start_from: called with the density of a stage and that of the one before it; by default the warm start of the
            first from the second.
        integration: a check of the integration of continuous flows, None for none.
        seed, threads: see :class:`flowlab.Experiment`.
        device: where to compute, "cpu" or "cuda".
        optimiser: schedule, warmup, clip and more, see :class:`flowlab.training.optimisation.Optimisation`.

    Attributes:
        density, objective, optimisation, batch, annealing, device: of the last stage, own_steps its horizon.
        stages: all of them; before: those before the last.

    Raises:
        ValueError: where density and target do not fit, or an argument makes no sense.

    >>> from flowlab.densities import MADE
    >>> from flowlab.systems import Ising
    >>> from flowlab.training.objectives.reverse_kl import ReverseKL
    >>> training = Training(Ising((4, 4), T=3.0), MADE((4, 4)), ReverseKL(), steps=3, batch=100, learning_rate=1e-3)
    >>> [record["step"] for record in training.stream()]
    [1, 2, 3]
    """

    doubts = scheduled = True

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
        comparison: Reference | Auto | None = "auto",
        stages: Sequence[Stage] = (),
        start_from: StartFrom = warm_start,
        integration: IntegrationCheck | None = None,
        seed: int = 0,
        threads: int = 0,
        device: torch.device | str = "cpu",
        **optimiser: Any,
    ) -> None:
        super().__init__(target.physical, target, steps=steps, seed=seed, threads=threads)
        self._last = Stage(
            target, density, objective, steps=steps, batch=batch, learning_rate=learning_rate, accumulate=accumulate,
            annealing=annealing, patience=patience, integration=integration, seed=self.seed, device=device, **optimiser,
        )  # fmt: skip
        self.before, self.stages = tuple(stages), (*stages, self._last)
        self._stages = Stages(self.stages, start_from)
        self.steps = self._steps_asked = self._stages.total
        self.density, self.objective, self.device = self._last.density, self._last.objective, self._last.device
        self.optimisation, self.integration, self.over = self._last.optimisation, integration, self.density.over
        self.batch, self.annealing, self.own_steps = self._last.batch, self._last.annealing, self._last.steps
        self.comparison = comparison_of(target, self.seed) if comparison == "auto" else comparison
        self._evaluations = Evaluations(self)
        self._published = Published(lambda: (self.step, self._stages.copied(self.step)), self._steps.taking)
        del self._identity["run"]  # which had other names in earlier versions
        self._identity |= self._stages.identity

    @property
    def target(self) -> System:
        """What is sampled, at the couplings that the objective has learned so far where it learns them."""
        return self._last.target

    @property
    def system(self) -> System:
        """The physical system that the target stands for."""
        return self._last.system

    @property
    def log_z_exact(self) -> float | None:
        """Exact ln Z of the system, None where none is known or its couplings are being learned."""
        return super().log_z_exact if self._last.fixed else None

    @property
    def data(self) -> xr.Dataset:
        """The records; over couplings with the ESS over a grid of them, ``ess_beta`` (step, beta)."""
        return ranges.gridded(super().data, self.over) if self.over else super().data

    # training

    def _together(self, processes: int) -> Together:
        return super()._together(1) if processes == 1 else together_or_refused(self, processes)

    def _prepare(self) -> None:
        shelved(self.comparison, self.path)
        self._last.prepare(self.step == 0, self._loop.audience.report)

    @property
    def progress(self) -> float:
        """How much of the schedules of the last stage is done, up to 1; below 0 before it begins."""
        return self._stages.own(self.step) / self.own_steps

    def _lengthen(self, extension: Extension) -> None:
        super()._lengthen(extension)
        self.own_steps = self._stages.lengthen(extension)

    @property
    def drawn(self) -> int:
        """Draws that the density has been trained on."""
        return self.batch * max(0, self._stages.own(self.step))

    def advance(self) -> dict[str, float]:
        try:
            record = self._stages.advance(self.step, self._steps.records)
        except Diverged as error:
            raise FloatingPointError(
                f"{error} at step {self.step + 1}; {_advice(self._directory.newest_checkpoint())}"
            ) from None
        self.steps = self._stages.total
        return record

    def _converged(self) -> bool:
        return self._stages.converged(self.step, self._steps.records)

    def describe(self) -> dict[str, Any]:
        """``stages`` are the lattices in order, e.g. "4 × 4, 8 × 8"; there are none where there is one stage."""
        return super().describe() | {"device": str(self.device)} | self._stages.describe()

    @in_own_dtype
    def seconds_per_step(self) -> float:
        with torch_threads(self.threads):
            return self._stages.seconds_per_step(self.step == 0, self._loop.audience.report)

    def reading(self) -> tuple[int, Density]:
        """The step and a detached copy of the density, as of the last step or at most 0.5 s old.

        Before the last stage, what the weights of the stage so far make on the final lattice.
        """
        return self._published.read(self.step, self._loop.elsewhere)

    def _between_steps(self) -> None:
        self._published.between_steps()

    @in_own_dtype
    def sample(
        self, /, n: int, *, seed: int | None = None, held: Held | None = None, symmetrised: bool = True, **at: float
    ) -> xr.Dataset:
        """n configurations with ln q and the log weight; see :func:`flowlab.analysis.evaluation.sample`.

        Every call draws afresh; its attribute ``seed``, given as ``seed``, gives the same configurations again, while
        it trains on from a ``held`` :meth:`reading`. ``at`` is another coupling of a range, ``beta=0.37`` say. Of a
        density that is made symmetric, ``symmetrised=False`` draws what is inside, with that one's ln q: its samples
        have the signs, and only the valleys, that it has learned.
        """
        asked = self._evaluations.asked("sample", seed, fresh=True, held=held)
        density = asked.density if symmetrised else asked.density.unsymmetrised
        return ranges.sample(self, density, at, n, asked.generator, asked.attrs)

    @in_own_dtype
    def layers(
        self, n: int | None = None, *, x: Any = None, z: Any = None, seed: int = 0, symmetrised: bool = True
    ) -> xr.Dataset:
        """Configurations after each layer; see :func:`flowlab.analysis.evaluation.layers`.

        Give ``n`` for fresh latents (the same ones for the same ``seed``, while the weights change), ``z`` for given
        latents, ``x`` to run backwards from given configurations; 16 fresh ones where nothing is given.
        ``symmetrised`` as in :meth:`sample`.
        """
        return self._evaluations.layers(n, x, z, seed, symmetrised)

    @in_own_dtype
    def evaluate(
        self, /, n: int = 10_000, *, reference: Any = None, seed: int | None = None,
        observables: Observables | None = None, processes: int = 1, **at: float,
    ) -> xr.Dataset:  # fmt: skip
        """Free energy, observables and their errors from n samples; see :func:`flowlab.estimators.evaluation`.

        ``reference``, independent configurations of the system, adds the forward check: it sees the modes that the
        density drops. Without it they are those of the run's comparison, which overlaps, triangles and divergences are
        then compared with too (:func:`flowlab.analysis.overlaps.model_overlaps`), or those that :meth:`check` left.
        The numbers of a step are the same in every call; another ``seed`` than the run's gives independent ones.
        A density for a range of couplings is evaluated ``at`` any of them, ``beta=0.37`` say, by its ``proposal``.
        ``observables`` of one's own, name -> function, have errors from :meth:`expect`; ``processes`` draw together.
        """
        if processes != 1:
            return evaluated(self, processes, n, reference, seed, observables, at)
        asked = self._evaluations.asked("evaluate", seed)
        if at:
            found = ranges.evaluate(
                self, asked.density, at, n, asked.generator, asked.attrs, self._evaluations.batch(reference)
            )
        else:
            found = self._evaluations.evaluate(asked, n, reference)
        return self._beside(found, observables, n, seed, **at)

    @in_own_dtype
    def curve(
        self, /, observables: int | str | Sequence[str] | None = None, n: int = 10_000, *, seed: int | None = None,
        held: Held | None = None, **grid: ArrayLike,
    ) -> xr.Dataset:  # fmt: skip
        """Numbers as functions of a coupling, ``beta=numpy.linspace(0.35, 0.55, 41)``; see :func:`.ranges.curve`.

        ``observables`` are names to keep, all where None, from ``n`` draws of ``seed`` in all. The run is ``over`` that
        coupling. ``energy_per_site`` is exactly the slope of the curve of -``log_z`` in beta, ``specific_heat`` its
        curvature. Other couplings of the range are single numbers, the run's own where not given. ``held`` as above.
        """
        if isinstance(observables, int):
            warnings.warn("curve(n) is curve(n=n): names of observables come first", DeprecationWarning, stacklevel=3)
            return self.curve(None, observables, seed=seed, held=held, **grid)
        asked = self._evaluations.asked("curve", seed, held=held)
        return ranges.curve(self, asked.density, grid, n, asked.generator, asked.attrs, observables)

    @in_own_dtype
    def diagnose(self, n: int = 10_000, *, parts: Sequence[Part] | None = None, seed: int | None = None) -> xr.Dataset:
        """What the layers and the latents say about the physics, from n samples, in one Dataset.

        On a lattice of spins, what :func:`flowlab.analysis.diagnosis.diagnose` lists, or the ``parts`` that are named;
        those that need a flow are left out where there is none, and refused where they are asked for. On a spin glass,
        what every layer does to the overlaps (:func:`flowlab.analysis.overlaps.layer_overlaps`), and the entropies by
        ``place``. ``seed`` is as in :meth:`evaluate`.
        """
        return self._evaluations.diagnosis(self._evaluations.asked("diagnose", seed), n, parts)

    @in_own_dtype
    def reference(self, T: float | None = None) -> xr.Dataset | None:
        """The comparison's configurations at temperature T, the run's own where not given; None without a comparison.

        Runs parallel tempering where that has not been done, which may take a while.

        See :meth:`.TemperingSamples.dataset`.
        """
        if self.comparison is None:
            return None
        shelved(self.comparison, self.path)
        here = self.system.temperature if T is None else T
        return None if here is None else self.comparison.dataset(float(here), self._loop.audience.report)

    @property
    def temperatures(self) -> tuple[float, ...]:
        """At which ``reference`` has configurations, ascending."""
        return () if self.comparison is None else self.comparison.temperatures

    # elsewhere in the phase diagram

    def at(self, **changes: Any) -> Training:
        """The same study with other keys, warm-started from this run's weights, not started; it does not anneal.

        Args:
            changes: keys of the study, e.g. ``T=2.5`` or ``beta=0.4, steps=500, device="cpu"``; the others stay, and
                the seed follows from this run's seed and the new keys. Of a run built by hand: couplings of its system
                and arguments, e.g. ``T=2.5, steps=500``. A run ``over`` couplings that is asked for one goes on there.

        Raises:
            ValueError: for keys that do not exist, where no weights fit, or parts given by hand cannot be made again.

        Warns:
            RuntimeWarning: where less than 5 % of the weights are taken over; the other run then anneals as a cold one.

        >>> from flowlab.runs import experiment
        >>> run = experiment("ising-xor", L=4, T=2.5, steps=10, batch=50)
        >>> run.at(T=2.3).keys["T"], run.at(T=2.3).parent["keys"]["T"]
        (2.3, 2.5)
        """
        return warm_started(self, self.reading()[1], ranges.narrowed(self, changes))

    def grow(self, **changes: Any) -> Training:
        """The same study, with further ``changes``, on a lattice of twice the side, couplings kept; see :meth:`at`."""
        changes = changes if self.study is None else doubled(self, changes)
        return warm_started(self, self.reading()[1], changes, twice=self.study is None)

    def state_dict(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return self._stages.state_dict(self.step)

    def load_state_dict(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        self._stages.load_state_dict(tensors, state)
        self._changed()

    def _mark(self) -> Any:
        return self._stages.mark(self.step)

    def _return_to(self, mark: Any) -> None:
        self._stages.return_to(mark)
        self._changed()

    def _changed(self) -> None:
        self.steps = self._stages.total
        self._published.forget()


def _advice(checkpoint: Path | None) -> str:
    """What to do where a number diverged."""
    saved = f"the last good checkpoint is {checkpoint}" if checkpoint else "nothing was saved"
    return f"{saved}; try a smaller learning rate or a smaller clip"


def doubled(run: Training, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The keys that change where the study of ``run`` goes on with ``changes`` on a lattice of twice the side."""
    if not isinstance(L := run.keys.get("L"), int):
        raise ValueError(f"only a study with a side L can grow, and {run.study} has none")
    return {"L": 2 * L} | same_couplings(run, changes) | ranges.narrowed(run, changes)


def warm_started(run: Experiment, weights: Density, changes: Mapping[str, Any], *, twice: bool = False) -> Training:
    """The training of the study of ``run`` with some keys changed, from its ``weights``; see :meth:`.Training.at`."""
    other: Any = neighbour(run, changes, copied=1.0, twice=twice)
    weights = weights if other.density.over else weights.fixed(other.target)
    copied = copy_weights(other.density, weights)
    keys = ", ".join(f"{key}={value}" for key, value in changes.items())
    if not copied:
        raise ValueError(f"no weights of this run fit one with {keys}: begin that one anew, it cannot start from these")
    if copied < 1:
        other = neighbour(run, changes, copied=copied, twice=twice)
        copy_weights(other.density, weights)
    if copied < LITTLE:
        warnings.warn(
            f"only {100 * copied:.2g} % of the weights with {keys} are taken over: the run begins as from the start",
            RuntimeWarning,
            stacklevel=3,
        )
    found: Training = other
    return found


def copy_weights(density: Density, weights: Density) -> float:
    """Warm-start ``density`` from ``weights``; returns the fraction of its parameters copied, 1 where it has none.

    >>> from flowlab.densities import MADE
    >>> copy_weights(MADE((4, 4)), MADE((4, 4))), copy_weights(MADE((4, 4)), MADE((2, 2)))
    (1.0, 0.0)
    """
    names = set(density.warm_start(weights))
    found = {id(p): p.numel() for name, p in density.named_parameters(remove_duplicate=False) if name in names}
    total = sum(p.numel() for p in density.parameters())
    return sum(found.values()) / total if total else 1.0
