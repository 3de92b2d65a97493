"""The lab of every study, opened before Start: each tab shows what there is, then and at the end, and no error."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import ipywidgets
import pytest

from flowlab.widgets import Lab
from flowlab.widgets.plot import PlotView
from tests.laws.test_key_laws import RUNS, build, studies

OWN = [name for name in RUNS if not studies()[name].fixed]
"""Without those that are others with a key fixed, whose labs are the same."""


def all_widgets(widget: ipywidgets.Widget) -> Iterator[ipywidgets.Widget]:
    yield widget
    for child in getattr(widget, "children", ()):
        yield from all_widgets(child)


def errors(lab: Lab) -> list[str]:
    lines = [w.value for w in all_widgets(lab.widget) if isinstance(w, ipywidgets.HTML)]
    return [line for line in lines if "--jp-error-color1" in line]


def single(widget: ipywidgets.Widget) -> list[ipywidgets.Widget]:
    """Sliders and choices on show that have one value only."""
    if widget.layout is not None and getattr(widget.layout, "display", None) == "none":
        return []
    found = [each for child in getattr(widget, "children", ()) for each in single(child)]
    if hasattr(widget, "options"):
        return found + [widget] * (len(widget.options) < 2)
    slides = isinstance(widget, ipywidgets.IntSlider | ipywidgets.FloatSlider)
    return found + [widget] * (slides and (widget.disabled or widget.max - widget.min < widget.step))


def settle(lab: Lab, until) -> None:
    """Look at every tab until it has no more to show of a run that stands still."""
    for index, (title, panel) in enumerate(lab.tabs.items()):
        lab.widget.selected_index = index
        panel.refresh()
        until(lambda panel=panel: "working" not in panel.message.value or panel.refresh())
        assert errors(lab) == [], title
        assert single(panel.widget) == [], title
    for widget in all_widgets(lab.widget):
        if isinstance(widget, PlotView):
            assert json.loads(widget.figure)["layout"]["height"] > 0


@pytest.mark.parametrize("name", OWN)
def test_a_lab_opened_before_start_shows_every_tab(name: str, until, tmp_path: Path) -> None:
    run = build(name, **({"steps": 5} if "coarse" in studies()[name].defaults else {}))
    lab = Lab(run)
    settle(lab, until)
    lab.widget.selected_index = 0
    lab.train.controls.buttons["Start"].click()
    run.wait()
    settle(lab, until)
    lab.widget.selected_index = 0
    until(lambda: "<b>finished</b>" in lab.train.controls.status.value)
    until(lambda: "Verdict" in lab.train.verdict.widget.value or "no verdict" in lab.train.verdict.widget.value)
    assert f"step {run.steps}".replace(",", " ") in lab.train.controls.status.value
    assert errors(lab) == []
    saved = lab.save(tmp_path / "lab.html")
    assert saved.stat().st_size < 10e6
    text = saved.read_text(encoding="utf-8")
    assert "color:var(--jp-error-color1)" not in text[text.index('id="lab"') :]
    lab.close()
