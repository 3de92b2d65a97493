"""A still beside every plotly figure that a notebook shows, for pages on which no script runs."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go
from plotly.io import renderers
from plotly.io.base_renderers import MimetypeRenderer

LIVE, BOTH = "plotly_mimetype", "plotly_mimetype+still"


def encoded(*figures: go.Figure | Mapping[str, Any]) -> dict[str, str]:
    """One PNG of figures beneath each other, under its mime type, as notebooks hold it.

    Nothing where they cannot be drawn: what is live is shown in any case.

    >>> list(encoded(go.Figure())), encoded({"data": "nonsense"})
    (['image/png'], {})
    """
    from flowlab.figures.stills.image import beneath, png  # matplotlib takes half a second

    try:
        pictures = [png(figure) for figure in figures]
        picture = pictures[0] if len(pictures) == 1 else beneath(pictures)
    except Exception:
        return {}
    return {"image/png": base64.b64encode(picture).decode()}


class StillRenderer(MimetypeRenderer):  # type: ignore[misc]
    """Gives plotly the PNG of a figure to send along."""

    def to_mimebundle(self, fig_dict: Mapping[str, Any]) -> dict[str, str]:
        """The picture under its mime type."""
        return encoded(fig_dict)


def stills_in_notebooks() -> None:
    """Have plotly send a still with each figure where it sends live ones to a Jupyter page, and nowhere else."""
    renderers["still"] = StillRenderer()
    if renderers.default == LIVE:
        renderers.default = BOTH
