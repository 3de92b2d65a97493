"""Pictures of flows of real fields: proposals of a Metropolis chain, both signs of M, the field after each layer."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from flowlab.core.datasets import layer_names
from flowlab.figures.shared.explaining import measuring
from flowlab.figures.shared.sites import site_dims
from flowlab.figures.shared.style import COLORS, FIELD_SCALE, INK, MINUS, PLUS, rounded_up, styled

Array = NDArray[np.float64]

LAW = 2.48
"""tau_int = ½ A^-2.48, found over 539 models (Del Debbio, Marsh Rossney and Wilson 2021, arXiv:2105.12481, eq. 49)."""
BINS = 61
LINEAR = 0.1  # below which the colours of a two-point function are linear, above which logarithmic


def acceptance_and_tau(models: xr.Dataset) -> go.Figure:
    """tau_int of the magnetization against acceptance, a point a model, with the lower bound 1/A - ½ and ½ A^-2.48.

    Args:
        models: dim ``model``: ``acceptance``, ``tau_int`` and their errors, as
            :func:`flowlab.analysis.measure_proposals` returns them; a coordinate ``name`` if points have names.

    Source: arXiv:2105.12481, figure 5, eq. 14 and 49.
    """
    A, tau = (np.asarray(models[name], dtype=float) for name in ("acceptance", "tau_int"))
    low = max(1e-3, 0.8 * float(np.nanmin(A[A > 0], initial=0.5)))
    line = np.geomspace(low, 1.0, 200)
    figure = go.Figure()
    figure.add_scatter(
        x=A, y=tau, mode="markers", name="models", marker=dict(color=COLORS["model"], size=7, opacity=0.75),
        error_x=dict(array=models["acceptance_error"].values, width=0, thickness=1),
        error_y=dict(array=models["tau_int_error"].values, width=0, thickness=1),
        text=models["name"].values.astype(str) if "name" in models.coords else None,
        hovertemplate="%{text}<br>A = %{x:.3f}<br>τ = %{y:.3g}<extra></extra>",
    )  # fmt: skip
    figure.add_scatter(
        x=line,
        y=0.5 * line**-LAW,
        mode="lines",
        line=dict(color=INK, width=1.2, dash="dash"),
        name="½ A<sup>−2.48</sup>",
    )
    figure.add_scatter(
        x=line, y=1 / line - 0.5, mode="lines", line=dict(color=COLORS["ess"], width=1.6), name="bound 1/A − ½"
    )
    figure.update_xaxes(type="log", title_text="acceptance A", tickvals=[0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0])
    figure.update_yaxes(type="log", title_text="τ<sub>int</sub> of the magnetization (steps)", dtick=1)
    return styled(figure, title="autocorrelation time against acceptance", height=440)


def rejection_runs(models: xr.Dataset) -> go.Figure:
    """How many rejections come before an acceptance, a curve a model, from the lowest acceptance (dark) to the highest.

    Args:
        models: dims ``model`` and ``run_length``: ``rejections`` and ``acceptance``, as
            :func:`flowlab.analysis.measure_proposals` returns them, of one model without the dim ``model`` too; 0 or
            NaN where a run did not occur.

    Source: arXiv:2105.12481, figure 8.
    """
    figure = go.Figure()
    models = models if "model" in models.dims else models.expand_dims("model")
    order = np.argsort(models["acceptance"].values)
    for rank, k in enumerate(order):
        y = np.asarray(models["rejections"][k], dtype=float)
        seen = np.nan_to_num(y) > 0
        light = 25 + 50 * rank / max(1, len(order) - 1)
        figure.add_scatter(
            x=1.0 + models["run_length"].values[seen], y=y[seen], mode="lines+markers", marker_size=4,
            line=dict(color=f"hsl(200,60%,{light:.0f}%)", width=1.4), name=f"A = {float(models['acceptance'][k]):.2f}",
        )  # fmt: skip
    ticks = [0, 1, 3, 10, 30, 100, 300, 1000, 3000, 10_000]
    figure.update_xaxes(type="log", title_text="rejections in a row", tickvals=[1 + t for t in ticks], ticktext=ticks)
    figure.update_yaxes(type="log", title_text="fraction of acceptances", dtick=1, exponentformat="power")
    return styled(figure, title="runs of rejections", height=420)


def sign_histogram(samples: xr.Dataset) -> go.Figure:
    """The field at all sites, apart for samples with M > 0 (amber) and M < 0 (blue): where a sign is lost it is seen.

    Args:
        samples: with ``configuration`` (sample, *dims), as ``Experiment.sample`` returns it.

    Source: arXiv:2105.12481, figure 19.
    """
    fields = np.asarray(samples["configuration"], dtype=float).reshape(samples.sizes["sample"], -1)
    positive = fields.mean(1) > 0
    edges = _edges(fields)
    centres = (edges[1:] + edges[:-1]) / 2
    figure = go.Figure()
    for name, rows, color in (("M > 0", positive, PLUS), ("M < 0", ~positive, MINUS)):
        counts = np.histogram(fields[rows], edges)[0] / fields.size
        figure.add_bar(x=centres, y=counts, name=name, marker=dict(color=color, line_width=0), opacity=0.6)
    found = measuring("measure_signs")(samples)
    value, error = float(found["positive_fraction"]), float(found["positive_fraction_error"])
    figure.update_xaxes(title_text="field φ")
    figure.update_yaxes(title_text="fraction of sites")
    title = f"field by the sign of M · M > 0 in {100 * value:.1f} ± {100 * error:.1f} % of the samples"
    return styled(figure, title=title, height=320, barmode="overlay", bargap=0.0)


def field_strip(layers: xr.Dataset, *, seed: int = 0) -> go.Figure:
    """Above, the field at all sites after each layer; below, the two-point function G(x, y); last, of the target.

    The target's are those of a Metropolis chain whose proposals are the samples. Colours are linear up to 0.1 and
    logarithmic beyond, so that correlations are seen as they arise.

    Args:
        layers: what ``Experiment.layers`` returns for a lattice in the plane; ``layers.isel(layer=[...])`` for some.
        seed: of what the chain accepts.

    Raises:
        ValueError: for fields that are not on a lattice in the plane, or not whole after every layer.

    Source: arXiv:2105.12481, figure 9.
    """
    if len(site_dims(layers["configuration"])) != 2:
        raise ValueError(f"fields must be on a lattice in the plane, got {site_dims(layers['configuration'])}")
    if not np.isfinite(layers["configuration"]).all():
        raise ValueError("fields must be whole after every layer, and these are drawn in levels: see figures.strip")
    measured = measuring("measure_two_point")(layers, seed=seed)
    states = np.asarray(measured["configuration"], dtype=float)
    two_points = np.asarray(measured["two_point"])
    edges = _edges(states)
    density = [np.histogram(state, edges, density=True)[0] for state in states]
    highest = rounded_up(1.05 * max(float(one.max()) for one in density), 0.1)
    largest = max(float(np.abs(one).max()) for one in two_points)
    figure = make_subplots(
        rows=2, cols=len(states), subplot_titles=layer_names(measured), horizontal_spacing=0.02, vertical_spacing=0.14
    )
    for k, (one, G) in enumerate(zip(density, two_points, strict=True), start=1):
        figure.add_bar(
            x=(edges[1:] + edges[:-1]) / 2, y=one, marker=dict(color=COLORS["current"], line_width=0), row=1, col=k
        )
        x, y = (np.arange(side) - side // 2 for side in G.T.shape)
        figure.add_heatmap(
            z=_symlog(G), x=x, y=y, coloraxis="coloraxis", customdata=G, row=2, col=k,
            hovertemplate="(%{x}, %{y}): %{customdata:.4f}<extra></extra>",
        )  # fmt: skip
        figure.update_xaxes(range=[x[0] - 0.5, x[-1] + 0.5], constrain="domain", showgrid=False, row=2, col=k)
        figure.update_yaxes(
            range=[y[0] - 0.5, y[-1] + 0.5], scaleanchor=f"x{len(states) + k}", constrain="domain", showgrid=False,
            showticklabels=k == 1, row=2, col=k,
        )  # fmt: skip
        figure.update_yaxes(range=[0.0, highest], showticklabels=k == 1, row=1, col=k)
    ticks = [t for t in (-1.0, -0.3, -0.1, 0.0, 0.1, 0.3, 1.0, 3.0) if abs(t) <= 1.01 * largest]
    limit = float(_symlog(np.array(largest)))
    bar = dict(title="G", tickvals=_symlog(np.array(ticks)), ticktext=[f"{t:g}" for t in ticks], len=0.5, y=0.2)
    figure.update_layout(coloraxis=dict(colorscale=FIELD_SCALE, cmin=-limit, cmax=limit, colorbar=bar))
    figure.update_xaxes(title_text="φ", row=1)
    figure.update_xaxes(title_text="x", row=2)
    figure.update_yaxes(title_text="y", row=2, col=1)
    figure.update_yaxes(title_text="density", row=1, col=1)
    figure.update_annotations(font_size=12)
    title = "field and two-point function, layer by layer"
    return styled(figure, title=title, height=460, showlegend=False, bargap=0.0, margin=dict(l=64, r=24, t=84, b=44))


def _edges(fields: Array) -> Array:
    """Of bins that hold all but a thousandth of the values, symmetric about 0."""
    largest = rounded_up(1.05 * float(np.quantile(np.abs(fields), 0.999)), 0.5)
    return np.linspace(-largest, largest, BINS)


def _symlog(values: Array) -> Array:
    return np.asarray(np.arcsinh(values / LINEAR))
