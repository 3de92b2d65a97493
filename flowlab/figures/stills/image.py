"""A plotly figure as a PNG, drawn with matplotlib: what this package's figures consist of, and no more."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from flowlab.figures.shared.style import INK
from flowlab.figures.stills.axes import DPI, Frame, finish, frames_of, note, shape
from flowlab.figures.stills.traces import Drawing
from flowlab.figures.stills.values import at, plain

WIDTH = 900
MIN_HEIGHT = 240
USUAL = {"l": 70, "r": 24, "t": 60, "b": 52}
"""Pixels around a figure that says nothing of its margins."""


def png(figure: go.Figure | Mapping[str, Any], width: int = WIDTH) -> bytes:
    """The figure as it stands, as a PNG of at most 256 colours.

    Traces of kinds other than scatter, bar and heat map are left out.

    Args:
        figure: the figure, or what ``to_dict`` gives of it.
        width: in pixels, where the figure has none of its own.

    >>> png(go.Figure(go.Scatter(y=[1, 2])))[1:4]
    b'PNG'
    """
    return _packed(_drawn(figure, width, own=True))


def printed(figure: go.Figure, kind: str, width: float) -> bytes:
    """The figure as a PDF, SVG or PNG for print, so many millimetres wide."""
    page = _drawn(figure, int(width / 25.4 * DPI), own=False)
    buffer = io.BytesIO()
    page.savefig(buffer, format=kind, dpi=300, metadata={"CreationDate": None} if kind == "pdf" else None)
    return buffer.getvalue()


def _drawn(figure: go.Figure | Mapping[str, Any], width: int, *, own: bool) -> Figure:
    """A figure on a page of its own width, where it has one, or of another, its height in proportion."""
    whole = figure if isinstance(figure, Mapping) else figure.to_dict()
    traces = [trace for trace in whole.get("data", ()) if trace.get("visible", True) is True]
    layout = _with_template(whole.get("layout", {}))
    wide, high = int(at(layout, "width", width if own else WIDTH)), int(at(layout, "height", 450))
    size = (wide, high) if own else (width, max(int(high * width / wide), MIN_HEIGHT))
    margin = {side: float(at(layout, f"margin.{side}", usual)) for side, usual in USUAL.items()}
    margin["r"] = max(margin["r"], 90.0 if _has_bar(traces, layout) else 0.0)
    page = _page(traces, layout, Frame.of(size, margin))
    left, right = _beyond(page)
    if left > 0 or right > 0:
        margin = {**margin, "l": margin["l"] + left, "r": margin["r"] + right}
        page = _page(traces, layout, Frame.of(size, margin))
    return page


def _page(traces: Sequence[Mapping[str, Any]], layout: Mapping[str, Any], frame: Frame) -> Figure:
    """Everything on a page with given margins."""
    page, size = frame.page, frame.size
    axes = frames_of(frame, traces, layout)
    drawing = Drawing(frame, layout, axes, traces)
    for number, trace in enumerate(traces):
        drawing.add(trace, number)
    for each in axes.values():
        finish(each, axes)
    for part in at(layout, "shapes", ()):
        shape(frame, axes, part)
    for part in at(layout, "annotations", ()):
        note(frame, axes, part)
    page.text(16 / size[0], 1 - 14 / size[1], plain(at(layout, "title.text")), size=10.5, color=INK, va="top")
    if at(layout, "showlegend", len(traces) > 1) and drawing.entries:
        _legend(frame, layout, drawing.entries)
    return page


def _beyond(page: Figure) -> tuple[float, float]:
    """How many pixels of labels and legends lie beyond the left and the right edge of a page."""
    page.draw_without_rendering()
    boxes = [box for axes in page.axes if (box := axes.get_tightbbox(for_layout_only=True)) is not None]
    boxes += [legend.get_window_extent() for legend in page.legends]
    if not boxes:
        return 0.0, 0.0
    width = page.bbox.width
    return max(0.0, 4 - min(box.x0 for box in boxes)), max(0.0, max(box.x1 for box in boxes) - width + 4)


def beneath(pictures: Sequence[bytes]) -> bytes:
    """Several PNG as one, each beneath the one before."""
    images = [Image.open(io.BytesIO(picture)).convert("RGB") for picture in pictures]
    whole = Image.new("RGB", (max(i.width for i in images), sum(i.height for i in images)), "white")
    top = 0
    for image in images:
        whole.paste(image, (0, top))
        top += image.height
    return _quantized(whole)


def _with_template(layout: Mapping[str, Any]) -> dict[str, Any]:
    """The layout, over what its template says of the same."""

    def over(below: Any, above: Any) -> Any:
        if not (isinstance(below, Mapping) and isinstance(above, Mapping)):
            return above
        return {**below, **{name: over(below.get(name), value) for name, value in above.items()}}

    base = dict(at(layout, "template.layout", {}))
    whole: dict[str, Any] = over(base, {name: value for name, value in layout.items() if name != "template"})
    for name in whole:
        kind = name[:5]
        if kind in ("xaxis", "yaxis") and isinstance(whole[name], Mapping):
            whole[name] = over(base.get(kind, {}), whole[name])
    return whole


def _has_bar(traces: Sequence[Mapping[str, Any]], layout: Mapping[str, Any]) -> bool:
    """Whether there is a bar of colours to the right of the pictures."""
    maps = [trace for trace in traces if trace.get("type") == "heatmap"]
    shared = any("coloraxis" in trace and at(layout, f"{trace['coloraxis']}.showscale", True) for trace in maps)
    return shared or any("coloraxis" not in trace and trace.get("showscale", True) for trace in maps)


def _legend(frame: Frame, layout: Mapping[str, Any], entries: dict[str, Any]) -> None:
    place: Any
    if at(layout, "legend.orientation", "v") == "v":
        x, y, place, columns = frame.x(1.02), frame.y(1.0), "upper left", 1
    else:
        x, y = frame.x(float(at(layout, "legend.x", 0.0))), frame.y(float(at(layout, "legend.y", 1.0)))
        low = at(layout, "legend.yanchor", "bottom") != "top"
        side = at(layout, "legend.xanchor", "left")
        place = f"{'lower' if low else 'upper'} {'center' if side == 'center' else side}"
        room = frame.inner_width // (7 * max(map(len, entries)) + 50)
        columns = max(1, min(len(entries), int(room)))
    frame.page.legend(
        list(entries.values()), list(entries), loc=place, bbox_to_anchor=(x, y), ncol=columns, fontsize=8,
        frameon=False, borderaxespad=0.2, handlelength=1.6, columnspacing=1.2, labelcolor=INK,
    )  # fmt: skip


def _packed(page: Figure) -> bytes:
    canvas = page.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    canvas.draw()
    return _quantized(Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB"))


def _quantized(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.quantize(256, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    return out.getvalue()
