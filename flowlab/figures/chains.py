"""The course of Markov chains, as it happens."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from plotly.subplots import make_subplots

from flowlab.core.names import named
from flowlab.figures.shared.style import COLORS, INK, QUIET, band_color, message, styled
from flowlab.figures.training import decimate

CURVES = {  # variable -> (axis, color)
    "energy_mean": ("energy per site, E/N (J)", "bound"),
    "action_mean": ("action per site, S/N", "bound"),
    "abs_magnetization": ("|m|", "exact"),
    "acceptance": ("acceptance", "ess"),
    "log_z": ("ln Z per site", "bound"),
    "ess": ("effective sample size", "ess"),
}

CHECKED = (
    "energy_per_site", "action_per_site", "abs_magnetization", "log_z", "abs_overlap", "energy_per_site_variance",
    "action_per_site_variance", "log_w", "magnetization_squared",
)  # fmt: skip
"""What is shown of a check, as far as there is room."""


def chain_overview(data: xr.Dataset, *, points: int = 500) -> go.Figure:
    """Energy or action per site, |m| and acceptance against the step, each the mean over all chains.

    Of annealed chains ln Z per site and the effective sample size, each from those of one step.

    What estimates leave out at the beginning is shaded.

    Args:
        data: a run of chains (dim ``step``) with some of ``energy_mean``, ``action_mean``, ``abs_magnetization``,
            ``acceptance``, ``log_z`` and ``ess``; attrs ``n_sites``, ``system`` and ``discard``.
        points: at most so many points a curve; longer runs are shown as means over blocks of steps.
    """
    shown = [name for name in CURVES if name in data and (name != "acceptance" or np.isfinite(data[name]).any())]
    figure = make_subplots(rows=len(shown), cols=1, shared_xaxes=True, vertical_spacing=0.07)
    steps = np.asarray(data["step"], dtype=float)
    for row, name in enumerate(shown, start=1):
        axis, color = CURVES[name]
        scale = float(data.attrs["n_sites"]) if name.endswith("_mean") or name == "log_z" else 1.0
        values = np.asarray(data[name], dtype=float) / scale
        step, value, _ = decimate(steps, values, np.zeros_like(values), points)
        figure.add_scatter(
            x=step, y=value, mode="lines", line=dict(color=COLORS[color], width=1.4), row=row, col=1,
            hovertemplate=f"step %{{x:.0f}}<br>{axis} %{{y:.5g}}<extra></extra>",
        )  # fmt: skip
        figure.update_yaxes(title_text=axis, row=row, col=1)
        if name in ("acceptance", "ess"):
            figure.update_yaxes(range=[0.0, 1.03], row=row, col=1)
    left_out = float(data.attrs.get("discard", 0.0)) * (steps[-1] if len(steps) else 0.0)
    figure.add_shape(
        type="rect", x0=0.0, x1=left_out, y0=0, y1=1, xref="x", yref="paper", line_width=0, fillcolor=INK, opacity=0.06
    )
    if left_out:
        figure.add_annotation(
            text="left out of means", x=0.0, y=1.0, yref="paper", xanchor="left", yanchor="bottom", showarrow=False,
            font=dict(size=11, color=QUIET),
        )  # fmt: skip
    figure.update_xaxes(title_text="step", row=len(shown), col=1)
    return styled(figure, title=str(data.attrs.get("system", "Markov chains")), height=480, showlegend=False)


def check_history(tables: xr.Dataset) -> go.Figure:
    """What chains have found as time went on, beside the model's values, a picture for each of four quantities.

    Args:
        tables: dims ``look``, ``quantity`` with ``value``, ``raw`` and ``reference``, each with its ``_error``;
            coordinate ``seconds`` (look).

    >>> check_history(xr.Dataset()).layout.annotations[0].text
    'nothing has been compared yet'
    """
    if "quantity" not in tables.coords:
        return message("nothing has been compared yet", height=280)
    quantities = tables["quantity"].values.tolist()
    shown = [name for name in CHECKED if name in quantities][:4] or quantities[:4]
    figure = make_subplots(
        rows=1, cols=len(shown), horizontal_spacing=0.08, subplot_titles=[named(name)[0] for name in shown]
    )
    seconds = tables["seconds"].values
    since = [0.0, *seconds]
    for column, name in enumerate(shown, start=1):
        one, cell = tables.sel(quantity=name), dict(row=1, col=column)
        weighted = "value" if np.isfinite(one["value"].values[-1]) else "raw"
        model, error = (one[f"{weighted}{end}"].values[[0, *range(len(seconds))]] for end in ("", "_error"))
        for sign in (-1, 1):
            figure.add_scatter(
                x=since, y=model + sign * error, mode="lines", line_width=0, hoverinfo="skip", showlegend=False,
                fill=None if sign < 0 else "tonexty", fillcolor=band_color("model"), **cell,
            )  # fmt: skip
        figure.add_scatter(
            x=since, y=model, mode="lines", line=dict(color=COLORS["model"], width=1.6), name="model",
            showlegend=column == 1, **cell,
        )  # fmt: skip
        color = COLORS["parallel tempering"]
        figure.add_scatter(
            x=seconds, y=one["reference"].values,
            error_y=dict(array=one["reference_error"].values, width=0, color=color),
            mode="markers", marker=dict(color=color, size=5), name="chains", showlegend=column == 1, **cell,
        )  # fmt: skip
        figure.update_xaxes(title_text="seconds", **cell)
    figure.update_annotations(font_size=12)
    return styled(figure, title="model and chains", height=280, margin=dict(l=56, r=16, t=84, b=48), legend_y=1.16)
