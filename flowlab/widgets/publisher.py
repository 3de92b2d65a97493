"""The one thread that keeps panels up to date."""

from __future__ import annotations

import threading
import weakref
from typing import Protocol


class Refreshed(Protocol):
    """Anything with a picture to keep up to date."""

    def refresh(self) -> bool:
        """Show the present state; whether there may be more to show."""


class Publisher:
    """Calls ``owner.refresh()`` in a daemon thread, until it returns False, ``close`` is called or the owner is gone.

    Browsers hear from this thread and not from callbacks, so that panels move while a cell runs. Slow work belongs in
    ``refresh`` too: a callback leaves a note and calls ``wake``.

    Args:
        owner: what is refreshed; held weakly.
        rate: how often, in Hz.
    """

    def __init__(self, owner: Refreshed, rate: float = 5.0) -> None:
        self._owner = weakref.ref(owner)
        self._period = 1.0 / rate
        self._woken = threading.Event()
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None

    def wake(self) -> None:
        """Refresh now; starts the thread where it has ended."""
        with self._lock:
            self._woken.set()
            if self._thread is None and not self._closed.is_set():
                self._thread = threading.Thread(target=self._loop, name="flowlab-publisher", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """End the thread, for good."""
        self._closed.set()
        self._woken.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(5.0)

    def _loop(self) -> None:
        more = True
        while True:
            with self._lock:
                if self._closed.is_set() or not (more or self._woken.is_set()):
                    self._thread = None
                    return
                self._woken.clear()
            owner = self._owner()
            more = owner is not None and owner.refresh()
            del owner
            if more:
                self._woken.wait(self._period)
