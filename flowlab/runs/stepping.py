"""The steps of a run: each is done whole, with its record, or it is undone."""

from __future__ import annotations

import math
import threading
import time
import warnings
from abc import abstractmethod
from typing import Any

from torch import Tensor

from flowlab.runs.persistence import OnDisk


class Stepping(OnDisk):
    """The part of an Experiment that advances.

    What a step begins from is kept while it is taken. Where an error, an interrupt or a full disk breaks it off, the
    run goes back there: it can go on, and its records are those of a run that was never broken off.

    Attributes:
        doubts: whether numbers that are not finite cast doubt on the step before, as in training: it left the weights
            that they come from. That one is then undone too, so that a failed run can be looked at.
    """

    error: BaseException | None
    doubts = False

    def __init__(self) -> None:
        super().__init__()
        self.step = 0
        self._stepping = threading.Lock()
        self._recent = math.nan
        self._whole = True
        self._before: tuple[int, Any] = (0, None)
        self._earlier: tuple[int, Any] = (0, None)

    @abstractmethod
    def advance(self) -> dict[str, float]:
        """One step; returns its record."""

    @abstractmethod
    def _ended(self) -> bool:
        """Whether the run has done all its steps."""

    def _warn_if_finished(self) -> None:
        if self._whole and not self._streaming.locked() and self._ended():
            warnings.warn(
                f"this run is finished at step {self.step} of {self.steps} and does nothing more: for more steps build "
                "another one (where a study made it, at(steps=...) starts from its weights)",
                RuntimeWarning,
                stacklevel=3,
            )

    def _mark(self) -> Any:
        """What the next step changes, a copy; by default all of ``state_dict``."""
        return cloned(self.state_dict())

    def _return_to(self, mark: Any) -> None:
        """Undo what was done since ``mark``, in the same step."""
        self.load_state_dict(*mark)

    def _begin_step(self) -> None:
        if self.doubts and self.step > self._before[0]:
            self._earlier = self._before
        self._before = self.step, self._mark()
        self._whole = False

    def _timed_step(self) -> dict[str, float]:
        started = time.monotonic()
        if self.step or self._whole:  # what comes before the first step is undone with it
            self._begin_step()
        try:
            record = {"step": self.step + 1, **self.advance()}
            took = time.monotonic() - started
            self._spent += took
            self._recent = took if math.isnan(self._recent) else 0.95 * self._recent + 0.05 * took
            record["wall_time"] = self._spent
            self._records.append(record)
            if self._store is not None:
                self._store.append(record)
            self.step += 1
            self._whole = True
        except BaseException:
            self._undo()
            raise
        return record

    def _end_step(self) -> None:
        """Make sure that no step is left half done, also where a second interrupt came while one was undone."""
        with self._stepping:
            try:
                self._undo()
                if self.doubts and isinstance(self.error, FloatingPointError):
                    self._step_back()
            except Exception as error:
                self.error = self.error or error

    def _undo(self) -> None:
        """Go back to the last whole step, where the run is not at one."""
        step, mark = self._before
        if not self._whole and self.step == step:
            self._return_to(mark)
            self._records.cut(step)
            if self._store is not None:
                self._store.cut(step)
        self._whole = True

    @property
    def _doubtful(self) -> bool:
        """Whether the weights at hand made a step fail."""
        return isinstance(self.error, FloatingPointError) and self._earlier != (self.step, None)

    def _step_back(self) -> None:
        """Undo the last whole step, where it was taken just now."""
        step, mark = self._earlier
        if mark is None or step != self.step - 1:
            return
        self.step = step
        self._return_to(mark)
        self._records.cut(step)
        if self._store is not None:
            self._store.cut(step)
            self._store.drop_checkpoints(step)
        self._before = self._earlier = (step, None)


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
