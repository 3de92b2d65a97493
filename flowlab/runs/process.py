"""What a run needs of the process it lives in: interrupts, threads, those who follow it."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any, Literal, Protocol, TypeVar

import torch

from flowlab.core.numbers import whole_number
from flowlab.runs.keys import MOST_THREADS

SAVED_FIRST = ("SIGINT", "SIGTERM", "SIGUSR1")
"""Signals that end a run after the step at hand; SIGUSR1 is what a scheduler sends ahead of a time limit."""


class ProcessEnded(RuntimeError):
    """Another process that took the steps of a run with this one is gone; the message says which, and why."""


@contextlib.contextmanager
def interrupts_call(stop: Callable[[], None]) -> Iterator[list[int]]:
    """Within it, SIGINT (Ctrl-C), SIGTERM and SIGUSR1 call ``stop``, and are listed in what it yields.

    At its end the first of them is no longer held back: KeyboardInterrupt for SIGINT, SystemExit with the status of a
    process that the signal ended for the other two (143 and 138). Signals that are ignored stay so, and SIGTERM and
    SIGUSR1 where somebody handles them. Only the main thread can arrange that.

    >>> with contextlib.suppress(KeyboardInterrupt), interrupts_call(lambda: print("saved")):
    ...     signal.raise_signal(signal.SIGINT)
    saved
    """
    told: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield told
        return

    def take(number: int, frame: object) -> None:
        told.append(number)
        stop()

    before = {number: signal.getsignal(number) for name in SAVED_FIRST if (number := getattr(signal, name, None))}
    before = {n: h for n, h in before.items() if h is signal.SIG_DFL or (n == signal.SIGINT and callable(h))}
    for number in before:
        signal.signal(number, take)
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if told and before[told[0]] is signal.SIG_DFL:
        raise SystemExit(128 + told[0])
    if told:
        signal.raise_signal(told[0])


_changing = threading.Lock()
_here = threading.local()
_changed, _outside = 0, 0
"""How many have another number of threads now, and what it was before the first of them."""


@contextlib.contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Within it, torch computes with ``count`` threads; 0 leaves it as it is.

    Each thread of Python has a number of its own, but a new one begins with the number that any other set last: what it
    finds there while another run goes is not what torch has.

    >>> with torch_threads(2):
    ...     torch.get_num_threads()
    2
    """
    global _changed, _outside
    inside = getattr(_here, "inside", False)
    with _changing:
        before = _outside if _changed and not inside else torch.get_num_threads()
        wanted = count or before
        if changes := wanted != before:
            _outside = _outside if _changed else before
            _changed += 1
        _set_threads(wanted)
    _here.inside = True
    try:
        yield
    finally:
        _here.inside = inside
        with _changing:
            _set_threads(before)
            _changed -= changes


def _set_threads(count: int) -> None:
    if torch.get_num_threads() != count:
        torch.set_num_threads(count)


def _forked() -> None:
    global _changing, _changed
    _changing, _changed = threading.Lock(), 0


if hasattr(os, "register_at_fork"):  # the threads of the parent are not there
    os.register_at_fork(after_in_child=_forked)


def threads_of(count: int) -> int:
    """``count`` of threads as one that torch takes; ValueError for any other."""
    if not 0 <= (count := whole_number("threads", count)) <= MOST_THREADS:
        raise ValueError(f"threads must be from 0 (what torch has) to {MOST_THREADS}, got {count}")
    return count


def progress_bar(total: int, unit: str, *, shown: bool) -> Any:
    """A bar of tqdm: of widgets in a notebook that has them, else renewed in a terminal, a line now and then elsewhere.

    What a notebook without widgets prints is kept with it: a line a minute.
    """
    how: dict[str, Any] = {"total": total, "disable": not shown, "unit": unit}
    notebook = hasattr(getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)(), "kernel")
    if shown and notebook:
        from tqdm.notebook import IProgress
        from tqdm.notebook import tqdm as widget

        if IProgress is not None:  # of ipywidgets
            return widget(**how, mininterval=0.5)
    from tqdm import tqdm

    interval = 60.0 if notebook else 0.2 if sys.stderr.isatty() else 20.0
    return tqdm(**how, mininterval=interval, maxinterval=max(10.0, interval))


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


class Audience:
    """Those who are told what a run does.

    Attributes:
        activity: what it does before the first step, in words; empty once it steps.

    >>> audience = Audience()
    >>> listener = audience.listen(10)
    >>> audience.tell({"step": 1})
    >>> listener.get_nowait()
    {'step': 1}
    """

    def __init__(self) -> None:
        self.activity = ""
        self._listeners: list[queue.Queue[dict[str, float]]] = []
        self._said: list[Callable[[str], None]] = []

    def listen(self, maxsize: int) -> queue.Queue[dict[str, float]]:
        """A bounded queue that receives every record from now on; when it is full the oldest one goes."""
        listener: queue.Queue[dict[str, float]] = queue.Queue(maxsize)
        self._listeners.append(listener)
        return listener

    def tell(self, record: dict[str, float]) -> None:
        """Hand on a record."""
        for listener in self._listeners:
            offer(listener, record)

    def report(self, what: str) -> None:
        """Say what is being done."""
        self.activity = what
        for say in self._said:
            say(what)

    @contextlib.contextmanager
    def bar(self, steps: int, shown: bool, headline: Callable[[], str]) -> Iterator[Callable[[], object]]:
        """A progress bar over ``steps``, if ``shown``; yields what to call after each of them."""

        def update() -> None:
            if shown and bar.update():
                bar.set_postfix_str(headline(), refresh=False)

        def say(what: str) -> None:
            bar.set_postfix_str(what, refresh=not bar.disable and bar.mininterval < 60)

        with progress_bar(steps, "step", shown=shown) as bar:
            self._said.append(say)
            try:
                yield update
            finally:
                self._said.remove(say)


class Control:
    """Asked by any thread, obeyed between two steps by the one that takes them.

    >>> control = Control()
    >>> control.stop()
    >>> control.may_go_on(print)
    False
    """

    def __init__(self) -> None:
        self._stop, self._go = threading.Event(), threading.Event()
        self._go.set()

    def hold(self) -> None:
        """Ask to hold before the next step."""
        self._go.clear()

    def go_on(self) -> None:
        """Ask to go on after ``hold``."""
        self._go.set()

    def stop(self) -> None:
        """Ask to end, also where it holds."""
        self._stop.set()
        self._go.set()

    def clear(self) -> None:
        """Forget what was asked."""
        self._stop.clear()
        self._go.set()

    def may_go_on(self, say: Callable[[Literal["paused", "running"]], object]) -> bool:
        """Whether to take another step, once nobody holds it; ``say`` is told that it holds, and that it goes on."""
        if not self._go.is_set():
            say("paused")
            self._go.wait()
            say("running")
        return not self._stop.is_set()


_on: ContextVar[str | None] = ContextVar("on", default=None)


@contextlib.contextmanager
def computing_on(device: str | None) -> Iterator[None]:
    """Within it :func:`resolve_device` finds this device, whatever was asked for; None changes nothing.

    >>> with computing_on("cpu"):
    ...     resolve_device("cuda")
    device(type='cpu')
    """
    token = _on.set(device or _on.get())
    try:
        yield
    finally:
        _on.reset(token)


def resolve_device(name: str = "auto") -> torch.device:
    """ "auto" is CUDA where there is one, else the CPU; anything else is a torch device by name.

    Raises:
        ValueError: for a device that does not exist here, with those that do, and for "mps": Apple's GPUs have no
            double precision, in which couplings, energies and chains are kept.

    >>> resolve_device("cpu")
    device(type='cpu')
    """
    here, name = available_devices(), _on.get() or name
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


class Placed(Protocol):
    """A run that says how long its steps take; see :class:`flowlab.Experiment`."""

    placed: dict[str, Any]

    def seconds_per_step(self) -> float: ...


R = TypeVar("R", bound=Placed)


def fastest(build: Callable[[], R], device: str) -> R:
    """What is built, on the device whose steps take the least time, where ``device`` is "auto" and there are several.

    A GPU loses where steps are many small operations. What was measured is kept with the run as ``placed``.
    """
    kinds = available_devices()
    if device != "auto" or len(kinds) == 1 or _on.get() is not None:
        return build()
    runs: dict[str, R] = {}
    seconds: dict[str, float] = {}
    for kind in kinds:
        with computing_on(kind):
            runs[kind] = build()
            seconds[kind] = runs[kind].seconds_per_step()
    chosen = min(kinds, key=seconds.__getitem__)
    runs[chosen].placed = {"chosen": chosen, "seconds_per_step": seconds}
    return runs[chosen]


def kept_on(meta: Mapping[str, Any]) -> str | None:
    """The device of a run that was kept, the CPU with a warning where there is none here; None where it says none."""
    measured, keys = meta.get("device"), meta.get("keys")
    asked = keys.get("device") if isinstance(keys, dict) else None
    asked = measured.get("chosen") if isinstance(measured, dict) else asked
    if not isinstance(asked, str) or asked == "auto":
        return None
    if asked.split(":")[0] in available_devices():
        return asked
    warnings.warn(
        f"this run was trained on {asked}, of which there is none here: it is read on the CPU",
        RuntimeWarning,
        stacklevel=3,
    )
    return "cpu"
