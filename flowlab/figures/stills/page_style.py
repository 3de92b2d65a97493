"""The look of flowlab's figures, for figures that one draws with matplotlib."""

from __future__ import annotations

from typing import Any

from cycler import cycler

from flowlab.figures.shared.style import COLORS, EARLIER, GRID, INK, RULE

WIDTHS = {"single": 3.375, "double": 7.0}
"""Of a column and of a page of a journal, in inches."""


def style(width: str = "single") -> dict[str, Any]:
    """Settings for matplotlib: colours, axes and sizes of flowlab's figures.

    Nothing is changed by it: ``with plt.rc_context(fl.style()): ...`` or ``plt.rcParams.update(fl.style())``.

    Args:
        width: "single" for one column of a journal, "double" for a page.

    Raises:
        ValueError: for another width.

    >>> sorted(style())[:2], style("double")["figure.figsize"][0]
    (['axes.axisbelow', 'axes.edgecolor'], 7.0)
    """
    if width not in WIDTHS:
        raise ValueError(f"width must be one of {', '.join(WIDTHS)}, got {width!r}")
    colors = [COLORS["bound"], *EARLIER[1:], COLORS["ess"], COLORS["earlier"]]
    return {
        "figure.figsize": (WIDTHS[width], 0.7 * 3.375),
        "figure.dpi": 150,
        "savefig.bbox": "tight",
        "font.size": 8.5,
        "axes.prop_cycle": cycler(color=colors),
        "axes.edgecolor": RULE,
        "axes.labelcolor": INK,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "grid.color": GRID,
        "text.color": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "lines.linewidth": 1.4,
        "errorbar.capsize": 2.0,
        "legend.frameon": False,
        "image.interpolation": "nearest",
    }
