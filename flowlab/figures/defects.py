"""A configuration with a defect on its way back through the layers, to its latents."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from plotly.subplots import make_subplots

from flowlab.core.datasets import layer_names
from flowlab.figures.shared.sites import sites_of, without_nan
from flowlab.figures.shared.style import COLORS, MARK, SPIN_SCALE, gaps, styled

ACROSS = 6


def defect_overview(defect: xr.Dataset, name: str = "") -> go.Figure:
    """The configuration with the defect, its wall length, and the number of sites that differ from it, by layer.

    Args:
        defect: one defect of ``Experiment.diagnose(parts=["defects"])``, as ``.sel(defect="island")`` gives it, or
            :func:`flowlab.analysis.measure_defect` of a configuration of one's own.
        name: of the defect.
    """
    s = np.asarray(defect["defect_configuration"], dtype=float)
    figure = make_subplots(rows=1, cols=3, column_widths=[0.36, 0.32, 0.32], horizontal_spacing=0.09)
    add_spins(figure, s[-1], np.zeros(s[-1].shape, dtype=bool), pixels=260, row=1, col=1)
    _add_curves(figure, defect, first=2)
    title = f"{name or 'defect'} · backwards through the layers"
    return styled(figure, title=title, height=340, showlegend=False, dragmode=False,
                  margin=dict(l=40, r=16, t=56, b=52))  # fmt: skip


def defect_curves(defect: xr.Dataset) -> go.Figure:
    """The wall length, and the number of sites that differ from the defect, after each layer on the way back.

    Args:
        defect: see :func:`defect_overview`.
    """
    figure = make_subplots(rows=1, cols=2, horizontal_spacing=0.14)
    _add_curves(figure, defect, first=1)
    return styled(figure, title="backwards through the layers", height=330, showlegend=False, dragmode=False)


def defect_strip(defect: xr.Dataset) -> go.Figure:
    """The configuration after each layer on the way back, sample first, latents last; dots: what changed.

    Args:
        defect: see :func:`defect_overview`.
    """
    s = np.asarray(defect["defect_configuration"], dtype=float)[::-1]
    rows = -(-len(s) // ACROSS)
    across = min(len(s), ACROSS)
    figure = make_subplots(
        rows=rows, cols=across, horizontal_spacing=0.02, vertical_spacing=0.16 / rows, subplot_titles=_stops(defect)
    )
    figure.update_annotations(font_size=12)
    for k, spins in enumerate(s):
        before = s[max(k - 1, 0)]
        changed = (spins != before) & np.isfinite(spins) & np.isfinite(before)
        cell = dict(row=k // across + 1, col=k % across + 1)
        add_spins(figure, spins, changed, pixels=900 // max(across, 4), **cell)
    figure.update_xaxes(showticklabels=False, ticks="")
    figure.update_yaxes(showticklabels=False, ticks="")
    title = "the way back to the latents · dots: changed from the one before"
    return styled(figure, title=title, height=76 + rows * 180, showlegend=False, dragmode=False,
                  margin=dict(l=16, r=16, t=68, b=8))  # fmt: skip


def _stops(defect: xr.Dataset) -> list[str]:
    """What is seen on the way back: the sample, what each layer but the last had made, the latents."""
    names = layer_names(defect)
    return [f"{k} · {names[k] if k < len(names) - 1 else 'sample'}" for k in reversed(range(len(names)))]


def _add_curves(figure: go.Figure, defect: xr.Dataset, *, first: int) -> None:
    """Wall length and differing sites by layer, in two columns."""
    s = defect["defect_configuration"]
    layer = np.arange(len(s))[::-1]
    stops = ["sample" if k == layer[0] else "latent" if k == 0 else str(k) for k in layer]
    rows = {
        "defect_wall_length": ("wall length (lattice spacings)", COLORS["current"]),
        "defect_flipped_sites": ("sites that differ from the defect", COLORS["entropy"]),
    }
    for column, (variable, (label, color)) in enumerate(rows.items(), start=first):
        value = np.asarray(defect[variable], dtype=float)[::-1]
        top = float(np.nanmax(value, initial=0.0))
        figure.add_scatter(
            x=layer, y=[float(v) if np.isfinite(v) else None for v in value], mode="lines+markers",
            line=dict(color=color, width=2), marker_size=8, hovertemplate="layer %{x}<br>%{y:d}<extra></extra>",
            row=1, col=column,
        )  # fmt: skip
        figure.update_yaxes(title_text=label, range=[-0.05 * max(top, 4.0), 1.12 * max(top, 4.0)], row=1, col=column)
        figure.update_xaxes(
            title_text="after layer, on the way back", range=[layer[0] + 0.4, -0.4], tickvals=layer, ticktext=stops,
            row=1, col=column,
        )  # fmt: skip


def add_spins(figure: go.Figure, spins: np.ndarray, marked: np.ndarray, *, pixels: int, **cell: Any) -> None:
    """A heat map of spins (y, x) with dots on the marked sites, on axes of square sites that nobody can zoom."""
    sites = sites_of(xr.DataArray(spins[None], dims=("sample", "y", "x")))
    figure.add_heatmap(
        z=without_nan(spins), zmin=-1, zmax=1, colorscale=SPIN_SCALE, showscale=False, hoverongaps=False,
        text=sites.labels(), hovertemplate="%{text}: %{z:+d}<extra></extra>", **gaps(max(spins.shape), pixels), **cell,
    )  # fmt: skip
    y, x = np.nonzero(marked)
    size = min(12.0, max(3.0, 0.3 * pixels / max(spins.shape)))
    figure.add_scatter(
        x=x, y=y, mode="markers", hoverinfo="skip",
        marker=dict(size=size, color="white", line=dict(color=MARK, width=1.2 if size > 5 else 0.7)), **cell,
    )  # fmt: skip
    look: dict[str, Any] = dict(constrain="domain", showgrid=False, showline=False, fixedrange=True)
    anchor = next(figure.select_xaxes(**cell)).plotly_name.replace("xaxis", "x")
    figure.update_xaxes(range=[-0.5, spins.shape[1] - 0.5], **look, **cell)
    figure.update_yaxes(range=[-0.5, spins.shape[0] - 0.5], scaleanchor=anchor, **look, **cell)
