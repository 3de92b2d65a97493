"""Processes that write a run and are killed at it; run as a script, this file is their server."""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

from flowlab.storage.netcdf import from_netcdf, to_netcdf
from flowlab.storage.store import Store, StoreError


def record(step: int) -> dict[str, Any]:
    return {"step": step, "loss": -step / 3, "ess": math.sqrt(step) / 100, "wall_time": 0.1 * step}


def tensors(step: int, size: int = 50) -> dict[str, torch.Tensor]:
    return {"weight": torch.full((size, size), float(step)), "bias": torch.arange(4.0) + step}


def save(store: Store, step: int) -> None:
    store.save_checkpoint(step, tensors(step), {"seen": step})


def dataset(step: int) -> xr.Dataset:
    steps = np.arange(1, step + 1)
    return xr.Dataset({"loss": ("step", -steps / 3)}, coords={"step": steps}, attrs={"last": step})


def new_run(path: Path, steps: int = 0) -> Store:
    store = Store.create(path, {"study": "ising-xor", "keys": {"L": 8}, "seed": 3})
    for step in range(1, steps + 1):
        store.append(record(step))
    return store


# The process that is killed: a server that forks one writer for each line it reads, so that torch is imported once.


def train_until_killed(path: Path, acknowledged: Path) -> None:
    """Append, checkpoint and snapshot without end; ``acknowledged`` holds the last step that returned of each."""
    store = Store.open(path)
    done = os.open(acknowledged, os.O_WRONLY | os.O_CREAT)
    last = store.read_journal()
    step = last[-1]["step"] if last else 0
    while True:
        step += 1
        store.append(record(step))
        os.pwrite(done, f"{step:012d}".encode(), 0)
        if step % 5 == 0:
            save(store, step)
            os.pwrite(done, f"{step:012d}".encode(), 12)
        if step % 20 == 0:
            store.snapshot(dataset(step))


CALLS = ("write", "rename", "replace", "unlink", "rmdir", "mkdir", "ftruncate")  # what changes the disk


def busy_save(path: Path, die_at: int) -> None:
    """Resume at step 4 of 6 and save all there is to save; killed before the system call number ``die_at``."""
    calls = 0

    def counted(name: str) -> Callable[..., Any]:
        original = getattr(os, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == die_at:
                if name == "write":
                    original(args[0], bytes(args[1])[: len(args[1]) // 2])  # half of it reaches the disk
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*args, **kwargs)

        return call

    for name in CALLS:
        setattr(os, name, counted(name))
    os.fsync = lambda fd: None  # for speed: it matters to a power cut, not to a kill
    store = Store.open(path)
    store.cut(4)
    store.append(record(5))
    store.update_meta(horizon=100)
    store.snapshot(dataset(5))
    save(store, 5)
    save(store, 5)
    store.close()


def fill_the_disk(path: Path, result: Path) -> None:
    """Meet a real limit on the size of files in a snapshot, a checkpoint and the journal, then go on without it."""
    store = Store.open(path)
    said = {}

    def limited(limit: int, what: str, call: Callable[[], None]) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        try:
            call()
        except StoreError as error:
            said[what] = str(error)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    limited(50_000, "data.nc", lambda: store.snapshot(dataset(20_000)))
    limited(50_000, "checkpoint", lambda: store.save_checkpoint(11, tensors(11, size=300), {}))
    limited((path / "journal.jsonl").stat().st_size + 10, "journal", lambda: store.append(record(11)))
    store.append(record(11))
    store.close()
    result.write_text(json.dumps(said))


def hold_and_fork(path: Path, child: Path) -> None:
    """Hold the run, with a forked child of its own that outlives it."""
    store = Store.open(path)
    pid = os.fork()
    if pid == 0:
        try:
            store.append(record(1))
        except StoreError as error:
            child.with_suffix(".tmp").write_text(f"{os.getpid()} {error}")
            child.with_suffix(".tmp").rename(child)
        time.sleep(60)
    else:
        time.sleep(60)


JOBS: dict[str, Callable[..., None]] = {
    job.__name__: job for job in (train_until_killed, busy_save, fill_the_disk, hold_and_fork)
}


def serve() -> None:
    from_netcdf(to_netcdf(dataset(2)))  # what is imported on first use is imported once, before the forks
    for line in sys.stdin:
        job, path, argument = json.loads(line)
        pid = os.fork()
        if pid == 0:
            JOBS[job](Path(path), argument if isinstance(argument, int) else Path(argument))
            os._exit(0)
        print(pid, flush=True)
        print(os.waitpid(pid, 0)[1], flush=True)


class Server:
    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        )

    def start(self, job: Callable[..., None], path: Path, argument: Path | int) -> int:
        assert self.process.stdin is not None
        self.process.stdin.write(
            json.dumps([job.__name__, str(path), argument if isinstance(argument, int) else str(argument)]) + "\n"
        )
        self.process.stdin.flush()
        return int(self.line())

    def wait(self) -> int:
        """The exit status of the process that was started: 0, or minus the signal that killed it."""
        return os.waitstatus_to_exitcode(int(self.line()))

    def line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the writer process ended"
        return line

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(20)
        self.process.stdout.close()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


if __name__ == "__main__":
    serve()
    os._exit(0)
