"""What many runs of a study found, or one run over a range of couplings, against the values of a key."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from plotly.subplots import make_subplots

from flowlab.core.names import named
from flowlab.figures.report import write_report
from flowlab.figures.shared.style import COLORS, DENSITY_SCALE, EARLIER, INK, QUIET, band_color, message, number, styled

CURVE_COLORS = (COLORS["bound"], *EARLIER[1:], EARLIER[0])
MOST_CURVES = 8
ON_A_CURVE = ("abs_magnetization", "energy_per_site", "action_per_site", "ess")
MEANS = ("overlap_distribution", "overlap_binder", "overlap_squared", "energy_per_site", "log_z")
"""Means over instances that a page shows."""
SYMBOLS = {"beta": "β", "kappa": "κ", "lam": "λ"}
SHORT = {
    "ess": "ESS",
    "abs_magnetization": "|m| per site",
    "free_energy_bound_per_site": "bound on F per site (J)",
    "susceptibility_connected": "connected susceptibility",
    "binder": "Binder cumulant",
}
"""What is said in place of a long name where there is little room."""
_OF_LOG_Z = (
    "log_z",
    "log_z_bound",
    "free_energy",
    "free_energy_bound",
    "free_energy_per_site",
    "free_energy_bound_per_site",
)


def quantities(found: xr.Dataset) -> list[str]:
    """The names of the numbers of a sweep that can be drawn: free energy, bound and ESS first.

    >>> data = xr.Dataset({"ess": ("T", [0.5]), "ess_error": ("T", [0.1]), "state": ("T", ["finished"])}, {"T": [2.0]})
    >>> quantities(data)
    ['ess']
    """
    first = ["free_energy_per_site", "free_energy_bound_per_site", "log_z", "ess", "energy_per_site", "action_per_site"]
    names = [str(name) for name, one in found.data_vars.items() if one.dims and np.issubdtype(one.dtype, np.number)]
    names = [name for name in names if not name.endswith(("_error", "_exact", "_replicas"))]
    if "state" in found:  # of many runs: curves of each are drawn elsewhere
        names = [name for name in names if found[name].dims == found["state"].dims]
    return [name for name in first if name in names] + [name for name in names if name not in first]


def phase_diagram(found: xr.Dataset, quantity: str, along: str | None = None) -> go.Figure:
    """One number of every run of a sweep with its error, against a key; a curve for each value of the other keys.

    The exact values lie beneath as a dashed line, where ln Z is known; runs of which the verdict says "not to be
    trusted" are hollow. ``customdata`` of a point is its ``run``.

    Args:
        found: what :func:`flowlab.sweep` returns.
        quantity: one of :func:`quantities`.
        along: the key on the axis, the first one where not given.

    Raises:
        ValueError: for a quantity or a key that the sweep does not have.
    """
    if quantity not in found:
        raise ValueError(f"quantity must be one of {', '.join(quantities(found))}, got {quantity!r}")
    keys = [str(key) for key in found[quantity].dims]
    along = keys[0] if along is None else along
    if along not in keys:
        raise ValueError(f"along must be one of {', '.join(keys)}, got {along!r}")
    if not np.isfinite(found[quantity]).any():
        return message("no run has finished yet", height=420)
    figure = make_subplots(rows=1, cols=1)
    known = _runs(figure, found, quantity, along, 1)
    figure.update_xaxes(title_text=_axis(found, along))
    figure.update_yaxes(title_text=_long(quantity))
    return styled(figure, title=_titled(found, quantity, known), height=420)


def sweep(found: xr.Dataset, quantities: Sequence[str] | None = None, along: str | None = None) -> go.Figure:
    """Numbers of all runs of a sweep side by side, each with its error, exact ones dashed; see :func:`phase_diagram`.

    Args:
        found: what :func:`flowlab.sweep` returns.
        quantities: names of its variables; at most three that say most where not given.
        along: the key on the axes, the first one where not given.

    Raises:
        ValueError: for a quantity or a key that the sweep does not have.
    """
    names = _drawn(found)[:3] if quantities is None else list(quantities)
    if not (found["state"] == "finished").any():
        return message("no run has finished yet", height=340)
    if unknown := [name for name in names if name not in _drawn(found)]:
        raise ValueError(f"quantities must be among {', '.join(_drawn(found))}, got {', '.join(unknown)}")
    keys = [str(key) for key in found[names[0]].dims]
    along = keys[0] if along is None else along
    if along not in keys:
        raise ValueError(f"along must be one of {', '.join(keys)}, got {along!r}")
    figure = make_subplots(rows=1, cols=len(names), horizontal_spacing=0.24 / len(names))
    known = [_runs(figure, found, name, along, column) for column, name in enumerate(names, 1)]
    for column, name in enumerate(names, 1):
        figure.update_yaxes(title_text=_long(name), col=column)
    figure.update_xaxes(title_text=_axis(found, along))
    return styled(figure, title=_titled(found, names[0], any(known)), height=340)


_drawn = quantities  # an argument of sweep is called the same


def _notes(known: bool, doubted: bool) -> list[str]:
    return ["dashed: exact"] * known + ["hollow: not to be trusted"] * doubted


def _titled(found: xr.Dataset, name: str, known: bool) -> str:
    return " · ".join([str(found.attrs.get("study", "a sweep")), *_notes(known, bool(_doubted(found, name).any()))])


def _doubted(found: xr.Dataset, name: str) -> xr.DataArray:
    """Which values of a number have the verdict that they are not to be trusted."""
    words = found["verdict"] if "verdict" in found else xr.full_like(found[name], "", dtype=str)
    return words.astype(str).str.startswith("not to be trusted")


def _runs(figure: go.Figure, found: xr.Dataset, quantity: str, along: str, column: int) -> bool:
    """Draw one number of every run; whether exact values are there too."""
    others = [str(key) for key in found[quantity].dims if key != along]
    cell = dict(row=1, col=column)
    exact = _exact_curve(found, quantity)
    curves = list(itertools.product(*(range(found.sizes[key]) for key in others)))[:MOST_CURVES]
    for place, color in zip(curves, itertools.cycle(CURVE_COLORS)):
        at = dict(zip(others, place, strict=True))
        one = found.isel(at).sortby(along)
        name = ", ".join(f"{key} = {_spelled(found[key].values[k])}" for key, k in at.items())
        error = one.get(f"{quantity}_error")
        symbols = np.where(_doubted(one, quantity), "circle-open", "circle").tolist()
        if exact is not None:
            here = exact.isel({key: k for key, k in at.items() if key in exact.dims})
            figure.add_scatter(
                x=one[along].values, y=here.sortby(along).values, mode="lines", showlegend=False, **cell,
                line=dict(color=INK if not others else color, width=1.4, dash="dash"),
                hovertemplate="exact %{y:.6g}<extra></extra>",
            )  # fmt: skip
        figure.add_scatter(
            x=one[along].values, y=one[quantity].values, mode="lines+markers", name=name, legendgroup=name,
            error_y=None if error is None else dict(array=np.nan_to_num(error.values), width=3, color=color),
            line=dict(color=color, width=1.2), marker=dict(color=color, size=8, symbol=symbols), **cell,
            customdata=one["run"].values.tolist() if "run" in one else None, showlegend=bool(others) and column == 1,
            hovertemplate=f"{along} = %{{x:g}}<br>%{{y:.6g}}<br>click to open the run<extra>{name}</extra>",
        )  # fmt: skip
    return exact is not None


def _long(quantity: str) -> str:
    """The name and units of a number, for an axis."""
    long, units = named(quantity)
    return SHORT.get(quantity, long if units in ("1", "") else f"{long} ({units})")


def averages(
    mean: xr.Dataset,
    quantity: str = "overlap_distribution",
    along: str | None = None,
    *,
    theory: xr.Dataset | None = None,
) -> go.Figure:
    """A mean over instances against a key or a coordinate: a curve for each value of the others, with two bands.

    The dark band is one standard error of the mean, the pale one the spread among instances. P(q) is drawn as a
    density, so that sizes compare.

    Args:
        mean: what :func:`flowlab.average` returns.
        quantity: a name of its variables.
        along: the dim on the axis, the last one where not given; others become curves, at most 8.
        theory: the same quantity against a coordinate of its own, e.g. of :func:`flowlab.analysis.replica_theory`:
            dashed, and dotted where replica symmetry is broken.

    Raises:
        ValueError: for a quantity or a dim that the means do not have.
    """
    known = [str(name) for name in mean if mean[name].dims and f"{name}_error" in mean]
    if known and quantity not in known:
        raise ValueError(f"quantity must be one of {', '.join(known)}, got {quantity!r}")
    dims = [str(dim) for dim in mean[quantity].dims]
    along = dims[-1] if along is None else along
    if along not in dims:
        raise ValueError(f"along must be one of {', '.join(dims)}, got {along!r}")
    others = [dim for dim in dims if dim != along]
    figure = go.Figure()
    curves = list(itertools.product(*(range(mean.sizes[dim]) for dim in others)))[:MOST_CURVES]
    for place, color in zip(curves, itertools.cycle(CURVE_COLORS)):
        at = dict(zip(others, place, strict=True))
        one = mean[[n for n in (quantity, f"{quantity}_error", f"{quantity}_spread") if n in mean]].isel(at)
        x, columns = _density(one.dropna(along, subset=[quantity]), quantity, along)
        label = ", ".join(f"{dim} = {_spelled(mean[dim].values[k])}" for dim, k in at.items() if dim in mean.coords)
        for part, alpha in (("spread", 0.12), ("error", 0.35)):
            if part in columns:
                _band(figure, x, columns["value"], columns[part], rgba(color, alpha), label)
        figure.add_scatter(
            x=x, y=columns["value"], customdata=columns.get("error"), mode="lines", name=label, legendgroup=label,
            line=dict(color=color, width=1.6), showlegend=bool(others),
            hovertemplate=f"{along} = %{{x:.4g}}<br>%{{y:.5g}} ± %{{customdata:.2g}}<extra>{label}</extra>",
        )  # fmt: skip
    if theory is not None and quantity in theory:
        _theory(figure, theory, quantity)
    over, count = mean.attrs.get("averaged_over", "instances"), mean.get("instances")
    number_of = "" if count is None else f"{int(count.max())} values of "
    figure.update_xaxes(title_text=_axis(mean, along) if along in mean.coords else along)
    figure.update_yaxes(title_text="density of P(q)" if along == "overlap" else _long(quantity))
    return styled(figure, title=f"mean over {number_of}{over} · bands: standard error, spread (pale)", height=380)


def _theory(figure: go.Figure, theory: xr.Dataset, quantity: str) -> None:
    """A line of theory, in two parts: where it is right, and where replica symmetry is broken."""
    x, y = theory[theory[quantity].dims[0]].values, theory[quantity].values
    right = theory["replica_symmetric"].values > 0 if "replica_symmetric" in theory else np.ones(len(x), bool)
    for which, dash, name in ((right, "dash", "theory"), (~right, "dot", "theory, replica symmetry broken")):
        if which.any():
            figure.add_scatter(
                x=x[which], y=np.where(np.isfinite(y), y, np.nan)[which], mode="lines", name=name,
                line=dict(color=INK, width=1.4, dash=dash), hovertemplate=f"{name} %{{y:.5g}}<extra></extra>",
            )  # fmt: skip


def _density(one: xr.Dataset, quantity: str, along: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Where the means of a curve are, its value, error and spread; probabilities of overlaps as densities."""
    x = one[along].values if along in one.coords else np.arange(one.sizes[along])
    scale = 1.0 if along != "overlap" or len(x) < 2 else len(x) / (x[-1] - x[0] + x[1] - x[0])
    names = {"value": quantity, "error": f"{quantity}_error", "spread": f"{quantity}_spread"}
    return x, {part: scale * one[name].values for part, name in names.items() if name in one}


def write_sweep(found: xr.Dataset, path: str | Path, mean: xr.Dataset | None = None) -> Path:
    """Write a page with what a sweep found: its numbers against each key; with a ``mean`` over instances, that too.

    Args:
        found: what :func:`flowlab.sweep` returns.
        path: where to write.
        mean: what :func:`flowlab.average` makes of it.
    """
    keys = [str(key) for key in found["state"].dims if found.sizes[key] > 1] or [str(found["state"].dims[0])]
    pictures = [(f"Each point is a run; against {key}.", sweep(found, along=key)) for key in keys]
    if mean is not None:
        names = [name for name in MEANS if name in mean and mean[name].dims]
        pictures += [(named(name)[0], averages(mean, name)) for name in names]
    title = f"{found.attrs.get('study', 'a sweep')}: {int((found['state'] == 'finished').sum())} runs"
    return write_report(path, title=title, figures=pictures)


def _band(figure: go.Figure, x: np.ndarray, value: np.ndarray, width: np.ndarray, color: str, group: str) -> None:
    width = np.nan_to_num(width)
    figure.add_scatter(
        x=np.concatenate([x, x[::-1]]), y=np.concatenate([value + width, (value - width)[::-1]]), fill="toself",
        fillcolor=color, line_width=0, mode="lines", hoverinfo="skip", showlegend=False, legendgroup=group,
    )  # fmt: skip


def rgba(color: str, alpha: float) -> str:
    """A colour like #1f77b4, seen through.

    >>> rgba("#102030", 0.5)
    'rgba(16,32,48,0.5)'
    """
    red, green, blue = (int(color[k : k + 2], 16) for k in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha:g})"


def _exact(found: xr.Dataset, quantity: str) -> xr.DataArray | None:
    """The exact values of what is a multiple of ln Z, None where they are not known."""
    if quantity not in _OF_LOG_Z or "log_z_exact" not in found:
        return None
    own = "log_z_bound" if "bound" in quantity else "log_z"
    if own not in found or not np.isfinite(found["log_z_exact"]).any():
        return None
    return found["log_z_exact"] * (found[quantity] / found[own])


def _axis(found: xr.Dataset, key: str) -> str:
    attrs = found[key].attrs
    units = attrs.get("units", "1").replace("k_B", "k<sub>B</sub>")
    return f"{attrs.get('long_name', key)} {key}" + (f" ({units})" if units not in ("1", "") else "")


def _spelled(value: object) -> str:
    return number(float(value), digits=4) if isinstance(value, int | float | np.number) else str(value)


def coupling_curves(
    found: xr.Dataset,
    quantities: Sequence[str] | None = None,
    *,
    transition: float | None = None,
    phases: tuple[str, str] = ("", ""),
) -> go.Figure:
    """Numbers of one run against its coupling, side by side: points and bands of one standard error, exact ones dashed.

    Points of which the verdict says "not to be trusted" are hollow.

    Args:
        found: what ``run.curve(beta=...)`` returns.
        quantities: names of its variables; |m|, the energy or action per site, and ESS where not given.
        transition: value of the coupling at which a dotted line stands.
        phases: names of the phases below and above it.

    Raises:
        ValueError: for a quantity that the curve does not have.
    """
    if not found.data_vars:
        return message("no point has been measured yet", height=300)
    names = [name for name in ON_A_CURVE if name in found] or ["ess"] if quantities is None else list(quantities)
    if quantities and (unknown := [name for name in names if name not in found]):
        raise ValueError(f"quantities must be among {', '.join(_curves_of(found))}, got {', '.join(unknown)}")
    along = str(found[names[0]].dims[0])
    found = found.sortby(along)
    x = found[along].values
    hollow = _doubted(found, names[0]).values
    figure = make_subplots(rows=1, cols=len(names), horizontal_spacing=0.24 / len(names))
    for column, name in enumerate(names, 1):
        color = "ess" if name == "ess" else "model"
        value, error = found[name].values, np.nan_to_num(found.get(f"{name}_error", 0 * found[name]).values)
        figure.add_scatter(
            x=np.concatenate([x, x[::-1]]), y=np.concatenate([value + error, (value - error)[::-1]]), fill="toself",
            fillcolor=band_color(color), line_width=0, mode="lines", hoverinfo="skip", row=1, col=column,
        )  # fmt: skip
        tip = f"{along} = %{{x:.4g}}<br>%{{y:.6g}} ± %{{customdata:.2g}}<extra></extra>"
        figure.add_scatter(
            x=x, y=value, mode="lines", line=dict(color=COLORS[color], width=1.2), hoverinfo="skip", row=1, col=column
        )
        exact = _exact_curve(found, name)
        if exact is not None:
            figure.add_scatter(
                x=x, y=exact.values, mode="lines", line=dict(color=INK, width=1.4, dash="dash"), row=1, col=column,
                hovertemplate="exact %{y:.6g}<extra></extra>",
            )  # fmt: skip
        for which, symbol in ((~hollow, "circle"), (hollow, "circle-open")):
            figure.add_scatter(
                x=x[which], y=value[which], customdata=error[which], mode="markers", hovertemplate=tip, row=1,
                col=column, marker=dict(size=6, symbol=symbol, color=COLORS[color]),
            )  # fmt: skip
        long, units = named(name)
        figure.update_yaxes(title_text=SHORT.get(name, long if units in ("1", "") else f"{long} ({units})"), col=column)
        if transition is not None:
            figure.add_vline(x=transition, line=dict(color=QUIET, width=1, dash="dot"), row=1, col=column)
    figure.update_xaxes(title_text=f"coupling {SYMBOLS[along]}" if along in SYMBOLS else _axis(found, along))
    if "ess" in names:
        figure.update_yaxes(range=[0.0, 1.03], col=names.index("ess") + 1)
    for name, anchor, text in zip(phases, ("right", "left"), ("{} ", " {}"), strict=True):
        if name and transition is not None:
            figure.add_annotation(
                text=text.format(name), x=transition, y=1.0, yref="y domain", xanchor=anchor, yanchor="bottom",
                showarrow=False, font=dict(size=11, color=QUIET), row=1, col=1,
            )  # fmt: skip
    known = any(_exact_curve(found, name) is not None for name in names)
    notes = ["one model, every coupling", *_notes(known, bool(hollow.any()))]
    return styled(figure, title=" · ".join(notes), height=300, showlegend=False)


def transition_curves(found: xr.Dataset) -> go.Figure:
    """What shows a transition, of every lattice: specific heat, connected susceptibility and Binder cumulant.

    Of one coupling curves with bands of one standard error, exact ones dashed, a line where the cumulants of the two
    largest lattices cross. Of two couplings maps of the largest lattice, with a line where the numbers peak.

    Args:
        found: what ``flowlab.sweep("phase-diagram", ...)`` returns.

    Raises:
        ValueError: for a Dataset that is no phase diagram.
    """
    along = str(found.attrs.get("along", found["binder"].dims[-1]))
    if "L" not in found.dims:
        raise ValueError(
            f"expected the sweep phase-diagram, whose curves have a side L, got {', '.join(map(str, found.sizes))}"
        )
    heat = "specific_heat" if "specific_heat" in found else "log_z_curvature"
    names = [heat, "susceptibility_connected", "binder"]
    figure = make_subplots(rows=1, cols=len(names), horizontal_spacing=0.24 / len(names))
    second = [str(dim) for dim in found[names[0]].dims if dim not in ("L", along)]
    for column, name in enumerate(names, 1):
        if second:
            _map(figure, found.isel(L=-1), name, along, second[0], column)
        else:
            _lattices(figure, found, name, along, column)
        long, units = named(name)
        title = SHORT.get(name, long if units in ("1", "") else f"{long} ({units})")
        figure.update_yaxes(title_text=SYMBOLS.get(second[0], second[0]) if second else title, col=column)
        if second:
            figure.layout.annotations += (dict(
                text=title, x=0.5, xref="x domain" if column == 1 else f"x{column} domain", y=1, showarrow=False,
                yref="y domain" if column == 1 else f"y{column} domain", yanchor="bottom", font=dict(size=11),
            ),)  # fmt: skip
    figure.update_xaxes(title_text=f"coupling {SYMBOLS[along]}" if along in SYMBOLS else _axis(found, along))
    if second:
        return styled(figure, title=f"L = {int(found.L[-1])} · line: peak", height=340)
    note = "one model a lattice · bands: one standard error"
    if "crossing" in found:
        at, error = float(found.crossing[-1]), float(found.crossing_error[-1])
        note += f" · the largest two cross at {number(at, error)}"
        if np.isfinite(at):
            figure.add_vline(x=at, line=dict(color=QUIET, width=1, dash="dot"), row=1, col=len(names))
    return styled(figure, title=note, height=340)


def _lattices(figure: go.Figure, found: xr.Dataset, name: str, along: str, column: int) -> None:
    for i, color in zip(range(found.sizes["L"]), itertools.cycle(CURVE_COLORS)):
        one = found.isel(L=i).sortby(along)
        x, value = one[along].values, one[name].values
        error = np.nan_to_num(one[f"{name}_error"].values)
        label = f"L = {int(found.L[i])}"
        figure.add_scatter(
            x=np.concatenate([x, x[::-1]]), y=np.concatenate([value + error, (value - error)[::-1]]), fill="toself",
            fillcolor=rgba(color, 0.2), line_width=0, mode="lines", hoverinfo="skip",
            legendgroup=label, showlegend=False, row=1, col=column,
        )  # fmt: skip
        figure.add_scatter(
            x=x, y=value, customdata=error, mode="lines", line=dict(color=color, width=1.6), name=label,
            legendgroup=label, showlegend=column == 1, row=1, col=column,
            hovertemplate=f"{along} = %{{x:.4g}}<br>%{{y:.6g}} ± %{{customdata:.2g}}<extra>{label}</extra>",
        )  # fmt: skip
        exact = _exact_curve(one, name)
        if exact is not None:
            figure.add_scatter(
                x=x, y=exact.values, mode="lines", line=dict(color=INK, width=1, dash="dash"), showlegend=False,
                hoverinfo="skip", row=1, col=column,
            )  # fmt: skip


def _map(figure: go.Figure, found: xr.Dataset, name: str, along: str, second: str, column: int) -> None:
    values = found[name].transpose(second, along).values
    figure.add_heatmap(
        x=found[along].values, y=found[second].values, z=values, colorscale=DENSITY_SCALE, showscale=False,
        hovertemplate=f"{along} = %{{x:.4g}}<br>{second} = %{{y:.4g}}<br>%{{z:.5g}}<extra></extra>", row=1, col=column,
    )  # fmt: skip
    if f"{name}_peak_at" in found:
        error = np.nan_to_num(found[f"{name}_peak_at_error"].values)
        figure.add_scatter(
            x=found[f"{name}_peak_at"].values, y=found[second].values, mode="lines+markers", showlegend=False,
            error_x=dict(array=error, color=INK), line=dict(color=INK, width=1.4), row=1, col=column,
        )  # fmt: skip


def _curves_of(found: xr.Dataset) -> list[str]:
    return [name for name in quantities(found) if found[name].ndim == 1]


def _exact_curve(found: xr.Dataset, name: str) -> xr.DataArray | None:
    """The exact values of a number of a curve, None where they are not known."""
    if f"{name}_exact" in found:
        return found[f"{name}_exact"] if np.isfinite(found[f"{name}_exact"]).any() else None
    return _exact(found, name)
