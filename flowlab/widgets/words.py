"""How panels speak: plain lines, asides, and errors of one line with the rest folded, in the colours of the page."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from html import escape

LONGEST = 160
ONE_LINE = "width:0;min-width:100%;white-space:nowrap;overflow:hidden;text-overflow:ellipsis"
"""As wide as there is room, however long the words are."""
TABLE = "line-height:20px;border-spacing:16px 0;margin-left:-16px;text-align:left;white-space:nowrap"
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
    "parallel tempering": "Markov chains at several temperatures that swap their configurations now and then",
    "importance weights": "how much likelier each sample is in the system than in the model",
    "equilateral": "all three sides are equal",
    "isosceles": "the two longest sides are equal",
    "inverted": "the two shortest sides are equal",
    "scalene": "no two sides are equal",
    "gauge": "all spins turned over where that makes the all-up configuration pass unchanged",
    "horizon": "the number of steps that this training is planned for",
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


def folded(finding: str, reasons: str, style: Callable[[str], str] = quiet) -> str:
    """A finding in a line, and what it rests on behind a click, as HTML; ``style`` makes HTML of words.

    >>> folded("thermalised", "thirds agree", escape)
    '<details><summary>thermalised</summary>thirds agree</details>'
    >>> folded("thermalised", "", escape)
    'thermalised'
    """
    return f"<details><summary>{style(finding)}</summary>{style(reasons)}</details>" if reasons else style(finding)


def in_a_line(html: str, hint: str) -> str:
    """HTML that ends in dots where it would need a second line; who points at it is told the ``hint``.

    >>> in_a_line("a", "b").replace(ONE_LINE, "")
    "<div title='b' style=''>a</div>"
    """
    return f"<div title='{escape(hint)}' style='{ONE_LINE}'>{html}</div>"


def small_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows of words under ``heads``, the first of each its name, as HTML; empty without rows.

    >>> small_table(["b"], [["a", "1"]]).count("<td>")
    1
    """
    if not rows:
        return ""
    head = "".join(f"<th>{escape(each)}</th>" for each in heads)
    lines = (
        f"<th>{escape(name)}</th>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) for name, *cells in rows
    )
    return f"<table style='{TABLE}'><tr><th></th>{head}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


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


def spelled_out(line: str) -> str:
    """A line of plain letters as it is written.

    >>> spelled_out("phi^4 on L x L sites")
    'φ⁴ on L × L sites'
    """
    return line.replace("phi^4", "φ⁴").replace("L x L", "L × L")


def dot(color: str) -> str:
    """A dot in a colour, as HTML."""
    return f"<span style='color:{color}'>●</span>"


def explained(line: str) -> str:
    """A line of HTML in which each term says what it means to whoever points at it; one without terms as it is.

    >>> explained("magnetization 0.1")
    'magnetization 0.1'
    >>> explained("<b title='ESS'>ESS</b> 0.9").count("<abbr title='effective sample size: ")
    1
    """
    parts = re.split(r"(<[^>]*>)", line)
    parts[::2] = [_TERM.sub(_explained_term, part) for part in parts[::2]]
    return "".join(parts)


_TERM = re.compile(rf"\b(?P<term>{'|'.join(sorted(map(re.escape, TERMS), key=len, reverse=True))})s?\b")


def _explained_term(found: re.Match[str]) -> str:
    style = "cursor:help;text-decoration:underline dotted 1px"
    return f"<abbr title='{escape(TERMS[found['term']])}' style='{style}'>{found[0]}</abbr>"
