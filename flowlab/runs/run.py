"""A run: seeded, streamed, stoppable, on disk."""

from __future__ import annotations

import itertools
import math
import queue
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
import xarray as xr

from flowlab import exact
from flowlab.analysis.checks.check import Watch
from flowlab.core import System
from flowlab.core.generators import named_seed
from flowlab.core.made import CannotMake, describe
from flowlab.core.names import DESCRIBE
from flowlab.core.numbers import seed_of, whole_number
from flowlab.core.symmetry import check_symmetry
from flowlab.hooks import above
from flowlab.runs import summary
from flowlab.runs.checks import Checks
from flowlab.runs.extension import Extension, extensions_in
from flowlab.runs.kind import KindOfRun
from flowlab.runs.precision import in_own_dtype, name_of
from flowlab.runs.process import interrupts_call, threads_of
from flowlab.runs.stepping import Loop, RunState, Steps
from flowlab.storage.directory import Directory
from flowlab.storage.identity import plain, system_identity

Stream = Iterator[dict[str, float]]


class Experiment(KindOfRun):
    """A run that streams records: one seed, one store, at most one thread.

    A subclass gives ``advance`` (one step, one record), ``state_dict`` and ``load_state_dict``; what a person does with
    a run is here, its parts do it: steps, the loop that takes them, directory, checks. Interrupted and resumed, a run
    gives the same records bit for bit on a CPU at one thread count (``wall_time`` excepted).

    Args:
        system: the physical system.
        target: what is sampled: the system, or a Representation of it.
        steps: the horizon, over which schedules run; at least 1.
        seed: of every random number; threads: of torch, on which the last bits of every number depend, 0 for its own.

    Attributes:
        study, keys: the name and keys that rebuild this run; None and {} for one built by hand.
        module: of the study's function, which another process imports to know the study.
        placed: the device that "auto" has ``chosen`` among several, and the ``seconds_per_step`` on each; else empty.
        chosen: those of the keys that are not the study's defaults; note: what a study chose and its title says.
        parent: study, keys, seed and step of the run that this one was warm-started from, and the fraction of the
            parameters that were copied; None for a cold start.
        extensions: steps that were added to it when it was finished, see :meth:`extend`.
        over: coupling -> the interval in which ``evaluate`` may be asked for it; empty for a run at one coupling.
    """

    over: Mapping[str, tuple[float, float]] = MappingProxyType({})

    def __init__(self, system: System, target: System, *, steps: int, seed: int, threads: int = 0) -> None:
        steps, seed, threads = whole_number("steps", steps), seed_of(seed), threads_of(threads)
        if steps < 1:
            raise ValueError(f"steps must be at least 1, got {steps}")
        system.check_made()
        check_symmetry(target)
        self.threads, self.dtype = threads, torch.get_default_dtype()
        self._identity = {"run": type(self).__qualname__} | system_identity(system)
        self._identity |= {"target": type(target).__qualname__}
        self._system, self._target, self.steps, self.seed = system, target, steps, seed
        self._steps_asked, self.extensions = steps, []
        self.study: str | None = None
        self.module: str | None = None
        self.keys: dict[str, Any] = {}
        self.chosen: dict[str, Any] = {}
        self.note = ""
        self.placed: dict[str, Any] = {}
        self.parent: dict[str, Any] | None = None
        self._directory = Directory(self)
        self._steps = Steps(self, self._directory)
        self._loop = Loop(self, self._steps, self._directory)
        self._checks = Checks(self, self._directory)
        self._fresh_seed = FreshSeeds(self.seed)

    @property
    def system(self) -> System:
        """The physical system."""
        return self._system

    @property
    def target(self) -> System:
        """What is sampled: the system, or a Representation of it."""
        return self._target

    # going

    @property
    def step(self) -> int:
        """Number of steps done."""
        return self._steps.done

    @property
    def state(self) -> RunState:
        """ "ready", "running", "paused", "stopped" (by a person or a time limit), "finished" or "failed"."""
        return self._loop.state

    @property
    def error(self) -> BaseException | None:
        """What made it fail, else None."""
        return self._loop.error

    @property
    def activity(self) -> str:
        """What it does before the first step, in words; empty once it steps."""
        return self._loop.audience.activity

    def stream(self, steps: int | None = None, *, seconds: float = math.inf, processes: int = 1) -> Stream:
        """Advance, journal and then yield one record after the other, up to the horizon.

        Where an error or an interrupt breaks off a step, that step is undone, and the run can go on from there.

        Args:
            steps, seconds: end after so many, None for all that are left, or so long; schedules are not altered by it.
            processes: how many take each step together, with portions of a training's batch; no part of the run.

        Raises:
            FloatingPointError: where a number became NaN or infinite; names the step and the last good checkpoint.
            RuntimeError: where this run is streaming already, a broken step could not be undone, or a process ended.
            ValueError: for steps or seconds below 0, or processes that cannot. A finished run warns and does nothing.
        """
        return self._loop.stream(steps, seconds, processes)

    def run(
        self, steps: int | None = None, *, seconds: float = math.inf, progress: bool = True, processes: int = 1
    ) -> xr.Dataset:
        """Drain ``stream`` with a progress bar; returns ``data``.

        Raises:
            KeyboardInterrupt: after an interrupt, when the step at hand is done and the run saved.
            SystemExit: likewise after SIGTERM (143) or SIGUSR1 (138) that nobody else handles.
        """
        records = self.stream(steps, seconds=seconds, processes=processes)
        left = self.steps - self.step if steps is None else min(steps, self.steps - self.step)
        with interrupts_call(self.stop) as told, self._loop.audience.bar(left, progress, self.headline) as update:
            for _ in records:
                update()
                if told:  # also where it came before the first step
                    self.stop()
        return self.data

    def start(self, *, processes: int = 1) -> None:
        """Train in a background thread up to the horizon, as ``stream`` does; returns at once.

        Raises:
            RuntimeError: as ``stream`` does, and for a run in another precision than torch's default, which would
                change under the other threads; what goes wrong later is kept in ``error`` and raised by ``wait``.
        """
        self._loop.start(processes)

    def pause(self) -> None:
        """Hold before the next step; nothing where the run is not going."""
        self._loop.hold()

    def resume(self) -> None:
        """Go on after ``pause``."""
        self._loop.go_on()

    def stop(self) -> None:
        """End after the step at hand; the run is saved and can be started again. Nothing where it is not going."""
        self._loop.stop()

    def extend(self, steps: int, *, restart: bool = False) -> None:
        """Let a finished run go on for so many ``steps`` more, which ``run`` or ``start`` then takes.

        Args:
            steps: how many more; restart: whether the learning rate follows its schedule again, or stays at the last.

        Raises:
            ValueError: for fewer than one step, and for ``restart`` of a run that has no schedule.
            RuntimeError: for a run that is not finished.
        """
        with self._loop.idle("this run is training: stop() it first"):
            self._lengthen(Extension.of(self, steps, restart))
            self._loop.rest()

    def wait(self, timeout: float | None = None) -> None:
        """Wait for the background thread; raises what it raised, TimeoutError after ``timeout`` seconds."""
        self._loop.wait(timeout)

    def listen(self, maxsize: int = 1000) -> queue.Queue[dict[str, float]]:
        """A bounded queue that receives every record from now on; when it is full the oldest one goes."""
        return self._loop.audience.listen(maxsize)

    @property
    def steps_per_second(self) -> float:
        """Speed over the last steps, NaN before the first."""
        return 1.0 / self._steps.recent

    @property
    def seconds_left(self) -> float:
        """Time to the horizon at this speed, NaN before the first step."""
        return (self.steps - self.step) * self._steps.recent

    @property
    def path(self) -> Path | None:
        """The directory, or None for a run in memory only."""
        return self._directory.path

    def meta(self) -> dict[str, Any]:
        """What rebuilds this run, as JSON."""
        return meta_of(self, self._identity)

    def attach(self, path: str | Path) -> None:
        """Keep this run, with the records it has so far, in a new directory ``path``.

        Raises:
            ValueError: where ``path`` is empty.
            StoreError: where a run is there already, or nothing can be written.
            RuntimeError: while the run is going.
        """
        if not str(path):
            raise ValueError("the directory of a run must have a name, got ''")
        with self._loop.idle("this run is training: stop() it first"):
            self._directory.create(path, self._steps.records)
            self._directory.save()

    def keep(self, dataset: xr.Dataset, name: str) -> None:
        """Write a Dataset, e.g. an evaluation, into the run's directory as ``name``.

        Raises:
            ValueError: for a run that has no directory.
            StoreError: where the directory holds another run by now.
            StoreLocked: while another process is training this run.
        """
        self._directory.write(name, dataset)

    def save(self) -> None:
        """Write a checkpoint and ``data.nc`` now; a run that is going saves by itself.

        Raises:
            ValueError: for a run that has no directory.
            RuntimeError: while the run is going.
        """
        self._directory.require()
        with self._loop.idle("this run is training and saves by itself: stop() it first"):
            self._directory.save()

    def restore(self, path: str | Path) -> None:
        """Take up the run in directory ``path`` at its newest good checkpoint; the disk is left alone until it goes on.

        For a run built by hand, built again in the same way; a study's run is simply loaded.

        Raises:
            StoreError: where there is no run, none of its checkpoints can be read, or they are of another run: other
                system, couplings, seed, optimiser or dtype, say; where its weights or records are missing.
            RuntimeError: while the run is going.
        """
        with self._loop.idle("this run is training: stop() it first"):
            found = self._directory.take_up(path)
            for extension in extensions_in(found.described)[len(self.extensions) :]:
                self._lengthen(extension)
            self._steps.take_up(found.step, found.records)
            self._loop.rest()

    # looking

    def __repr__(self) -> str:
        return summary.text(self)

    def _repr_html_(self) -> str:
        return summary.html(self)

    def headline(self) -> str:
        """The newest bound per site, the exact value where known, and the ESS, in words."""
        return summary.headline(self, self._steps.records)

    @cached_property
    def log_z_exact(self) -> float | None:
        """Exact ln Z of the system, None where none is known."""
        return exact.log_z(self.system)

    @property
    def data(self) -> xr.Dataset:
        """All records so far, dim ``step``; valid at any moment, while running too."""
        return self._steps.records.dataset(self.describe(), DESCRIBE)

    def describe(self) -> dict[str, Any]:
        """Attributes that every Dataset of this run carries."""
        about = about_system(self.system, self.log_z_exact)
        return {"study": self.study or "", **about, "steps": self.steps, "seed": self.seed}

    @in_own_dtype
    def check(
        self, seconds: float = 60.0, *, seed: int | None = None, n: int = 10_000, watch: Watch | None = None
    ) -> xr.Dataset:
        """What the run draws beside an independent answer: chains of the same system that began hot and cold.

        The table is that of :func:`flowlab.analysis.checks.check.check`; it is kept with the run as ``check.nc``, and
        later evaluations take its configurations as samples of the target.

        Args:
            seconds: time for the chains, at most.
            seed: of the draws and the chains, the run's own where not given; n: draws of the model.
            watch: called now and then with the table so far, None before there is one; where it returns False the
                check ends and judges what there is.

        Returns:
            Dataset; ``attrs["verdict"]`` begins with "consistent", "not to be trusted" or "not checked" and says why
            behind a colon, ``attrs["reasons"]`` has a sentence a line.

        Raises:
            ValueError: for a time that is not positive, or fewer than 2 draws.

        >>> from flowlab.runs import experiment
        >>> run = experiment("phi4-free", L=4, steps=10, batch=50)
        >>> run.check(0.1, n=1000).attrs["verdict"].split(":")[0] in ("consistent", "not to be trusted", "not checked")
        True
        """
        return self._checks.make(seconds, seed, n, watch)

    @property
    def checked(self) -> xr.Dataset | None:
        """The newest :meth:`check` of this run, of whatever step; None where there is none."""
        return self._checks.newest

    def lab(self) -> Any:
        """Live panels for JupyterLab."""
        return above["lab"](self)

    @staticmethod
    def load(path: str | Path, *, imports: Sequence[str] = (), device: str | None = None) -> Experiment:
        """The run in directory ``path``; see :func:`flowlab.load`."""
        run: Experiment = above["load"](path, imports=imports, device=device)
        return run


class FreshSeeds:
    """Seeds of samples for which nobody gave one: the n-th at a step is the same for every run of one seed.

    Args:
        seed: of the run.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._calls: dict[int, Iterator[int]] = {}

    def __call__(self, step: int) -> int:
        """Of the next samples at this step."""
        call = next(self._calls.setdefault(step, itertools.count()))
        return named_seed(self.seed, "sample", step, call) % 2**53  # which JSON keeps


def meta_of(run: Experiment, built: Mapping[str, Any]) -> dict[str, Any]:
    """What rebuilds a run, as JSON; one built by hand is told from others by what it was ``built`` of."""
    asked: dict[str, Any] = {
        "study": run.study,
        "keys": plain(run.keys),
        "seed": run.seed,
        "steps": run._steps_asked,
        "parent": plain(run.parent),
        "dtype": name_of(run.dtype),
    }
    asked |= {"device": run.placed} if run.placed else {}
    if run.extensions:
        asked |= {"until": run.steps, "extended": [extension._asdict() for extension in run.extensions]}
    if run.study is not None:
        return asked | {"module": run.module}
    try:
        made = dict(describe(run))
    except CannotMake as error:
        made = {"missing": str(error)}
    return asked | {"built": plain(built), "made": made}


def about_system(system: System, log_z_exact: float | None) -> dict[str, Any]:
    """Attributes that every Dataset of a system carries."""
    T = system.temperature
    return {
        "system": system.title,
        "n_sites": system.n_sites,
        **system.variables.describe(),
        **{name: float(value.detach()) for name, value in system.couplings.items()},
        "T": math.nan if T is None else float(T.detach()),
        "log_z_exact": math.nan if log_z_exact is None else log_z_exact,
    }
