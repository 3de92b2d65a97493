"""The runs in a folder: what a person wants to know of each without loading it, and how one is thrown away."""

from __future__ import annotations

import math
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flowlab.storage.files import WriterLock, has_writer, saving
from flowlab.storage.identity import absolute
from flowlab.storage.store import Store, StoreError

DEPTH = 3
"""Folders that are looked into below the one that is given."""
OWN = {"experiment.json", "journal.jsonl", "checkpoints", "records", "samples", "inputs", "lock", "report.html"}
"""What a run keeps, beside NetCDF files and what a killed writer left."""
JUDGED = ("check.nc", "evaluation.nc")
"""Where a verdict may be kept."""


@dataclass(frozen=True)
class Kept:
    """A run on disk.

    Attributes:
        path: its directory.
        study: by which it was made; empty for one built by hand.
        keys: all of them.
        step, steps: how far it is, and its horizon.
        ess: newest effective sample size of its records, NaN where it has none.
        verdict: of its newest check or evaluation, in a word; empty before one is kept.
        changed: when it was last written, in seconds since 1970.
        size: in bytes.
        writing: whether a process trains it.
        broken: why it cannot be read; empty where it can.
    """

    path: Path
    study: str = ""
    keys: dict[str, Any] = field(default_factory=dict)
    step: int = 0
    steps: int = 0
    ess: float = math.nan
    verdict: str = ""
    changed: float = 0.0
    size: int = 0
    writing: bool = False
    broken: str = ""


def kept_in(folder: str | Path) -> list[Kept]:
    """Every run in a folder and the folders below it, the one that was written last first; nothing is changed.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> Store.create(folder / "first", {"study": "ising-xor", "keys": {"L": 4}, "steps": 2}).close()
    >>> [(kept.path.name, kept.study, kept.step, kept.steps) for kept in kept_in(folder)]
    [('first', 'ising-xor', 0, 2)]
    """
    found = [look(path) for path in directories_in(absolute(folder))]
    return sorted(found, key=lambda kept: -kept.changed)


def look(path: Path) -> Kept:
    """What is known of the run in a directory; ``broken`` says why where it cannot be read."""
    files = [Path(place, name) for place, _, names in os.walk(path) for name in names]  # while they come and go
    stats = [stat for stat in map(_stat, files) if stat is not None]
    outside: dict[str, Any] = {
        "changed": max((stat.st_mtime for stat in stats), default=0.0),
        "size": sum(stat.st_size for stat in stats),
        "writing": has_writer(path / "lock"),
    }
    try:
        store = Store.open(path, write=False)
        meta, records = store.meta, store.recent()
        keys = meta.get("keys") or {}
        return Kept(
            path,
            study=str(meta.get("study") or ""),
            keys=dict(keys),
            step=int(records[-1]["step"]) if records else 0,
            steps=int(meta.get("until") or meta.get("steps") or keys.get("steps") or 0),
            ess=next((row["ess"] for row in reversed(records) if not math.isnan(row.get("ess", math.nan))), math.nan),
            verdict=_verdict(store),
            broken=_unreadable(store, records),
            **outside,
        )
    except (StoreError, OSError, TypeError, ValueError) as error:
        return Kept(path, broken=str(error), **outside)


def throw_away(path: str | Path) -> None:
    """Remove a run from disk, for good.

    Raises:
        StoreError: where there is no run, other files or other runs lie in its directory, or it cannot be removed.
        StoreLocked: while somebody trains it.
    """
    path = absolute(path)
    if path.is_symlink() or not any((path / name).exists() for name in ("experiment.json", "journal.jsonl")):
        raise StoreError(f"there is no run in {path}: nothing was removed")
    others = [entry.name for entry in path.iterdir() if entry.name not in OWN and entry.suffix not in (".nc", ".tmp")]
    if others:
        raise StoreError(f"{path} holds more than a run ({', '.join(sorted(others))}): remove it by hand")
    with saving("the removal", path):
        lock = WriterLock(path / "lock")
        try:
            gone = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
            path.rename(gone)  # a reader never finds half a run under its name
        finally:
            lock.release()
        shutil.rmtree(gone)


def directories_in(folder: Path) -> Iterator[Path]:
    """Of the runs in a folder and the folders below it."""
    for depth in range(DEPTH + 1):
        for path in folder.glob("/".join(["*"] * depth + ["experiment.json"])):
            if not any(part.startswith(".") for part in path.relative_to(folder).parts):
                yield path.parent


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:  # a writer has replaced it meanwhile
        return None


def _verdict(store: Store) -> str:
    """The first words of the newest verdict that is kept with the run."""
    found: tuple[float, str] = (-1.0, "")
    for name in JUDGED:
        try:
            dataset = store.read_dataset(name)
        except (OSError, ValueError, StoreError):
            continue
        if dataset is not None and "verdict" in dataset.attrs:
            words = str(dataset.attrs["verdict"]).partition(":")[0]
            found = max(found, (float(dataset.attrs.get("step", 0)), words))
    return found[1]


def _unreadable(store: Store, records: list[dict[str, Any]]) -> str:
    """Why a run cannot be taken up, though it can be read."""
    if records and store.newest_checkpoint() is None:
        return f"none of the checkpoints of {store.path} is whole"
    return ""
