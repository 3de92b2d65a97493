"""A run on disk survives kills and full disks."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from flowlab.storage import checkpoint
from flowlab.storage.store import Store, StoreError, StoreLocked
from tests.storage.store_writers import (
    Server,
    busy_save,
    dataset,
    fill_the_disk,
    hold_and_fork,
    new_run,
    record,
    save,
    tensors,
    train_until_killed,
    until,
)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


# kill -9


def test_killed_at_random_moments_it_loses_nothing_that_was_acknowledged(tmp_path: Path, server: Server) -> None:
    path, acknowledged = tmp_path / "run", tmp_path / "acknowledged"
    new_run(path).close()
    rng = np.random.default_rng(7)
    reached = 0
    for kill in range(6):
        acknowledged.unlink(missing_ok=True)
        pid = server.start(train_until_killed, path, acknowledged)
        until(lambda: acknowledged.exists() and acknowledged.stat().st_size == 24)
        time.sleep(rng.uniform(0.0, 0.15))
        os.kill(pid, signal.SIGKILL)
        assert server.wait() == -signal.SIGKILL

        appended, saved = int(acknowledged.read_text()[:12]), int(acknowledged.read_text()[12:])
        with Store.open(path) as store:
            assert any(f"took over the lock of process {pid} on " in note for note in store.notes)
            journal = store.read_journal()
            assert journal == [record(step) for step in range(1, len(journal) + 1)]
            assert appended <= len(journal) <= appended + 1
            found = store.load_checkpoint()
            assert found is not None
            assert saved <= found.step <= appended
            assert (found.state, found.notes) == ({"seen": found.step}, ())
            torch.testing.assert_close(found.tensors, tensors(found.step), rtol=0, atol=0)
            data = store.read_dataset("data.nc")
            assert data is None or data.identical(dataset(data.attrs["last"]))
            assert not list(path.rglob("*.tmp"))
            store.cut(found.step)
            assert store.read_journal()[-1]["step"] == found.step
            assert found.step > reached or kill == 0
            reached = found.step


def test_killed_before_any_system_call_it_opens_again(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    template = tmp_path / "template"
    with new_run(template, 6) as store:
        save(store, 2)
        save(store, 4)
        store.snapshot(dataset(4))
    outcomes = set()
    for die_at in range(1, 500):
        path = tmp_path / str(die_at)
        shutil.copytree(template, path)
        server.start(busy_save, path, die_at)
        status = server.wait()
        if status == 0:
            break
        assert status == -signal.SIGKILL
        folder = path / "checkpoints"
        assert all(checkpoint._is_whole(entry) for entry in folder.iterdir() if entry.suffix != ".tmp")
        before = Store.open(path, write=False).load_checkpoint()
        assert before is not None
        assert before.step in (4, 5)
        with Store.open(path) as store:
            steps = [row["step"] for row in store.read_journal()]
            assert steps in ([1, 2, 3, 4, 5, 6], [1, 2, 3, 4], [1, 2, 3, 4, 5])
            found = store.load_checkpoint()
            assert found is not None
            assert (found.step, found.notes) == (before.step, ())
            assert store.meta.get("horizon") in (None, 100)
            data = store.read_dataset("data.nc")
            assert data is not None
            assert data.attrs["last"] in (4, 5)
            outcomes.add((len(steps), found.step, store.meta.get("horizon"), data.attrs["last"]))
            assert not list(path.rglob("*.tmp"))
            save(store, 6)
            assert len({entry.name for entry in folder.iterdir()} - {"step-00000006"}) == 1
        shutil.rmtree(path)
    assert die_at > 30
    assert {
        (6, 4, None, 4),
        (4, 4, None, 4),
        (5, 4, None, 4),
        (5, 4, 100, 4),
        (5, 4, 100, 5),
        (5, 5, 100, 5),
    } == outcomes


def test_a_second_process_is_refused_and_a_child_of_a_killed_one_does_not_keep_the_lock(
    tmp_path: Path, server: Server
) -> None:
    path, child = tmp_path / "run", tmp_path / "child"
    new_run(path).close()
    pid = server.start(hold_and_fork, path, child)
    until(child.exists)
    grandchild, said = child.read_text().split(" ", 1)
    try:
        assert "forked from" in said
        with pytest.raises(StoreLocked, match=rf"is being written by process {pid} on .* since 20"):
            Store.open(path)
        assert Store.open(path, write=False).read_journal() == []
        os.kill(pid, signal.SIGKILL)
        server.wait()
        with Store.open(path) as store:
            assert f"took over the lock of process {pid}" in store.notes[0]
    finally:
        os.kill(int(grandchild), signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


# a full disk


def test_a_full_disk_is_said_and_damages_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run"
    store = new_run(path, 3)
    save(store, 3)
    store.snapshot(dataset(3))
    room = 0
    write = os.write

    def nearly_full(fd: int, data: Any) -> int:
        nonlocal room
        if room == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        part = bytes(data)[:room]
        room -= len(part)
        return write(fd, part)

    cure = "No space left on device; what was saved before stays readable: free space and resume"
    writes: dict[str, Callable[[], None]] = {
        "checkpoint step 120": lambda: save(store, 120),
        "data.nc": lambda: store.snapshot(dataset(4)),
        "the record of step 4": lambda: store.append(record(4)),
        "experiment.json": lambda: store.update_meta(a=1),
        "journal.jsonl": lambda: store.cut(1),
    }
    for what, call in writes.items():
        room = 20
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", nearly_full)
            with pytest.raises(StoreError, match=rf"could not write {what} to .*run: {cure}"):
                call()
        assert room == 0
        assert not list(path.rglob("*.tmp"))
        for reader in (store, Store.open(path, write=False)):
            assert reader.read_journal() == [record(1), record(2), record(3)]
            found = reader.load_checkpoint()
            assert found is not None
            assert found.step == 3
            data = reader.read_dataset("data.nc")
            assert data is not None
            assert data.attrs["last"] == 3
            assert "a" not in reader.meta
    store.append(record(4))
    save(store, 4)
    assert len(store.read_journal()) == 4
    store.close()


def test_a_torn_append_that_cannot_be_undone_at_once_is_undone_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = new_run(tmp_path / "run", 2)
    write = os.write

    def torn(fd: int, data: Any) -> int:
        write(fd, bytes(data)[:9])
        raise OSError(errno.EIO, "Input/output error")

    def broken(fd: int, length: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", torn)
        patch.setattr(os, "ftruncate", broken)
        with pytest.raises(
            StoreError, match="Input/output error; what was saved before stays readable: put this right"
        ):
            store.append(record(3))
    assert (tmp_path / "run" / "journal.jsonl").read_bytes()[-1:] != b"\n"
    assert len(store.read_journal()) == 2
    store.append(record(3))
    assert store.read_journal() == [record(1), record(2), record(3)]
    store.close()


def test_a_real_limit_on_file_sizes_is_survived(tmp_path: Path, server: Server) -> None:
    path, result = tmp_path / "run", tmp_path / "said.json"
    with new_run(path, 10) as store:
        save(store, 10)
        store.snapshot(dataset(10))
    server.start(fill_the_disk, path, result)
    assert server.wait() == 0  # neither killed nor crashed
    said = json.loads(result.read_text())
    cure = "File too large; what was saved before stays readable: free space and resume"
    assert said == {
        "data.nc": f"could not write data.nc to {path}: {cure}",
        "checkpoint": f"could not write checkpoint step 11 to {path}: {cure}",
        "journal": f"could not write the record of step 11 to {path}: {cure}",
    }
    with Store.open(path) as store:
        assert store.notes == []
        assert store.read_journal() == [record(step) for step in range(1, 12)]
        found = store.load_checkpoint()
        assert found is not None
        assert found.step == 10
        data = store.read_dataset("data.nc")
        assert data is not None
        assert data.identical(dataset(10))
        assert not list(path.rglob("*.tmp"))
