"""How panels speak: plain lines, asides, and errors of one line with the rest folded, in the colours of the page."""

from __future__ import annotations

from html import escape

LONGEST = 160
GREEN, AMBER, RED = "#4f8a3c", "#d08a2e", "#c8442b"


def quiet(text: str) -> str:
    """An aside, as HTML.

    >>> quiet("a < b")
    "<span style='color:var(--jp-ui-font-color2)'>a &lt; b</span>"
    """
    return f"<span style='color:var(--jp-ui-font-color2)'>{escape(text)}</span>"


def wrong(text: str) -> str:
    """What went wrong, as HTML: its first line, and all of it behind a click where that is not the whole.

    >>> wrong("ValueError: no")
    "<b style='color:var(--jp-error-color1)'>ValueError: no</b>"
    >>> wrong("ValueError: " + "no " * 60).count("<details>")
    1
    """
    line = next(iter(text.strip().splitlines()), "")
    short = line if len(line) <= LONGEST else line[:LONGEST].rstrip() + " …"
    first = f"<b style='color:var(--jp-error-color1)'>{escape(short)}</b>"
    if short == text.strip():
        return first
    style = "white-space:pre-wrap;max-height:300px;overflow:auto"
    return f"<details><summary>{first}</summary><pre style='{style}'>{escape(text)}</pre></details>"


def doubtful(text: str) -> str:
    """What nobody should rely on, as HTML.

    >>> doubtful("not thermalised")
    "<b style='color:var(--jp-warn-color0)'>not thermalised</b>"
    """
    return f"<b style='color:var(--jp-warn-color0)'>{escape(text)}</b>"


def said(error: BaseException) -> str:
    """An exception in words.

    >>> said(ValueError("L must be even"))
    'ValueError: L must be even'
    """
    return f"{type(error).__name__}: {error}"


def dot(color: str) -> str:
    """A dot in a colour, as HTML."""
    return f"<span style='color:{color}'>●</span>"
