"""Where the axes of a figure lie on the page, how they are labelled, and what stands on them in words and lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.text import Annotation
from matplotlib.ticker import FixedLocator, LogFormatter, MaxNLocator, MultipleLocator, NullLocator
from matplotlib.transforms import Bbox, BboxTransformTo, Transform, blended_transform_factory

from flowlab.figures.shared.style import GRID, INK, QUIET, RULE
from flowlab.figures.stills.values import array, at, color, plain

DPI = 100
DASHES: dict[str, Any] = {
    "dash": (0, (5, 3)),
    "dot": (0, (1, 2)),
    "dashdot": (0, (5, 2, 1, 2)),
    "longdash": (0, (8, 3)),
}
"""Of lines, by plotly's names."""


def points(pixels: float) -> float:
    """A length in pixels of the screen, in points of the page.

    >>> points(100)
    72.0
    """
    return 0.72 * pixels


@dataclass
class Frame:
    """The page, and the part of it between the margins, in which plotly's "paper" runs from 0 to 1.

    Args:
        page: what is drawn on.
        size: width and height in pixels.
        margin: pixels at l, r, t and b.
    """

    page: Figure
    size: tuple[int, int]
    margin: dict[str, float]

    @classmethod
    def of(cls, size: tuple[int, int], margin: dict[str, float]) -> Frame:
        """An empty page of a size in pixels."""
        page = Figure(figsize=(size[0] / DPI, size[1] / DPI), dpi=DPI, facecolor="white")
        FigureCanvasAgg(page)
        return cls(page, size, margin)

    @property
    def inner_width(self) -> float:
        """Pixels between the margins."""
        return max(50.0, self.size[0] - self.margin["l"] - self.margin["r"])

    @property
    def inner_height(self) -> float:
        """Pixels between the margins."""
        return max(50.0, self.size[1] - self.margin["t"] - self.margin["b"])

    def x(self, paper: float) -> float:
        """A place of the paper as a part of the page's width."""
        return (self.margin["l"] + paper * self.inner_width) / self.size[0]

    def y(self, paper: float) -> float:
        """A place of the paper as a part of the page's height."""
        return (self.margin["b"] + paper * self.inner_height) / self.size[1]

    @property
    def paper(self) -> Transform:
        """From the paper to the screen."""
        box = Bbox([[self.x(0.0), self.y(0.0)], [self.x(1.0), self.y(1.0)]])
        return BboxTransformTo(box) + self.page.transFigure


@dataclass
class Pair:
    """An x and a y axis that belong to each other, with plotly's words for both."""

    axes: Axes
    x: Mapping[str, Any]
    y: Mapping[str, Any]
    names: tuple[str, str]
    categories: dict[str, list[str]] = field(default_factory=dict)


def frames_of(frame: Frame, traces: Sequence[Mapping[str, Any]], layout: Mapping[str, Any]) -> dict[str, Pair]:
    """The pairs of axes on which there are traces, by plotly's short names: ``{"x2y2": Pair}``."""
    found: dict[str, Pair] = {}
    used = [(str(trace.get("xaxis", "x")), str(trace.get("yaxis", "y"))) for trace in traces]
    for x, y in dict.fromkeys(used or [("x", "y")]):
        across, up = (dict(at(layout, f"{name[0]}axis{name[1:]}", {})) for name in (x, y))
        under = at(layout, f"yaxis{str(up.get('overlaying', ''))[1:]}", {}) if up.get("overlaying") else up
        (left, right), (low, high) = (at(part, "domain", (0.0, 1.0)) for part in (across, under))
        box = (frame.x(left), frame.y(low), frame.x(right) - frame.x(left), frame.y(high) - frame.y(low))
        axes = frame.page.add_axes(box, label=x + y)
        axes.set_axisbelow(True)
        axes.patch.set_visible(not up.get("overlaying"))
        axes.set(xscale="log" if across.get("type") == "log" else "linear")
        axes.set(yscale="log" if up.get("type") == "log" else "linear")
        found[x + y] = Pair(axes, across, up, (x, y))
    return found


def finish(pair: Pair, everywhere: Mapping[str, Pair]) -> None:
    """Ranges, ticks, grid, titles and the look of a pair of axes on which all is drawn."""
    axes = pair.axes
    axes.margins(0.03, 0.05)
    for which, part in (("x", pair.x), ("y", pair.y)):
        _limit(axes, which, part, _partners(pair, which, everywhere))
        _ticks(axes, which, part, which in pair.categories)
        axis = axes.xaxis if which == "x" else axes.yaxis
        axis.set_label_text(plain(at(part, "title.text")), size=8.5, color=INK)
        if part.get("visible") is False:
            axis.set_visible(False)
    if pair.y.get("side") == "right":
        axes.yaxis.tick_right()
        axes.yaxis.set_label_position("right")
    shown = {"left": pair.y, "bottom": pair.x}
    for side, spine in axes.spines.items():
        part = shown.get(side, {})
        spine.set_visible(bool(part.get("showline", False)) and part.get("visible") is not False)
        spine.set_color(RULE)
    if pair.y.get("zeroline") and pair.y.get("zerolinecolor"):
        axes.axhline(0.0, color=INK, linewidth=0.8, zorder=1)
    if pair.x.get("scaleanchor") or pair.y.get("scaleanchor"):
        axes.set_aspect("equal", adjustable="box")


def _partners(pair: Pair, which: str, everywhere: Mapping[str, Pair]) -> list[Axes]:
    """The axes whose range is to be the same."""
    place = 0 if which == "x" else 1

    def family(each: Pair) -> str:
        return str((each.x, each.y)[place].get("matches") or each.names[place])

    return [each.axes for each in everywhere.values() if family(each) == family(pair)]


def _limit(axes: Axes, which: str, part: Mapping[str, Any], partners: Sequence[Axes]) -> None:
    given = part.get("range")
    name = f"{which}lim"
    if given is not None and all(isinstance(end, int | float) and isfinite(end) for end in given):
        log = part.get("type") == "log"
        axes.set(**{name: [10.0**end if log else end for end in given]})
        return
    ends = np.array([getattr(each, f"get_{name}")() for each in partners])
    low, high = float(ends.min()), float(ends.max())
    if part.get("rangemode") == "tozero" and low > 0:
        low = 0.0
    axes.set(**{name: (high, low) if part.get("autorange") == "reversed" else (low, high)})


def _ticks(axes: Axes, which: str, part: Mapping[str, Any], categories: bool) -> None:
    axis = axes.xaxis if which == "x" else axes.yaxis
    values, texts = part.get("tickvals"), part.get("ticktext")
    if values is not None:
        axis.set_major_locator(FixedLocator([float(v) for v in array(values)]))
        if texts is not None:
            axis.set_ticklabels([plain(text) for text in texts])
    elif part.get("type") not in ("log", "category") and not categories and "dtick" not in part:
        axis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10]))
    elif isinstance(part.get("dtick"), int | float) and part.get("type") != "log":
        axis.set_major_locator(MultipleLocator(float(part["dtick"])))
    if values is not None or part.get("type") != "log":
        axis.set_minor_locator(NullLocator())
    elif part.get("type") == "log":
        axis.set_major_formatter(LogFormatter(labelOnlyBase=False))
        axis.set_minor_formatter(LogFormatter(labelOnlyBase=False, minor_thresholds=(1.2, 0.4)))
    hidden = part.get("showticklabels") is False
    look: dict[str, Any] = dict(
        axis=which, which="both", labelsize=8, labelcolor=QUIET, color=RULE, labelbottom=not hidden,
        labelleft=not hidden, length=0 if part.get("ticks") == "" or hidden else 3,
    )  # fmt: skip
    if part.get("tickangle"):
        look["labelrotation"] = -float(part["tickangle"])
    axes.tick_params(**look)
    if part.get("showgrid", True):
        axis.grid(visible=True, color=GRID, linewidth=0.8)


def _place(frame: Frame, axes: Mapping[str, Pair], x: str, y: str) -> Transform | None:
    """From what a shape or a note counts in to the screen; None where it counts on axes that nothing stands on."""

    def one(ref: str) -> Transform | None:
        name, _, domain = ref.partition(" ")
        if name == "paper":
            return frame.paper
        pair = next((pair for pair in axes.values() if name in pair.names), None)
        return None if pair is None else (pair.axes.transAxes if domain else pair.axes.transData)

    across, up = one(x), one(y)
    return None if across is None or up is None else blended_transform_factory(across, up)


def shape(frame: Frame, axes: Mapping[str, Pair], part: Mapping[str, Any]) -> None:
    """A line or a rectangle."""
    place = _place(frame, axes, part.get("xref", "x"), part.get("yref", "y"))
    if place is None or part.get("type") not in ("line", "rect") or part.get("visible") is False:
        return
    x, y = (float(part["x0"]), float(part["x1"])), (float(part["y0"]), float(part["y1"]))
    ink, width = color(at(part, "line.color", INK)), points(float(at(part, "line.width", 2)))
    if part["type"] == "line":
        style = DASHES.get(at(part, "line.dash", ""), "-")
        frame.page.add_artist(Line2D(x, y, transform=place, color=ink, linewidth=width, linestyle=style, zorder=2))
    else:
        fill = color(part.get("fillcolor", "rgba(0,0,0,0)"), float(part.get("opacity", 1.0)))
        frame.page.add_artist(
            Rectangle((x[0], y[0]), x[1] - x[0], y[1] - y[0], transform=place, facecolor=fill, edgecolor=ink,
                      linewidth=width, zorder=0.5)
        )  # fmt: skip


def note(frame: Frame, axes: Mapping[str, Pair], part: Mapping[str, Any]) -> None:
    """A text on the page or on axes; one with an arrow stands a little off, as plotly has it."""
    place = _place(frame, axes, part.get("xref", "paper"), part.get("yref", "paper"))
    words = plain(part.get("text"))
    if place is None or part.get("visible") is False or not words:
        return
    across = {"left": "left", "right": "right"}.get(part.get("xanchor", "center"), "center")
    up = {"top": "top", "bottom": "bottom"}.get(part.get("yanchor", "middle"), "center")
    look: dict[str, Any] = dict(
        size=points(float(at(part, "font.size", 12))), color=color(at(part, "font.color", INK)), ha=across, va=up,
        rotation=-float(part.get("textangle", 0) or 0), zorder=6,
    )  # fmt: skip
    if part.get("bgcolor"):
        look["bbox"] = {"facecolor": color(part["bgcolor"]), "edgecolor": "none", "pad": 1}
    where = part["x"], part["y"]
    shift = (float(part.get("xshift", 0)), float(part.get("yshift", 0)))
    if part.get("showarrow", True):
        shift = (float(part.get("ax", -10)), -float(part.get("ay", -30)))
    look["arrowprops"] = {"arrowstyle": "->", "color": INK, "lw": 0.8} if part.get("showarrow", True) else None
    look |= {"xytext": (points(shift[0]), points(shift[1])), "textcoords": "offset points", "annotation_clip": False}
    frame.page.add_artist(Annotation(words, where, xycoords=place, **look))
