"""What a kind of run gives: how it advances, where it stands, what it draws. Its parts ask for nothing else."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn, SupportsIndex

import torch
import xarray as xr
from torch import Tensor

from flowlab.analysis.checks.check import Drawn, drawn_from_density
from flowlab.core import Density, System, named_generator
from flowlab.core.made import Made
from flowlab.core.numbers import whole_number
from flowlab.hooks import above
from flowlab.runs.extension import Extension
from flowlab.storage.store import Store

Together = contextlib.AbstractContextManager[Callable[[], contextlib.AbstractContextManager[object]]]
"""Yields what each step is to be taken in."""
Observables = Mapping[str, Callable[[Any], Any]]
"""Name -> function of configurations (n, *shape), see :func:`flowlab.exports.expect`."""


class KindOfRun(Made, ABC):
    """The interface of a run, with what most kinds do by default; it holds nothing itself.

    Attributes:
        study: the name that rebuilds this run, None for one built by hand.
        steps: the horizon.
        seed: of every random number of the run.
        threads: of torch while it runs.
        dtype: torch's default where it was built, in which it computes wherever it goes on.
        device: where it computes.
        doubts: whether numbers that are not finite cast doubt on the step before, as in training: it left the weights
            that they come from. That one is then undone too, so that a failed run can be looked at.
        scheduled: whether a learning rate follows a schedule.
        seconds_between_checkpoints: while it goes, at least.
        extensions: steps that were added to it, in order.
    """

    study: str | None
    steps: int
    seed: int
    threads: int
    dtype: torch.dtype
    device: torch.device = torch.device("cpu")
    doubts = scheduled = False
    seconds_between_checkpoints = 1.0
    extensions: list[Extension]

    @property
    @abstractmethod
    def step(self) -> int:
        """Number of steps done."""

    @property
    @abstractmethod
    def path(self) -> Path | None:
        """The directory, or None for a run in memory only."""

    @property
    @abstractmethod
    def system(self) -> System:
        """The physical system."""

    @property
    @abstractmethod
    def target(self) -> System:
        """What is sampled: the system, or a Representation of it."""

    @property
    @abstractmethod
    def log_z_exact(self) -> float | None:
        """Exact ln Z of the system, None where none is known."""

    @property
    @abstractmethod
    def data(self) -> xr.Dataset:
        """All records so far, dim ``step``; valid at any moment, while running too."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Attributes that every Dataset of this run carries."""

    @abstractmethod
    def meta(self) -> dict[str, Any]:
        """What rebuilds this run, as JSON."""

    def _attrs(self, step: int, seed: int) -> dict[str, Any]:
        """Attributes of what is read off the run with random numbers: ``seed`` repeats it, at this step."""
        return self.describe() | {"step": step, "seed": seed, "run_seed": self.seed}

    # steps

    @abstractmethod
    def advance(self) -> dict[str, float]:
        """One step; returns its record."""

    @abstractmethod
    def state_dict(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Weights by name, and whatever else the next step depends on (generators, optimisers)."""

    @abstractmethod
    def load_state_dict(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        """Go back to where ``state_dict`` was taken."""

    @abstractmethod
    def seconds_per_step(self) -> float:
        """Time of one step in seconds, measured without advancing the run."""

    def _prepare(self) -> None:
        """Called by the thread that streams before its first step."""

    def _together(self, processes: int) -> Together:
        """Other processes that take the steps of this run with it; ValueError, at once, where they cannot."""
        if whole_number("processes", processes) != 1:
            raise ValueError(f"processes must be 1, got {processes}: a {type(self).__name__} is one process's work")
        return contextlib.nullcontext(contextlib.nullcontext)

    def _between_steps(self) -> None:
        """Called after each step by the thread that streams."""

    def _converged(self) -> bool:
        """Whether to end before the horizon; may depend on the records only."""
        return False

    def _ended(self) -> bool:
        return self.step >= self.steps or self._converged()

    def _lengthen(self, extension: Extension) -> None:
        """Take an extension in."""
        if extension.restart and not self.scheduled:
            raise ValueError("restart runs a schedule again, and this run has none: leave it out")
        self.steps = extension.after + extension.steps
        self.extensions.append(extension)

    def _mark(self) -> Any:
        """What the next step changes, a copy; by default all of ``state_dict``."""
        return cloned(self.state_dict())

    def _return_to(self, mark: Any) -> None:
        """Undo what was done since ``mark``, in the same step."""
        self.load_state_dict(*mark)

    def _keep_besides(self, store: Store) -> None:
        """Called before a checkpoint is written, for what is not part of it."""

    def set_besides(self) -> dict[str, Any]:
        return {}  # what a run has besides its arguments, its checkpoint holds

    def __copy__(self) -> NoReturn:
        raise TypeError(
            f"a run cannot be copied: {self._read_again()}, and run.at(T=...) begins another from its weights"
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> NoReturn:
        self.__copy__()

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError(f"a run cannot be pickled: {self._read_again()}, in another process too")

    def _read_again(self) -> str:
        again = "fl.load(path)" if self.study else "restore(path) of a run built in the same way"
        keep = "run.attach('runs/name') keeps it" if self.path is None else f"run.save() keeps it in {self.path}"
        return f"{keep} and {again} reads it"

    # evaluations

    @abstractmethod
    def evaluate(
        self, n: int = 10_000, *, seed: int | None = None, observables: Observables | None = None
    ) -> xr.Dataset:
        """Free energy and observables of the system with their errors, from n samples.

        Where that takes random numbers, they are those of ``seed``, the run's own where not given; the attributes of
        the Dataset name it. ``observables`` of one's own, name -> function of configurations, come with their errors
        from :meth:`expect`.
        """

    def _beside(
        self, found: xr.Dataset, observables: Observables | None, n: int, seed: int | None, **at: float
    ) -> xr.Dataset:
        """An evaluation with observables of one's own."""
        if not observables:
            return found
        whole: xr.Dataset = above["exports"]().with_observables(self, found, observables, n, seed=seed, at=at)
        return whole

    # elsewhere: see flowlab.exports

    def ensemble(self, n: int, method: str = "metropolis", *, seed: int | None = None) -> xr.Dataset:
        """n configurations for use elsewhere, by ``"metropolis"``, ``"weighted"`` or ``"resampled"``."""
        found: xr.Dataset = above["exports"]().ensemble(self, n, method, seed=seed)
        return found

    def expect(self, observable: Callable[[Any], Any], n: int = 10_000, *, seed: int | None = None) -> Any:
        """The mean of an observable of one's own with its error; see :func:`flowlab.exports.expect`."""
        return above["exports"]().expect(self, observable, n, seed=seed)

    def export(self, path: str | Path) -> Path:
        """The run as one zip file, readable without flowlab and by ``fl.load(path)``."""
        found: Path = above["exports"]().export(self, path)
        return found

    def to_pyerrors(
        self, n: int = 10_000, *, path: str | Path | None = None, seed: int | None = None
    ) -> dict[str, Any]:
        """Every observable as a pyerrors ``Obs``; see :func:`flowlab.exports.to_pyerrors`."""
        found: dict[str, Any] = above["exports"]().to_pyerrors(self, n, path=path, seed=seed)
        return found

    def to_arviz(self, n: int = 10_000, *, seed: int | None = None) -> Any:
        """A DataTree as ArviZ takes it; see :func:`flowlab.exports.to_arviz`."""
        return above["exports"]().to_arviz(self, n, seed=seed)

    def to_zarr(self, path: str | Path) -> Path:
        """The records as a Zarr store; see :func:`flowlab.exports.to_zarr`."""
        found: Path = above["exports"]().to_zarr(self, path)
        return found

    def reading(self) -> tuple[int, Density]:
        """The step and a detached copy of the density; TypeError for a run that trains none."""
        raise TypeError(f"{type(self).__name__} trains no density")

    def _draws(self, n: int, seed: int) -> tuple[int, Drawn]:
        """The step, and n independent draws of what the run samples with; TypeError where there are none."""
        step, density = self.reading()
        generator = named_generator(seed, "check", step, device=self.device)
        return step, drawn_from_density(density, self.target, n, generator)

    def export_web(self, path: str | Path) -> Path:
        """Write a page that draws fresh samples with their ln q by itself; see :func:`flowlab.widgets.export_web`."""
        written: Path = above["export_web"](self, path)
        return written


def cloned(value: Any) -> Any:
    """A copy of nested dicts, lists and tuples with copies of their tensors.

    >>> import torch
    >>> state = {"weights": [torch.zeros(1)], "step": 3}
    >>> copied = cloned(state)
    >>> _ = state["weights"][0].add_(1)
    >>> copied
    {'weights': [tensor([0.])], 'step': 3}
    """
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {key: cloned(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(cloned(item) for item in value)
    return value
