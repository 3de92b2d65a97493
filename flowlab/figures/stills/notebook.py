"""A still beside every plotly figure that a notebook shows, for pages on which no script runs."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
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


PRINTED = {"column": 86.0, "page": 178.0}
"""Width of a figure in a journal of two columns, in millimetres."""


def save(figure: go.Figure, path: str | Path, *, width: float | str = "page") -> Path:
    """Write a figure as a PDF, SVG or PNG for print, drawn with matplotlib; the file's ending says which.

    Args:
        figure: of :mod:`flowlab.figures`; kinds of traces other than scatter, bar and heat map are left out.
        path: e.g. ``"x.pdf"``.
        width: in millimetres; "column" is 86, "page" is 178. The height follows.

    Raises:
        ValueError: for another ending, or a width that is not positive.
        ImportError: where matplotlib is not installed, with how to install it.

    >>> import tempfile
    >>> save(go.Figure(go.Scatter(y=[1, 2])), Path(tempfile.mkdtemp()) / "x.pdf").read_bytes()[:4]
    b'%PDF'
    """
    path = Path(path).expanduser()
    kind = path.suffix.removeprefix(".")
    if kind not in ("pdf", "svg", "png"):
        raise ValueError(f"path must end in .pdf, .svg or .png, got {path.name}")
    wide = PRINTED.get(width, 0.0) if isinstance(width, str) else float(width)
    if not wide > 0:
        raise ValueError(f"width must be column, page, or positive millimetres, got {width!r}")
    try:
        from flowlab.figures.stills.image import printed
    except ModuleNotFoundError as error:
        raise ImportError(f"figures.save needs {error.name}: pip install 'flowlab[export]'", name=error.name) from error
    path.write_bytes(printed(figure, kind, wide))
    return path


def stills_in_notebooks() -> None:
    """Have plotly send a still with each figure where it sends live ones to a Jupyter page, and nowhere else."""
    renderers["still"] = StillRenderer()
    if renderers.default == LIVE:
        renderers.default = BOTH
