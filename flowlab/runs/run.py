"""A run: seeded, streamed, stoppable, on disk."""

from __future__ import annotations

import contextlib
import itertools
import math
import queue
import threading
import time
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
import xarray as xr

from flowlab import exact
from flowlab.core import System
from flowlab.core.generators import named_seed
from flowlab.core.names import DESCRIBE
from flowlab.core.numbers import seed_of, whole
from flowlab.core.symmetry import check_symmetry
from flowlab.hooks import above
from flowlab.runs import summary
from flowlab.runs.checkable import Checkable
from flowlab.runs.keys import MOST_THREADS
from flowlab.runs.persistence import RunState
from flowlab.runs.precision import default_dtype
from flowlab.runs.process import Audience, Control, interrupts_call, torch_threads
from flowlab.runs.stepping import Stepping
from flowlab.storage.identity import system_identity


class Experiment(Checkable, Stepping):
    """A run that streams records: one seed, one store, at most one thread.

    A subclass gives ``advance`` (one step, one record), ``state_dict`` and ``load_state_dict``; what a person does with
    a run is here. Interrupted and resumed, a run gives the same records bit for bit on a CPU at one thread count
    (``wall_time`` excepted).

    Args:
        system: the physical system.
        target: what is sampled: the system, or a Representation of it.
        steps: the horizon, over which schedules run; at least 1.
        seed: of every random number of the run.
        threads: of torch while it runs, on which the last bits of every number depend; 0 for what torch has.

    Attributes:
        step: number of steps done.
        state: "ready", "running", "paused", "stopped" (by a person or a time limit), "finished" or "failed".
        path, study, keys, parent, note: see :class:`flowlab.runs.persistence.OnDisk`.
        error: what made it fail, else None.
        over: coupling -> the interval in which ``evaluate`` may be asked for it; empty for a run at one coupling.
    """

    over: Mapping[str, tuple[float, float]] = MappingProxyType({})

    def __init__(self, system: System, target: System, *, steps: int, seed: int, threads: int = 0) -> None:
        steps, seed, threads = whole("steps", steps), seed_of(seed), whole("threads", threads)
        if steps < 1:
            raise ValueError(f"steps must be at least 1, got {steps}")
        if not 0 <= threads <= MOST_THREADS:
            raise ValueError(f"threads must be from 0 (what torch has) to {MOST_THREADS}, got {threads}")
        check_symmetry(target)
        super().__init__()
        self.threads, self.dtype = threads, torch.get_default_dtype()
        self._identity = {
            "run": type(self).__qualname__,
            **system_identity(system),
            "target": type(target).__qualname__,
        }
        self._system, self._target, self.steps, self.seed = system, target, steps, seed
        self.state: RunState = "ready"
        self.error: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._streamer: int | None = None
        self._control = Control()
        self._audience = Audience()
        self._calls: dict[int, Iterator[int]] = {}

    @property
    def system(self) -> System:
        """The physical system."""
        return self._system

    @property
    def target(self) -> System:
        """What is sampled: the system, or a Representation of it."""
        return self._target

    @property
    def activity(self) -> str:
        """What it does before the first step, in words; empty once it steps."""
        return self._audience.activity

    @abstractmethod
    def evaluate(self, n: int = 10_000, *, seed: int | None = None) -> xr.Dataset:
        """Free energy and observables of the system with their errors, from n samples.

        Where that takes random numbers, they are those of ``seed``, the run's own where not given; the attributes of
        the Dataset name it.
        """

    @abstractmethod
    def seconds_per_step(self) -> float:
        """Time of one step in seconds, measured without advancing the run."""

    def _prepare(self) -> None:
        """Called by the thread that streams before its first step; says what it does through ``report``."""

    def _between_steps(self) -> None:
        """Called after each step by the thread that streams."""

    def _converged(self) -> bool:
        """Whether to end before the horizon; may depend on the records only."""
        return False

    def _ended(self) -> bool:
        return self.step >= self.steps or self._converged()

    # running

    def stream(self, steps: int | None = None, *, seconds: float = math.inf) -> Iterator[dict[str, float]]:
        """Advance, journal and then yield one record after the other, up to the horizon.

        Where an error or an interrupt breaks off a step, that step is undone, and the run can go on from there.

        Args:
            steps: end after this many; None for all that are left.
            seconds: end after this time; schedules are not altered by it.

        Raises:
            FloatingPointError: where a number became NaN or infinite; names the step and the last good checkpoint.
            RuntimeError: where this run is streaming already, or a broken step could not be undone.
            ValueError: for steps or seconds below 0. A finished run warns and does nothing.
        """
        steps = self.steps if steps is None else whole("steps", steps)
        if steps < 0 or not seconds >= 0:
            raise ValueError(f"steps and seconds must be 0 or more, got {steps} and {seconds}")
        self._warn_if_finished()
        return self._streamed(min(self.steps, self.step + steps), seconds)

    def _streamed(self, last: int, seconds: float) -> Iterator[dict[str, float]]:
        self._claim()
        yield from self._claimed(last, seconds)

    def _claim(self) -> None:
        """Take the one right to advance this run; ``_claimed`` gives it back."""
        if not self._streaming.acquire(blocking=False):
            raise RuntimeError("this run is already training: stop() it or wait() for it first")
        if not self._whole:
            self._streaming.release()
            again = "build" if self.path is None else "load"
            raise RuntimeError(f"step {self.step + 1} broke off and could not be undone: {again} this run again")
        self.error = None

    def _claimed(self, last: int, seconds: float) -> Iterator[dict[str, float]]:
        ending: RunState = "failed"
        try:
            self._streamer = threading.get_ident()
            self._open_store()
            self.state = "running"
            with torch_threads(self.threads):
                with default_dtype(self.dtype):
                    self._begin_step()
                    self._prepare()
                self._audience.report("")
                yield from self._steps(last, seconds)
            ending = "finished" if self._ended() else "stopped"
        except (GeneratorExit, KeyboardInterrupt):
            ending = "stopped"
            raise
        except BaseException as error:
            self.error = error
            raise
        finally:
            try:
                self._end_step()
                self._close_store(checkpoint=self._whole and not self._doubtful)  # it would push out the last good one
            except BaseException as error:
                ending, self.error = "failed", error
                raise
            finally:
                self._control.clear()
                self._streamer = None
                self.state = ending
                self._streaming.release()

    def _steps(self, last: int, seconds: float) -> Iterator[dict[str, float]]:
        end = time.monotonic() + seconds
        while self.step < last and not self._ended() and self._control.may_go_on(self._say) and time.monotonic() < end:
            with default_dtype(self.dtype), self._stepping:
                record = self._timed_step()
            self._audience.tell(record)
            if self._store is not None:
                self._checkpoint_cadence(self._save_checkpoint)
                self._snapshot_cadence(self._save_snapshot)
            self._between_steps()
            yield record

    def _say(self, state: RunState) -> None:
        self.state = state

    def run(self, steps: int | None = None, *, seconds: float = math.inf, progress: bool = True) -> xr.Dataset:
        """Drain ``stream`` with a progress bar; returns ``data``. An interrupt ends it after the step at hand."""
        records = self.stream(steps, seconds=seconds)
        left = self.steps - self.step if steps is None else min(steps, self.steps - self.step)
        with interrupts_call(self.stop), self._audience.bar(left, progress, self.headline) as update:
            for _ in records:
                update()
        return self.data

    def headline(self) -> str:
        """The newest bound per site, the exact value where known, and the ESS, in words."""
        n = self.system.n_sites
        exact = "" if self.log_z_exact is None else f" (exact {self.log_z_exact / n:.5f})"
        return f"ln Z / N >= {self._newest('log_z_bound') / n:.5f}{exact}, ESS {self._newest('ess'):.2g}"

    def _newest(self, name: str) -> float:
        """The newest value of a column that is not NaN."""
        values = self._records.column(name)[-1000:]
        known = values[~np.isnan(values)]
        return float(known[-1]) if len(known) else math.nan

    def start(self) -> None:
        """Train in a background thread up to the horizon; returns at once.

        Raises:
            RuntimeError: as ``stream`` does, and for a run in another precision than torch's default, which would
                change under the other threads; what goes wrong later is kept in ``error`` and raised by ``wait``.
        """
        if self.dtype != torch.get_default_dtype():
            raise RuntimeError(
                f"this run computes in {self.dtype}, torch's default is {torch.get_default_dtype()}: call "
                f"torch.set_default_dtype({self.dtype}) first, or run() it, which does so for its own steps"
            )
        self._warn_if_finished()
        self._claim()
        self.state = "running"
        self._thread = threading.Thread(target=self._drain, name="flowlab-training", daemon=True)
        self._thread.start()

    def _drain(self) -> None:
        with contextlib.suppress(BaseException):  # kept in ``error``
            for _ in self._claimed(self.steps, math.inf):
                pass

    def pause(self) -> None:
        """Hold before the next step; nothing where the run is not going."""
        if self._streaming.locked():
            self._control.hold()

    def resume(self) -> None:
        """Go on after ``pause``."""
        self._control.go_on()

    def stop(self) -> None:
        """End after the step at hand; the run is saved and can be started again. Nothing where it is not going."""
        if self._streaming.locked():
            self._control.stop()

    def wait(self, timeout: float | None = None) -> None:
        """Wait for the background thread; raises what it raised, TimeoutError after ``timeout`` seconds."""
        if self._thread is not None:
            self._thread.join(timeout)
            if self._thread.is_alive():
                raise TimeoutError(f"still training at step {self.step} of {self.steps}")
        if self.error is not None:
            raise self.error

    def listen(self, maxsize: int = 1000) -> queue.Queue[dict[str, float]]:
        """A bounded queue that receives every record from now on; when it is full the oldest one goes."""
        return self._audience.listen(maxsize)

    # looking

    def __repr__(self) -> str:
        return summary.text(self)

    def _repr_html_(self) -> str:
        return summary.html(self)

    @cached_property
    def log_z_exact(self) -> float | None:
        """Exact ln Z of the system, None where none is known."""
        return exact.log_z(self.system)

    @property
    def data(self) -> xr.Dataset:
        return self._records.dataset(self.describe(), DESCRIBE)

    def describe(self) -> dict[str, Any]:
        """Attributes that every Dataset of this run carries."""
        about = about_system(self.system, self.log_z_exact)
        return {"study": self.study or "", **about, "steps": self.steps, "seed": self.seed}

    def _attrs(self, step: int, seed: int) -> dict[str, Any]:
        """Attributes of what is read off the run with random numbers: ``seed`` repeats it, at this step."""
        return self.describe() | {"step": step, "seed": seed, "run_seed": self.seed}

    def _fresh_seed(self, step: int) -> int:
        """Of the next samples at this step for which nobody gave one; the same for the n-th call of any such run."""
        call = next(self._calls.setdefault(step, itertools.count()))
        return named_seed(self.seed, "sample", step, call) % 2**53  # which JSON keeps

    @property
    def steps_per_second(self) -> float:
        """Speed over the last steps, NaN before the first."""
        return 1.0 / self._recent

    @property
    def seconds_left(self) -> float:
        """Time to the horizon at this speed, NaN before the first step."""
        return (self.steps - self.step) * self._recent

    def lab(self) -> Any:
        """Live panels for JupyterLab."""
        return above["lab"](self)

    @staticmethod
    def load(path: str | Path, *, imports: Sequence[str] = ()) -> Experiment:
        """The run in directory ``path``; see :func:`flowlab.load`."""
        run: Experiment = above["load"](path, imports=imports)
        return run


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
