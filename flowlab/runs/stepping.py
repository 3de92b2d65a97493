"""The steps of a run, each done whole, with its record, or undone; and what takes one after the other."""

from __future__ import annotations

import contextlib
import math
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Literal

import torch

from flowlab.core.numbers import whole_number
from flowlab.runs.kind import KindOfRun, Together
from flowlab.runs.precision import default_dtype, undisturbed
from flowlab.runs.process import Audience, Control, torch_threads
from flowlab.storage.directory import Directory
from flowlab.storage.files import StoreError
from flowlab.storage.records import Records

RunState = Literal["ready", "running", "paused", "stopped", "finished", "failed"]


class Steps:
    """The steps that a run has taken, and their records.

    What a step begins from is kept while it is taken. Where an error, an interrupt or a full disk breaks it off, the
    run goes back there: it can go on, and its records are those of a run that was never broken off.

    Args:
        run: what advances.
        directory: where each record is written down at once.

    Attributes:
        done: their number.
        records: one a step.
        recent: seconds of a step by the last ones, NaN before the first.
        taking: held while a step is taken.
        whole: whether no step is left half done.
    """

    def __init__(self, run: KindOfRun, directory: Directory) -> None:
        self._run, self._directory = run, directory
        self.done, self.records, self.recent = 0, Records(), math.nan
        self.taking = threading.Lock()
        self.whole = True
        self._spent = 0.0
        self._before: tuple[int, Any] = (0, None)
        self._earlier: tuple[int, Any] = (0, None)

    def take_up(self, done: int, records: Records) -> None:
        """Go on after so many steps, with these records."""
        self.done, self.records = done, records
        self._spent = records.last().get("wall_time", 0.0)

    def begin(self) -> None:
        """Keep what the next step begins from."""
        if self._run.doubts and self.done > self._before[0]:
            self._earlier = self._before
        self._before = self.done, self._run._mark()
        self.whole = False

    def take(self) -> dict[str, float]:
        """One step; returns its record."""
        started = time.monotonic()
        if self.done or self.whole:  # what comes before the first step is undone with it
            self.begin()
        try:
            record = {"step": self.done + 1, **self._run.advance()}
            took = time.monotonic() - started
            self._spent += took
            self.recent = took if math.isnan(self.recent) else 0.95 * self.recent + 0.05 * took
            record["wall_time"] = self._spent
            self.records.append(record)
            self._directory.append(record)
            self.done += 1
            self.whole = True
        except BaseException:
            self._undo()
            raise
        return record

    def end(self, error: BaseException | None) -> BaseException | None:
        """Make sure that no step is left half done, also where a second interrupt came while one was undone.

        Returns ``error``, which ended them, or what went wrong now.
        """
        with self.taking:
            try:
                self._undo()
                if self._run.doubts and isinstance(error, FloatingPointError):
                    self._step_back()
            except Exception as another:
                return error or another
        return error

    def doubtful(self, error: BaseException | None) -> bool:
        """Whether the weights at hand made a step fail with ``error``."""
        return isinstance(error, FloatingPointError) and self._earlier != (self.done, None)

    def _undo(self) -> None:
        """Go back to the last whole step, where the run is not at one."""
        done, mark = self._before
        if not self.whole and self.done == done:
            self._run._return_to(mark)
            self.records.cut(done)
            with contextlib.suppress(StoreError):  # whoever opens the directory again cuts what it has too many
                self._directory.cut(done)
        self.whole = True

    def _step_back(self) -> None:
        """Undo the last whole step, where it was taken just now."""
        done, mark = self._earlier
        if mark is None or done != self.done - 1:
            return
        self.done = done
        self._run._return_to(mark)
        self.records.cut(done)
        self._directory.cut(done, checkpoints=True)
        self._before = self._earlier = (done, None)


class Loop:
    """Takes the steps of a run one after the other, in one thread at a time, which others can hold or end.

    Args:
        run: what advances.
        steps: of it.
        directory: open while they are taken.

    Attributes:
        state: "ready", "running", "paused", "stopped" (by a person or a time limit), "finished" or "failed".
        error: what made it fail, else None.
        audience: those who are told what it does.
    """

    def __init__(self, run: KindOfRun, steps: Steps, directory: Directory) -> None:
        self._run, self._steps, self._directory = run, steps, directory
        self.state: RunState = "ready"
        self.error: BaseException | None = None
        self.audience = Audience()
        self._control = Control()
        self._going = threading.Lock()
        self._thread: threading.Thread | None = None
        self._streamer: int | None = None

    @property
    def elsewhere(self) -> bool:
        """Whether another thread than this one takes steps."""
        return self._streamer not in (None, threading.get_ident())

    @contextlib.contextmanager
    def idle(self, refusal: str) -> Iterator[None]:
        """Within it no step is taken; RuntimeError with ``refusal`` while steps are."""
        if not self._going.acquire(blocking=False):
            raise RuntimeError(refusal)
        try:
            yield
        finally:
            self._going.release()

    def stream(self, steps: int | None, seconds: float, processes: int = 1) -> Iterator[dict[str, float]]:
        """See :meth:`flowlab.Experiment.stream`."""
        steps = self._run.steps if steps is None else whole_number("steps", steps)
        if steps < 0 or not seconds >= 0:
            raise ValueError(f"steps and seconds must be 0 or more, got {steps} and {seconds}")
        together = self._run._together(processes)
        self._warn_if_finished()
        return self._streamed(min(self._run.steps, self._steps.done + steps), seconds, together)

    def start(self, processes: int = 1) -> None:
        """See :meth:`flowlab.Experiment.start`."""
        if (dtype := self._run.dtype) != torch.get_default_dtype():
            raise RuntimeError(
                f"this run computes in {dtype}, torch's default is {torch.get_default_dtype()}: call "
                f"torch.set_default_dtype({dtype}) first, or run() it, which does so for its own steps"
            )
        together = self._run._together(processes)
        self._warn_if_finished()
        self._claim()
        self.state = "running"
        self._thread = threading.Thread(target=self._drain, args=(together,), name="flowlab-training", daemon=True)
        self._thread.start()

    def wait(self, timeout: float | None) -> None:
        """Wait for that thread; raises what it raised, TimeoutError after ``timeout`` seconds."""
        if self._thread is not None:
            self._thread.join(timeout)
            if self._thread.is_alive():
                raise TimeoutError(f"still training at step {self._steps.done} of {self._run.steps}")
        if self.error is not None:
            raise self.error

    def hold(self) -> None:
        """Hold before the next step; nothing where no step is taken."""
        if self._going.locked():
            self._control.hold()

    def go_on(self) -> None:
        """Go on after ``hold``."""
        self._warn_if_finished()
        self._control.go_on()

    def stop(self) -> None:
        """End after the step at hand; nothing where none is taken."""
        if self._going.locked():
            self._control.stop()

    def rest(self) -> None:
        """Called where steps were taken up from elsewhere."""
        self.state = "finished" if self._run._ended() else "stopped" if self._steps.done else "ready"

    def _warn_if_finished(self) -> None:
        """Warn whoever asked the run for more, where it will do nothing."""
        saved = self._steps.whole and self.state != "failed"  # else it has to be saved yet
        if saved and not self._going.locked() and self._run._ended():
            warnings.warn(
                f"this run is finished at step {self._steps.done} of {self._run.steps} and does nothing more: "
                "extend(steps) adds to it, at(steps=...) begins another run from its weights",
                RuntimeWarning,
                stacklevel=4,
            )

    def _streamed(self, last: int, seconds: float, together: Together) -> Iterator[dict[str, float]]:
        self._claim()
        yield from self._claimed(last, seconds, together)

    def _claim(self) -> None:
        """Take the one right to advance the run; ``_claimed`` gives it back."""
        if not self._going.acquire(blocking=False):
            raise RuntimeError("this run is already training: stop() it or wait() for it first")
        if not self._steps.whole:
            self._going.release()
            step, again = self._steps.done + 1, "build" if self._directory.path is None else "load"
            raise RuntimeError(f"step {step} broke off and could not be undone: {again} this run again")
        self.error = None

    def _claimed(self, last: int, seconds: float, together: Together) -> Iterator[dict[str, float]]:
        ending: RunState = "failed"
        try:
            self._streamer = threading.get_ident()
            self._directory.open()
            self.state = "running"
            with torch_threads(self._run.threads), default_dtype(self._run.dtype), undisturbed(self._run.device.type):
                self._steps.begin()
                self._run._prepare()
            with together as step:
                self.audience.report("")
                yield from self._taken(last, seconds, step)
            ending = "finished" if self._run._ended() else "stopped"
        except (GeneratorExit, KeyboardInterrupt):
            ending = "stopped"
            raise
        except BaseException as error:
            self.error = error
            raise
        finally:
            try:
                self.error = self._steps.end(self.error)
                good = self._steps.whole and not self._steps.doubtful(self.error)
                self._directory.close(checkpoint=good)  # another one would push out the last good one
            except BaseException as error:
                ending, self.error = "failed", error
                raise
            finally:
                self._control.clear()
                self._streamer = None
                self.state = ending
                self._going.release()

    def _taken(self, last: int, seconds: float, step: Callable[[], Any]) -> Iterator[dict[str, float]]:
        end = time.monotonic() + seconds
        while (
            self._steps.done < last
            and not self._run._ended()
            and self._control.may_go_on(self._say)
            and time.monotonic() < end
        ):
            with torch_threads(self._run.threads):  # and not while others have the record
                with default_dtype(self._run.dtype), undisturbed(self._run.device.type), self._steps.taking, step():
                    record = self._steps.take()
                self.audience.tell(record)
                self._directory.save_now_and_then()
                self._run._between_steps()
            yield record

    def _say(self, state: RunState) -> None:
        self.state = state

    def _drain(self, together: Together) -> None:
        with contextlib.suppress(BaseException):  # kept in ``error``
            for _ in self._claimed(self._run.steps, math.inf, together):
                pass
