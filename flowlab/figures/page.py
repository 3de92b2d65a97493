"""What a page needs to show a figure: plotly.js, the figure as JSON, and its colours on a dark page."""

from __future__ import annotations

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from flowlab.figures.shared.style import DARK, GRID, INK, PAGE, QUIET, RULE

PALETTE = {"roles": {"page": PAGE, "ink": INK, "quiet": QUIET, "rule": RULE, "grid": GRID}, "dark": DARK}
"""Which colours a page's theme gives, by role, and what the others become on a dark page."""


def plotly_js() -> bytes:
    """The script that draws figures, as the plotly package ships it."""
    return bytes(get_plotlyjs().encode())


def as_json(figure: go.Figure) -> str:
    """A figure as JSON, NaN as null.

    >>> '"title":{"text":"m"}' in as_json(go.Figure(layout_title_text="m"))
    True
    """
    return str(figure.to_json(validate=False))
