"""The older records of a long run: columns in NetCDF files, which are read much faster than lines of a journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flowlab.storage.netcdf import cut_parts, last_part, read_parts, write_part
from flowlab.storage.records import Records

STAY = 1000
"""How many records stay in the journal, for those who follow a run there."""


def move_records(journal: Sequence[dict[str, Any]], folder: Path) -> None:
    """Write all records of a journal but the last ``STAY`` into a file of ``folder``.

    Where that is done and the journal not cut yet, records are there twice: readers take those here.
    """
    records, before = Records(), last_part(folder)
    for record in journal[:-STAY]:
        if record["step"] > before:
            records.append(numbers(record))
    if len(records):
        write_part(folder, int(records.last()["step"]), records.dataset({}))


def read_records(folder: Path) -> Records:
    """All records in a folder."""
    records = Records()
    for part in read_parts(folder):
        new = part.step.values > records.last().get("step", -1)
        records.extend({str(name): part[name].values[new] for name in ("step", *part.data_vars)})
    return records


def cut_records(folder: Path, step: int) -> None:
    """Remove the records of later steps than ``step``."""
    if last_part(folder) > step:
        records = read_records(folder)
        records.cut(step)
        if len(records):
            write_part(folder, step, records.dataset({}))
    cut_parts(folder, step)


def numbers(record: Mapping[str, Any]) -> dict[str, float | None]:
    """A record with None for what is no number: a journal may hold text, columns may not."""
    return {name: value if isinstance(value, int | float) else None for name, value in record.items()}


def rows_of(records: Records) -> list[dict[str, Any]]:
    """Records as dicts."""
    columns = {name: records.column(name).tolist() for name in records.names}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
