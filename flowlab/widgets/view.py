"""What the views in a browser share: their scripts, and a state that is sent whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import traitlets

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
        viewers: the views that are on a page; was_seen: whether there has been one.
        returned: called when one comes.
        clicked: called with what a person has clicked on.
    """

    version = traitlets.Int(0).tag(sync=True)

    def __init__(self, **state: Any) -> None:
        self.viewers: set[str] = set()
        self.was_seen = False
        self.returned: Callable[[], None] | None = None
        self.clicked: Callable[[dict[str, Any]], None] | None = None
        super().__init__(**state)
        self.on_msg(self._hear)

    def change(self, **state: Any) -> None:
        """Replace parts of the state, in one message."""
        with self.hold_sync():
            for name, value in state.items():
                setattr(self, name, value)
            self.version += 1

    def _hear(self, _: Any, content: dict[str, Any], buffers: Any) -> None:
        kind = content.get("type")
        if kind == "built":
            self.viewers.add(content["view"])
            self.was_seen = True
            if self.returned is not None:
                self.returned()
            if content["version"] != self.version:
                self.send_state()
        elif kind == "gone":
            self.viewers.discard(content["view"])
        elif kind == "click" and self.clicked is not None:
            self.clicked(content)
