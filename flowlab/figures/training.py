"""How training goes: the bound against the exact value, and the effective sample size."""

from __future__ import annotations

from math import isfinite
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from flowlab.figures.shared.bound import BoundPerSite, bound_per_site, run_label
from flowlab.figures.shared.style import COLORS, EARLIER, QUIET, RULE, message, number, styled

Array = NDArray[np.float64]
MAX_POINTS = 2000
WAITING = "no steps yet: the curve appears with the first one"
GROWING = "smaller lattices come first: the bound of this one appears in its own stage"


def training_curve(data: xr.Dataset, *others: xr.Dataset) -> go.Figure:
    """The bound per site against the step, with its error band and the exact value dashed.

    With a temperature in the attrs this is the free-energy bound -T ln Z_bound / N, which falls towards the exact
    value from above; else ln Z_bound / N. Runs longer than 2000 steps are shown as means over blocks of steps.

    Args:
        data: a run (dim ``step``).
        others: earlier runs, newest first, drawn beneath in other colours with their temperature.
    """
    if data.sizes["step"] == 0 and not others:
        return message(WAITING, title=_title(data), height=380)
    figure = go.Figure()
    _add_bound(figure, data, others, MAX_POINTS)
    return styled(figure, title=_title(data), height=380, xaxis_title="training step")


def ess_curve(data: xr.Dataset, *others: xr.Dataset) -> go.Figure:
    """The effective sample size of a batch, as a fraction of it, against the step; earlier runs in other colours.

    That of each stage on its own lattice, where a run has grown.
    """
    if data.sizes["step"] == 0 and not others:
        return message(WAITING, title="effective sample size", height=260)
    figure = go.Figure()
    _add_ess(figure, data, others, MAX_POINTS)
    return styled(figure, title="effective sample size", height=260, xaxis_title="training step", showlegend=False)


def training_overview(data: xr.Dataset, *others: xr.Dataset, points: int = MAX_POINTS) -> go.Figure:
    """Both curves over one axis of steps, bound above and effective sample size below; what the live panel shows.

    Args:
        data: a run (dim ``step``).
        others: earlier runs, newest first, beneath in other colours.
        points: at most so many points a curve.
    """
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.7, 0.3], vertical_spacing=0.06)
    _add_bound(figure, data, others, points, row=1, col=1)
    _add_ess(figure, data, others, points, row=2, col=1)
    figure.update_xaxes(title_text="training step", row=2, col=1)
    text, x = "", 0.5
    grows = "stage_ess" in data and bool(np.isfinite(data["stage_ess"]).any())
    known = np.flatnonzero(np.isfinite(data["log_z_bound"].values))
    if not others and not known.size:
        text = GROWING if grows else WAITING
    elif not others and grows and known[0] > 0.2 * data.sizes["step"]:
        text, x = "smaller lattices first", known[0] / (2 * data.sizes["step"])
    figure.add_annotation(text=text, x=x, y=0.88, xref="paper", yref="paper", xanchor="center", showarrow=False)
    return styled(figure, title=_title(data), height=460)


def family(found: xr.Dataset) -> go.Figure:
    """ESS of a run and of those that went on from it against their couplings, in the colours of their curves.

    Args:
        found: ``ess`` with ``ess_error``, and ``parent``, the number of the run whose weights each began with, -1 for
            none, over runs, oldest first, with the coordinates ``coupling`` and ``name``; attrs ``symbol`` of the
            coupling, ``least`` and ``most`` that it can be, and ``critical``, its value at the transition or NaN.
    """
    x, y, error = (found[name].values.astype(float) for name in ("coupling", "ess", "ess_error"))
    colors = [*(EARLIER[k % len(EARLIER)] for k in range(len(x) - 1)), COLORS["bound"]]
    figure = go.Figure()
    for child, parent in enumerate(found["parent"].values.tolist()):
        if parent >= 0:
            figure.add_scatter(
                x=x[[parent, child]], y=y[[parent, child]], mode="lines", line=dict(color=RULE, width=1.2),
                hoverinfo="skip",
            )  # fmt: skip
    figure.add_scatter(
        x=x, y=y, error_y=dict(array=error, thickness=1.2, width=4), mode="markers+text", text=found["name"].values,
        marker=dict(color=colors, size=9), textposition="top center", textfont=dict(size=11, color=QUIET),
        hovertemplate=f"%{{text}}<br>{found.attrs['symbol']} = %{{x:.4g}}<br>ESS %{{y:.3f}}<extra></extra>",
    )  # fmt: skip
    least, most = found.attrs["least"], found.attrs["most"]
    if least <= found.attrs["critical"] <= most:
        figure.add_vline(x=found.attrs["critical"], line=dict(color=QUIET, width=1, dash="dot"),
                         annotation=dict(text="critical", font=dict(size=11, color=QUIET)))  # fmt: skip
    figure.update_yaxes(title_text="ESS / batch", range=[0.0, 1.15])
    title = "ESS of each run against its coupling"
    edge = 0.04 * (most - least)
    figure.update_xaxes(title_text=found.attrs["symbol"], range=[least - edge, most + edge])
    return styled(figure, title=title, height=250, showlegend=False)


def decimate(step: Array, value: Array, error: Array, points: int = MAX_POINTS) -> tuple[Array, Array, Array]:
    """Means over blocks of equal length, so that at most ``points`` remain; errors are those of the means.

    >>> step, value, error = decimate(np.arange(1.0, 5.0), np.array([1.0, 3.0, 5.0, 7.0]), np.ones(4), points=2)
    >>> step.tolist(), value.tolist(), error.round(3).tolist()
    ([1.5, 3.5], [2.0, 6.0], [0.707, 0.707])
    """
    n = len(step)
    block = -(-n // points) if n else 1
    if block == 1:
        return step, value, error
    starts = np.arange(0, n, block)
    good = np.isfinite(value)
    count = np.add.reduceat(good.astype(float), starts)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.add.reduceat(np.where(good, value, 0.0), starts) / count
        spread = np.sqrt(np.add.reduceat(np.where(good, error, 0.0) ** 2, starts)) / count
    return np.add.reduceat(step, starts) / np.diff(np.append(starts, n)), mean, spread


def y_range(values: list[Array], exact: list[float]) -> list[float] | None:
    """The range of the exact values and of the curves, whose first twentieth may leave it."""
    settled = [v[np.isfinite(v)][len(v) // 20 :] for v in values]
    parts = [np.quantile(v, [0.002, 0.998]) for v in settled if len(v)] + [np.array([e]) for e in exact if isfinite(e)]
    if not parts:
        return None
    low, high = min(p.min() for p in parts), max(p.max() for p in parts)
    pad = max(0.1 * (high - low), 1e-6 * abs(high)) if high > low else 0.05 * abs(high) or 1.0
    return [float(low - pad), float(high + pad)]


def _known(data: xr.Dataset, value: Array, error: Array) -> tuple[Array, Array, Array]:
    """Steps, values and errors without the steps that measured nothing."""
    known = np.isfinite(value)
    return np.asarray(data["step"], dtype=float)[known], value[known], np.nan_to_num(error[known])


def _colors(others: tuple[xr.Dataset, ...]) -> list[str]:
    """Of each run beside the one that is looked at; the last one, the oldest, keeps its colour when one is added."""
    return [EARLIER[k % len(EARLIER)] for k in range(len(others))][::-1]


def _mode(step: Array) -> str:
    """A line, and a dot where there is one step only, which would make none."""
    return "lines" if len(step) > 1 else "lines+markers"


def _title(data: xr.Dataset) -> str:
    system = str(data.attrs.get("system") or data.attrs.get("study") or "")
    name = bound_per_site(data).name
    return f"{name} · {system}" if system else name


def _add_bound(figure: go.Figure, data: xr.Dataset, others: tuple[xr.Dataset, ...], points: int, **cell: Any) -> None:
    """Each earlier run's line and exact value, then the run's band, line and exact value above them."""
    bound = bound_per_site(data)
    last = max([1.0, *(float(d["step"][-1]) for d in (data, *others) if d.sizes["step"])])
    shown, exact = [], [bound.exact]
    for other, color in zip(others, _colors(others), strict=True):
        before = bound_per_site(other)
        name = run_label(other) + (", before" if run_label(other) == run_label(data) else "")
        step, value, error = decimate(*_known(other, before.value, before.error), points)
        figure.add_scatter(
            x=step, y=value, mode="lines", line=dict(color=color, width=1.2), name=name,
            showlegend=True, **cell,
            hovertemplate=f"{name}<br>step %{{x:.0f}}<br>%{{y:.6f}}<extra></extra>",
        )  # fmt: skip
        _add_exact(figure, before, last, color, cell)
        shown.append(value)
        exact.append(before.exact)
    step, value, error = decimate(*_known(data, bound.value, bound.error), points)
    figure.add_scatter(
        x=np.concatenate([step, step[::-1]]), y=np.concatenate([value + error, (value - error)[::-1]]),
        fill="toself", fillcolor="rgba(28,110,140,0.20)", line_width=0, mode="lines", hoverinfo="skip",
        showlegend=False, name="±1 standard error", **cell,
    )  # fmt: skip
    figure.add_scatter(
        x=step, y=value, mode=_mode(step), line=dict(color=COLORS["bound"], width=1.4), showlegend=bool(others),
        name=run_label(data), customdata=error,
        hovertemplate="step %{x:.0f}<br>%{y:.6f} ± %{customdata:.6f}<extra></extra>", **cell,
    )  # fmt: skip
    _add_exact(figure, bound, last, COLORS["exact"], cell)
    figure.update_yaxes(title_text=bound.axis, range=y_range([*shown, value], exact), **cell)


def _add_exact(figure: go.Figure, bound: BoundPerSite, last: float, color: str, cell: dict[str, Any]) -> None:
    """A dashed line with its value written on the side that the bound does not come from."""
    known = isfinite(bound.exact)
    text = f"exact {number(bound.exact, digits=6)}" if known else ""
    below = bound.name.startswith("free")
    figure.add_scatter(
        x=np.array([0.0, last]), y=np.array([bound.exact, bound.exact]), mode="lines", showlegend=False, name=text,
        line=dict(color=color, width=1.4, dash="dash"), visible=known, hoverinfo="name", **cell,
    )  # fmt: skip
    figure.add_annotation(
        text=text, y=bound.exact if known else 0.0, x=1.0, xref="x domain", yref="y", xanchor="right", showarrow=False,
        yanchor="top" if below else "bottom", font=dict(color=color, size=11), visible=known, borderpad=1,
    )  # fmt: skip


def _add_ess(figure: go.Figure, data: xr.Dataset, others: tuple[xr.Dataset, ...], points: int, **cell: Any) -> None:
    own = COLORS["bound" if others else "ess"]  # a colour a run where there are several
    for run, color in [*zip(others, _colors(others), strict=True), (data, own)]:
        if "ess" not in run:
            raise ValueError(
                f"expected what a training records, log_z_bound and ess, got {', '.join(map(str, run.data_vars))}"
            )
        value = np.asarray(run["ess"], dtype=float)
        if "stage_ess" in run:  # NaN in a run that does not grow
            value = np.where(np.isfinite(run["stage_ess"]), run["stage_ess"], value)
        step, value, _ = decimate(*_known(run, value, np.zeros_like(value)), points)
        figure.add_scatter(
            x=step, y=value, mode=_mode(step), line=dict(color=color, width=1.4), name=f"ESS {run_label(run)}",
            showlegend=False, hovertemplate="step %{x:.0f}<br>ESS %{y:.4f}<extra></extra>", **cell,
        )  # fmt: skip
    figure.update_yaxes(title_text="ESS / batch", range=[0.0, 1.03], **cell)
    if not others:
        _add_stages(figure, data, **cell)


def _add_stages(figure: go.Figure, data: xr.Dataset, **cell: Any) -> None:
    """Where a run that grows goes on to the next lattice, and which one that is."""
    names = str(data.attrs.get("stages", "")).split(", ")
    stage = np.asarray(data.get("stage", ()), dtype=float)
    for k, name in enumerate(names):
        if name and (stage == k).any():
            figure.add_vline(
                x=float(data["step"][int((stage == k).argmax())]), line=dict(color=RULE, width=1.2, dash="dot"),
                annotation=dict(text=name, yanchor="bottom", xanchor="left", font=dict(size=11, color=QUIET)),
                annotation_position="top right", **cell,
            )  # fmt: skip
