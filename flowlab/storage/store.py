"""A run on disk: who writes it, what was asked, every record, snapshots and checkpoints."""

from __future__ import annotations

import contextlib
import json
import logging
import platform
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
import xarray as xr
from torch import Tensor

from flowlab.storage.checkpoint import (
    Checkpoint,
    drop_checkpoints,
    newest_checkpoint,
    read_checkpoint,
    remove_leftovers,
    write_checkpoint,
)
from flowlab.storage.files import StoreError, StoreLocked, WriterLock, saving, write_atomic
from flowlab.storage.identity import absolute
from flowlab.storage.inputs import write_contents
from flowlab.storage.netcdf import FOLDER as SAMPLES
from flowlab.storage.netcdf import cut_parts, from_netcdf, last_part, read_parts, to_netcdf, write_part
from flowlab.storage.older import STAY, cut_records, move_records, numbers, read_records, rows_of
from flowlab.storage.records import Journal, Records

__all__ = ["FORMAT", "Store", "StoreError", "StoreLocked"]

FORMAT = 1
RECORDS = "records"
LONG = 2**23
"""Bytes of a journal from which on its older records are moved to ``records/``."""
_log = logging.getLogger(__name__)


class Store:
    """The directory of one run: one writer at a time, any number of readers, readable after a crash at any moment.

    ``experiment.json`` what was asked, with which versions, and which ones went on with it; ``journal.jsonl`` one flat
    record a line, NaN and infinity as null, and of a long run the older ones in ``records/``, NetCDF; ``data.nc`` and
    other NetCDF snapshots; ``checkpoints/step-00001234/``;
    ``inputs/`` arrays that keys stand for; ``lock`` the writer.
    Made by :meth:`create` or :meth:`open`; usable in a ``with`` statement, safe to call from several threads.

    Attributes:
        path: the directory.
        notes: what was repaired or taken over on opening, and checkpoints that were skipped, one sentence each.

    >>> import tempfile
    >>> import torch
    >>> path = Path(tempfile.mkdtemp()) / "first"
    >>> with Store.create(path, {"study": "ising-xor", "seed": 1}) as store:
    ...     store.append({"step": 1, "loss": -2.5})
    ...     store.save_checkpoint(1, {"weight": torch.ones(3)}, {"lr": 0.1})
    >>> reader = Store.open(path, write=False)
    >>> reader.meta["study"], reader.read_journal(), reader.load_checkpoint().step
    ('ising-xor', [{'step': 1, 'loss': -2.5}], 1)
    """

    def __init__(self, path: Path, lock: WriterLock | None) -> None:
        self.path = path
        self.notes: list[str] = []
        self._lock = lock
        self._busy = threading.RLock()
        self._journal = Journal(path / "journal.jsonl", write=False)

    @classmethod
    def create(cls, path: str | Path, meta: Mapping[str, Any]) -> Store:
        """A new run, open for writing.

        Args:
            path: its directory; made with its parents where missing.
            meta: what rebuilds the run (study, keys, seed, ...), JSON values only. ``format``, ``created``
                and ``versions`` (with the number of threads) are added.

        Raises:
            StoreError: where a run is there already, or nothing can be written.
            StoreLocked: where another writer is at work there.
            TypeError: where ``meta`` is not JSON.
        """
        path = absolute(path)
        data = _as_json({"created": _now(), "versions": versions(), **meta, "format": FORMAT}, path)
        with saving("a new run", path):
            path.mkdir(parents=True, exist_ok=True)
        store = cls(path, _lock(path))
        try:
            store._refuse_existing()
            with saving("a new run", path):
                write_contents(path, meta.get("keys") or {})
                write_atomic(path / "experiment.json", data)
                (path / "checkpoints").mkdir(exist_ok=True)
                store._open_journal()
        except BaseException:
            store.close()
            raise
        return store

    @classmethod
    def open(cls, path: str | Path, *, write: bool = True) -> Store:
        """The run in ``path``; a reader (``write=False``) takes no lock and changes nothing, also while another writes.

        A writer removes what a killed one left half done (temporary files, a torn last line of the journal).

        Raises:
            StoreError: where there is no run, or a newer flowlab wrote it.
            StoreLocked: where another writer is at work.
        """
        path = absolute(path)
        _read_meta(path)
        if not write:
            return cls(path, None)
        store = cls(path, _lock(path))
        try:
            if store._lock is not None and store._lock.note is not None:
                store._note(store._lock.note)
            with saving("the repair of a run", path):
                (path / "checkpoints").mkdir(exist_ok=True)
                remove_leftovers(path / "checkpoints")
                for leftover in (*path.glob("*.nc.tmp"), *path.glob("experiment.json.tmp"), *path.glob("journal*.tmp")):
                    leftover.unlink()
                store._open_journal()
        except BaseException:
            store.close()
            raise
        return store

    def close(self) -> None:
        """Give the run back to other writers; harmless when repeated."""
        with self._busy:
            if self._lock is not None:
                self._journal.close()
                self._lock.release()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Store({str(self.path)!r}, write={self._lock is not None and self._lock.held})"

    @property
    def meta(self) -> dict[str, Any]:
        """What ``experiment.json`` says now."""
        return _read_meta(self.path)

    def update_meta(self, **changes: Any) -> None:
        """Change entries of ``experiment.json``, all at once; JSON values only, ``format`` cannot be changed."""
        with self._writing("experiment.json"):
            data = _as_json({**self.meta, **changes, "format": FORMAT}, self.path)
            write_atomic(self.path / "experiment.json", data)

    def note_resumed(self, step: int) -> None:
        """Note in ``experiment.json`` with which versions the run goes on after ``step``."""
        before = self.meta.get("resumed", [])
        self.update_meta(resumed=[*before, {"step": step, "when": _now(), "versions": versions()}])

    def append(self, record: Mapping[str, Any]) -> None:
        """Add one record to the journal; from then on a kill of the process cannot lose it.

        Args:
            record: a flat dict with an int ``step``, else numbers, strings, bools or None; NaN, infinity become null.

        Raises:
            TypeError: for other values, before anything is written.
            StoreError: where it cannot be written; the journal then ends with the record before.
        """
        with self._writing(f"the record of step {record.get('step')}"):
            self._journal.append(record)

    def read_journal(self) -> list[dict[str, Any]]:
        """All records in order, null as NaN; a torn last line is left out.

        Returns:
            One dict a record, with an int ``step``; empty before the first. Of a long run, see :meth:`read_records`.

        Raises:
            StoreError: where a line before the last is damaged, with its number.
        """
        recent = self._journal.read()  # before what is older: a writer moves records from here to there
        older = last_part(self.path / RECORDS)
        if not older:
            return recent
        return rows_of(read_records(self.path / RECORDS)) + [record for record in recent if record["step"] > older]

    def recent(self) -> list[dict[str, Any]]:
        """The last records, a thousand of them at least where there are as many."""
        return self._journal.read()

    def read_records(self) -> Records:
        """All records as columns, also where there are millions; NaN for what is no number.

        Raises:
            StoreError: as :meth:`read_journal` does; where the steps do not grow.
        """
        recent = self._journal.read()
        records = read_records(self.path / RECORDS)
        older = records.last().get("step", 0)
        for record in recent:
            if record["step"] > older:
                try:
                    records.append(numbers(record))
                except ValueError as error:
                    raise StoreError(f"journal.jsonl of the run in {self.path} is damaged: {error}") from None
        return records

    def cut(self, step: int) -> None:
        """Remove the records and the measurements of later steps than ``step``."""
        with self._writing("journal.jsonl"):
            self._journal.cut(step)
            cut_records(self.path / RECORDS, step)
            cut_parts(self.path / SAMPLES, step)

    def write_part(self, step: int, part: xr.Dataset) -> None:
        """Write measurements of a simulation, those up to ``step`` that are in no earlier part."""
        with self._writing(f"the measurements up to step {step}"):
            write_part(self.path / SAMPLES, step, part)

    def measured(self) -> int:
        """The step up to which measurements are written, 0 before the first."""
        return last_part(self.path / SAMPLES)

    def read_parts(self, step: int) -> list[xr.Dataset]:
        """The measurements up to ``step``, in the parts in which they were written."""
        return read_parts(self.path / SAMPLES, step)

    def snapshot(self, dataset: xr.Dataset) -> None:
        """Write ``data.nc``, the records so far; a reader finds the one before or this one."""
        self.write_dataset("data.nc", dataset)

    def write_dataset(self, name: str, dataset: xr.Dataset) -> None:
        """Write a NetCDF file of the run, whole or not at all.

        Args:
            name: a file name that ends in ``.nc``, without a folder.
            dataset: attributes that NetCDF cannot hold (lists, None, bools) are stored as JSON text, and named in
                the attribute ``json_attributes``.
        """
        with self._writing(name):
            write_atomic(self._netcdf(name), to_netcdf(dataset))

    def read_dataset(self, name: str) -> xr.Dataset | None:
        """A NetCDF file of the run in memory, None where it has not been written yet; StoreError for a damaged one."""
        try:
            return from_netcdf(self._netcdf(name).read_bytes(), self._netcdf(name))
        except FileNotFoundError:
            return None

    def save_checkpoint(self, step: int, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        """Write a checkpoint, whole or not at all, and keep the last two; see :func:`.checkpoint.write_checkpoint`."""
        with self._writing(f"checkpoint step {step}"):
            self._journal.sync()  # a power cut must not leave a checkpoint that is ahead of its journal
            write_checkpoint(self.path / "checkpoints", step, tensors, state)

    def compact(self) -> None:
        """Move the older records of a journal that has become long into a file of their own."""
        if self._journal.size > LONG:
            with self._writing("the older records"):
                move_records(self._journal.read(), self.path / RECORDS)
                self._journal.keep_last(STAY)

    def drop_checkpoints(self, step: int) -> None:
        """Remove the checkpoints of later steps than ``step``."""
        with self._writing("checkpoints"):
            drop_checkpoints(self.path / "checkpoints", step)

    def load_checkpoint(self) -> Checkpoint | None:
        """The newest whole checkpoint, None where there is none; see :func:`.checkpoint.read_checkpoint`."""
        found = read_checkpoint(self.path / "checkpoints")
        if found is not None:
            self.notes += [note for note in found.notes if note not in self.notes]
        return found

    def newest_checkpoint(self) -> Path | None:
        """The folder of the checkpoint that :meth:`load_checkpoint` would read, None where there is none."""
        return newest_checkpoint(self.path / "checkpoints")

    @contextlib.contextmanager
    def _writing(self, what: str) -> Iterator[None]:
        with self._busy:
            if self._lock is None:
                raise StoreError(f"{self.path} is open for reading: use Store.open(path) to write to it")
            if not self._lock.held:
                raise StoreError(f"{self.path} is closed, or was opened by the process that this one was forked from")
            if not self._lock.in_place:
                raise StoreError(
                    f"could not write {what}: {self.path}, or the file lock in it, was moved or removed while the run "
                    "was going; what was saved before stays readable where it is now"
                )
            with saving(what, self.path):
                yield

    def _note(self, note: str) -> None:
        self.notes.append(note)
        _log.info("%s: %s", self.path, note)

    def _netcdf(self, name: str) -> Path:
        if Path(name).name != name or not name.endswith(".nc"):
            raise ValueError(f"name must be a file name that ends in .nc, got {name!r}")
        return self.path / name

    def _open_journal(self) -> None:
        self._journal = Journal(self.path / "journal.jsonl", write=True)
        if self._journal.dropped:
            self._note(f"dropped a torn last line of journal.jsonl ({self._journal.dropped} bytes)")

    def _refuse_existing(self) -> None:
        if (self.path / "experiment.json").exists():
            study = _read_meta(self.path).get("study")
            raise StoreError(
                f"{self.path} already holds a run{f' of {study}' if study else ''}: to go on with it use --resume or "
                f"Experiment.load({str(self.path)!r}); for a new run choose another --out"
            )
        if any((self.path / name).exists() for name in ("journal.jsonl", "checkpoints", "data.nc")):
            raise StoreError(
                f"{self.path} holds the records of a run whose experiment.json is missing: choose another --out"
            )


def _lock(path: Path) -> WriterLock:
    with saving("the lock", path):
        return WriterLock(path / "lock")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _as_json(meta: Mapping[str, Any], path: Path) -> bytes:
    try:
        return (json.dumps(meta, indent=1, allow_nan=False, ensure_ascii=False) + "\n").encode()
    except (TypeError, ValueError) as error:
        raise TypeError(f"what describes the run {path} must be JSON values: {error}") from None


def _read_meta(path: Path) -> dict[str, Any]:
    try:
        meta = json.loads((path / "experiment.json").read_bytes())
    except FileNotFoundError:
        raise StoreError(f"there is no run in {path}: experiment.json is missing") from None
    except (OSError, ValueError) as error:
        raise StoreError(f"{path / 'experiment.json'} cannot be read: {error}") from error
    number = meta.get("format") if isinstance(meta, dict) else None
    if type(number) is not int or number < 1:
        raise StoreError(f"{path / 'experiment.json'} describes no flowlab run: format must be an int, got {number!r}")
    if number > FORMAT:
        raise StoreError(
            f"run {path} was written by format {number}, this flowlab reads up to {FORMAT}: upgrade flowlab"
        )
    return dict(meta)


def versions() -> dict[str, str | int]:
    """Versions of flowlab and what it computes with, and the number of threads, which bit-equality depends on."""
    found: dict[str, str | int] = {"python": platform.python_version(), "threads": torch.get_num_threads()}
    for package in ("flowlab", "torch", "numpy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
