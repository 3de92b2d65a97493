"""The course of Markov chains, as it happens."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from plotly.subplots import make_subplots

from flowlab.figures.shared.style import COLORS, INK, styled
from flowlab.figures.training import decimate

CURVES = {  # variable -> (axis, color)
    "energy_mean": ("energy per site, E/N (J)", "bound"),
    "action_mean": ("action per site, S/N", "bound"),
    "abs_magnetization": ("|m|", "exact"),
    "acceptance": ("acceptance", "ess"),
    "log_z": ("ln Z per site", "bound"),
    "ess": ("effective sample size", "ess"),
}


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
    figure.update_xaxes(title_text="step", row=len(shown), col=1)
    return styled(figure, title=str(data.attrs.get("system", "Markov chains")), height=480, showlegend=False)
