"""All faults, and how often each is made."""

from __future__ import annotations

import errno
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tests.faults import disk, processes
from tests.faults.runs import RUNS, Tried

EVERY = 10**6


class Fault(NamedTuple):
    """A fault.

    Attributes:
        made: makes it so often in a folder, and judges.
        tries: how often for the table of ``make faults``.
        few: how often among the unit tests.
    """

    made: Callable[[int, Path], Tried]
    tries: int
    few: int


def _failing(kind: str, calls: tuple[str, ...], number: int, *, once: bool) -> Callable[[int, Path], Tried]:
    return partial(disk.failing_at, kind, calls, number, once)


FAULTS: dict[str, Fault] = {
    **{name: Fault(partial(processes.killed, name), 40, 1) for name in processes.KILLED},
    "stopped for a while, as a laptop sleeps": Fault(processes.stopped_for_a_while, 20, 1),
    "three writers": Fault(processes.three_writers, 10, 1),
    "out of memory in a run of a sweep": Fault(processes.out_of_memory, 2, 0),
    "a worker of a sweep killed": Fault(processes.a_worker_killed, 2, 0),
    "its kernel restarted": Fault(processes.kernel_restarted, 2, 0),
    **{
        f"the disk full from any write on, {kind}": Fault(
            _failing(kind, disk.WRITES, errno.ENOSPC, once=False), EVERY, 2
        )
        for kind in RUNS
    },
    **{
        f"any call fails once, {kind}": Fault(_failing(kind, disk.CALLS, errno.EIO, once=True), EVERY, 2)
        for kind in RUNS
    },
    "a small file system that is full": Fault(disk.full, 20, 1),
    "a store that may only be read": Fault(disk.read_only, 3, 1),
    "its directory renamed": Fault(disk.moved, 10, 2),
    "its directory removed": Fault(disk.removed, 10, 2),
    "another run in its place": Fault(disk.replaced, 10, 2),
    "the clock set back": Fault(disk.clock_set_back, 10, 2),
    "an error within a step": Fault(disk.errors_in_steps, EVERY, 2),
}
