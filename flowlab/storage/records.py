"""The records of a run: growing columns in memory, and a journal on disk."""

from __future__ import annotations

import contextlib
import json
import math
import operator
import os
import threading
import weakref
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from flowlab.core.names import labelled
from flowlab.storage.files import StoreError, write_all, write_atomic

_FIRST_CAPACITY = 1024
_encode = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


class Records:
    """Rows of named numbers, one a step; one thread appends while any number of others read.

    A column may appear late; rows without a value hold NaN.

    >>> records = Records()
    >>> records.append({"step": 1, "loss": -1.5})
    >>> records.append({"step": 2, "loss": -1.7, "ess": 0.25})
    >>> len(records), records.column("ess")
    (2, array([ nan, 0.25]))
    >>> records.cut(1)
    >>> records.dataset({"seed": 3}, {"loss": ("training loss", "1")}).loss.values
    array([-1.5])
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._length = 0
        self._steps: NDArray[np.int64] = np.zeros(_FIRST_CAPACITY, dtype=np.int64)
        self._columns: dict[str, NDArray[np.float64]] = {}
        self._first_row: dict[str, int] = {}

    def __len__(self) -> int:
        return self._length

    @property
    def names(self) -> list[str]:
        """Names of the columns, ``step`` first, then in the order of their first appearance."""
        with self._lock:
            return ["step", *self._columns]

    def append(self, record: Mapping[str, float | None]) -> None:
        """Add one row.

        Args:
            record: numbers by name; ``step`` must be an int larger than the last; None counts as NaN.

        Raises:
            ValueError: where ``step`` is missing or does not grow.
            TypeError: where a value is no number, or ``step`` no int; nothing is added then.
        """
        if "step" not in record:
            raise ValueError(f"a record must have a 'step', got {list(record)}")
        step = _as_int(record["step"])
        row = {name: _as_float(name, value) for name, value in record.items() if name != "step"}
        with self._lock:
            n = self._length
            if n and step <= self._steps[n - 1]:
                raise ValueError(f"step must grow from row to row, got {step} after {self._steps[n - 1]}")
            if n == len(self._steps):
                self._grow()
            self._steps[n] = step
            for name, value in row.items():
                column = self._columns.get(name)
                if column is None:
                    column = self._columns[name] = np.full(len(self._steps), np.nan)
                    self._first_row[name] = n
                column[n] = value
            self._length = n + 1

    def extend(self, columns: Mapping[str, NDArray[Any]]) -> None:
        """Add many rows at once.

        Args:
            columns: (rows,) by name, ``step`` among them, which grows; NaN where a row has no value.

        Raises:
            ValueError: where ``step`` does not grow.

        >>> records = Records()
        >>> records.extend({"step": np.array([1, 2]), "loss": np.array([0.5, 0.25])})
        >>> records.last()
        {'step': 2, 'loss': 0.25}
        """
        steps = columns["step"]
        with self._lock:
            n, end = self._length, self._length + len(steps)
            before = self._steps[n - 1] if n else -1
            if len(steps) and not (steps[0] > before and (np.diff(steps) > 0).all()):
                raise ValueError(f"step must grow from row to row, got {steps} after {before}")
            while end > len(self._steps):
                self._grow()
            self._steps[n:end] = steps
            for name, values in columns.items():
                if name == "step":
                    continue
                if name not in self._columns:
                    self._columns[name] = np.full(len(self._steps), np.nan)
                    self._first_row[name] = n + int(np.argmax(~np.isnan(values)))
                self._columns[name][n:end] = values
            self._length = end

    def column(self, name: str) -> NDArray[Any]:
        """A copy of one column: (rows,) float64, int64 for ``step``.

        Raises:
            KeyError: where no record had that name.
        """
        with self._lock:
            values: NDArray[Any] = self._steps if name == "step" else self._columns[name]
            return values[: self._length].copy()

    def last(self) -> dict[str, float]:
        """The newest row, empty before the first."""
        with self._lock:
            n = self._length - 1
            return {"step": int(self._steps[n])} | {k: float(v[n]) for k, v in self._columns.items()} if n >= 0 else {}

    def newest(self, name: str) -> float:
        """The newest value of a column that is not NaN, among the last 1000; KeyError as :meth:`column`."""
        values = self.column(name)[-1000:]
        known = values[~np.isnan(values)]
        return float(known[-1]) if len(known) else math.nan

    def cut(self, step: int) -> None:
        """Drop the rows of later steps than ``step``, and columns that had not appeared by then."""
        with self._lock:
            n = int(np.searchsorted(self._steps[: self._length], step, side="right"))
            for name in [name for name, first in self._first_row.items() if first >= n]:
                del self._columns[name], self._first_row[name]
            for column in self._columns.values():
                column[n : self._length] = np.nan
            self._length = n

    def dataset(self, attrs: Mapping[str, Any], names: Iterable[str] = ()) -> xr.Dataset:
        """The rows as a Dataset over ``step``, a copy that later rows do not change.

        Args:
            attrs: attributes of the Dataset.
            names: of columns that are there in any case, all NaN where they have no values yet.

        Returns:
            float64 variables over the int64 coordinate ``step``, named as in :mod:`flowlab.core.names`.
        """
        with self._lock:
            n = self._length
            steps = self._steps[:n].copy()
            values = {name: np.full(n, np.nan) for name in names if name != "step"}
            values.update({name: column[:n].copy() for name, column in self._columns.items()})
        columns = {"step": steps, **values}
        return labelled(xr.Dataset({k: ("step", v) for k, v in columns.items()}, attrs=dict(attrs)))

    def _grow(self) -> None:
        capacity = 2 * len(self._steps)
        self._steps = np.concatenate([self._steps, np.zeros_like(self._steps)])
        for name, column in self._columns.items():
            longer = np.full(capacity, np.nan)
            longer[: len(column)] = column
            self._columns[name] = longer


class Journal:
    """The records of a run on disk: a line of JSON each, appended at once, whole again after a crash at any moment.

    Args:
        path: the file.
        write: whether to open it for appending, which drops a torn last line; a reader holds nothing open.

    Attributes:
        dropped: length in bytes of the torn last line that was dropped on opening.
    """

    def __init__(self, path: Path, *, write: bool) -> None:
        self.path = path
        self.dropped = 0
        self._torn_at: int | None = None
        self._finalizer: weakref.finalize[..., Any] | None = None
        if write:
            self._open()

    def append(self, record: Mapping[str, Any]) -> None:
        """Add one record; see :func:`to_line`. Raises OSError where it cannot be written, and is as before then."""
        line = to_line(record)
        if self._torn_at is not None:
            os.ftruncate(self._fd, self._torn_at)
            self._torn_at = None
        end = os.fstat(self._fd).st_size
        try:
            write_all(self._fd, line)
        except BaseException:
            if os.fstat(self._fd).st_size != end + len(line):
                self._torn_at = end
                with contextlib.suppress(OSError):  # else the next append tries again
                    os.ftruncate(self._fd, end)
            raise

    def read(self) -> list[dict[str, Any]]:
        """All records in order, null as NaN; a torn last line is left out.

        Raises:
            StoreError: where a line before the last is damaged, with its number.
        """
        records = []
        lines = self._lines()
        for number, line in enumerate(lines, 1):
            try:
                records.append(from_line(line))
            except ValueError as error:
                if number < len(lines):
                    raise StoreError(
                        f"line {number} of {self.path} is damaged: expected a JSON record with an int step, "
                        f"got {line[:60]!r}"
                    ) from error
        return records

    @property
    def size(self) -> int:
        """Of the file, in bytes."""
        return os.fstat(self._fd).st_size

    def cut(self, step: int) -> None:
        """Remove the records of later steps than ``step``, all at once."""
        lines = self._lines()
        self._keep([line for line, record in zip(lines, self.read(), strict=False) if record["step"] <= step], lines)

    def keep_last(self, count: int) -> None:
        """Remove all records but the last ones, all at once."""
        lines = self._lines()
        self._keep(lines[-count:], lines)

    def _keep(self, kept: list[bytes], lines: list[bytes]) -> None:
        if len(kept) < len(lines):
            write_atomic(self.path, b"".join(line + b"\n" for line in kept))
            self.close()
            self._open()

    def sync(self) -> None:
        """Wait until every record is on the disk: it then survives a power cut, as it does a kill before."""
        os.fsync(self._fd)

    def close(self) -> None:
        """Close the file; harmless when repeated."""
        if self._finalizer is not None:
            self._finalizer()

    def _open(self) -> None:
        self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._finalizer = weakref.finalize(self, os.close, self._fd)
        self._torn_at = None
        content = self.path.read_bytes()
        whole = _whole_length(content)
        self.dropped = len(content) - whole
        if self.dropped:
            os.ftruncate(self._fd, whole)

    def _lines(self) -> list[bytes]:
        """The lines that end in a newline; what follows the last newline is torn, or nothing."""
        try:
            return self.path.read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            return []


def last_record(path: Path) -> dict[str, Any]:
    """The newest whole record of a journal, of which only the end is read; empty where there is none."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            for length in (4096, size):
                file.seek(max(0, size - length))
                lines = file.read().split(b"\n")[:-1]
                if len(lines) > 1 or length >= size:
                    return from_line(lines[-1]) if lines else {}
    except (OSError, ValueError):
        pass
    return {}


def to_line(record: Mapping[str, Any]) -> bytes:
    """A record as one line of JSON with its newline; NaN and infinity as null.

    Raises:
        TypeError: where ``step`` is no int, or a value is no number, string, bool or None.

    >>> to_line({"step": 3, "loss": float("nan"), "ess": 0.5})
    b'{"step":3,"loss":null,"ess":0.5}\\n'
    """
    if type(record.get("step")) is not int:
        raise TypeError(f"a record must have an int 'step', got {record.get('step')!r}")
    flat: dict[str, Any] = {}
    for name, value in record.items():
        if isinstance(value, np.generic):
            value = value.item()
        if type(value) is float:
            flat[name] = value if math.isfinite(value) else None
        elif value is None or type(value) in (int, str, bool):
            flat[name] = value
        else:
            raise TypeError(f"{name} in a record must be a number, string, bool or None, got {type(value).__name__}")
    return _encode(flat).encode() + b"\n"


def from_line(line: bytes) -> dict[str, Any]:
    """The record in one line of JSON, null as NaN.

    Raises:
        ValueError: where the line is damaged, or has no int ``step``.
    """
    record = json.loads(line)
    if not isinstance(record, dict) or type(record.get("step")) is not int:
        raise ValueError("expected a flat JSON record with an int step")
    return {name: math.nan if value is None else value for name, value in record.items()}


def _whole_length(journal: bytes) -> int:
    """Length of the journal without a last line that is torn: without its newline, or no record."""
    end = journal.rfind(b"\n") + 1
    if end == 0:
        return 0
    start = journal.rfind(b"\n", 0, end - 1) + 1
    try:
        from_line(journal[start:end])
    except ValueError:
        return start
    return end


def _as_int(step: Any) -> int:
    try:
        return operator.index(step)
    except TypeError:
        raise TypeError(f"step must be an int, got {step!r}") from None


def _as_float(name: str, value: Any) -> float:
    if value is None:
        return float("nan")
    if isinstance(value, str):
        raise TypeError(f"{name} must be a number, got {value!r}")
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, got {type(value).__name__}") from None
