"""What a simulation measures, in NetCDF files of some steps each: ``samples/to-000001000.nc``."""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from flowlab.training.atomic import write_atomic
from flowlab.training.netcdf import from_netcdf, to_netcdf

FOLDER = "samples"


def write_part(run: Path, last: int, part: xr.Dataset) -> None:
    """Write the measurements up to step ``last``, whole or not at all; integers are compressed."""
    (run / FOLDER).mkdir(exist_ok=True)
    for variable in part.variables.values():
        if variable.dtype.kind in "iu" and variable.ndim:
            variable.encoding |= {"zlib": True, "complevel": 1}
    write_atomic(run / FOLDER / f"to-{last:09d}.nc", to_netcdf(part))


def read_parts(run: Path, last: int) -> list[xr.Dataset]:
    """The parts up to step ``last``, in order; what a killed run wrote beyond it is left out."""
    return [from_netcdf(path.read_bytes()) for path in _paths(run) if _last(path) <= last]


def cut_parts(run: Path, last: int) -> None:
    """Remove parts beyond step ``last``, and what a killed writer left half done."""
    for path in _paths(run):
        if _last(path) > last:
            path.unlink()
    for leftover in (run / FOLDER).glob("*.tmp"):
        leftover.unlink()


def _paths(run: Path) -> list[Path]:
    return sorted((run / FOLDER).glob("to-*.nc"))


def _last(path: Path) -> int:
    return int(path.stem.removeprefix("to-"))
