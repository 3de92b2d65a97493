"""The directory of a run: attached, checkpointed while it goes, taken up again."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import xarray as xr
from torch import Tensor

from flowlab.storage.checkpoint import Checkpoint, step_of
from flowlab.storage.identity import refuse_other
from flowlab.storage.older import rows_of
from flowlab.storage.records import Records
from flowlab.storage.store import Store, StoreError

SNAPSHOTS = 100_000
"""Steps up to which ``data.nc`` is written while a run goes, and not only in its end: it has every record again."""


class Keepable(Protocol):
    """What a directory asks of its run; see :class:`flowlab.runs.kind.KindOfRun`."""

    seconds_between_checkpoints: float
    steps: int

    @property
    def extensions(self) -> Sequence[Any]: ...

    @property
    def step(self) -> int: ...
    @property
    def data(self) -> xr.Dataset: ...
    def meta(self) -> dict[str, Any]: ...
    def state_dict(self) -> tuple[dict[str, Tensor], dict[str, Any]]: ...
    def load_state_dict(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None: ...
    def _keep_besides(self, store: Store) -> None: ...


class Directory:
    """The directory of a run: what may be written there, and that it is still this run's.

    A run in memory only has one too, in which nothing is written.

    Args:
        run: what is kept.

    Attributes:
        path: of it, None for a run in memory only.
    """

    def __init__(self, run: Keepable) -> None:
        self._run = run
        self.path: Path | None = None
        self._store: Store | None = None
        self._described: dict[str, Any] = {}
        self._resumes = False

    def require(self) -> None:
        """Raise ValueError where there is none."""
        if self.path is None:
            raise ValueError("this run has no directory: attach('runs/name') one first")

    def create(self, path: str | Path, records: Records) -> None:
        """Make a new directory with these records."""
        with Store.create(path, self._run.meta()) as store:
            for row in rows_of(records):
                store.append(row)
            self._described = store.meta
        self.path = store.path

    def take_up(self, path: str | Path) -> Found:
        """Take the run up where the one in ``path`` was kept last, to go on there; returns what was found.

        Raises:
            StoreError: see :func:`found_in`; where the checkpoint is not of a run like this one.
        """
        found = found_in(path, self._run.meta())
        if found.checkpoint is not None:
            try:
                self._run.load_state_dict(found.checkpoint.tensors, found.checkpoint.state)
            except (RuntimeError, KeyError, ValueError) as error:
                why = " ".join(str(error).split())  # torch lists every weight on a line of its own
                raise StoreError(f"checkpoint {found.checkpoint.path} is not of a run like this one: {why}") from error
        self.path, self._described, self._resumes = found.path, found.described, True
        return found

    def save(self) -> None:
        """Write all that there is now, where the run is not going."""
        self.open()
        self.close()

    def write(self, name: str, dataset: xr.Dataset) -> None:
        """Write a Dataset; ValueError where there is no directory."""
        self.require()
        if self._store is not None:
            self._store.write_dataset(name, dataset)
            return
        assert self.path is not None
        with Store.open(self.path) as store:
            self._refuse_another(store)
            store.write_dataset(name, dataset)

    def read(self, name: str) -> xr.Dataset | None:
        """The Dataset of that name, None where there is none."""
        return None if self.path is None else Store.open(self.path, write=False).read_dataset(name)

    # while the run goes

    def open(self) -> None:
        """Open it, where there is one, to go on after the step at which the run is.

        Raises:
            StoreError: where another run lies there by now, or another object of this one has taken it further.
        """
        if self.path is None:
            return
        step = self._run.step
        store = Store.open(self.path)
        try:
            self._refuse_another(store)
            newest = store.newest_checkpoint()
            if newest is not None and step_of(newest) > step:
                raise StoreError(
                    f"the run in {self.path} has gone on to step {step_of(newest)}, this one is at step {step}: "
                    "load it again"
                )
        except StoreError:
            store.close()
            raise
        self._store = store
        if self._resumes:
            store.note_resumed(step)
            self._resumes = False
        extended = [extension._asdict() for extension in self._run.extensions]
        if extended != self._described.get("extended", []):
            store.update_meta(until=self._run.steps, extended=extended)
            self._described = store.meta
        store.cut(step)
        if newest is None:
            self._save_checkpoint()
        self._checkpoints, self._snapshots = Cadence(self._run.seconds_between_checkpoints), Cadence(10.0, share=0.01)

    def append(self, record: Mapping[str, float]) -> None:
        """Write down a record at once."""
        if self._store is not None:
            self._store.append(record)

    def cut(self, step: int, *, checkpoints: bool = False) -> None:
        """Remove the records of later steps than ``step``, and their checkpoints where these are in doubt too."""
        if self._store is not None:
            self._store.cut(step)
            if checkpoints:
                self._store.drop_checkpoints(step)

    def save_now_and_then(self) -> None:
        """Called between two steps: write a checkpoint and ``data.nc`` where it is time for them."""
        if self._store is not None:
            self._checkpoints(self._save_checkpoint)
            if self._run.step <= SNAPSHOTS:
                self._snapshots(self._save_snapshot)
            self._store.compact()

    def newest_checkpoint(self) -> Path | None:
        """The newest one that the run has written."""
        return None if self._store is None else self._store.newest_checkpoint()

    def close(self, checkpoint: bool = True) -> None:
        """Write all that there is, the ``checkpoint`` only if it is good, and give the directory to other writers."""
        if self._store is None:
            return
        try:
            if checkpoint:
                self._save_checkpoint()
            self._save_snapshot()
        finally:
            self._store.close()
            self._store = None

    def _save_checkpoint(self) -> None:
        assert self._store is not None
        self._run._keep_besides(self._store)
        self._store.save_checkpoint(self._run.step, *self._run.state_dict())

    def _save_snapshot(self) -> None:
        assert self._store is not None
        self._store.snapshot(self._run.data)

    def _refuse_another(self, store: Store) -> None:
        own = {name: value for name, value in self._described.items() if name != "resumed"}
        refuse_other(store.path, store.meta, own)


class Found(NamedTuple):
    """A run as it was kept: its directory and description, its newest good checkpoint, and the records up to that."""

    path: Path
    described: dict[str, Any]
    checkpoint: Checkpoint | None
    records: Records

    @property
    def step(self) -> int:
        """Of the checkpoint."""
        return 0 if self.checkpoint is None else self.checkpoint.step


def found_in(path: str | Path, meta: Mapping[str, Any]) -> Found:
    """The run in directory ``path``, which must be the one that ``meta`` describes; the disk is left alone.

    Raises:
        StoreError: where there is none, or another one, or its weights or records are missing.
    """
    store = Store.open(path, write=False)
    described = store.meta
    own = {name: value for name, value in meta.items() if name not in ("steps", "module", "made", "device")}
    refuse_other(store.path, described, own)
    if described.get("steps") != meta["steps"]:
        raise StoreError(f"{path} has a horizon of {described.get('steps')} steps, this run of {meta['steps']}")
    checkpoint, records = store.load_checkpoint(), store.read_records()
    step = 0 if checkpoint is None else checkpoint.step
    if checkpoint is None and (len(records) or meta["parent"] is not None):
        what = f"{len(records)} records" if len(records) else "a parent"
        raise StoreError(f"the weights of the run in {path} are missing: it has {what} and no checkpoint")
    records.cut(step)
    if not np.array_equal(records.column("step"), np.arange(1, step + 1)):
        raise StoreError(
            f"records of the run in {path} are missing: journal.jsonl has {len(records)} of the {step} steps that "
            "its checkpoint has done"
        )
    times = records.column("wall_time") if "wall_time" in records.names else np.full(step, np.nan)
    if len(untimed := records.column("step")[np.isnan(times)]):
        raise StoreError(f"journal.jsonl of the run in {path} is damaged: no wall_time at step {untimed[0]}")
    return Found(store.path, described, checkpoint, records)


class Cadence:
    """Does something now and then: at least ``seconds`` apart, and seldom enough to take under ``share`` of the time.

    What it takes is the least of its last three times: one that a busy disk held up does not put off the next.

    Args:
        seconds: shortest time between two calls.
        share: largest part of the time that the calls may take, in (0, 1).
    """

    def __init__(self, seconds: float, share: float = 0.04) -> None:
        self.seconds, self.share = seconds, share
        self._next = time.monotonic() + seconds
        self._took = deque[float](maxlen=3)

    def __call__(self, action: Callable[[], None]) -> None:
        """Call ``action`` if its time has come."""
        started = time.monotonic()
        if started < self._next:
            return
        action()
        now = time.monotonic()
        self._took.append(now - started)
        self._next = now + max(self.seconds, (1 / self.share - 1) * min(self._took))
