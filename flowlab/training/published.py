"""The density of a run, read by whoever wants to look while another thread trains it."""

from __future__ import annotations

import copy
import threading
import time
from typing import Any

from flowlab.core import Density
from flowlab.runs.run import Experiment


class Published(Experiment):
    """A run whose ``density`` others may read: the thread that trains it makes the copies, between two steps."""

    density: Density

    def __init__(self, *system_and_target: Any, **options: Any) -> None:
        super().__init__(*system_and_target, **options)
        self._copy: tuple[int, float, Density] | None = None
        self._wanted, self._published = threading.Event(), threading.Event()

    def reading(self) -> tuple[int, Density]:
        """The step and a detached copy of the density, as of the last step or at most 0.5 s old.

        While another thread trains, that thread makes the copy between two steps; where it is held up there (paused, or
        a ``stream`` that nobody draws from), this one does.
        """
        elsewhere = self._streamer not in (None, threading.get_ident())
        copied = self._copy
        if copied is None or (copied[0] != self.step and not (elsewhere and time.monotonic() - copied[1] < 0.5)):
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
        density = copy.deepcopy(self.density).requires_grad_(False)
        density.bind(self.target)
        self._copy = (self.step, time.monotonic(), density)

    def _between_steps(self) -> None:
        if self._wanted.is_set():
            self._publish()
            self._published.set()
