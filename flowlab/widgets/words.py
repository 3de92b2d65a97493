"""How panels speak: plain lines, asides, and errors of one line with the rest folded, in the colours of the page."""

from __future__ import annotations

import re
from html import escape

LONGEST = 160
GREEN, AMBER, RED = "#4f8a3c", "#d08a2e", "#c8442b"

TERMS = {
    "ESS": "effective sample size: the share of independent samples that as many weighted ones are worth, 1 at best",
    "bound": "what training improves; it never crosses the exact value",
    "latent": "what goes into the first layer: independent numbers from which the layers make a configuration",
    "total variation": "how far apart two distributions are, from 0 (the same) to 1 (nowhere alike)",
    "Binder cumulant": "the shape of the distribution of overlaps, from 0 (one broad peak) to 1 (narrow peaks)",
    "round trips": "how often a configuration has gone from the coldest to the hottest temperature and back",
    "acceptance": "the share of the chain's proposals that it takes",
    "dip": "how much deeper the middle of a distribution lies than its peaks",
    "folded": "a configuration and its mirror image, all spins turned over, count as the same",
    "wall length": "bonds between an up and a down spin",
}
"""Words of the field, as a person who points at a line is told them."""


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


def explained(line: str) -> str:
    """A line of HTML that says what its terms mean to whoever points at it; one without terms as it is.

    >>> explained("magnetization 0.1")
    'magnetization 0.1'
    >>> explained("ESS 0.9")[:42]
    "<span title='ESS: effective sample size: t"
    """
    found = [f"{name}: {meaning}" for name, meaning in TERMS.items() if re.search(rf"\b{name}s?\b", line)]
    return f"<span title='{escape(' · '.join(found))}'>{line}</span>" if found else line
