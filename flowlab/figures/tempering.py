"""What parallel tempering measures at every temperature."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from plotly.subplots import make_subplots

from flowlab.figures.shared.explaining import measuring
from flowlab.figures.shared.style import COLORS, INK, styled

CURVES = (
    ("energy per site, E/N (J)", 1, 1),
    ("specific heat, C/N (k<sub>B</sub>)", 1, 2),
    ("swaps accepted", 2, 1),
    ("energy per site, coldest (J)", 2, 2),
)


def tempering_overview(data: xr.Dataset, *, points: int = 500) -> go.Figure:
    """Energy and specific heat per site against temperature, accepted swaps, and the course of the coldest energies.

    Means leave out the fraction ``discard`` of the steps, from the beginning; error bars are one standard error.

    Args:
        data: what ``run.data`` is of parallel tempering, or :func:`flowlab.analysis.measure_tempering` of it.
        points: at most so many points in the course of the coldest energies.
    """
    energy = np.asarray(data["energy"].transpose("step", "replica", "temperature"), dtype=float)
    data = data if "swap_acceptance" in data else measuring("measure_tempering")(data)
    T, n_sites = np.asarray(data["temperature"], dtype=float), int(data.attrs["n_sites"])
    first = int(float(data.attrs.get("discard", 0.25)) * len(energy))
    known = np.isfinite(T) & np.isfinite(data["energy_per_site"].values)
    x, middle, swaps = T[known], np.sqrt(T[:-1] * T[1:])[known[1:]], data["swap_acceptance"].values[known[1:]]
    means, heats = (
        [data[f"{name}{suffix}"].values[known] for suffix in ("", "_error")]
        for name in ("energy_per_site", "specific_heat")
    )
    figure = make_subplots(rows=2, cols=2, horizontal_spacing=0.11, vertical_spacing=0.17)
    color = COLORS["parallel tempering"]
    for (value, error), column in ((means, 1), (heats, 2)):
        figure.add_scatter(
            x=x, y=value, error_y=dict(array=error, color=color, thickness=1.2, width=3), mode="lines+markers",
            line=dict(color=color, width=1.4), marker_size=5, row=1, col=column,
            hovertemplate="T = %{x:.3g}<br>%{y:.5f} ± %{error_y.array:.5f}<extra></extra>",
        )  # fmt: skip
    figure.add_scatter(
        x=middle, y=swaps, mode="lines+markers", line=dict(color=COLORS["ess"], width=1.4), marker_size=5, row=2, col=1,
        hovertemplate="between the temperatures around %{x:.3g}<br>%{y:.3f}<extra></extra>",
    )  # fmt: skip
    stride = max(1, -(-len(energy) // points))
    step = np.asarray(data["step"], dtype=float)[::stride]
    for replica in range(energy.shape[1]):
        figure.add_scatter(
            x=step, y=energy[::stride, replica, 0] / n_sites, mode="lines", opacity=0.6,
            line=dict(width=1, color=color if replica == 0 else COLORS["earlier"]), row=2, col=2,
            hovertemplate=f"replica {replica}<br>step %{{x}}<br>%{{y:.4f}}<extra></extra>",
        )  # fmt: skip
    for name, row, column in CURVES:
        figure.update_yaxes(title_text=name, row=row, col=column)
    figure.update_xaxes(title_text="temperature T (J/k<sub>B</sub>)")
    figure.update_xaxes(title_text="step", row=2, col=2)
    figure.update_yaxes(range=[0.0, 1.03], row=2, col=1)
    left_out = [float(step[0]) if len(step) else 0.0, float(data["step"][first]) if len(energy) else 0.0]
    figure.add_shape(
        type="rect", x0=left_out[0], x1=left_out[1], y0=0, y1=1, xref="x4", yref="y4 domain", line_width=0,
        fillcolor=INK, opacity=0.06,
    )  # fmt: skip
    waiting = f" · fewer than {data.attrs['fewest_steps']} measured steps: the curves appear with more"
    title = str(data.attrs.get("system", "parallel tempering")) + ("" if known.any() else waiting)
    return styled(figure, title=title, height=520, showlegend=False)
