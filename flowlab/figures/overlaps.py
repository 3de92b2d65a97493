"""How alike two configurations are: P(q) after each layer beside parallel tempering, and where the valleys appear."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from flowlab.figures.shared.bound import as_float
from flowlab.figures.shared.explaining import measuring
from flowlab.figures.shared.style import COLORS, GRID, band_color, number, styled

Array = NDArray[np.float64]


def overlap_distribution(layers: xr.Dataset | None, layer: int = -1, reference: xr.Dataset | None = None) -> go.Figure:
    """P(q) after one layer beside that of the latent, of parallel tempering and the exact one; and against the layer
    the Binder cumulant and the dip of P(q) at q = 0, which show where in the flow the valleys part.

    Bands and bars are one standard error. The curves are densities, so that those of different bins compare.

    Args:
        layers: what ``Experiment.layers`` returns, or :func:`flowlab.analysis.measure_overlaps` of it; None for a
            reference alone.
        layer: which layer, 0 is the latent; negative counts from the end.
        reference: what ``Experiment.reference`` returns, or :func:`flowlab.analysis.measure_overlaps` of it.

    Raises:
        IndexError: for a layer that is not there.
    """
    model = None if layers is None else _measured(layers)
    known = None if reference is None else _measured(reference)
    if model is None:
        figure = make_subplots(rows=1, cols=1)
    else:
        layer = _checked(model, layer)
        figure = make_subplots(
            rows=2, cols=2, specs=[[{"rowspan": 2}, {}], [None, {}]], column_widths=[0.62, 0.38],
            horizontal_spacing=0.1, vertical_spacing=0.07, subplot_titles=["", "the transition inside the flow", ""],
        )  # fmt: skip
        figure.update_annotations(font_size=12)
        _add_density(figure, "latent", model.isel(layer=0))
        _add_density(figure, "this layer", model.isel(layer=layer))
    _add_density(figure, "parallel tempering", known)
    _add_exact(figure, known)
    drawn = [m[name].values.ravel() for m in (model, known) if m is not None for name in DENSITIES if name in m]
    highest = float(np.nanmax(np.concatenate([*drawn, [0.0]]))) or 1.0
    figure.update_xaxes(title_text="overlap q", range=[-1.04, 1.04], row=1, col=1)
    figure.update_yaxes(title_text="P(q)", range=[0.0, 1.06 * highest], row=1, col=1)
    if model is not None:
        for row, name in ((1, "overlap_binder"), (2, "overlap_dip")):
            _add_against_layer(figure, model, layer, known, name, row)
        figure.update_xaxes(title_text="layer", row=2, col=2)
        figure.update_xaxes(showticklabels=False, row=1, col=2)
    figure.update_layout(legend=dict(x=1.0 if model is None else 0.56))
    return styled(figure, title=_title(model, layer, known), height=420)


AXES = {"overlap_binder": "Binder cumulant", "overlap_dip": "dip at q = 0"}
DENSITIES = ("density", "density_exact")


def _measured(data: xr.Dataset) -> xr.Dataset:
    return data if "density" in data else measuring("measure_overlaps")(data)


def _checked(model: xr.Dataset, layer: int) -> int:
    size = model.sizes["layer"]
    if not -size <= layer < size:
        raise IndexError(f"layer must be below {size}, the number there are, got {layer}")
    return layer % size


def _title(model: xr.Dataset | None, layer: int, known: xr.Dataset | None) -> str:
    parts = ["overlap distribution"]
    if model is not None:
        parts.append(f"layer {layer} of {model.sizes['layer'] - 1} · {model['layer_name'].values[layer]}")
        T = as_float(model.attrs.get("T"))
        if np.isfinite(T):
            parts.append(f"T = {number(T, digits=4)}")
    if known is not None:
        here = as_float(known.attrs.get("T"))
        if model is None or here != as_float(model.attrs.get("T")):
            parts.append(f"parallel tempering at T = {number(here, digits=4)}")
    return " · ".join(parts)


def _add_density(figure: go.Figure, name: str, one: xr.Dataset | None) -> None:
    """A curve of one layer or of a reference; with its band, unless it is the latent's dotted line."""
    cell = dict(row=1, col=1)
    q = value = error = np.array([])
    if one is not None:
        q, value, error = (np.asarray(one[v], dtype=float) for v in ("q", "density", "density_error"))
        seen = np.isfinite(value)
        q, value, error = q[seen], value[seen], np.where(value > 0, np.nan_to_num(error), 0.0)[seen]
    color = {"this layer": "model"}.get(name, name)
    line = dict(color=COLORS[color], width=2)
    if name == "latent":
        line |= dict(width=1.4, dash="dot")
    else:
        figure.add_scatter(
            x=np.concatenate([q, q[::-1]]), y=np.concatenate([value + error, np.maximum(value - error, 0.0)[::-1]]),
            fill="toself", fillcolor=band_color(color, 0.3), mode="lines", line_width=0, hoverinfo="skip",
            showlegend=False, name=f"{name} ±1 standard error", **cell,
        )  # fmt: skip
    fill = dict(fill="tozeroy", fillcolor=band_color(color, 0.13)) if name == "this layer" else {}
    figure.add_scatter(
        x=q, y=value, mode="lines", line=line, name=name, customdata=error, **fill, **cell,
        hovertemplate=f"{name}<br>q = %{{x:.3f}}<br>P = %{{y:.3f}} ± %{{customdata:.3f}}<extra></extra>",
    )  # fmt: skip


def _add_exact(figure: go.Figure, known: xr.Dataset | None) -> None:
    q, value = np.array([]), np.array([])
    if known is not None and "density_exact" in known:
        q, value = (np.asarray(known[v], dtype=float) for v in ("q", "density_exact"))
    figure.add_scatter(
        x=q, y=value, mode="lines+markers", line=dict(color=COLORS["exact"], width=1.4, dash="dash"), marker_size=4,
        name="exact", showlegend=bool(len(q)), hovertemplate="exact<br>q = %{x:.3f}<br>P = %{y:.4f}<extra></extra>",
        row=1, col=1,
    )  # fmt: skip


def _add_against_layer(
    figure: go.Figure, model: xr.Dataset, layer: int, known: xr.Dataset | None, name: str, row: int
) -> None:
    """The values of all layers with the one on show filled, and that of the reference as a level with its band."""
    cell = dict(row=row, col=2)
    blank: Array = np.array([])
    at, names = np.arange(model.sizes["layer"]), np.asarray(model["layer_name"])
    value, error = np.asarray(model[name], dtype=float), np.nan_to_num(model[f"{name}_error"])
    ends, level, width = np.array([-0.4, max(len(at) - 0.6, 0.4)]), np.nan, 0.0
    if known is not None:
        level, width = float(known[name]), float(np.nan_to_num(known[f"{name}_error"]))
    there = np.isfinite(level)
    corners = np.array([level - width, level - width, level + width, level + width]) if there else blank
    figure.add_scatter(
        x=ends[[0, 1, 1, 0]] if there else blank, y=corners, fill="toself", mode="lines", line_width=0,
        fillcolor=band_color("parallel tempering", 0.3), hoverinfo="skip", showlegend=False, **cell,
    )  # fmt: skip
    figure.add_scatter(
        x=ends if there else blank, y=np.array([level, level]) if there else blank, mode="lines", showlegend=False,
        line=dict(color=COLORS["parallel tempering"], width=2), name="parallel tempering",
        hovertemplate=f"parallel tempering<br>{number(level, width)}<extra></extra>", **cell,
    )  # fmt: skip
    figure.add_scatter(
        x=at, y=value, error_y=dict(array=error, color=COLORS["model"], thickness=1.2, width=4), text=names,
        mode="lines+markers", line=dict(color=COLORS["model"], width=1.4), showlegend=False, name="model",
        marker=dict(size=9, color=["white" if k != layer else COLORS["model"] for k in range(len(at))],
                    line=dict(color=COLORS["model"], width=1.6)),
        hovertemplate="layer %{x} · %{text}<br>%{y:.4f} ± %{error_y.array:.4f}<extra></extra>", **cell,
    )  # fmt: skip
    shown = np.concatenate([value - error, value + error, corners, [0.0]])
    low, high = float(np.nanmin(shown)), float(np.nanmax(shown))
    pad = 0.08 * (high - low) or 0.1
    figure.update_yaxes(title_text=AXES[name], range=[low - pad, high + pad], zeroline=True, zerolinecolor=GRID, **cell)
    figure.update_xaxes(range=[float(ends[0]), float(ends[1])], dtick=max(1, len(at) // 8), **cell)
