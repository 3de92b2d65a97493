"""What sits on the sites of a Dataset, and the colours that it is drawn in."""

from __future__ import annotations

from math import pi
from typing import Any

import numpy as np
import xarray as xr
from plotly.colors import cyclical, sample_colorscale

from flowlab.core.datasets import kind_of
from flowlab.figures.shared.style import FIELD_SCALE, MINUS, PLUS, SPIN_SCALE, rounded_up

STATE_COLORS = [MINUS, PLUS, "#4f8a3c", "#84517b", "#c4622d", "#8f9ba5", "#7fb0c3", "#22303c"]
"""Of the states 0, 1, ...; beyond these they are taken from a circle of colours."""
ANGLE_SCALE = [[k / 12, color] for k, color in enumerate(sample_colorscale(cyclical.Twilight, 13))]
"""Cyclic scale of an angle from -π to π, the same colour at both ends."""


def site_colors(data: xr.Dataset, values: xr.DataArray) -> dict[str, Any]:
    """Scale, limits and bar of a heat map of configurations: the limits of a field are those of ``values``."""
    kind = kind_of(data)
    bar: dict[str, Any] = dict(thickness=10, len=0.5, outlinewidth=0, title=dict(text=kind.symbol, side="top"))
    if kind.scale == "categorical":
        q = data.attrs["q"]
        bar |= dict(tickvals=list(range(q)), ticktext=[str(k) for k in range(q)])
        return dict(colorscale=state_scale(q), zmin=-0.5, zmax=q - 0.5, colorbar=bar)
    if kind.scale == "cyclic":
        bar |= dict(tickvals=[-pi, 0.0, pi], ticktext=["−π", "0", "π"])
        return dict(colorscale=ANGLE_SCALE, zmin=-pi, zmax=pi, colorbar=bar)
    if kind.discrete:
        bar |= dict(tickvals=[-0.5, 0.5], ticktext=["−1", "+1"])
        return dict(colorscale=SPIN_SCALE, zmin=-1.0, zmax=1.0, colorbar=bar)
    size = np.abs(np.asarray(values, dtype=float))
    size = size[np.isfinite(size)]
    limit = rounded_up(float(size.max()), 0.5) if len(size) else 1.0
    return dict(colorscale=FIELD_SCALE, zmin=-limit, zmax=limit, colorbar=bar)


def state_scale(q: int) -> list[list[Any]]:
    """A scale in q steps, one colour a state.

    >>> [[round(place, 2), color] for place, color in state_scale(2)]
    [[0.0, '#2f5d8a'], [0.5, '#2f5d8a'], [0.5, '#e6a94f'], [1.0, '#e6a94f']]
    """
    colors = STATE_COLORS[:q]
    if q > len(STATE_COLORS):
        colors = sample_colorscale(cyclical.HSV, [k / q for k in range(q)])
    return [[(k + end) / q, color] for k, color in enumerate(colors) for end in (0, 1)]
