"""A figure in a notebook that follows a figure made anew."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.basedatatypes import Undefined


class _FigureWidget(go.FigureWidget):  # type: ignore[misc]
    """A FigureWidget in which a person may select: the browser sends properties of a selection that have no value.

    Attributes:
        selected: called with all selections, as dicts, when a person has changed them.
    """

    selected: Callable[[list[dict[str, Any]]], None] | None = None

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> dict[str, Any]:
        """What a browser asks for that opens the notebook late, or anew: the figure as it is now, not as it began."""
        if key is None and "_layout_obj" in vars(self):
            self._widget_data, self._widget_layout = deepcopy(self._data), deepcopy(self._layout_obj._props)
        return dict(super().get_state(key, drop_defaults))

    def plotly_relayout(self, relayout_data: dict[str, Any], **kwargs: Any) -> None:
        super().plotly_relayout(_defined(relayout_data), **kwargs)
        by_hand = "source_view_id" in kwargs and any(key.startswith("selections") for key in relayout_data)
        if by_hand and self.selected is not None:
            self.selected(self.layout.to_plotly_json().get("selections") or [])


class LiveFigure:
    """A FigureWidget that is changed, never rebuilt: ``redraw`` sends what differs from the figure before.

    An axis that a person has zoomed keeps its range.

    Args:
        figure: the first figure. Later ones have the same kinds of traces in the same subplots; more may come.
        selected: called with the selections (boxes and lassos, in plotly's words) when a person has changed them.
    """

    def __init__(self, figure: go.Figure, selected: Callable[[list[dict[str, Any]]], None] | None = None) -> None:
        self.figure = figure
        self.widget = _FigureWidget(figure)
        self.widget.selected = selected
        self.widget.layout.autosize = True
        self.widget._config = {**self.widget._config, "responsive": True, "displaylogo": False}

    def redraw(self, figure: go.Figure) -> None:
        """Show ``figure``. The caller holds the panel's lock."""
        before, self.figure = self.figure, figure
        known = len(before.data)
        if len(figure.data) > known:
            self.widget.add_traces(list(figure.data[known:]))
        # Not all traces in one batch: a browser still opening the figure forgets what only some of them change.
        for trace, old, new in zip(self.widget.data, before.data, figure.data, strict=False):
            with self.widget.batch_update():
                _change(trace, old.to_plotly_json(), new.to_plotly_json())
        with self.widget.batch_update():
            old, new = before.layout.to_plotly_json(), figure.layout.to_plotly_json()
            for key in ("title", "annotations", "shapes", "showlegend"):
                if old.get(key) != new.get(key):
                    self.widget.layout[key] = new.get(key)
            for name in new:
                if name.startswith(("xaxis", "yaxis")):
                    if old.get(name, {}).get("title") != new[name].get("title"):
                        self.widget.layout[name].title = new[name].get("title")
                    self._change_range(name, old.get(name, {}).get("range"), new[name].get("range"))

    def _change_range(self, name: str, old: Any, new: Any) -> None:
        axis = self.widget.layout[name]
        zoomed = axis.range is not None and old is not None and not np.allclose(axis.range, old)
        if new is not None and (axis.autorange or not zoomed) and not (old is not None and np.array_equal(old, new)):
            axis.update(range=new, autorange=False)


def _defined(value: Any) -> Any:
    """Lists and dicts without what is undefined in the browser.

    >>> _defined({"selections": [{"x0": 1.0, "opacity": Undefined}]})
    {'selections': [{'x0': 1.0}]}
    """
    if isinstance(value, dict):
        return {key: _defined(each) for key, each in value.items() if each is not Undefined}
    return [_defined(each) for each in value] if isinstance(value, list) else value


def _change(trace: Any, old: dict[str, Any], new: dict[str, Any]) -> None:
    for key in (old | new).keys() - {"type", "uid"}:
        if not _same(old.get(key), new.get(key)):
            trace[key] = new.get(key)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return np.array_equal(a, b, equal_nan=a.dtype.kind == "f" and b.dtype.kind == "f")
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return False
    return bool(a == b)
