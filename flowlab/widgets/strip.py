"""Pictures of configurations side by side on canvases, from a figure of heat maps; the first may be painted on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import traitlets

from flowlab.figures import Figure
from flowlab.widgets.view import View, script

NOTHING = -32768
"""What is sent where a site has no value."""


class StripView(View):
    """The widget of a :class:`Strip`; what its state means stands in ``static/strip.js``."""

    _esm = script("theme.js", "menu.js", "canvas.js", "strip.js")
    frames = traitlets.Bytes().tag(sync=True)
    shapes: traitlets.List[Any] = traitlets.List().tag(sync=True)
    captions: traitlets.List[str] = traitlets.List().tag(sync=True)
    marks: traitlets.List[Any] = traitlets.List().tag(sync=True)
    planes: traitlets.List[Any] = traitlets.List().tag(sync=True)
    title = traitlets.Unicode().tag(sync=True)
    scale = traitlets.Float(1.0).tag(sync=True)
    lower = traitlets.Float(-1.0).tag(sync=True)
    upper = traitlets.Float(1.0).tag(sync=True)
    colors: traitlets.List[Any] = traitlets.List().tag(sync=True)
    ticks: traitlets.List[Any] = traitlets.List().tag(sync=True)
    symbol = traitlets.Unicode().tag(sync=True)
    bar = traitlets.Bool(False).tag(sync=True)
    signed = traitlets.Bool(True).tag(sync=True)
    side = traitlets.Int(260).tag(sync=True)
    across = traitlets.Int(6).tag(sync=True)
    paints = traitlets.Unicode().tag(sync=True)
    seen = traitlets.Float(0.0).tag(sync=True)


class Strip:
    """The heat maps of a figure with their dots and subplot titles, drawn by the browser at once.

    Args:
        figure: the first one; its colours, limits and titles are kept.
        side: of a picture in pixels, at most.
        across: how many stand in a row.
        paints: "values" where a stroke on the first picture turns sites over, "dots" where it marks them.
        clicked: called with ``sites``, all (x, y) of the stroke so far, the ``value`` that they are turned to, and the
            number of the ``stroke``, 5 times a second while a person draws.

    Attributes:
        figure: the one on show.
        widget: what a notebook shows.
    """

    def __init__(
        self,
        figure: Figure,
        *,
        side: int = 260,
        across: int = 6,
        paints: str = "",
        clicked: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self.figure = figure
        self.widget = StripView(side=side, across=across, paints=paints, **strip_of(figure))
        self.widget.clicked = clicked

    def redraw(self, figure: Figure, seen: float | None = None) -> None:
        """Show another figure; ``seen`` is the newest stroke that it knows of."""
        self.figure = figure
        self.widget.change(**strip_of(figure), **({} if seen is None else {"seen": seen}))


def strip_of(figure: Figure) -> dict[str, Any]:
    """The state of a strip of a figure's heat maps, numbers in 16 bits as parts of the largest.

    >>> import plotly.graph_objects as go
    >>> state = strip_of(go.Figure(go.Heatmap(z=[[1, -1]], zmin=-1, zmax=1, colorscale=[[0, "blue"], [1, "red"]])))
    >>> state["shapes"], state["colors"], len(state["frames"])
    ([[1, 2]], [[0.0, 'blue'], [1.0, 'red']], 4)
    """
    heats = [trace for trace in figure.data if trace.type == "heatmap"]
    fields = [np.asarray(heat.z, dtype=float) for heat in heats]
    values = np.concatenate([field.ravel() for field in fields])
    whole = bool((np.nan_to_num(values) % 1 == 0).all())
    scale = 1.0 if whole else float(np.nanmax(np.abs(values))) / 32000
    units = np.where(np.isfinite(values), np.rint(np.nan_to_num(values) / scale), NOTHING)
    dots = {(trace.xaxis, trace.yaxis): (trace.x, trace.y) for trace in figure.select_traces({"mode": "markers"})}
    marks = []
    for heat, field in zip(heats, fields, strict=True):
        x, y = dots.get((heat.xaxis, heat.yaxis), ((), ()))
        marks.append([int(row) * field.shape[1] + int(column) for column, row in zip(x, y, strict=True)])
    named = {(trace.xaxis, trace.yaxis): trace for trace in figure.select_traces({"name": "planes"})}
    planes = []
    for heat in heats:
        names = named.get((heat.xaxis, heat.yaxis))
        parts = () if names is None else zip(names.customdata, names.y, names.text, strict=True)
        planes.append([[int(row), int(column), float(y), str(name)] for (row, column), y, name in parts])
    titles = [note.text for note in figure.layout.annotations]
    first = heats[0]
    texts = [f"{value:g}".replace("-", "−") for value in (first.zmin, 0.0, first.zmax)]
    return dict(
        frames=units.astype(np.int16).tobytes(), shapes=[list(field.shape) for field in fields], marks=marks,
        planes=planes,
        captions=titles if len(titles) == len(heats) else [], title=figure.layout.title.text or "", scale=scale,
        lower=float(first.zmin), upper=float(first.zmax),
        colors=[[float(place), str(color)] for place, color in first.colorscale],
        ticks=[[float(value), text] for value, text in zip((first.zmin, 0.0, first.zmax), texts, strict=True)],
        symbol=first.colorbar.title.text or "", bar=any(heat.showscale for heat in heats),
    )  # fmt: skip
