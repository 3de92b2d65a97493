"""Densities that draw some sites first and others given them: what each level adds."""

from __future__ import annotations

import math

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from flowlab.core.datasets import kind_of
from flowlab.core.variables import Spins
from flowlab.figures.shared.style import COLORS, INK, QUIET, styled


def draws_in_levels(layers: xr.Dataset) -> bool:
    """Whether the layers fill in sites, NaN until they are drawn, and do not change those that are there.

    >>> draws_in_levels(xr.Dataset({"configuration": (("layer", "sample", "x"), [[[1.0, np.nan]], [[1.0, -1.0]]])}))
    True
    """
    if "configuration" not in layers:
        return False
    values = np.asarray(layers["configuration"], dtype=float)
    return bool(np.isnan(values[0]).any() and not np.isnan(values[-1]).any())


def sites_drawn(layers: xr.Dataset, name: str = "configuration") -> np.ndarray:
    """(layer,) sites that each level draws, of the physical ``configuration`` or of the density's own ``field``."""
    known = ~np.isnan(np.asarray(layers[name][:, 0], dtype=float))
    count = known.reshape(len(known), -1).sum(1)
    return np.asarray(np.diff(count, prepend=0))


def relabelled(figure: go.Figure, layers: xr.Dataset) -> go.Figure:
    """The figure, with the first level called by its name and not the latent, which there is none of."""
    if draws_in_levels(layers):
        figure.for_each_trace(lambda trace: trace.update(name=str(layers["layer_name"].values[0])), {"name": "latent"})
    return figure


def level_entropy(layers: xr.Dataset, layer: int | None = None) -> go.Figure:
    """The entropy of each level given those before, -<ln q(s_l | s_<l)> over the sites it draws; with standard errors.

    For spins ln 2, the entropy of fair coins, is dotted; of a real field it is that of a density and may be negative.
    Sites that are drawn exactly after the last level, where the target sums over them, are not counted.

    Args:
        layers: what ``Experiment.layers`` returns of a density that draws in levels.
        layer: a level to stand out; None for none.
    """
    drawn = sites_drawn(layers, "field" if "field" in layers else "configuration")
    each = -np.diff(np.asarray(layers["log_q"], dtype=float), axis=0, prepend=0.0) / drawn[:, None]
    error = each.std(1, ddof=1) / math.sqrt(each.shape[1])
    names = [f"{name}<br>{n} sites" for name, n in zip(layers["layer_name"].values, drawn, strict=True)]
    if len(names) > 8:
        names = [str(name).replace(" and ", "<br>and ") for name in layers["layer_name"].values]
    figure = go.Figure()
    figure.add_bar(
        x=names, y=each.mean(1), width=0.55, name="entropy",
        error_y=dict(array=error, color=INK, thickness=1.2, width=5),
        marker_color=[COLORS["entropy"] if layer in (None, k) else COLORS["earlier"] for k in range(len(names))],
        hovertemplate="%{x}<br>%{y:.4f} ± %{error_y.array:.4f}<extra></extra>",
    )  # fmt: skip
    if kind_of(layers) == Spins():
        figure.add_hline(
            y=math.log(2), line=dict(color=QUIET, width=1.2, dash="dot"), annotation_text="fair coins, ln 2",
            annotation_position="top right", annotation_font=dict(color=QUIET, size=11),
        )  # fmt: skip
        figure.update_yaxes(range=[0.0, 0.82])
    figure.update_xaxes(type="category", title_text="level")
    figure.update_yaxes(title_text="entropy per site (nats)", zeroline=True, zerolinecolor=INK)
    title = "what each level decides: entropy given the levels before"
    return styled(figure, title=title, height=250, showlegend=False, margin=dict(l=84, r=24, t=48, b=44))
