"""One look for every picture: fonts, axes, and one colour or colour scale for each quantity."""

from __future__ import annotations

from math import ceil

import plotly.graph_objects as go

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"
PAGE = "#ffffff"
INK = "#22303c"
QUIET = "#5f6f7c"
RULE = "#c3ccd3"
GRID = "#e9edf0"

COLORS = {
    "bound": "#1c6e8c",
    "exact": INK,
    "earlier": "#8f9ba5",
    "ess": "#4f8a3c",
    "entropy": "#84517b",
    "latent": "#8f9ba5",
    "current": "#1c6e8c",
    "physical": INK,
    "model": "#1c6e8c",
    "parallel tempering": "#c4622d",
}
"""The colour of each quantity, everywhere."""

EARLIER = (COLORS["earlier"], "#c4622d", "#84517b", "#a8861c", "#5a6fb5")
"""The colours of runs beside the one that is looked at, oldest first; apart for all colour vision."""

MINUS, MIDDLE, PLUS = "#2f5d8a", "#f6f4ef", "#e6a94f"
FIELD_SCALE = [[0.0, MINUS], [0.5, MIDDLE], [1.0, PLUS]]
"""Diverging scale of a real field, blue below zero and amber above, apart for all colour vision and in grey."""
SPIN_SCALE = [[0.0, MINUS], [0.5, MINUS], [0.5, PLUS], [1.0, PLUS]]
"""The two ends of the same scale: blue is -1, amber is +1."""
DENSITY_SCALE = [[0.0, PAGE], [0.02, "#d7e6ec"], [0.25, "#7fb0c3"], [0.6, "#1c6e8c"], [1.0, "#0b2f3f"]]
"""Scale of a probability: white where there is none."""

DARK = {
    "#1c6e8c": "#5ab4d6", "rgba(28,110,140,": "rgba(90,180,214,",
    "#4f8a3c": "#86c56b", "rgba(79,138,60,": "rgba(134,197,107,",
    "#84517b": "#c78fbd", "rgba(132,81,123,": "rgba(199,143,189,",
    "#c4622d": "#e88d57", "rgba(196,98,45,": "rgba(232,141,87,",
    "#a8861c": "#d9bc5a", "#5a6fb5": "#98a9e6",
    "#d7e6ec": "#12303c", "#7fb0c3": "#2b7f9f", "#0b2f3f": "#d6f0fa",
    "rgba(255,255,255,0.75)": "rgba(17,17,17,0.75)",
}  # fmt: skip
"""What curves and densities become on a dark page; lattices keep their colours."""
MARK = "#16202a"
"""The rim of a white mark on a lattice, on every page."""
CLEAR = "rgba(0,0,0,0)"
"""No colour at all, so that what lies beneath is seen."""

_AXIS = dict(
    showline=True,
    linecolor=RULE,
    gridcolor=GRID,
    zeroline=False,
    ticks="outside",
    tickcolor=RULE,
    ticklen=4,
    tickfont=dict(size=11, color=QUIET),
    title=dict(font=dict(size=12, color=INK), standoff=8),
    automargin=True,
)

TEMPLATE = go.layout.Template(
    layout=dict(
        font=dict(family=FONT, size=12, color=INK),
        title=dict(font=dict(size=15), x=0.0, xref="container", xanchor="left", pad=dict(l=16), y=0.97, yanchor="top"),
        paper_bgcolor="white",
        plot_bgcolor="white",
        colorway=[COLORS["bound"], COLORS["ess"], COLORS["entropy"], COLORS["earlier"]],
        xaxis=_AXIS,
        yaxis=_AXIS,
        hovermode="closest",
        hoverlabel=dict(font=dict(family=FONT, size=12)),
        legend=dict(
            orientation="h", x=1.0, xanchor="right", y=1.0, yanchor="bottom", font=dict(size=11), bgcolor=CLEAR
        ),
        margin=dict(l=70, r=24, t=60, b=52),
    )
)


def band_color(name: str, opacity: float = 0.2) -> str:
    """The colour of a quantity, so light that a curve is seen through it.

    >>> band_color("bound")
    'rgba(28,110,140,0.2)'
    """
    red, green, blue = (int(COLORS[name][k : k + 2], 16) for k in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:g})"


def styled(figure: go.Figure, *, title: str, height: int, **layout: object) -> go.Figure:
    """The figure with flowlab's look, its title and a fixed height in pixels; a user's zoom survives an update."""
    return figure.update_layout(template=TEMPLATE, title_text=title, height=height, uirevision="flowlab", **layout)


def message(text: str, *, title: str = "", height: int = 320) -> go.Figure:
    """An empty picture that says why there is nothing to see yet.

    >>> message("no steps yet").layout.annotations[0].text
    'no steps yet'
    """
    figure = go.Figure()
    figure.add_annotation(text=text, x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False, font_color=QUIET)
    return styled(figure, title=title, height=height, xaxis_visible=False, yaxis_visible=False)


def rounded_up(value: float, step: float) -> float:
    """The next multiple of a step, so that an axis that follows a run stays where it is.

    >>> rounded_up(1.26, 0.5), rounded_up(1.5, 0.5)
    (1.5, 1.5)
    """
    return step * ceil(round(value / step, 9))


def gaps(sites: int, pixels: float) -> dict[str, int]:
    """White lines between the sites of a heat map with so many along a side: none where they would pale its colours.

    >>> gaps(16, pixels=160), gaps(32, pixels=160)
    ({'xgap': 1, 'ygap': 1}, {'xgap': 0, 'ygap': 0})
    """
    width = int(pixels >= 10 * sites)
    return {"xgap": width, "ygap": width}


ROUNDING = 1e-12
"""The relative error beneath which a number is as exact as a computer has it."""


def number(value: float, error: float | None = None, digits: int = 5) -> str:
    """A number as people write it: ``value ± error`` to two digits of the error, a dash where there is none.

    An error that is that of rounding is left out.

    >>> number(-2.110351, 0.00042), number(0.98712), number(float("nan"))
    ('−2.11035 ± 0.00042', '0.98712', '—')
    >>> number(-2.01986990905, 2e-17)
    '−2.0198699'
    """
    value = float(value)
    if value != value:
        return "—"
    if error is None or not 0 < (error := float(error)) < float("inf"):
        return f"{value:.{digits}g}".replace("-", "−")
    if error < ROUNDING * abs(value):
        return f"{value:.8g}".replace("-", "−")
    places = max(0, 1 - int(f"{error:.1e}".split("e")[1]))
    return f"{value:.{places}f} ± {error:.{places}f}".replace("-", "−")
