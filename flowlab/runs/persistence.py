"""A run and its directory: attached, checkpointed while it goes, taken up again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any, Literal, NamedTuple, NoReturn, SupportsIndex

import torch
import xarray as xr
from torch import Tensor

from flowlab.core.made import CannotMake, Made, describe
from flowlab.runs.precision import name_of
from flowlab.runs.process import Cadence
from flowlab.storage.checkpoint import Checkpoint, step_of
from flowlab.storage.identity import plain, refuse_other
from flowlab.storage.records import Records
from flowlab.storage.store import Store, StoreError

RunState = Literal["ready", "running", "paused", "stopped", "finished", "failed"]


class Directory:
    """The directory of a run: what may be written there, and that it is still this run's.

    Attributes:
        path: of it, None for a run in memory only.
        store: open while the run goes, else None.
    """

    def __init__(self) -> None:
        self.path: Path | None = None
        self.store: Store | None = None
        self._described: dict[str, Any] = {}
        self._resumes = False

    def require(self) -> Path:
        """The path; ValueError where there is none."""
        if self.path is None:
            raise ValueError("this run has no directory: attach('runs/name') one first")
        return self.path

    def create(self, path: str | Path, meta: Mapping[str, Any], records: Records) -> None:
        """Make a new directory with these records."""
        with Store.create(path, meta) as store:
            columns = {name: records.column(name).tolist() for name in records.names}
            for row in zip(*columns.values(), strict=True):
                store.append(dict(zip(columns, row, strict=True)))
            self._described = store.meta
        self.path = store.path

    def take_up(self, found: Found) -> None:
        """Go on in the directory that was read."""
        self.path, self._described, self._resumes = found.path, found.described, True

    def write(self, name: str, dataset: xr.Dataset) -> None:
        """Write a Dataset while the run is not going."""
        with Store.open(self.require()) as store:
            self._refuse_another(store)
            store.write_dataset(name, dataset)

    def open(self, step: int) -> None:
        """Open the store, where there is a directory, to go on after ``step``.

        Raises:
            StoreError: where another run lies there by now, or another object of this one has taken it further.
        """
        if self.path is None:
            return
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
        self.store = store
        if self._resumes:
            store.note_resumed(step)
            self._resumes = False
        store.cut(step)

    def close(self) -> None:
        """Give the directory back to other writers."""
        if self.store is not None:
            self.store.close()
            self.store = None

    def _refuse_another(self, store: Store) -> None:
        own = {name: value for name, value in self._described.items() if name != "resumed"}
        refuse_other(store.path, store.meta, own)


class Found(NamedTuple):
    """A run as it was kept: its directory and description, its newest good checkpoint, and the records up to that."""

    path: Path
    described: dict[str, Any]
    checkpoint: Checkpoint | None
    records: list[dict[str, Any]]

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
    own = {name: value for name, value in meta.items() if name not in ("steps", "module", "made")}
    refuse_other(store.path, described, own)
    if described.get("steps") != meta["steps"]:
        raise StoreError(f"{path} has a horizon of {described.get('steps')} steps, this run of {meta['steps']}")
    checkpoint, journal = store.load_checkpoint(), store.read_journal()
    step = 0 if checkpoint is None else checkpoint.step
    records = [record for record in journal if record["step"] <= step]
    if checkpoint is None and (journal or meta["parent"] is not None):
        what = f"{len(journal)} records" if journal else "a parent"
        raise StoreError(f"the weights of the run in {path} are missing: it has {what} and no checkpoint")
    if [record["step"] for record in records] != list(range(1, step + 1)):
        raise StoreError(
            f"records of the run in {path} are missing: journal.jsonl has {len(records)} of the {step} steps that "
            "its checkpoint has done"
        )
    return Found(store.path, described, checkpoint, records)


class OnDisk(Made, ABC):
    """What a person does with the directory of an Experiment.

    Attributes:
        study, keys: the name and keys that rebuild this run; None and {} for one built by hand.
        module: of the study's function, which another process imports to know the study.
        chosen: those of the keys that are not the study's defaults.
        note: what a study chose by itself and its title says.
        dtype: torch's default where it was built, in which it computes wherever it goes on.
        parent: study, keys, seed and step of the run that this one was warm-started from, and the fraction of the
            parameters that were copied; None for a cold start.
    """

    step: int
    steps: int
    seed: int
    state: RunState
    dtype: torch.dtype

    def __init__(self) -> None:
        self._directory = Directory()
        self.study: str | None = None
        self.module: str | None = None
        self.keys: dict[str, Any] = {}
        self.chosen: dict[str, Any] = {}
        self.note = ""
        self.parent: dict[str, Any] | None = None
        self._records = Records()
        self._spent = 0.0
        self._streaming = Lock()
        self._identity: dict[str, Any] = {}

    @property
    def path(self) -> Path | None:
        """The directory, or None for a run in memory only."""
        return self._directory.path

    @property
    def _store(self) -> Store | None:
        return self._directory.store

    def __copy__(self) -> NoReturn:
        raise TypeError(
            f"a run cannot be copied: {self._read_again()}, and run.at(T=...) begins another from its weights"
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> NoReturn:
        self.__copy__()

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError(f"a run cannot be pickled: {self._read_again()}, in another process too")

    def _read_again(self) -> str:
        again = "fl.load(path)" if self.study else "restore(path) of a run built in the same way"
        keep = "run.attach('runs/name') keeps it" if self.path is None else f"run.save() keeps it in {self.path}"
        return f"{keep} and {again} reads it"

    @property
    @abstractmethod
    def data(self) -> xr.Dataset:
        """All records so far, dim ``step``; valid at any moment, while running too."""

    @abstractmethod
    def _ended(self) -> bool:
        """Whether there is nothing left to do."""

    @abstractmethod
    def state_dict(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Weights by name, and whatever else the next step depends on (generators, optimisers)."""

    @abstractmethod
    def load_state_dict(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        """Go back to where ``state_dict`` was taken."""

    def meta(self) -> dict[str, Any]:
        """What rebuilds this run, as JSON."""
        asked = {
            "study": self.study,
            "keys": self.keys,
            "seed": self.seed,
            "steps": self.steps,
            "parent": self.parent,
            "dtype": name_of(self.dtype),
        }
        if self.study is not None:
            return asked | {"module": self.module}
        return asked | {"built": plain(self._identity), "made": self._made_with()}

    def set_besides(self) -> dict[str, Any]:
        return {}  # what a run has besides its arguments, its checkpoint holds

    def _made_with(self) -> dict[str, Any]:
        """All that this run was built with, from which it can be built again, or what is ``missing`` for that."""
        try:
            return dict(describe(self))
        except CannotMake as error:
            return {"missing": str(error)}

    def attach(self, path: str | Path) -> None:
        """Keep this run, with the records it has so far, in a new directory ``path``.

        Raises:
            ValueError: where ``path`` is empty.
            StoreError: where a run is there already, or nothing can be written.
            RuntimeError: while the run is going.
        """
        if not str(path):
            raise ValueError("the directory of a run must have a name, got ''")
        if self._streaming.locked():
            raise RuntimeError("this run is training: stop() it first")
        self._directory.create(path, self.meta(), self._records)
        self.save()

    def keep(self, dataset: xr.Dataset, name: str) -> None:
        """Write a Dataset, e.g. an evaluation, into the run's directory as ``name``.

        Raises:
            ValueError: for a run that has no directory.
            StoreError: where the directory holds another run by now.
            StoreLocked: while another process is training this run.
        """
        self._directory.write(name, dataset)

    def save(self) -> None:
        """Write a checkpoint and ``data.nc`` now; a run that is going saves by itself.

        Raises:
            ValueError: for a run that has no directory.
            RuntimeError: while the run is going.
        """
        self._directory.require()
        if not self._streaming.acquire(blocking=False):
            raise RuntimeError("this run is training and saves by itself: stop() it first")
        try:
            self._open_store()
            self._close_store()
        finally:
            self._streaming.release()

    def _open_store(self) -> None:
        self._directory.open(self.step)
        if self._store is not None:
            if self._store.newest_checkpoint() is None:
                self._save_checkpoint()
            self._checkpoint_cadence, self._snapshot_cadence = Cadence(1.0), Cadence(10.0, share=0.01)

    def _close_store(self, checkpoint: bool = True) -> None:
        if self._store is None:
            return
        try:
            if checkpoint:
                self._save_checkpoint()
            self._save_snapshot()
        finally:
            self._directory.close()

    def _save_checkpoint(self) -> None:
        assert self._store is not None
        self._store.save_checkpoint(self.step, *self.state_dict())

    def _save_snapshot(self) -> None:
        assert self._store is not None
        self._store.snapshot(self.data)

    def restore(self, path: str | Path) -> None:
        """Take up the run in directory ``path`` at its newest good checkpoint; the disk is left alone until it goes on.

        For a run built by hand, built again in the same way; a study's run is simply loaded.

        Raises:
            StoreError: where there is no run, none of its checkpoints can be read, or they are of another run: other
                system, couplings, seed, optimiser or dtype, say; where its weights or records are missing.
            RuntimeError: while the run is going.
        """
        if self._streaming.locked():
            raise RuntimeError("this run is training: stop() it first")
        found = found_in(path, self.meta())
        if found.checkpoint is not None:
            try:
                self.load_state_dict(found.checkpoint.tensors, found.checkpoint.state)
            except (RuntimeError, KeyError, ValueError) as error:
                why = " ".join(str(error).split())  # torch lists every weight on a line of its own
                raise StoreError(f"checkpoint {found.checkpoint.path} is not of a run like this one: {why}") from error
        self.step, self._records = found.step, Records()
        self._directory.take_up(found)
        for record in found.records:
            self._records.append(record)
            self._spent = record["wall_time"]
        self.state = "finished" if self._ended() else "stopped" if self.step else "ready"
