"""Curves, points, bars and heat maps of a figure on the axes of a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from flowlab.figures.shared.style import INK, QUIET
from flowlab.figures.stills.axes import DASHES, Frame, Pair, points
from flowlab.figures.stills.values import array, at, color, colormap, plain

COLORWAY = ("#636efa", "#EF553B", "#00cc96", "#ab63fa", "#FFA15A", "#19d3f3", "#FF6692", "#B6E880")
VIRIDIS = [[k / 4, name] for k, name in enumerate(("#440154", "#3b528b", "#21918c", "#5ec962", "#fde725"))]
STEPS = {"hv": "steps-post", "vh": "steps-pre", "hvh": "steps-mid"}
SYMBOLS = {"circle": "o", "square": "s", "diamond": "D", "cross": "P", "x": "X", "star": "*", "line-ns": "|",
           "triangle-up": "^", "triangle-down": "v"}  # fmt: skip


class Drawing:
    """Draws traces, one after the other.

    Args:
        frame: the page.
        layout: plotly's, over its template.
        axes: the pairs of axes by name.
        traces: all that will be drawn, so that bars of a group know of each other.

    Attributes:
        entries: what the legend shows, by name.
    """

    def __init__(
        self, frame: Frame, layout: Mapping[str, Any], axes: Mapping[str, Pair], traces: Sequence[Mapping[str, Any]]
    ) -> None:
        self.frame, self.layout, self.axes = frame, layout, axes
        bars = [trace for trace in traces if trace.get("type") == "bar"]
        self._coming = Counter(_axes_of(trace) for trace in bars)
        self.entries: dict[str, Any] = {}
        self._colors = tuple(at(layout, "colorway", COLORWAY))
        self._before: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self._heights: dict[str, np.ndarray] = {}
        self._bars: Counter[str] = Counter()
        self._barred: set[str] = set()

    def add(self, trace: Mapping[str, Any], number: int) -> None:
        """Draw a trace, the one of that number; of a kind that is not known, nothing."""
        draw = {"scatter": self._scatter, "scattergl": self._scatter, "bar": self._bar, "heatmap": self._heatmap}
        pair = self.axes[_axes_of(trace)]
        kind = draw.get(trace.get("type", "scatter"))
        if kind is None:
            return
        handle = kind(trace, pair, self._colors[number % len(self._colors)])
        name = plain(trace.get("name")).replace("\n", " ")
        if handle is not None and name and trace.get("showlegend", True):
            self.entries.setdefault(name, handle)

    def _places(self, pair: Pair, which: str, values: np.ndarray) -> np.ndarray:
        """Where values stand on an axis; categories stand in the order in which they come."""
        part = pair.x if which == "x" else pair.y
        if values.dtype.kind not in "OUS" and part.get("type") != "category":
            return values.astype(float)
        names = pair.categories.setdefault(which, [])
        texts = [f"{value:g}" if isinstance(value, float) else str(value) for value in values.tolist()]
        names += [text for text in dict.fromkeys(texts) if text not in names]
        axis = pair.axes.xaxis if which == "x" else pair.axes.yaxis
        axis.set_ticks(range(len(names)), [plain(name) for name in names])
        return np.array([names.index(text) for text in texts], dtype=float)

    def _xy(self, trace: Mapping[str, Any], pair: Pair) -> tuple[np.ndarray, np.ndarray]:
        y = self._places(pair, "y", array(trace.get("y", ())))
        x = np.arange(len(y), dtype=float) if trace.get("x") is None else array(trace["x"])
        return self._places(pair, "x", x), y

    def _scatter(self, trace: Mapping[str, Any], pair: Pair, usual: str) -> Any:
        x, y = self._xy(trace, pair)
        if len(x) == 0:
            return None
        mode = trace.get("mode") or ("lines+markers" if len(x) < 20 else "lines")
        opacity = float(trace.get("opacity", 1.0))
        own = at(trace, "marker.color")
        named = at(trace, "line.color") or (own if isinstance(own, str) else None) or usual
        ink = color(named, opacity)
        self._fill(trace, pair, x, y, ink)
        handle = None
        width = points(float(at(trace, "line.width", 2)))
        if "lines" in mode and width > 0:
            (handle,) = pair.axes.plot(
                x, y, color=ink, linewidth=width, zorder=3, linestyle=DASHES.get(at(trace, "line.dash", ""), "-"),
                drawstyle=STEPS.get(at(trace, "line.shape", ""), "default"),
            )  # fmt: skip
        if "markers" in mode:
            dots = self._markers(trace, pair, x, y, named)
            handle = dots if handle is None else handle
        self._errors(trace, pair, x, y, ink)
        if "text" in mode and trace.get("text") is not None:
            texts = trace["text"] if not isinstance(trace["text"], str) else [trace["text"]] * len(x)
            for each, here, there in zip(texts, x, y, strict=False):
                pair.axes.annotate(plain(each), (here, there), size=8, ha="center", va="bottom", color=INK)
        self._before["".join(pair.names)] = (x, y)
        return handle

    def _markers(self, trace: Mapping[str, Any], pair: Pair, x: np.ndarray, y: np.ndarray, named: str) -> Any:
        opacity = float(trace.get("opacity", 1.0)) * float(at(trace, "marker.opacity", 1.0) or 1.0)
        given, size = at(trace, "marker.color", named), array(at(trace, "marker.size", 6)).astype(float)
        look: dict[str, Any] = {"marker": SYMBOLS.get(str(at(trace, "marker.symbol", "circle")).split("-open")[0], "o")}
        look["linewidths"] = points(float(at(trace, "marker.line.width", 0) or 0))
        look["edgecolors"] = color(at(trace, "marker.line.color", INK)) if look["linewidths"] else "none"
        if isinstance(given, str):
            look["color"] = [color(given, opacity)]
            if "-open" in str(at(trace, "marker.symbol", "")):
                look = {**look, "facecolors": "none", "edgecolors": look.pop("color"), "linewidths": 1}
        elif array(given).dtype.kind in "OUS":
            look["color"] = [color(each, opacity) for each in array(given)]
        else:
            look |= {"c": array(given).astype(float), "cmap": colormap(at(trace, "marker.colorscale", VIRIDIS))}
            look |= {"vmin": at(trace, "marker.cmin"), "vmax": at(trace, "marker.cmax"), "alpha": opacity}
        return pair.axes.scatter(x, y, s=(0.72 * size) ** 2, zorder=3.5, **look)

    def _errors(self, trace: Mapping[str, Any], pair: Pair, x: np.ndarray, y: np.ndarray, ink: Any) -> None:
        bars: dict[str, Any] = {}
        for which in "xy":
            part = trace.get(f"error_{which}") or {}
            if part.get("array") is not None and part.get("visible", True):
                high = np.nan_to_num(array(part["array"]).astype(float))
                low = high if part.get("arrayminus") is None else np.nan_to_num(array(part["arrayminus"]).astype(float))
                bars[f"{which}err"] = np.abs([low, high])
        if bars:
            own = at(trace, "error_y.color")
            pair.axes.errorbar(x, y, fmt="none", ecolor=color(own) if own else ink, elinewidth=0.9, capsize=1.5, **bars)

    def _fill(self, trace: Mapping[str, Any], pair: Pair, x: np.ndarray, y: np.ndarray, ink: Any) -> None:
        how = trace.get("fill")
        if how in (None, "none"):
            return
        shade = color(trace["fillcolor"]) if trace.get("fillcolor") else (*ink[:3], 0.3)
        look: dict[str, Any] = dict(facecolor=shade, edgecolor="none", zorder=2)
        if how == "toself":
            pair.axes.fill(x, y, **look)
        elif how == "tonexty" and "".join(pair.names) in self._before:
            before_x, before_y = self._before["".join(pair.names)]
            pair.axes.fill(np.append(before_x, x[::-1]), np.append(before_y, y[::-1]), **look)
        else:
            pair.axes.fill_between(x, y, 0.0, **look)

    def _bar(self, trace: Mapping[str, Any], pair: Pair, usual: str) -> Any:
        lying = trace.get("orientation") == "h"
        x, y = self._xy(trace, pair)
        place, length = (y, x) if lying else (x, y)
        if len(place) == 0:
            return None
        name = "".join(pair.names)
        mode = at(self.layout, "barmode", "group")
        apart = float(np.min(np.diff(np.unique(place)), initial=np.inf))
        room = (apart if np.isfinite(apart) else 1.0) * (1 - float(at(self.layout, "bargap", 0.2)))
        given = trace.get("width")
        width = room if given is None else array(given).astype(float)
        foot = np.zeros(len(length)) if trace.get("base") is None else array(trace["base"]).astype(float)
        if mode == "group" and given is None:
            count = self._coming[name]
            width = room / count
            place = place + (self._bars[name] - (count - 1) / 2) * width
        elif mode in ("stack", "relative") and name in self._heights and len(self._heights[name]) == len(length):
            foot = foot + self._heights[name]
        self._heights[name] = foot + np.nan_to_num(length)
        self._bars[name] += 1
        opacity = float(trace.get("opacity", 1.0)) * float(at(trace, "marker.opacity", 1.0) or 1.0)
        own = at(trace, "marker.color", usual)
        ink = color(own, opacity) if isinstance(own, str) else [color(each, opacity) for each in array(own)]
        draw = pair.axes.barh if lying else pair.axes.bar
        handle = draw(place, length, width, foot, color=ink, zorder=2)
        across, up = (length, place) if lying else (place, foot + length)
        self._errors(trace, pair, across, up, color(INK))
        return handle

    def _heatmap(self, trace: Mapping[str, Any], pair: Pair, usual: str) -> None:
        z = np.ma.masked_invalid(np.atleast_2d(array(trace["z"])).astype(float))
        shared = at(self.layout, str(trace.get("coloraxis", "none")), {})
        scale = shared.get("colorscale") or trace.get("colorscale") or at(self.layout, "colorscale.sequential", VIRIDIS)
        scale = VIRIDIS if isinstance(scale, str) else scale
        ends = (shared.get("cmin", trace.get("zmin")), shared.get("cmax", trace.get("zmax")))
        if ends[0] is None and trace.get("zmid") is not None:
            reach = float(np.abs(z - trace["zmid"]).max())
            ends = (trace["zmid"] - reach, trace["zmid"] + reach)
        x, y = (
            _edges(
                np.arange(n, dtype=float)
                if trace.get(which) is None
                else self._places(pair, which, array(trace[which]))
            )
            for which, n in (("x", z.shape[1]), ("y", z.shape[0]))
        )
        lines: dict[str, Any] = {}
        if trace.get("xgap"):
            lines = {"edgecolors": "white", "linewidth": points(float(trace["xgap"]))}
        low, high = (None if end is None else float(end) for end in ends)
        norm = Normalize(low, high)
        pair.axes.pcolormesh(
            x, y, z, cmap=colormap(scale), norm=norm, alpha=float(trace.get("opacity", 1.0)), zorder=1, **lines
        )
        self._colorbar(trace, shared, colormap(scale), norm)

    def _colorbar(self, trace: Mapping[str, Any], shared: Mapping[str, Any], scale: Any, norm: Normalize) -> None:
        name = str(trace.get("coloraxis", ""))
        part = (shared if name else trace).get("colorbar", {})
        shown = shared.get("showscale", True) if name else trace.get("showscale", True)
        key = name or repr(sorted((str(k), str(v)) for k, v in part.items() if k in ("x", "y", "len")))
        if not shown or key in self._barred:
            return
        self._barred.add(key)
        frame, lying = self.frame, part.get("orientation") == "h"
        length = float(part.get("len", 1.0))
        middle = float(part.get("x" if lying else "y", 0.5))
        anchor = part.get("xanchor" if lying else "yanchor", "center" if lying else "middle")
        start = middle - length * {"left": 0.0, "bottom": 0.0, "right": 1.0, "top": 1.0}.get(anchor, 0.5)
        thick = float(part.get("thickness", 14))
        if lying:
            box = (frame.x(start), frame.y(float(part.get("y", 1.02))), length * frame.inner_width / frame.size[0], 0.0)
            box = (*box[:3], thick / frame.size[1])
        else:
            left = frame.x(float(part.get("x", 1.02)))
            box = (left, frame.y(start), thick / frame.size[0], length * frame.inner_height / frame.size[1])
        axes = frame.page.add_axes(box)
        bar = frame.page.colorbar(
            ScalarMappable(norm, scale), cax=axes, orientation="horizontal" if lying else "vertical"
        )
        bar.outline.set_visible(False)
        if part.get("tickvals") is not None:
            values = [float(v) for v in array(part["tickvals"])]
            bar.set_ticks(values, labels=[plain(t) for t in part.get("ticktext") or map("{:g}".format, values)])
        axes.tick_params(labelsize=8, labelcolor=QUIET, length=0)
        title = plain(at(part, "title.text"))
        if title:
            axes.set_title(title, size=8.5, color=INK)


def _axes_of(trace: Mapping[str, Any]) -> str:
    return str(trace.get("xaxis", "x")) + str(trace.get("yaxis", "y"))


def _edges(middles: np.ndarray) -> np.ndarray:
    """The edges of cells with these middles.

    >>> _edges(np.array([0.0, 1.0, 2.0]))
    array([-0.5,  0.5,  1.5,  2.5])
    """
    if len(middles) < 2:
        return np.array([middles[0] - 0.5, middles[0] + 0.5])
    inner = (middles[1:] + middles[:-1]) / 2
    return np.concatenate([[1.5 * middles[0] - 0.5 * middles[1]], inner, [1.5 * middles[-1] - 0.5 * middles[-2]]])
