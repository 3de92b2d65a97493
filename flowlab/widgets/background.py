"""Slow work beside the panels."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")
KEPT = 32
WORKERS = 2
"""Threads that do the work of all panels of a process, and stay: each new one would keep memory of its own."""


class Background(Generic[Key, Result]):
    """Results by key, each worked out once in a daemon thread, the one asked for last first.

    Args:
        work: gives the result of a key; may take its time.
        wake: called after each result.

    >>> from threading import Event
    >>> there = Event()
    >>> squares = Background(lambda n: n * n, there.set)
    >>> squares.is_ready(3), squares.ask(3), there.wait(5.0), squares.ask(3)
    (False, None, True, 9)
    """

    def __init__(self, work: Callable[[Key], Result], wake: Callable[[], None]) -> None:
        self._work, self._wake = work, wake
        self._lock = threading.Lock()
        self._done: dict[Key, Result | Exception] = {}
        self._wanted: list[Key] = []
        self._is_on = False

    def is_ready(self, key: Key) -> bool:
        """Whether the work for the key has been done, or has failed."""
        return key in self._done

    def ask(self, key: Key) -> Result | None:
        """The result; None while it is worked out, which begins here, and where it failed."""
        with self._lock:
            if key in self._done:
                found = self._done[key]
                return None if isinstance(found, Exception) else found
            self._wanted = [key]
            if not self._is_on:
                self._is_on = True
                _WORK.put(self._loop)
        return None

    def error(self, key: Key) -> Exception | None:
        """What stopped the work for this key, if anything did."""
        found = self._done.get(key)
        return found if isinstance(found, Exception) else None

    def _loop(self) -> None:
        while True:
            with self._lock:
                if not self._wanted or self._wanted[0] in self._done:
                    self._is_on = False
                    return
                key = self._wanted[0]
            found: Result | Exception
            try:
                found = self._work(key)
            except Exception as error:
                found = error
            with self._lock:
                self._done[key] = found
                while len(self._done) > KEPT:
                    del self._done[next(iter(self._done))]
            self._wake()


class _Work:
    """What is to be done, the newest first, by threads that begin with the first of it."""

    def __init__(self) -> None:
        self._calls: queue.LifoQueue[Callable[[], None]] = queue.LifoQueue()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def put(self, call: Callable[[], None]) -> None:
        self._calls.put(call)
        with self._lock:
            if len(self._threads) < WORKERS:
                thread = threading.Thread(target=self._run, name="flowlab-background", daemon=True)
                self._threads.append(thread)
                thread.start()

    def _run(self) -> None:
        while True:
            self._calls.get()()


_WORK = _Work()
