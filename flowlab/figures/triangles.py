"""Triangles of three configurations after each layer, beside those of parallel tempering: is the space ultrametric?"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from flowlab.core.names import TRIANGLE_KINDS, Convention
from flowlab.figures.shared.explaining import measuring
from flowlab.figures.shared.sites import sites_of, without_nan
from flowlab.figures.shared.style import COLORS, DENSITY_SCALE, INK, MARK, QUIET, SPIN_SCALE, gaps, number, styled

Array = NDArray[np.float64]
DISTANCE = {"signed": "d = (1 − q)/2", "folded": "d = (1 − |q|)/2"}
CELLS = 80
MODEL, TEMPERING = "model", "parallel tempering"


def triangle_cloud(
    layers: xr.Dataset | None,
    layer: int = -1,
    reference: xr.Dataset | None = None,
    convention: Convention = "signed",
    tol: float = 0.05,
) -> go.Figure:
    """Triangles by d_mid - d_min and d_max - d_mid after one layer and of parallel tempering; how many of each kind.

    Dashed lines part the kinds: equilateral in the corner, isosceles along the horizontal axis (both ultrametric),
    inverted along the vertical axis, scalene between. Bars have one standard error.

    Args:
        layers: what ``Experiment.layers`` returns, or :func:`flowlab.analysis.measure_triangles` of it; None for a
            reference alone.
        layer: which layer, 0 is the latent; negative counts from the end.
        reference: what ``Experiment.reference`` returns, or :func:`flowlab.analysis.measure_triangles` of it.
        convention: "signed", d = (1 - q)/2, or "folded", d = (1 - |q|)/2, which takes s and -s for one state; measured
            Datasets have their own.
        tol: sides that differ by at most so much count as equal.

    Raises:
        IndexError: for a layer that is not there.
    """
    model = None if layers is None else _measured(layers, convention)
    known = None if reference is None else _measured(reference, convention)
    found = [m for m in (model, known) if m is not None]
    convention = found[0].attrs["convention"] if found else convention
    if model is not None and not -model.sizes["layer"] <= layer < model.sizes["layer"]:
        raise IndexError(f"layer must be below {model.sizes['layer']}, the number there are, got {layer}")
    here = None if model is None else model.isel(layer=layer)
    clouds = {TEMPERING: known} if layers is None else {MODEL: here, TEMPERING: known}
    count = len(clouds)
    figure = make_subplots(
        rows=1, cols=count + 1, column_widths=[0.34] * count + [0.32], horizontal_spacing=0.075,
        subplot_titles=[*(f"<span style='color:{COLORS[name]}'><b>{name}</b></span>" for name in clouds),
                        f"fractions, tolerance {tol:g}"],
    )  # fmt: skip
    figure.update_annotations(font_size=12)
    width, far = _cells(found)
    dense = max([_histogram(m, width, far).max(initial=0.0) for m in found], default=0.0)
    for column, (name, measured) in enumerate(clouds.items(), start=1):
        _add_cloud(figure, name, measured, width, far, column)
        _add_kinds(figure, far, tol, column)
        _add_bars(figure, name, measured, tol, count + 1)
    top = float(dense) ** 0.5 or 1.0
    figure.update_layout(coloraxis=dict(colorscale=DENSITY_SCALE, cmin=0.0, cmax=top, showscale=False))
    figure.update_yaxes(title_text="fraction of triangles", range=[0.0, 1.05], row=1, col=count + 1)
    figure.update_xaxes(tickangle=0, tickfont_size=9, row=1, col=count + 1)
    title = f"triangles · {_where(model, layer)}{convention}, {DISTANCE[convention]}"
    return styled(figure, title=title, height=390, dragmode="select", barmode="group", showlegend=False,
                  margin=dict(l=62, r=20, t=78, b=52))  # fmt: skip


def triangle(corners: xr.DataArray, convention: Convention = "signed") -> go.Figure:
    """The three configurations of a triangle and their overlaps; dots mark the spins that differ from those of a.

    Args:
        corners: (corner, *dims) three configurations of ±1 spins, a, b and c.
        convention: how distances are measured, see :func:`triangle_cloud`.
    """
    if not isinstance(corners, xr.DataArray):
        needs = "the three configurations of a triangle, as run.layers(n).configuration has them"
        raise TypeError(f"figures.triangle takes a DataArray of {needs}, got {type(corners).__name__}")
    sites = sites_of(corners.rename({corners.dims[0]: "sample"}))
    a, b, c = s = np.asarray(corners, dtype=float).reshape(3, -1)
    q = {"ab": float(np.mean(a * b)), "ac": float(np.mean(a * c)), "bc": float(np.mean(b * c))}
    text = {pair: f"q<sub>{pair}</sub> = {number(round(value, 3), digits=3)}" for pair, value in q.items()}
    titles = ["a", f"b · {text['ab']}", f"c · {text['ac']} · {text['bc']}"]
    figure = make_subplots(rows=1, cols=3, horizontal_spacing=0.03, subplot_titles=titles)
    for column, values in enumerate(s, start=1):
        cell = dict(row=1, col=column)
        figure.add_heatmap(
            z=without_nan(sites.picture(values)), zmin=-1, zmax=1, colorscale=SPIN_SCALE, showscale=False,
            text=sites.labels(), hoverongaps=False, hovertemplate="%{text}: %{z:+d}<extra></extra>", **cell,
            **gaps(max(sites.rows, sites.columns), pixels=190),
        )  # fmt: skip
        differs = values != a
        size = min(8.0, 0.3 * 190 / max(sites.rows, sites.columns))
        figure.add_scatter(
            x=sites.column[differs], y=sites.row[differs], mode="markers", hoverinfo="skip", showlegend=False,
            marker=dict(size=max(size, 2.5), color="white", line=dict(color=MARK, width=0.8)), **cell,
        )  # fmt: skip
        look = dict(showgrid=False, showline=False, showticklabels=False, ticks="", constrain="domain")
        figure.update_xaxes(range=[-0.5, sites.columns - 0.5], **look, **cell)
        anchor = next(figure.select_xaxes(**cell)).plotly_name.replace("xaxis", "x")
        figure.update_yaxes(range=[-0.5, sites.rows - 0.5], scaleanchor=anchor, **look, **cell)
    figure.update_annotations(font_size=12)
    d = {pair: (1 - (abs(v) if convention == "folded" else v)) / 2 for pair, v in q.items()}
    sides = " · ".join(f"d<sub>{pair}</sub> = {number(round(v, 3), digits=3)}" for pair, v in d.items())
    return styled(figure, title=f"one triangle · {sides}", height=290, margin=dict(l=16, r=16, t=64, b=8))


def _measured(data: xr.Dataset, convention: Convention) -> xr.Dataset:
    return data if "distances" in data else measuring("measure_triangles")(data, convention)


def cloud_of(measured: xr.Dataset) -> tuple[Array, Array]:
    """d_mid - d_min and d_max - d_mid of every triangle of one layer or of a reference."""
    d = np.asarray(measured["distances"], dtype=float)
    return d[..., 1] - d[..., 0], d[..., 2] - d[..., 1]


def _cells(found: list[xr.Dataset]) -> tuple[float, tuple[float, float]]:
    """The width of a cell, a multiple of the smallest difference 1/N, and how far both axes go."""
    if not found:
        return 0.02, (1.0, 0.5)
    n_sites = int(found[0].attrs["n_sites"])
    far = [max(0.1, *(float(np.nanmax(cloud_of(m)[k], initial=0.0)) for m in found)) for k in (0, 1)]
    step = max(1, -(-round(max(far) * n_sites) // CELLS))
    return step / n_sites, (far[0], far[1])


def _histogram(measured: xr.Dataset, width: float, far: tuple[float, float]) -> Array:
    """(..., rows, columns) fraction of a layer's triangles in each cell."""
    u, v = cloud_of(measured)
    rows, columns = (int(np.floor(f / width + 1e-6)) + 1 for f in far[::-1])
    flat = np.reshape(u, (-1, u.shape[-1])), np.reshape(v, (-1, v.shape[-1]))
    counts = np.zeros((len(flat[0]), rows, columns))
    for k, (x, y) in enumerate(zip(*flat, strict=True)):
        seen = np.isfinite(x)
        i, j = (np.floor(each[seen] / width + 1e-6).astype(int) for each in (y, x))
        np.add.at(counts[k], (i, j), 1.0 / max(1, len(x)))
    return counts.reshape(*u.shape[:-1], rows, columns)


def _add_cloud(
    figure: go.Figure, name: str, measured: xr.Dataset | None, width: float, far: tuple[float, float], column: int
) -> None:
    """The cells, and an unseen point in each that is not empty, for a person to select."""
    cell = dict(row=1, col=column)
    smallest = 0.0 if measured is None else 1.0 / measured.attrs["n_sites"]
    fraction = np.zeros((1, 1)) if measured is None else _histogram(measured, width, far)
    at_x, at_y = (np.arange(k) * width + (width - smallest) / 2 for k in fraction.shape[::-1])
    edge = -smallest / 2
    i, j = np.nonzero(fraction)
    figure.add_heatmap(
        x=at_x, y=at_y, z=np.sqrt(fraction), coloraxis="coloraxis", hoverinfo="skip", name=f"{name}, cells", **cell
    )
    figure.add_scatter(
        x=at_x[j], y=at_y[i], mode="markers", name=name, customdata=fraction[i, j],
        marker=dict(symbol="circle-open", size=6, color=INK, opacity=0), selected_marker_opacity=0.8,
        unselected_marker_opacity=0,
        hovertemplate="d<sub>mid</sub> − d<sub>min</sub> ≈ %{x:.3f}<br>d<sub>max</sub> − d<sub>mid</sub> ≈ %{y:.3f}"
        "<br>%{customdata:.4f} of the triangles<extra></extra>", **cell,
    )  # fmt: skip
    figure.update_xaxes(title_text="d<sub>mid</sub> − d<sub>min</sub>", range=[edge, far[0] + width],
                        showgrid=False, **cell)  # fmt: skip
    figure.update_yaxes(title_text="d<sub>max</sub> − d<sub>mid</sub>" if column == 1 else "",
                        range=[edge, far[1] + width], showgrid=False, **cell)  # fmt: skip


def _add_kinds(figure: go.Figure, far: tuple[float, float], tol: float, column: int) -> None:
    """Where one kind of triangle ends and the next begins."""
    x, y = 2 * far[0], 2 * far[1]
    figure.add_scatter(
        x=[0, tol, None, 0, x, None, tol, tol], y=[tol, 0, None, tol, tol, None, tol, y], mode="lines",
        line=dict(color=QUIET, width=1, dash="dot"), hoverinfo="skip", row=1, col=column,
    )  # fmt: skip
    places = (("isosceles", far[0], tol / 2, "right", "middle", 0), ("scalene", far[0], far[1], "right", "top", 0),
              ("inverted", tol / 2, far[1], "center", "top", -90))  # fmt: skip
    for text, x, y, xanchor, yanchor, angle in places:
        figure.add_annotation(
            text=text, x=x, y=y, xanchor=xanchor, yanchor=yanchor, textangle=angle, showarrow=False,
            font=dict(size=11, color=QUIET), bgcolor="rgba(255,255,255,0.75)", borderpad=1, row=1, col=column,
        )  # fmt: skip


def _add_bars(figure: go.Figure, name: str, measured: xr.Dataset | None, tol: float, column: int) -> None:
    value, error = np.full(4, np.nan), np.zeros(4)
    if measured is not None:
        found = measuring("measure_triangle_fractions")(measured, tol)
        value, error = (np.nan_to_num(found[f"triangle_fraction{suffix}"].values) for suffix in ("", "_error"))
    figure.add_bar(
        x=list(TRIANGLE_KINDS), y=np.nan_to_num(value), error_y=dict(array=error, thickness=1.2, width=4, color=INK),
        name=name,
        marker_color=COLORS[name], unselected_marker_opacity=1.0,
        hovertemplate=f"{name}<br>%{{x}} %{{y:.4f}} ± %{{error_y.array:.4f}}<extra></extra>",
        row=1, col=column,
    )  # fmt: skip


def _where(model: xr.Dataset | None, layer: int) -> str:
    if model is None:
        return ""
    layer %= model.sizes["layer"]
    return f"layer {layer} of {model.sizes['layer'] - 1} · {model['layer_name'].values[layer]} · "
