"""Processes to which things happen: forked from one that has imported flowlab already."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import flowlab as fl
from flowlab.storage.directory import Directory
from flowlab.storage.netcdf import from_netcdf, to_netcdf
from flowlab.storage.store import Store, StoreError
from tests.faults.runs import MEMORY, RUNS, SWEEP, taken_up

torch.set_num_threads(1)
_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload([__name__])


@contextlib.contextmanager
def child(job: Callable[..., None], *given: Any) -> Iterator[BaseProcess]:
    """A process that does the job, as it goes; killed in the end."""
    process = _server.Process(target=job, args=given)
    process.start()
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.join()
        process.close()


class Said:
    """What a process has reported as saved, in a file that outlives it: last record, last checkpoint, evaluations.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextlib.contextmanager
    def heard(self) -> Iterator[None]:
        """Within it, what every store of this process saves is reported, once it has returned."""
        fd = os.open(self.path, os.O_WRONLY | os.O_CREAT)
        os.pwrite(fd, b"0" * 36, 0)
        append, save, write, evaluations = Store.append, Store.save_checkpoint, Store.write_dataset, [0]

        def appended(store: Store, record: Any) -> None:
            append(store, record)
            os.pwrite(fd, f"{record['step']:012d}".encode(), 0)

        def saved(store: Store, step: int, *given: Any) -> None:
            save(store, step, *given)
            os.pwrite(fd, f"{step:012d}".encode(), 12)

        def written(store: Store, name: str, dataset: Any) -> None:
            write(store, name, dataset)
            evaluations[0] += name == "evaluation.nc"
            os.pwrite(fd, f"{evaluations[0]:012d}".encode(), 24)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Store, "append", appended)
            patch.setattr(Store, "save_checkpoint", saved)
            patch.setattr(Store, "write_dataset", written)
            yield
        os.close(fd)

    def read(self) -> tuple[int, int, int]:
        """Steps of the last record and the last checkpoint, number of evaluations; zeros before anything is saved."""
        try:
            text = self.path.read_text()
        except FileNotFoundError:
            text = ""
        found = [int(text[12 * i : 12 * i + 12] or 0) for i in range(3)]
        return found[0], found[1], found[2]


@contextlib.contextmanager
def hurried(*what: str, every: int = 1) -> Iterator[None]:
    """Within it runs save what is named, "checkpoints" or "snapshots", after so many steps."""

    def now(self: Directory) -> None:
        if self._store is not None and self._run.step % every == 0:
            if "checkpoints" in what:
                self._save_checkpoint()
            if "snapshots" in what:
                self._save_snapshot()
            self._store.compact()

    with pytest.MonkeyPatch.context() as patch:
        if what:
            patch.setattr(Directory, "save_now_and_then", now)
        yield


# what processes do


def train(path: Path, said: Path, kind: str, saved: Sequence[str] = ()) -> None:
    """Take the run to its end, saving what is named after every step."""
    with hurried(*saved), Said(said).heard():
        taken_up(kind, path).run(progress=False)


def sweep(path: Path, said: Path) -> None:
    """Carry out the sweep."""
    with Said(said).heard():
        fl.sweep(**SWEEP, out=path)


def train_under_a_lab(path: Path, said: Path) -> None:
    """What a kernel does: the run goes in a thread, and a lab looks at it."""
    with Said(said).heard():
        run = taken_up("training", path)
        run.start()
        lab = run.lab()
        run.wait()
        del lab


def alternate(path: Path, said: Path) -> None:
    """Take the run a few steps further whenever no other process writes to it."""
    with Said(said).heard():
        while (run := fl.load(path)).state != "finished":
            with contextlib.suppress(StoreError):
                run.run(3, progress=False)
            time.sleep(0.005)


def want_memory(path: Path, result: Path) -> None:
    """A sweep of which one run needs more memory than this process is given."""
    import resource

    fl.sweep(**SWEEP)  # what is imported on first use needs more than runs do
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 5 * 2**25, resource.RLIM_INFINITY))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = fl.sweep(**MEMORY, out=path)
    result.write_text(json.dumps([found.state.values.tolist(), found.errors]))


def sweep_by_workers(path: Path, said: Path) -> None:
    """Carry out the sweep by two processes of its own; what it raises is written down."""
    try:
        fl.sweep(**SWEEP | {"workers": 2, "chain": False}, out=path)
    except BaseException as error:
        said.write_text(f"{type(error).__name__}: {error}")


def _warm_up() -> None:
    """What is imported on first use is imported once, before processes fork."""
    from_netcdf(to_netcdf(xr.Dataset({"x": ("i", np.arange(2))})))
    for build in RUNS.values():
        build()


_warm_up()
