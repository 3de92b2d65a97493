"""A plotly figure in a notebook that is drawn whole from its state."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cache
from math import inf
from typing import Any

import anywidget
import traitlets
from ipywidgets import widget_serialization

from flowlab.figures import Figure
from flowlab.figures.page import PALETTE, as_json, plotly_js
from flowlab.figures.stills import encoded
from flowlab.widgets.view import View, script

WHERE = "live in JupyterLab 4, Notebook 7 and Voila; lab.save('lab.html') writes a page for any browser"
"""What is said of panels where no widget is shown, as in a terminal."""
ONCE = 5.0
"""Seconds in which a page is sent the script no second time."""


PATIENT = "application/vnd.flowlab.view+json"
"""Says that a widget is to be waited for, as ``labextension/static/renderer.js`` does in JupyterLab and Notebook 7."""


class Library(anywidget.AnyWidget):
    """plotly.js, sent once to a page and used by all its figures.

    JupyterLab asks for the state of every widget whenever it connects to the kernel, also for what it has: the script
    is no part of that answer, and a page that lacks it, as one that was loaded anew, says so.
    """

    _esm = "export default {}"
    source = traitlets.Bytes().tag(sync=True)

    def __init__(self, **state: Any) -> None:
        super().__init__(**state)
        self._sent: dict[str, float] = {}
        self.on_msg(self._answer)

    def _answer(self, _: Any, content: dict[str, Any], buffers: Any) -> None:
        """Send the script to every page that asks, to each once for all that it asked while a cell ran."""
        page, now = content.get("page", ""), time.monotonic()
        if now - self._sent.get(page, -inf) > ONCE:
            self._sent[page] = now
            self.send_state("source")

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> dict[str, Any]:
        state: dict[str, Any] = super().get_state(key, drop_defaults)
        if key is None and self.comm is not None:
            state.pop("source", None)
        return state


class PlotView(View):
    """The widget of a :class:`Plot`."""

    _esm = script("theme.js", "menu.js", "plot.js")
    library = traitlets.Instance(Library).tag(sync=True, **widget_serialization)
    palette = traitlets.Dict(PALETTE).tag(sync=True)
    figure = traitlets.Unicode("{}").tag(sync=True)
    selections: traitlets.List[Any] = traitlets.List().tag(sync=True)
    place = traitlets.Int(0).tag(sync=True)


class Plot:
    """A figure on a page: ``redraw`` replaces it, by another with whatever traces and axes it has.

    An axis that a person has zoomed keeps its range, and what has been selected stays.

    Args:
        figure: the first one.
        clicked: called with ``x``, ``y`` and the number of the ``trace`` of a point that is clicked on.
        selected: called with all boxes and lassos, in plotly's words, when a person has changed them.

    Attributes:
        figure: the one on show.
        widget: what a notebook shows.
    """

    def __init__(
        self,
        figure: Figure,
        *,
        clicked: Callable[[dict[str, Any]], None] | None = None,
        selected: Callable[[list[dict[str, Any]]], None] | None = None,
    ) -> None:
        self.figure = figure
        self.selected = selected
        self.widget = PlotView(library=_library(), figure=as_json(figure))
        self.widget.clicked = clicked
        self.widget.observe(self._select, "selections")

    def redraw(self, figure: Figure) -> None:
        """Show ``figure``."""
        self.figure, text = figure, as_json(figure)
        if text != self.widget.figure:
            self.widget.change(figure=text)

    def deselect(self) -> None:
        """Take all boxes and lassos away."""
        self.widget.change(selections=[])

    def _select(self, change: dict[str, Any]) -> None:
        if self.selected is not None:
            self.selected(change["new"])


def with_still(bundle: dict[str, Any], figures: Callable[[], Sequence[Figure]], words: str) -> dict[str, Any]:
    """What a notebook is sent of a widget, and a picture beside it for pages on which nothing is live.

    Args:
        bundle: of the widget, by mime type.
        figures: gives what is in the picture; where that fails there is none.
        words: what is said where there are no pictures.
    """
    bundle = bundle | {"text/plain": words, PATIENT: {}}
    try:
        return bundle | encoded(*figures())
    except Exception:
        return bundle


@cache
def _library() -> Library:
    return Library(source=plotly_js())
