"""A live figure in a page that is loaded anew while the kernel goes on."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.helpers import Lab, run_all
from tests.browser.panels import one_cell

CELL = """
import ipywidgets
import plotly.graph_objects as go
from flowlab.figures.live_figure import LiveFigure

def figure(title, y):
    return go.Figure(go.Scatter(x=[0, 1, 2], y=y, mode="lines"), layout=dict(title_text=title, width=500))

live = LiveFigure(figure("nothing yet", [None] * 3))
live.redraw(figure("a curve", [0, 1, 4]))
ipywidgets.VBox([live.widget])
"""


def test_a_page_loaded_anew_shows_the_figure_as_it_is(page: Page, lab: Lab) -> None:
    notebook = one_cell(lab, "live", CELL)
    run_all(page, lab, notebook)
    for _ in range(2):
        expect(page.locator(".gtitle")).to_have_text("a curve", timeout=60_000)
        expect(page.locator(".scatterlayer path.js-line")).to_be_visible(timeout=60_000)
        page.keyboard.press("Control+s")
        page.locator(f".lm-TabBar-tab[title*='{notebook}']:not(.jp-mod-dirty)").wait_for()  # it is saved
        page.goto(f"{lab.url}/lab/tree/{notebook}?token={lab.token}")
