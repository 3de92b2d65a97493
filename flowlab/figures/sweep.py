"""What many runs of a study found, against the values of a key."""

from __future__ import annotations

import itertools

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from flowlab.core.names import named
from flowlab.figures.shared.style import COLORS, EARLIER, INK, message, number, styled

CURVE_COLORS = (COLORS["bound"], *EARLIER[1:], EARLIER[0])
MOST_CURVES = 8
_OF_LOG_Z = (
    "log_z",
    "log_z_bound",
    "free_energy",
    "free_energy_bound",
    "free_energy_per_site",
    "free_energy_bound_per_site",
)


def quantities(found: xr.Dataset) -> list[str]:
    """The names of the numbers of a sweep that can be drawn: free energy, bound and ESS first.

    >>> data = xr.Dataset({"ess": ("T", [0.5]), "ess_error": ("T", [0.1]), "state": ("T", ["finished"])}, {"T": [2.0]})
    >>> quantities(data)
    ['ess']
    """
    first = ["free_energy_per_site", "free_energy_bound_per_site", "log_z", "ess", "energy_per_site", "action_per_site"]
    names = [str(name) for name, one in found.data_vars.items() if one.dims and np.issubdtype(one.dtype, np.number)]
    names = [name for name in names if not name.endswith(("_error", "_exact"))]
    return [name for name in first if name in names] + [name for name in names if name not in first]


def phase_diagram(found: xr.Dataset, quantity: str, along: str | None = None) -> go.Figure:
    """One number of every run of a sweep with its error, against a key; a curve for each value of the other keys.

    The exact values lie beneath as a dashed line, where ln Z is known. ``customdata`` of a point is its ``run``.

    Args:
        found: what :func:`flowlab.sweep` returns.
        quantity: one of :func:`quantities`.
        along: the key on the axis, the first one where not given.

    Raises:
        ValueError: for a quantity or a key that the sweep does not have.
    """
    if quantity not in found:
        raise ValueError(f"quantity must be one of {', '.join(quantities(found))}, got {quantity!r}")
    keys = [str(key) for key in found[quantity].dims]
    along = keys[0] if along is None else along
    if along not in keys:
        raise ValueError(f"along must be one of {', '.join(keys)}, got {along!r}")
    others = [key for key in keys if key != along]
    if not np.isfinite(found[quantity]).any():
        return message("no run has finished yet", height=420)
    figure = go.Figure()
    exact = _exact(found, quantity)
    curves = list(itertools.product(*(range(found.sizes[key]) for key in others)))[:MOST_CURVES]
    for place, color in zip(curves, itertools.cycle(CURVE_COLORS)):
        at = dict(zip(others, place, strict=True))
        one = found.isel(at).sortby(along)
        name = ", ".join(f"{key} = {_spelled(found[key].values[k])}" for key, k in at.items())
        error = one.get(f"{quantity}_error")
        if exact is not None:
            figure.add_scatter(
                x=one[along].values, y=exact.isel(at).sortby(along).values, mode="lines", showlegend=False,
                line=dict(color=INK if not others else color, width=1.4, dash="dash"),
                hovertemplate="exact %{y:.6g}<extra></extra>",
            )  # fmt: skip
        figure.add_scatter(
            x=one[along].values, y=one[quantity].values, mode="lines+markers", name=name, showlegend=bool(others),
            error_y=None if error is None else dict(array=np.nan_to_num(error.values), width=3, color=color),
            line=dict(color=color, width=1.2), marker=dict(color=color, size=8),
            customdata=one["run"].values.tolist() if "run" in one else None,
            hovertemplate=f"{along} = %{{x:g}}<br>%{{y:.6g}}<br>click to open the run<extra>{name}</extra>",
        )  # fmt: skip
    long, units = named(quantity)
    axis = long if units in ("1", "") else f"{long} ({units})"
    note = " · dashed: exact" * (exact is not None)
    figure.update_xaxes(title_text=_axis(found, along))
    figure.update_yaxes(title_text=axis)
    return styled(figure, title=f"{found.attrs.get('study', 'a sweep')}{note}", height=420)


def _exact(found: xr.Dataset, quantity: str) -> xr.DataArray | None:
    """The exact values of what is a multiple of ln Z, None where they are not known."""
    if quantity not in _OF_LOG_Z or "log_z_exact" not in found:
        return None
    own = "log_z_bound" if "bound" in quantity else "log_z"
    if own not in found or not np.isfinite(found["log_z_exact"]).any():
        return None
    return found["log_z_exact"] * (found[quantity] / found[own])


def _axis(found: xr.Dataset, key: str) -> str:
    attrs = found[key].attrs
    units = attrs.get("units", "1")
    return f"{attrs.get('long_name', key)} {key}" + (f" ({units})" if units not in ("1", "") else "")


def _spelled(value: object) -> str:
    return number(float(value), digits=4) if isinstance(value, int | float | np.number) else str(value)
