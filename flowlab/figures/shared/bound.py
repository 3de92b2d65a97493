"""The bound that training lowers, per site, in the unit a physicist asks for."""

from __future__ import annotations

import re
from math import isfinite, nan
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from flowlab.figures.shared.style import number


class BoundPerSite(NamedTuple):
    """The bound of a Dataset per site.

    Attributes:
        value, error: as long as ``log_z_bound``; the free-energy bound -T ln Z_bound / N (an upper bound), or
            ln Z_bound / N (a lower bound) where the Dataset has no temperature.
        exact: the exact value, NaN where unknown.
        name: what it is, e.g. for a title.
        axis: its axis label with the unit.
    """

    value: NDArray[np.float64]
    error: NDArray[np.float64]
    exact: float
    name: str
    axis: str


def bound_per_site(data: xr.Dataset) -> BoundPerSite:
    """The bound of ``data`` (``log_z_bound`` and its error; attrs ``n_sites``, ``T``, ``log_z_exact``) per site.

    >>> d = xr.Dataset({"log_z_bound": ("step", [8.0])}, attrs={"n_sites": 4, "T": 2.0, "log_z_exact": 10.0})
    >>> float(bound_per_site(d).value[0]), bound_per_site(d).exact
    (-4.0, -5.0)
    """
    if "log_z_bound" not in data:
        raise ValueError(
            f"expected what a training records, log_z_bound and ess, got {', '.join(map(str, data.data_vars))}"
        )
    n_sites = float(data.attrs["n_sites"])
    temperature = as_float(data.attrs.get("T"))
    value = np.asarray(data["log_z_bound"], dtype=float)
    error = np.asarray(data.get("log_z_bound_error", np.full(value.shape, nan)), dtype=float)
    exact = as_float(data.attrs.get("log_z_exact"))
    if isfinite(temperature):
        unit = -temperature / n_sites
        name, axis = "free-energy bound per site", "free energy per site, F/N (J)"
    else:
        unit = 1.0 / n_sites
        name, axis = "lower bound on ln Z per site", "ln Z / N (nats)"
    return BoundPerSite(unit * value, abs(unit) * error, unit * exact, name, axis)


def as_float(value: object) -> float:
    """A finite attribute as a float, NaN where it is missing or None."""
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return nan


def run_label(data: xr.Dataset) -> str:
    """What tells one run from another in a legend: its temperature or coupling where it has one.

    >>> run_label(xr.Dataset(attrs={"system": "φ⁴ 6 × 6, β = 0.8, λ = 0.5", "kappa": 0.4}))
    'β = 0.8'
    """
    if told := data.attrs.get("legend"):
        return str(told)
    if spelled := re.search("β = [^,]+", str(data.attrs.get("system", ""))):
        return spelled[0]
    for name, symbol in (("T", "T"), ("kappa", "κ")):
        value = as_float(data.attrs.get(name))
        if isfinite(value):
            return f"{symbol} = {number(value, digits=4)}"
    return str(data.attrs.get("label") or data.attrs.get("study") or data.attrs.get("system") or "run")
