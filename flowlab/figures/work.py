"""What each layer does to the free energy."""

from __future__ import annotations

from math import isfinite
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from flowlab.core.datasets import layer_names
from flowlab.figures.shared.bound import as_float
from flowlab.figures.shared.style import COLORS, EARLIER, INK, QUIET, number, styled

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


def depth_overview(found: xr.Dataset, epsilon: float | None = None) -> go.Figure:
    """What flows of growing depth reach, against T: gap of F, entropy, what each layer does to F, and L*.

    Args:
        found: what ``flowlab.sweep("ising-depth", by_layer=True)`` returns, of the Ising model.
        epsilon: per site, within which L* is, in J; that of the sweep where not given.
    """
    T, entropy, exact = found["T"].values, found["base_entropy_per_site"], found["entropy_per_site_exact"]
    epsilon = float(found.attrs["epsilon"]) if epsilon is None else epsilon
    titles = ["F above the exact one, per site (J)", "entropy per site (nats)", "ΔF of each layer, per site (J)"]
    titles.append(f"smallest depth within {epsilon:g} J")
    figure = make_subplots(rows=2, cols=2, subplot_titles=titles, vertical_spacing=0.16, horizontal_spacing=0.12)
    figure.update_annotations(font_size=12)
    hues = [COLORS["bound"], *EARLIER, INK]

    def curve(row: int, col: int, name: str, values: xr.DataArray, error: xr.DataArray | None, color: str) -> None:
        bars = None if error is None else dict(array=np.nan_to_num(error.values), width=3, color=color)
        figure.add_scatter(x=T, y=values.values, error_y=bars, mode="lines+markers", name=name, legendgroup=name,
                           line=dict(color=color, width=1.4), row=row, col=col)  # fmt: skip

    for k, layers in enumerate(found["layers"].values):
        at = found.sel(layers=layers)
        curve(1, 1, f"{layers} layers", at["gap"], at["gap_error"], hues[k % len(hues)])
    if "gap_mean_field" in found:
        figure.add_scatter(x=T, y=found["gap_mean_field"].values, mode="lines", name="base alone, exact",
                           line=dict(color=INK, dash="dash", width=1.2), row=1, col=1)  # fmt: skip
    curve(1, 2, "base of the deepest", entropy, found["base_entropy_per_site_error"], COLORS["bound"])
    figure.add_scatter(x=T, y=exact.values, mode="lines", name="exact entropy",
                       line=dict(color=INK, dash="dot", width=1.4), row=1, col=2)  # fmt: skip
    for layer in found["layer"].values[1:]:
        at = found.sel(layer=layer)
        change = at["delta_free_energy_per_site"], at["delta_free_energy_per_site_error"]
        curve(2, 1, f"layer {layer}", *change, hues[int(layer) % len(hues)])
    depth = found["layers"].where(abs(found["gap"]) < epsilon).min("layers")
    curve(2, 2, "L*", depth, None, INK)
    figure.update_xaxes(title_text="T", row=2)
    figure.update_yaxes(rangemode="tozero", row=2, col=2, dtick=1)
    return styled(figure, title="depth as complexity", height=560)
