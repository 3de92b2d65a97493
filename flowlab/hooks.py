"""What lies above the runs and is found by them by name: filled in by ``import flowlab``, which loads none of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

providers: list[str] = []
"""Modules that register studies when they are imported."""

above: dict[str, Callable[..., Any]] = {}
"""What stands above a run or beside a picture and is asked for by them: "lab", "gallery", "load",
"style", "measures", "exports" and "page of a sweep"."""


def lab(folder: str | Path = "runs") -> Any:
    """The way in, for JupyterLab: a card a study, a form for its keys, and the runs on disk.

    Args:
        folder: in which runs are kept, and whose runs are shown; it need not be there yet.

    Returns:
        The :class:`flowlab.widgets.Gallery`, which a notebook shows.

    Raises:
        ImportError: where the extra ``lab`` is not installed.

    >>> import flowlab as fl
    >>> "phi4-hmc" in fl.lab("runs").buttons
    True
    """
    return above["gallery"](folder)


def style(width: str = "single") -> dict[str, Any]:
    """Settings for matplotlib with the look of flowlab's figures; see :func:`flowlab.figures.style`.

    Args:
        width: "single" for one column of a journal, "double" for a page.

    >>> import flowlab as fl
    >>> fl.style()["legend.frameon"]
    False
    """
    settings: dict[str, Any] = above["style"](width)
    return settings
