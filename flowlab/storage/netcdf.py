"""Datasets as the bytes of a NetCDF file, and back."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import H5NetCDFStore

from flowlab.storage.files import StoreError, write_atomic

_ENCODED = "json_attributes"  # names of the attributes that NetCDF cannot hold and that are stored as JSON text
MANY = 100_000


def to_netcdf(dataset: xr.Dataset) -> bytes:
    """The bytes of a NetCDF file with ``dataset``; attributes that are no numbers or strings become JSON text.

    In memory, because HDF5 may crash the process when the disk fills up under it.
    """
    import h5netcdf  # slow to import

    plain = dataset.copy()
    items: list[Any] = [plain, *plain.variables.values()]
    for item in items:
        attrs: dict[str, Any] = {}
        encoded = []
        for name, value in item.attrs.items():
            value = value.tolist() if isinstance(value, np.generic | np.ndarray) else value
            if type(value) not in (int, float, str):
                encoded.append(name)
                value = json.dumps(value)
            attrs[name] = value
        item.attrs = attrs | ({_ENCODED: ",".join(encoded)} if encoded else {})
    for variable in plain.variables.values():
        if variable.size > MANY and variable.dtype.kind == "f" and np.isnan(variable.values).all():
            variable.encoding = variable.encoding | {"zlib": True, "complevel": 1}  # what a study never records
    buffer = io.BytesIO()
    with h5netcdf.File(buffer, "w") as file:
        plain.dump_to_store(H5NetCDFStore(file))
    return buffer.getvalue()


def from_netcdf(data: bytes, what: str | Path = "the Dataset") -> xr.Dataset:
    """The Dataset that :func:`to_netcdf` was given, in memory.

    Raises:
        StoreError: for other bytes; says that ``what`` cannot be read.

    >>> from_netcdf(to_netcdf(xr.Dataset(attrs={"n": 3, "warnings": ["ESS is 0.2 %"], "study": None}))).attrs
    {'n': 3, 'warnings': ['ESS is 0.2 %'], 'study': None}
    """
    try:
        dataset: xr.Dataset = xr.load_dataset(io.BytesIO(data), engine="h5netcdf")
        items: list[Any] = [dataset, *dataset.variables.values()]
        for item in items:
            encoded = item.attrs.pop(_ENCODED, "").split(",")
            for name, value in item.attrs.items():
                value = value.item() if isinstance(value, np.generic) else value
                item.attrs[name] = json.loads(value) if name in encoded else value
    except Exception as error:  # HDF5 has no errors of its own: OSError, KeyError, RuntimeError and others
        raise StoreError(
            f"{what} cannot be read: it is no NetCDF file, or was changed or cut off after it was written "
            f"({type(error).__name__}: {error})"
        ) from None
    return dataset


FOLDER = "samples"


def write_part(folder: Path, last: int, part: xr.Dataset) -> None:
    """Write what is new up to step ``last`` into a file of its own, whole or not at all; integers are compressed."""
    folder.mkdir(exist_ok=True)
    for variable in part.variables.values():
        if variable.dtype.kind in "iu" and variable.ndim:
            variable.encoding |= {"zlib": True, "complevel": 1}
    write_atomic(folder / f"to-{last:09d}.nc", to_netcdf(part))


def read_parts(folder: Path, last: int | None = None) -> list[xr.Dataset]:
    """The parts up to step ``last``, in order; what a killed run wrote beyond it is left out."""
    return [from_netcdf(path.read_bytes(), path) for path in _paths(folder) if last is None or _last(path) <= last]


def last_part(folder: Path) -> int:
    """The step up to which there are parts, 0 before the first."""
    return max(map(_last, _paths(folder)), default=0)


def cut_parts(folder: Path, last: int) -> None:
    """Remove parts beyond step ``last``, and what a killed writer left half done."""
    for path in _paths(folder):
        if _last(path) > last:
            path.unlink()
    for leftover in folder.glob("*.tmp"):
        leftover.unlink()


def _paths(folder: Path) -> list[Path]:
    return sorted(folder.glob("to-*.nc"))


def _last(path: Path) -> int:
    return int(path.stem.removeprefix("to-"))
