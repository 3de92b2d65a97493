"""What each layer does to the free energy."""

from __future__ import annotations

from math import isfinite
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from numpy.typing import NDArray

from flowlab.core.datasets import layer_names
from flowlab.figures.shared.bound import as_float
from flowlab.figures.shared.style import COLORS, INK, QUIET, number, styled

Array = NDArray[np.float64]
WITH_NUMBERS = 5  # layers whose names and numbers have room beside each other


class LayerChange(NamedTuple):
    """How much a layer changes the bound; arrays (L,), the latents have no entry.

    Attributes:
        value, error: of the change, from differences on the same samples.
        axis: its axis label with the unit.
    """

    value: Array
    error: Array
    axis: str


def delta_free_energy(layers: xr.Dataset, layer: int | None = None) -> go.Figure:
    """The change of the free-energy bound per site over each layer; below zero a layer pays. Bars: one standard error.

    A layer may raise the bound: only all of them together are trained to lower it.

    Args:
        layers: what ``Experiment.diagnose(parts=["work"])`` returns, whose numbers are in the gauge in which all-up
            stays all-up; or what ``Experiment.layers`` returns, as the density has its spins.
        layer: a layer to stand out; None or 0 for none.
    """
    change = layer_change(layers)
    shown = range(1, len(change.value) + 1)
    names = [f"{k} · {name}" for k, name in enumerate(layer_names(layers))][1:]
    if len(change.value) <= WITH_NUMBERS:
        names = [f"{name}<br>{number(*pair)}" for name, *pair in zip(names, change.value, change.error, strict=False)]
    else:
        names = [str(k) for k in shown]
    figure = go.Figure()
    figure.add_bar(
        x=names, y=change.value, width=0.55, name="ΔF",
        error_y=dict(array=change.error, color=INK, thickness=1.2, width=5),
        marker_color=[COLORS["bound"] if layer in (None, 0, k) else COLORS["earlier"] for k in shown],
        hovertemplate="%{x}<br>%{y:.6f} ± %{error_y.array:.6f}<extra></extra>",
    )  # fmt: skip
    if not names:
        figure.add_annotation(text="no changes yet", x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False,
                              font_color=QUIET)  # fmt: skip
    figure.update_xaxes(type="category", title_text="layer")
    figure.update_yaxes(title_text=change.axis, zeroline=True, zerolinecolor=INK, exponentformat="power")
    gauge = " · in the gauge that keeps all-up" if "delta_free_energy_per_site" in layers else ""
    title = f"change of the bound over each layer{gauge}"
    return styled(figure, title=title, height=250, showlegend=False, margin=dict(l=84, r=24, t=48, b=44))


def layer_change(layers: xr.Dataset) -> LayerChange:
    """The change over each layer; of -ln Z per site in nats where the Dataset has no temperature.

    >>> d = xr.Dataset({"log_weight": (("layer", "sample"), [[1.0, 2.0], [3.0, 4.0]]),
    ...                 "log_q": (("layer", "sample"), [[0.0, 0.0], [0.0, 0.0]])}, attrs={"n_sites": 4, "T": 2.0})
    >>> layer_change(d).value.tolist(), layer_change(d).error.tolist()
    ([-1.0], [0.0])
    """
    T = as_float(layers.attrs.get("T"))
    axis = "ΔF<sub>l</sub>/N (J)" if isfinite(T) else "−Δ ln Z<sub>l</sub>/N (nats)"
    if "delta_free_energy_per_site" in layers:
        value = np.asarray(layers["delta_free_energy_per_site"], dtype=float)
        error = np.asarray(layers["delta_free_energy_per_site_error"], dtype=float)
        return LayerChange(value[1:], error[1:], axis)
    if "log_weight" not in layers or layers.sizes["layer"] < 2:
        return LayerChange(np.zeros(0), np.zeros(0), axis)
    n_sites = float(layers.attrs["n_sites"])
    log_w = np.asarray(layers["log_weight"] - layers["log_q"], dtype=float)
    change = -np.diff(log_w, axis=0) * (T if isfinite(T) else 1.0) / n_sites
    return LayerChange(change.mean(1), change.std(1, ddof=1) / np.sqrt(change.shape[1]), axis)
