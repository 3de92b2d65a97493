"""A run on disk: one writer, many readers, and what was asked for."""

from __future__ import annotations

import errno
import json
import math
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from flowlab.storage import files
from flowlab.storage.netcdf import from_netcdf, to_netcdf
from flowlab.storage.store import FORMAT, Store, StoreError, StoreLocked
from tests.storage.store_writers import (
    dataset,
    new_run,
    record,
    save,
)

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
    this = files._this_process()
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
