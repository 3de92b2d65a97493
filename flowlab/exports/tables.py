"""An evaluation as a table."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import xarray as xr


def to_dataframe(found: xr.Dataset) -> Any:
    """The numbers of an evaluation as a pandas table: a row for each, with its error, exact value and unit.

    Of a sweep or a curve there is a row for each number at each of its points.

    Args:
        found: what ``run.evaluate()``, ``run.curve()`` or :func:`flowlab.sweep` returns.

    Returns:
        DataFrame with index ``observable`` (and the coordinates of the points) and columns ``value``, ``error``,
        ``exact``, NaN where there is none, and ``unit``.

    >>> found = xr.Dataset({"energy_per_site": -1.4, "energy_per_site_error": 0.1, "energy_per_site_exact": -1.41})
    >>> to_dataframe(found).loc["energy_per_site", "exact"].item()
    -1.41
    """
    import pandas as pd  # type: ignore[import-untyped, unused-ignore]

    points = _points(found)
    rows = []
    for name, variable in found.data_vars.items():
        own = str(name)
        partner = own.rpartition("_")
        if (partner[2] in ("error", "exact") and partner[0] in found) or not _is_number(variable, points):
            continue
        values = {"value": variable} | {of: found[f"{own}_{of}"] for of in ("error", "exact") if f"{own}_{of}" in found}
        table = xr.Dataset(values).expand_dims(observable=[own])
        frame = table.drop_vars(set(table.coords) - {"observable", *points}, errors="ignore").to_dataframe()
        rows.append(frame.assign(unit=str(variable.attrs.get("units", ""))))
    columns = ["value", "error", "exact", "unit"]
    return pd.concat(rows).reindex(columns=columns) if rows else pd.DataFrame(columns=columns)


def _points(found: xr.Dataset) -> tuple[Hashable, ...]:
    """The dims over which most numbers of it are: none of an evaluation, the keys of a sweep."""
    dims = [variable.dims for name, variable in found.data_vars.items() if f"{name}_error" in found]
    return max(dims, key=dims.count, default=())


def _is_number(variable: xr.DataArray, points: tuple[Hashable, ...]) -> bool:
    return variable.dims == points and np.issubdtype(variable.dtype, np.number)
