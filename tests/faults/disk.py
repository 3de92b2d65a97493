"""Faults of the disk: full or broken at any call, read-only, its directories moved and removed, its clock wrong."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import torch

import flowlab as fl
from flowlab.storage import store as stores
from flowlab.storage.store import StoreError
from tests.faults.children import Said, hurried
from tests.faults.runs import RUNS, Tried, goes_on, goes_on_in, kept, taken_up, training

WRITES = ("write", "mkdir")
"""Calls that need space."""
CALLS = (*WRITES, "open", "fsync", "replace", "rename", "unlink", "ftruncate")
"""Calls that may fail otherwise."""


@contextlib.contextmanager
def failing(calls: tuple[str, ...], first: int, number: int, *, once: bool) -> Iterator[list[int]]:
    """Within it one of these calls of ``os``, the ``first``, and if not ``once`` all later ones, fail with an error.

    A write has then written half of what it was given. Yields their number so far.
    """
    count = [0]

    def counted(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            count[0] += 1
            if count[0] == first or (count[0] > first and not once):
                if original.__name__ == "write":
                    original(given[0], bytes(given[1])[: len(given[1]) // 2])
                raise OSError(number, os.strerror(number))
            return original(*given, **named)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in calls:
            patch.setattr(os, name, counted(getattr(os, name)))
        yield count


def failing_at(kind: str, calls: tuple[str, ...], number: int, once: bool, tries: int, folder: Path) -> Tried:
    """Let the disk fail at one call after another of a run from its beginning to its end: at each, or at ``tries``."""
    with hurried("checkpoints", "snapshots", every=8), failing(calls, 0, number, once=True) as count:
        taken_up(kind, folder / "counted").run(progress=False)
    at = range(1, count[0] + 1, max(1, count[0] // tries))
    lost, wrong = 0, []
    for first in at:
        found = _failed(kind, calls, number, first, folder / str(first), once)
        wrong += [f"call {first}: {found}"] if found else []
        lost += found.startswith("lost")
        shutil.rmtree(folder / str(first), ignore_errors=True)
    return Tried(len(at), lost, len(at) - len(wrong), wrong)


def _failed(kind: str, calls: tuple[str, ...], number: int, first: int, path: Path, once: bool) -> str:
    """A run whose ``first`` call fails; empty where it then goes on from memory and from disk, else what is wrong."""
    said = Said(path.with_name(f"{first}.said"))
    run = None
    with hurried("checkpoints", "snapshots", every=8), said.heard():
        try:
            with failing(calls, first, number, once=once):
                run = taken_up(kind, path)
                run.run(progress=False)
        except StoreError as error:
            if os.strerror(number) not in str(error):
                return f"said {error}"
        except BaseException as error:
            return f"{type(error).__name__}: {error}"
    (record, checkpoint), (appended, saved, _) = kept(path), said.read()
    if record < appended or checkpoint < saved:
        return f"lost: record {record} of {appended}, checkpoint {checkpoint} of {saved}"
    if not (path / "experiment.json").exists():
        shutil.rmtree(path, ignore_errors=True)
        return goes_on(taken_up(kind, path), kind)
    return goes_on_in(path, kind) or ("" if run is None else goes_on(run, kind))


@contextlib.contextmanager
def disk_of(size: str, folder: Path) -> Iterator[bool]:
    """A file system of that size in ``folder``; False where none can be made here."""
    folder.mkdir()
    made = _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    try:
        yield made
    finally:
        if made:
            subprocess.run(["umount", str(folder)], check=True)


def _mount(*words: str) -> bool:
    try:
        return subprocess.run(["mount", *words], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def full(tries: int, folder: Path) -> Tried:
    """A file system that fills up under a run, at another of its writes each time, and is then made larger."""
    done, lost, wrong = 0, 0, []
    for number in range(tries):
        room, said = folder / f"disk-{number}", Said(folder / f"{number}.said")
        with disk_of(f"{24 + 4 * number}k", room) as made:
            if not made:
                break
            run, done = None, done + 1
            with hurried("checkpoints", "snapshots", every=4), said.heard(), contextlib.suppress(StoreError):
                run = taken_up("training", room / "run")
                run.run(progress=False)
            (record, checkpoint), (appended, saved, _) = kept(room / "run"), said.read()
            if record < appended or checkpoint < saved:
                lost += 1
                wrong.append(f"try {number}: lost: record {record} of {appended}, checkpoint {checkpoint} of {saved}")
                continue
            _mount("-o", "remount,size=100M", str(room))
            found = goes_on_in(room / "run", "training") or ("" if run is None else goes_on(run, "training"))
            wrong += [f"try {number}: {found}"] if found else []
    return Tried(done, lost, done - len(wrong), wrong)


def read_only(tries: int, folder: Path) -> Tried:
    """A run where nothing may be written: it is read and evaluated, and refused in words where it is to go on."""
    done, wrong = 0, []
    for number in range(tries):
        room = folder / f"disk-{number}"
        with disk_of("10M", room) as made:
            if not made:
                break
            done, path = done + 1, room / "run"
            taken_up("training", path).run(3 + number, progress=False)
            _mount("-o", "remount,ro", str(room))
            run = fl.load(path)
            run.evaluate(20)
            for refused in (
                lambda run=run: run.run(progress=False),
                run.save,
                lambda room=room: taken_up("chain", room / "new"),
            ):
                try:
                    refused()
                    wrong.append(f"try {number}: it wrote")
                except StoreError as error:
                    if "Read-only file system" not in str(error):
                        wrong.append(f"try {number}: said {error}")
            _mount("-o", "remount,rw", str(room))
            found = goes_on_in(path, "training") or goes_on(run, "training")
            wrong += [f"try {number}: {found}"] if found else []
    return Tried(done, 0, done - len(wrong), wrong)


# while it runs


def _interfered(tries: int, folder: Path, interfere: Callable[[Path], Path | None]) -> Tried:
    """Do something to the directory of a run after a step of it; what must be there is then where it says, if at all.

    Where that is elsewhere or nowhere, the run says so, and goes on in another directory.
    """
    wrong, lost = [], 0
    for number in range(tries):
        kind = [*RUNS][number % len(RUNS)]
        path, run = folder / str(number), RUNS[kind]()
        run.attach(path)
        with hurried(*["checkpoints"] * (number % 4 < 2), every=2):
            stream = run.stream()
            while run.step < 2 + number * 3 % (run.steps - 2):
                next(stream)
            there, reached, said = interfere(path), run.step, ""
            left = _contents(path)
            try:
                for _ in stream:
                    pass
            except StoreError as error:
                said = str(error)
        if there != path and "moved or removed" not in said:
            wrong.append(f"try {number}: it said {said!r}")
        if there != path and _contents(path) != left:
            wrong.append(f"try {number}: it wrote into another directory")
        if there is not None:
            if kept(there)[0] < reached:
                lost += 1
            found = goes_on_in(there, kind)
            wrong += [f"try {number}: {found}"] if found else []
        if there != path:
            run.attach(folder / f"{number}-again")
            found = goes_on(run, kind) or goes_on_in(folder / f"{number}-again", kind)
            wrong += [f"try {number}, from memory: {found}"] if found else []
    return Tried(tries, lost, tries - len({one.split(":")[0] for one in wrong}), wrong)


def _contents(path: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}


def moved(tries: int, folder: Path) -> Tried:
    """Its directory gets another name."""
    return _interfered(tries, folder, lambda path: path.rename(path.with_name(path.name + "x")))


def replaced(tries: int, folder: Path) -> Tried:
    """Its directory gets another name, and another run the old one."""

    def interfere(path: Path) -> Path:
        there = path.rename(path.with_name(path.name + "x"))
        training(seed=4, steps=9, out=path).run(2, progress=False)
        return there

    return _interfered(tries, folder, interfere)


def removed(tries: int, folder: Path) -> Tried:
    """Its directory is removed."""

    def interfere(path: Path) -> None:
        shutil.rmtree(path)

    return _interfered(tries, folder, interfere)


def clock_set_back(tries: int, folder: Path) -> Tried:
    """The clock goes back by years, and all files are from the future."""

    def interfere(path: Path) -> Path:
        for file in path.rglob("*"):
            os.utime(file, (4e9, 4e9))
        patch.setattr(time, "time", lambda: 1e9)
        patch.setattr(stores, "_now", lambda: datetime.fromtimestamp(1e9, UTC).isoformat())
        return path

    with pytest.MonkeyPatch.context() as patch:
        return _interfered(tries, folder, interfere)


def errors_in_steps(tries: int, folder: Path) -> Tried:
    """An error or an interrupt breaks off each step of each kind of run, after all that it computes."""
    errors = [ZeroDivisionError, KeyboardInterrupt, MemoryError, torch.OutOfMemoryError, SystemExit]
    done, wrong = 0, []
    for kind, build in RUNS.items():
        run = build()
        run.attach(folder / kind)
        advance, tried = run.advance, set()

        def breaks_once() -> dict[str, float]:
            record = advance()  # noqa: B023
            if run.step not in tried and run.step % max(1, run.steps // tries) == 0:  # noqa: B023
                tried.add(run.step)  # noqa: B023
                raise errors[run.step % len(errors)]  # noqa: B023
            return record

        run.advance = breaks_once  # type: ignore[method-assign]
        while run.state != "finished":
            with contextlib.suppress(*errors):
                run.run(progress=False)
        done += len(tried)
        found = goes_on(run, kind) or goes_on_in(folder / kind, kind)
        wrong += [f"{kind}: {found}"] if found else []
    return Tried(done, 0, 0 if wrong else done, wrong)
