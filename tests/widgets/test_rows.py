"""Controls of a panel stand in whole rows, in a narrow window too."""

from __future__ import annotations

from collections.abc import Iterator

import ipywidgets
import pytest

from flowlab import experiment
from flowlab.widgets import Lab

NARROWEST = 724
"""Pixels between the paddings of a lab of 760, its least."""
MARGINS = 4


def rows(widget: ipywidgets.Widget) -> Iterator[ipywidgets.HBox]:
    if widget.__class__ is ipywidgets.HBox and widget.layout.flex_flow == "row wrap":
        yield widget
    for child in getattr(widget, "children", ()):
        yield from rows(child)


def width(child: ipywidgets.Widget) -> int:
    given = child.layout.width
    return MARGINS + (int(given.removesuffix("px")) if given and given.endswith("px") else 0)


@pytest.mark.parametrize(
    ("study", "keys"),
    [("ising-xor", dict(L=4, layers=1)), ("sk-forward", dict(N=8, samples=400)), ("sk-pt", dict(N=8, steps=40)),
     ("ising-chain", dict(L=4)), ("phi4-ir-matching", dict(L=8)), ("phi4-flow", dict(L=6))],
)  # fmt: skip
def test_no_row_of_controls_wraps(study: str, keys: dict) -> None:
    lab = Lab(experiment(study, **{"steps": 2, **keys}))
    for title, panel in lab.tabs.items():
        for row in rows(panel.widget):
            assert sum(map(width, row.children)) <= NARROWEST, (title, [type(c).__name__ for c in row.children])
            assert all(c.layout.width for c in row.children if isinstance(c, ipywidgets.Play)), title
    lab.close()
