"""What a run needs of the process it lives in: interrupts, threads of torch, queues, the time between saves."""

from __future__ import annotations

import contextlib
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator

import torch


@contextlib.contextmanager
def interrupts_call(stop: Callable[[], None]) -> Iterator[None]:
    """Within it, SIGINT (Ctrl-C) and SIGTERM call ``stop``; only the main thread can arrange that."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.signal(number, lambda *_: stop()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Within it, torch computes with ``count`` threads; 0 leaves it as it is."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def progress_interval() -> float:
    """Seconds between updates of a progress bar: often for a person who watches, seldom for a log file."""
    return 0.2 if sys.stderr.isatty() or "ipykernel" in sys.modules else 20.0


def offer(listener: queue.Queue[dict[str, float]], record: dict[str, float]) -> None:
    """Put a record into a bounded queue; where it is full, the oldest one goes.

    >>> listener = queue.Queue(1)
    >>> offer(listener, {"step": 1})
    >>> offer(listener, {"step": 2})
    >>> listener.get()
    {'step': 2}
    """
    while True:
        try:
            return listener.put_nowait(record)
        except queue.Full:
            with contextlib.suppress(queue.Empty):
                listener.get_nowait()


class Cadence:
    """Does something now and then: at least ``seconds`` apart, and seldom enough to take under 4 % of the time.

    Args:
        seconds: shortest time between two calls.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._next = time.monotonic() + seconds

    def __call__(self, action: Callable[[], None]) -> None:
        """Call ``action`` if its time has come."""
        started = time.monotonic()
        if started < self._next:
            return
        action()
        now = time.monotonic()
        self._next = now + max(self.seconds, 25 * (now - started))


def resolve_device(name: str = "auto") -> torch.device:
    """ "auto" is CUDA where there is one, else the CPU; anything else is a torch device by name.

    Raises:
        ValueError: for a device that does not exist here, with those that do, and for "mps": Apple's GPUs have no
            double precision, in which couplings, energies and chains are kept.

    >>> resolve_device("cpu")
    device(type='cpu')
    """
    here = available_devices()
    kind = name.split(":")[0]
    if kind == "mps":
        raise ValueError(
            "device mps has no float64, in which couplings, actions and chains are kept, so that a study would stop at "
            f"its first line: device must be auto or one of {', '.join(here)}, got {name!r}"
        )
    if name == "auto":
        return torch.device(here[0])
    if kind not in here:
        raise ValueError(f"device must be auto or one of {', '.join(here)}, got {name!r}")
    return torch.device(name)


def available_devices() -> list[str]:
    """The kinds of device of this machine on which flowlab computes, fastest first.

    >>> available_devices()[-1]
    'cpu'
    """
    return [*(["cuda"] if torch.cuda.is_available() else []), "cpu"]
