"""A lab as one file, alive without a kernel: what panels write of themselves, and the page that shows it."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from html import escape
from string import Template
from typing import Any

from flowlab.figures import Figure
from flowlab.figures.page import PALETTE, as_json, plotly_js
from flowlab.widgets.strip import strip_of
from flowlab.widgets.view import script

VIEWS = ("plot", "lattice", "strip")
Piece = dict[str, Any]
"""A piece of a tab, of the kinds that ``static/page.js`` builds."""


def text(*frames: str, by: Mapping[str, int] | None = None) -> Piece:
    """A line of HTML; several, one for every value of the controls ``by`` name -> count, the last one fastest."""
    return {"kind": "text", "frames": list(frames), "by": list((by or {}).items())}


def plot(*frames: Figure, by: Mapping[str, int] | None = None, marks: str = "") -> Piece:
    """A figure; several, one for every value of controls. A line ``marks`` where a control of that name stands."""
    shown = [as_json(frame) for frame in frames]
    return {"kind": "plot", "frames": shown, "by": list((by or {}).items()), "marks": marks}


def lattice(state: Mapping[str, Any]) -> Piece:
    """Configurations as :func:`flowlab.widgets.lattice.frames_of` gives them."""
    frames = base64.b64encode(state["frames"]).decode()
    more = {"layer": 0, "sample": 0, "playing": False, "plays": False, "interval": 700, "width": 350}
    return {"kind": "lattice", "state": more | dict(state) | {"frames": frames}}


def slider(name: str, last: int, value: int, label: str, *, texts: Sequence[str] = (), interval: int = 700) -> Piece:
    """A slider from 0 to ``last`` with a button that plays; ``texts`` stand for its values, ``interval`` is in ms.

    Where there is one value only, that as text.
    """
    if last == 0:
        return text(escape(f"{label}: {[*texts, '0'][0]}"))
    more = {"texts": list(texts), "interval": interval}
    return {"kind": "slider", "name": name, "max": last, "value": value, "label": label} | more


def strip(
    *figures: Figure,
    by: Mapping[str, int] | None = None,
    side: int = 260,
    across: int = 6,
    picks: tuple[str, Sequence[Sequence[int]]] | None = None,
) -> Piece:
    """The heat maps of a figure, as a :class:`flowlab.widgets.strip.Strip` shows them; several for controls.

    Where a click on the first one chooses, ``picks`` is the name of a control and its value for each (row, column);
    the same value once more is 0.
    """
    states = [strip_of(figure) for figure in figures]
    look = {"side": side, "across": across, "paints": "", "seen": 0, "signed": True}
    frames = [look | state | {"frames": base64.b64encode(state["frames"]).decode()} for state in states]
    chosen = None if picks is None else {"name": picks[0], "at": [[int(k) for k in line] for line in picks[1]]}
    return {"kind": "strip", "frames": frames, "by": list((by or {}).items()), "picks": chosen}


def entry(name: str, last: int, value: int, label: str) -> Piece:
    """A number from 0 to ``last``."""
    return {"kind": "number", "name": name, "max": last, "value": value, "label": label}


def choice(name: str, options: Sequence[str]) -> Piece:
    """One of some options, as its number; where there is one only, that as text."""
    if len(options) == 1:
        return text(escape(f"{name}: {options[0]}"))
    return {"kind": "choice", "name": name, "options": list(options)}


def row(*parts: Piece) -> Piece:
    """Controls beside each other."""
    return {"kind": "controls", "parts": list(parts)}


def beside(left: Piece, right: Piece) -> Piece:
    """A lattice or a strip, and a figure that takes the rest of the width."""
    return {"kind": "beside", "parts": [left, right]}


def page(title: str, about: str, tabs: Sequence[tuple[str, Sequence[Piece], str]], *, after: str = "") -> str:
    """One self-contained HTML page that loads nothing.

    Args:
        title: its heading.
        about: a line beside it.
        tabs: (title, parts, lines of Python that make a figure of it) in order.
        after: HTML beneath all of them.
    """
    lab: dict[str, Any] = {"title": title, "about": about, "after": after, "palette": PALETTE}
    lab["tabs"] = [{"title": name, "parts": list(parts), "code": code} for name, parts, code in tabs]
    views = "\n".join(f"const {name} = (() => {{\n{_in_a_function(name)}\n}})();" for name in VIEWS)
    start = "const drawn = unpacked('plotly').then((source) => (0, eval)(source)).then(() => Plotly);\n"
    start += "globalThis[Symbol.for('flowlab.plotly')] = drawn;\n"
    start += "showLab(JSON.parse(document.getElementById('lab').textContent), {" + ", ".join(VIEWS) + "}, "
    start += "document.querySelector('main'));"
    return Template(script("page.html")).substitute(
        title=escape(title),
        plotly=base64.b64encode(gzip.compress(plotly_js(), mtime=0)).decode(),
        lab=json.dumps(lab).replace("</", "<\\/"),
        script="\n".join([script("theme.js", "menu.js", "canvas.js", "page.js"), views, start]),
    )


def _in_a_function(name: str) -> str:
    """The module of a view as the body of a function that returns it."""
    return script(f"{name}.js").replace("export default { render };", "return { render };")
