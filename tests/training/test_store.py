"""A run on disk survives kills, full disks and second writers.

Run as a script, this file is the process that is killed.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

from flowlab.training import atomic, checkpoint
from flowlab.training.netcdf import from_netcdf, to_netcdf
from flowlab.training.store import FORMAT, Store, StoreError, StoreLocked


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


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


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


# one writer


def test_a_second_writer_is_refused_in_the_same_process(tmp_path: Path) -> None:
    store = new_run(tmp_path / "run")
    message = (
        rf"run .*run is being written by this process \({os.getpid()}\) since 20.*; stop it, or choose another --out"
    )
    with pytest.raises(StoreLocked, match=message):
        Store.open(tmp_path / "run")
    with pytest.raises(StoreLocked):
        Store.create(tmp_path / "run", {})
    store.append(record(1))  # the first is not disturbed
    store.close()
    store.close()
    with Store.open(tmp_path / "run") as again:
        assert again.notes == []
        assert len(again.read_journal()) == 1
    assert not (tmp_path / "run" / "lock").exists()


def test_a_dropped_store_gives_its_lock_back(tmp_path: Path) -> None:
    store = new_run(tmp_path / "run")
    del store
    with Store.open(tmp_path / "run") as again:
        assert again.notes == []


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


@pytest.mark.parametrize(
    ("owner", "taken"),
    [
        ({"pid": os.getpid(), "start": "an-earlier-boot:1"}, True),  # the number was used again
        ({"pid": os.getpid()}, False),
        ({"pid": 2**22 + 1}, True),  # larger than any process id
        ({"pid": 2**22 + 1, "host": "elsewhere"}, False),
        ({}, True),
    ],
)
def test_without_file_locks_the_named_process_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: dict[str, Any], taken: bool
) -> None:
    def unsupported(fd: int, operation: int) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", unsupported)
    path = tmp_path / "run"
    new_run(path).close()
    this = atomic._this_process()
    (path / "lock").write_text(json.dumps({**this, **owner}) if owner else "")
    if taken:
        with Store.open(path) as store:
            assert len(store.notes) == bool(owner)
            with pytest.raises(StoreLocked):
                Store.open(path)
    else:
        with pytest.raises(StoreLocked, match=rf"since .*\(if it is gone, remove {path / 'lock'}\)"):
            Store.open(path)


def test_a_lock_file_removed_by_hand_and_made_again_is_not_removed_by_the_first(tmp_path: Path) -> None:
    path = tmp_path / "run"
    first = new_run(path)
    (path / "lock").unlink()
    second = Store.open(path)
    first.close()
    with pytest.raises(StoreLocked):
        Store.open(path)
    second.close()


# readers


def test_a_reader_changes_nothing_and_may_not_write(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with new_run(path, 3) as store:
        save(store, 3)
    with (path / "journal.jsonl").open("ab") as file:
        file.write(b'{"step":4')
    (path / "checkpoints" / "step-00000009.tmp").mkdir()

    def state() -> list[tuple[str, int, int]]:
        return sorted((str(p), p.stat().st_mtime_ns, p.stat().st_size) for p in path.rglob("*"))

    before = state()
    reader = Store.open(path, write=False)
    assert len(reader.read_journal()) == 3
    assert reader.read_dataset("data.nc") is None
    found = reader.load_checkpoint()
    assert found is not None
    writes: list[Callable[[], None]] = [
        lambda: reader.append(record(4)),
        lambda: reader.cut(1),
        lambda: reader.update_meta(a=1),
        lambda: reader.snapshot(dataset(1)),
        lambda: save(reader, 4),
    ]
    for call in writes:
        with pytest.raises(StoreError, match="is open for reading"):
            call()
    reader.close()
    assert state() == before
    with Store.open(path) as writer:
        assert writer.notes == ["dropped a torn last line of journal.jsonl (9 bytes)"]
    with pytest.raises(StoreError, match="is closed"):
        writer.append(record(4))


def test_readers_see_a_whole_run_while_a_writer_writes(tmp_path: Path) -> None:
    path = tmp_path / "run"
    store = new_run(path)
    save(store, 0)
    stop = threading.Event()

    def write() -> None:
        step = 0
        while not stop.is_set():
            step += 1
            store.append(record(step))
            save(store, step)
            store.snapshot(dataset(step))
            if step % 7 == 0:
                store.update_meta(step=step)
                step -= 3
                store.cut(step)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen = set()
        end = time.monotonic() + 1.0
        while time.monotonic() < end:
            reader = Store.open(path, write=False)
            journal = reader.read_journal()
            assert journal == [record(step) for step in range(1, len(journal) + 1)]
            found = reader.load_checkpoint()
            assert found is not None
            assert found.notes == ()
            assert found.state == {"seen": found.step}
            data = reader.read_dataset("data.nc")
            assert data is None or data.identical(dataset(data.attrs["last"]))
            assert reader.meta["seed"] == 3
            seen.add((len(journal), found.step))
    finally:
        stop.set()
        writer.join()
        store.close()
    assert len(seen) > 2


# what is asked, and by which version


def test_meta_says_what_was_asked_and_can_be_changed(tmp_path: Path) -> None:
    with new_run(tmp_path / "a" / "run") as store:
        meta = store.meta
        assert (meta["study"], meta["keys"], meta["seed"], meta["format"]) == ("ising-xor", {"L": 8}, 3, FORMAT)
        assert {"python", "torch", "flowlab", "threads"} <= set(meta["versions"])
        store.update_meta(horizon=500, seed=4, format=99)
        assert store.meta == {**meta, "horizon": 500, "seed": 4}
        with pytest.raises(TypeError, match="must be JSON values: Object of type PosixPath"):
            store.update_meta(where=tmp_path)
        with pytest.raises(TypeError, match="must be JSON values: Out of range float"):
            store.update_meta(T=math.nan)
        assert store.meta["horizon"] == 500
    with pytest.raises(TypeError, match="must be JSON values"):
        Store.create(tmp_path / "b", {"f": len})
    assert not (tmp_path / "b").exists()


def test_an_existing_run_is_refused_with_the_way_to_resume(tmp_path: Path) -> None:
    path = tmp_path / "run"
    new_run(path, 2).close()
    with pytest.raises(
        StoreError, match=r"already holds a run of ising-xor: to go on with it use --resume or Exp.*load"
    ):
        Store.create(path, {})
    assert len(Store.open(path, write=False).read_journal()) == 2
    (path / "experiment.json").unlink()
    with pytest.raises(StoreError, match=r"holds the records of a run whose experiment.json is missing"):
        Store.create(path, {})
    assert (path / "journal.jsonl").stat().st_size > 0
    with pytest.raises(StoreError, match=r"there is no run in .*run: experiment.json is missing"):
        Store.open(path)


def test_a_folder_that_holds_other_things_becomes_a_run(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with Store.create(tmp_path, {}):
        pass
    assert (tmp_path / "notes.txt").read_text() == "mine"
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"could not write a new run to .*file"):
        Store.create(tmp_path / "file", {})


@pytest.mark.parametrize("write", [True, False])
def test_a_newer_format_is_refused(tmp_path: Path, write: bool) -> None:
    path = tmp_path / "run"
    new_run(path).close()
    meta = json.loads((path / "experiment.json").read_text())
    (path / "experiment.json").write_text(json.dumps({**meta, "format": 7}))
    message = r"run .*run was written by format 7, this flowlab reads up to 1: upgrade flowlab"
    with pytest.raises(StoreError, match=message):
        Store.open(path, write=write)
    assert not (path / "lock").exists()


@pytest.mark.parametrize(
    ("text", "message"), [("{", "cannot be read"), ("[]", "no flowlab run"), ('{"format":"1"}', "'1'")]
)
def test_a_damaged_description_is_refused(tmp_path: Path, text: str, message: str) -> None:
    new_run(tmp_path / "run").close()
    (tmp_path / "run" / "experiment.json").write_text(text)
    with pytest.raises(StoreError, match=message):
        Store.open(tmp_path / "run")


def test_datasets_keep_their_attributes(tmp_path: Path) -> None:
    attrs: dict[str, Any] = {
        "n": 5,
        "T": 2.5,
        "log_z_exact": math.nan,
        "study": None,
        "warnings": [],
        "text": "[1] χ",
        "ok": True,
    }
    given = xr.Dataset({"m": ((), 0.5, {"units": "1"})}, coords={"layer_name": ("layer", ["latent", "xor 1"])})
    given = given.assign_attrs(attrs, seen=["one"], keys={"L": 8}, number=np.float64(2.0))
    with new_run(tmp_path / "run") as store:
        store.write_dataset("evaluation.nc", given)
        found = store.read_dataset("evaluation.nc")
        for name in ("evaluation.txt", "../evaluation.nc", "a/b.nc"):
            with pytest.raises(ValueError, match=r"must be a file name that ends in \.nc"):
                store.write_dataset(name, given)
    assert found is not None
    assert math.isnan(found.attrs.pop("log_z_exact"))
    assert math.isnan(given.attrs.pop("log_z_exact"))
    assert found.identical(given)
    assert found.attrs == given.attrs
    assert type(found.attrs["n"]) is int
    assert from_netcdf(to_netcdf(found)).identical(found)


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


def test_skipped_checkpoints_are_noted(tmp_path: Path) -> None:
    with new_run(tmp_path / "run") as store:
        assert store.load_checkpoint() is None
        assert store.newest_checkpoint() is None
        save(store, 1)
        save(store, 2)
        weights = tmp_path / "run" / "checkpoints" / "step-00000002" / "weights.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1])
        found = store.load_checkpoint()
        assert found is not None
        assert found.step == 1
        assert store.notes == list(found.notes)
        assert store.newest_checkpoint() == found.path


if __name__ == "__main__":
    serve()
    os._exit(0)
