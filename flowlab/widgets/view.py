"""What the views in a browser share: their scripts, and a state that is sent whole."""

from __future__ import annotations

import time
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets
import traitlets
from IPython.core.getipython import get_ipython

SILENT = 150.0
"""Seconds without a sign after which a view is taken to be gone; pages give one every 30, hidden ones every 60."""
STATIC = Path(__file__).parent / "static"


def script(*names: str) -> str:
    """Scripts of this folder as one module."""
    return "\n".join((STATIC / name).read_text(encoding="utf-8") for name in names)


class View(anywidget.AnyWidget):
    """A picture whose browser side draws all of its state, whenever it is built.

    Changes replace the state and count its ``version``: a view that was built while a message went by says which one
    it has, and is sent the whole once more.

    Attributes:
        version: how often the state has changed.
        code: lines of Python that make the picture; a lattice puts the layer and the sample on show into them.
        was_seen: whether a view of it has been on a page.
        returned: called when one comes.
        clicked: called with what a person has clicked on.
    """

    version = traitlets.Int(0).tag(sync=True)
    code = traitlets.Unicode().tag(sync=True)

    def __init__(self, **state: Any) -> None:
        self._heard: dict[str, float] = {}
        self.was_seen = False
        self.returned: Callable[[], None] | None = None
        self.clicked: Callable[[dict[str, Any]], None] | None = None
        super().__init__(**state)
        self.on_msg(self._hear)
        heard_since()  # from now on

    @property
    def viewers(self) -> set[str]:
        """The views that are on a page: those that have not said goodbye, and have given a sign when they could."""
        earliest = time.monotonic() - SILENT
        if heard_since() > earliest:
            return set(self._heard)
        return {view for view, when in self._heard.items() if when > earliest}

    def change(self, **state: Any) -> None:
        """Replace parts of the state, in one message."""
        with self.hold_sync():
            for name, value in state.items():
                setattr(self, name, value)
            self.version += 1

    def _hear(self, _: Any, content: dict[str, Any], buffers: Any) -> None:
        kind = content.get("type")
        if kind in ("built", "here"):
            had = self.viewers
            self._heard = {view: when for view, when in self._heard.items() if view in had}
            self._heard[content["view"]] = time.monotonic()
            self.was_seen = True
            if self.returned is not None and (kind == "built" or not had):
                self.returned()
            if kind == "built" and content["version"] != self.version:
                self.send_state()
        elif kind == "gone":
            self._heard.pop(content["view"], None)
        elif kind == "click" and self.clicked is not None:
            self.clicked(content)


class Works(anywidget.AnyWidget):
    """Says beside a click that the kernel works, where it does not answer at once; see :func:`watched`."""

    _esm = script("works.js")
    _css = script("shown.css")

    def __init__(self, **state: Any) -> None:
        super().__init__(**state)
        self.on_msg(lambda _, content, buffers: self.send({name: content[name] for name in ("view", "number")}))


def watched(*widgets: ipywidgets.Widget) -> ipywidgets.VBox:
    """Widgets one beneath the other, whose clicks are answered at once or by the word that the kernel works."""
    return ipywidgets.VBox([Works(), *widgets], layout={"width": "100%"}).add_class("flowlab-watched")


_free_since: list[float] = []
"""When the last cell ended; empty before anybody asked."""


def heard_since() -> float:
    """Since when messages of pages are heard, on the clock of ``time.monotonic``; infinite while a cell runs.

    >>> heard_since() <= time.monotonic()
    True
    """
    shell = get_ipython()
    if not _free_since:
        _free_since.append(0.0 if shell is None else inf)
        if shell is not None:  # asked for in a cell, whose end is the first
            shell.events.register("pre_run_cell", lambda *_: _set(inf))
            shell.events.register("post_run_cell", lambda *_: _set(time.monotonic()))
    return _free_since[0]


def _set(when: float) -> None:
    _free_since[0] = when
