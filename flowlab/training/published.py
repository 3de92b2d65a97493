"""What a run trains, read by whoever wants to look while another thread trains it."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable

from flowlab.core import Density


class Published:
    """Copies of a density for readers: the thread that trains it makes them, between two steps.

    Args:
        take: the step, and a copy of the density as it is.
        stepping: held by the thread that trains while it takes a step.
    """

    def __init__(self, take: Callable[[], tuple[int, Density]], stepping: threading.Lock) -> None:
        self._take, self._stepping = take, stepping
        self._copy: tuple[int, float, Density] | None = None
        self._wanted, self._published = threading.Event(), threading.Event()

    def read(self, step: int, elsewhere: bool) -> tuple[int, Density]:
        """The step and a copy, as of ``step``; where another thread trains, as of the last one or at most 0.5 s old.

        That thread makes the copy between two steps; where it is held up there (paused, or a ``stream`` that nobody
        draws from), this one does.
        """
        copied = self._copy
        if copied is None or (copied[0] != step and not (elsewhere and time.monotonic() - copied[1] < 0.5)):
            self._published.clear()
            self._wanted.set()
            while not (elsewhere and self._published.wait(0.05)):
                if self._stepping.acquire(blocking=not elsewhere):
                    try:
                        self._publish()
                        break
                    finally:
                        self._stepping.release()
        assert self._copy is not None
        return self._copy[0], copy.deepcopy(self._copy[2])  # the chains of coarse fields go on in whatever is read

    def _publish(self) -> None:
        self._wanted.clear()
        step, density = self._take()
        self._copy = (step, time.monotonic(), density)

    def between_steps(self) -> None:
        """Called after each step by the thread that trains: it makes the copy that somebody waits for."""
        if self._wanted.is_set():
            self._publish()
            self._published.set()

    def forget(self) -> None:
        """Called where the density is another one at the same step."""
        self._copy = None
