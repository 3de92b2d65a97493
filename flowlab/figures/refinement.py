"""A field on its way from a coarse lattice to a fine one, and the couplings that are learned meanwhile."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from flowlab.core.datasets import layer_names
from flowlab.figures.shared.style import COLORS, FIELD_SCALE, QUIET, band_color, gaps, rounded_up, styled
from flowlab.figures.training import decimate

Array = NDArray[np.float64]
POINTS = 2000


class Refinement(NamedTuple):
    """One doubling of the lattice among the layers of a density.

    Attributes:
        coarse, noise: which layers hold the coarse field, upsampled, and the field with its noise.
        flow: the layers of the flow over time: that with the noise, t = 0, and all up to t = 1.
    """

    coarse: int
    noise: int
    flow: tuple[int, ...]


def refinements(layers: xr.Dataset) -> list[Refinement]:
    """The doublings that a field goes through, coarsest first; none where the density does not refine coarse fields.

    Args:
        layers: what ``Experiment.layers`` returns: two layers of kind ``level`` (coarse and noise) begin each doubling.
    """
    if "layer_kind" not in layers.coords:
        return []
    kinds = [str(kind) for kind in layers["layer_kind"].values]
    starts = [k for k in range(len(kinds) - 1) if kinds[k] == kinds[k + 1] == "level"]
    ends = [*starts[1:], len(kinds) - 1][: len(starts)]
    return [Refinement(k, k + 1, tuple(range(k + 1, end + 1))) for k, end in zip(starts, ends, strict=True)]


def refinement_strip(layers: xr.Dataset, sample: int = 0, moment: int = -1) -> go.Figure:
    """A coarse field, upsampled, with noise and flowed, side by side on one colour scale.

    Fields on a line are drawn as curves; of three dimensions the plane z = 0.

    Args:
        layers: what ``Experiment.layers`` returns of a density that refines coarse fields.
        sample: which sample.
        moment: up to which moment of the flow, counted through all doublings as :func:`moments` does; the last picture
            is the field then, the others are of the same doubling.

    Raises:
        ValueError: where no coarse field is refined.
        IndexError: for a sample or a moment that is not there.
    """
    found = moments(layers)
    if not found:
        raise ValueError("layers must hold a coarse field and what becomes of it, got none of kind 'level'")
    if not 0 <= sample < layers.sizes["sample"]:
        raise IndexError(f"sample must be below {layers.sizes['sample']}, the number there are, got {sample}")
    if not -len(found) <= moment < len(found):
        raise IndexError(f"moment must be below {len(found)}, the number there are, got {moment}")
    level, layer = found[moment]
    fields = np.asarray(layers["configuration"][:, sample], dtype=float)
    limit = max(0.5, rounded_up(float(np.nanmax(np.abs(fields))), 0.5))
    coarse, noised = as_blocks(fields[level.coarse]), as_blocks(fields[level.noise])
    before, side, d = coarse.shape[-1], noised.shape[-1], noised.ndim
    pictures = {
        f"coarse, {_times(before, d)}": coarse,
        f"upsampled to {_times(side, d)}": _upsampled(coarse, side // before),
        "noise added": noised,
        f"flowed, {time_of(layers, moment)}": fields[layer][(slice(None, None, fields.shape[-1] // side),) * d],
    }
    figure = make_subplots(rows=1, cols=4, horizontal_spacing=0.025, subplot_titles=list(pictures))
    for column, field in enumerate(pictures.values(), start=1):
        _add_field(figure, field, limit, finest=fields.shape[-1], row=1, col=column)
    m = float(fields[layer].mean())
    figure.update_annotations(font_size=13)
    title = f"sample {sample}, {time_of(layers, moment)} · m = {m:+.3f}".replace("-", "−")
    return styled(figure, title=title, height=310, showlegend=False, margin=dict(l=44, r=70, t=84, b=24))


def learned_couplings(data: xr.Dataset, *, points: int = POINTS) -> go.Figure:
    """The hopping parameter κ of the coarse and of the fine lattice against the training step, and the noise's σ.

    Args:
        data: the records of a run, ``Experiment.data``, whose columns ``coarse_kappa``, ``trained_kappa`` (of the fine
            lattice) and ``noise_sigma`` are drawn where they are there.
        points: at most so many of each curve are drawn.
    """
    figure = make_subplots(rows=1, cols=2, column_widths=[0.6, 0.4], horizontal_spacing=0.11)
    curves = [
        ("κ, fine", "trained_kappa", COLORS["physical"], "dash", 1),
        ("κ<sub>c</sub>, coarse", "coarse_kappa", COLORS["bound"], "solid", 1),
        ("σ of the noise", "noise_sigma", COLORS["entropy"], "solid", 2),
    ]
    step = np.asarray(data["step"], dtype=float)
    for name, column, color, dash, place in curves:
        value = np.asarray(data[column], dtype=float) if column in data else np.full(len(step), np.nan)
        x, y, _ = decimate(step, value, np.zeros_like(value), points)
        figure.add_scatter(
            x=x, y=y, mode="lines", name=name, line=dict(color=color, dash=dash, width=1.8), showlegend=place == 1,
            hovertemplate="step %{x:.0f}<br>%{y:.5f}<extra></extra>", row=1, col=place,
        )  # fmt: skip
    last = max(float(data.attrs.get("steps", 1)), float(step[-1]) if len(step) else 1.0)
    figure.update_xaxes(title_text="training step", range=[0, last])
    figure.update_yaxes(title_text="hopping parameter κ", tickformat=".4~f", row=1, col=1)
    figure.update_yaxes(title_text="σ of the noise", row=1, col=2)
    title = "couplings of the two lattices"
    if len(step) and "coarse_kappa" in data:
        title += f" · κ<sub>c</sub> = {float(data['coarse_kappa'][-1]):.4f}"
    return styled(figure, title=title, height=300, legend=dict(x=0.56))


def moments(layers: xr.Dataset) -> list[tuple[Refinement, int]]:
    """What a slider through the flow steps over: (the doubling, the layer), t = 0 to 1 of each doubling in turn."""
    return [(level, layer) for level in refinements(layers) for layer in level.flow]


def time_of(layers: xr.Dataset, moment: int) -> str:
    """``t = 0.25``, with the side of the lattice where there are several doublings: ``8 × 8, t = 0.25``."""
    level, layer = moments(layers)[moment]
    name = layer_names(layers)[layer]
    if layer == level.noise:
        name = "t = 0"
    elif not name.startswith("t ="):
        name = "t = 1"
    if len(refinements(layers)) == 1:
        return name
    fine = as_blocks(np.asarray(layers["configuration"][level.noise, 0], dtype=float))
    return f"{_times(fine.shape[-1], fine.ndim)}, {name}"


def as_blocks(field: Array) -> Array:
    """A field (*shape) on the coarsest lattice that holds it: one value for each block of equal ones.

    >>> as_blocks(np.kron([[1.0, 2.0], [3.0, 4.0]], np.ones((2, 2)))).tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """
    side = field.shape[-1]
    for block in (b for b in range(side, 1, -1) if side % b == 0):
        corners = field[(slice(None, None, block),) * field.ndim]
        if np.array_equal(_upsampled(corners, block), field):
            return corners
    return field


def _upsampled(field: Array, block: int) -> Array:
    for axis in range(field.ndim):
        field = field.repeat(block, axis)
    return field


def _times(side: int, d: int) -> str:
    return " × ".join([str(side)] * d)


def _add_field(figure: go.Figure, field: Array, limit: float, *, finest: int, **cell: Any) -> None:
    side, first = field.shape[-1], cell["col"] == 1
    look = dict(showgrid=False, showline=False, showticklabels=False, ticks="")
    if field.ndim == 1:
        edges = np.arange(side + 1) - 0.5
        figure.add_scatter(
            x=edges, y=np.append(field, field[-1]), mode="lines", line=dict(shape="hv", color=COLORS["model"], width=2),
            fill="tozeroy", fillcolor=band_color("model", 0.15), hovertemplate="φ = %{y:.3g}<extra></extra>", **cell,
        )  # fmt: skip
        figure.update_xaxes(range=[-0.5, side - 0.5], title_text="x", **(look | dict(showline=True)), **cell)
        axis = dict(showticklabels=first, title_text="φ" if first else "", zeroline=True, zerolinecolor=QUIET)
        figure.update_yaxes(range=[-limit, limit], **axis, **cell)
        return
    plane = field if field.ndim == 2 else field[0]
    bar = dict(thickness=10, len=0.8, outlinewidth=0, title=dict(text="φ", side="top"), x=1.01)
    figure.add_heatmap(
        z=plane, zmin=-limit, zmax=limit, colorscale=FIELD_SCALE, showscale=cell["col"] == 4,
        colorbar=bar, hovertemplate="x %{x}, y %{y}: %{z:.3g}<extra></extra>", **gaps(finest, pixels=160), **cell,
    )  # fmt: skip
    anchor = next(figure.select_xaxes(**cell)).plotly_name.replace("xaxis", "x")
    figure.update_xaxes(range=[-0.5, side - 0.5], constrain="domain", **look, **cell)
    figure.update_yaxes(range=[-0.5, side - 0.5], constrain="domain", scaleanchor=anchor, **look, **cell)
