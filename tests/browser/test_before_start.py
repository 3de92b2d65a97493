"""Labs that are opened before Start: what the run measures later is drawn, in every tab, and no error."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.helpers import Lab
from tests.browser.panels import LabPanel, one_cell

CELL = "import flowlab as fl\nrun = fl.experiment({}, steps={})\nrun.lab()"
STUDIES = [('"phi4-hmc", L=4, kappa=0.2, chains=4', 60, 3), ('"sk-pt", N=8', 200, 4)]


@pytest.mark.parametrize(("keys", "steps", "axes"), STUDIES, ids=["phi4-hmc", "sk-pt"])
def test_start_fills_every_tab(page: Page, lab: Lab, keys: str, steps: int, axes: int) -> None:
    panel = LabPanel(page)
    panel.open(lab, one_cell(lab, f"before-{axes}", CELL.format(keys, steps)))
    panel.output.get_by_role("button", name="Start", exact=True).click()
    finished = panel.output.get_by_text(re.compile("finished ·")).locator("visible=true")
    expect(finished.first).to_be_visible(timeout=90_000)
    axis = panel.output.locator(".xaxislayer-above, .xaxislayer-below").locator("visible=true")
    expect(panel.output.locator(".js-line").locator("visible=true").first).to_be_attached()
    assert axis.count() >= axes
    for tab in panel.output.get_by_role("tab").all():
        tab.click()
        if tab.inner_text() == "Check":
            continue  # it draws after a start of its own
        picture = panel.output.locator(".scatterlayer, .heatmaplayer, canvas.main").locator("visible=true")
        expect(picture.first).to_be_visible(timeout=30_000)
        expect(panel.output.locator("[style*=error-color]").locator("visible=true")).to_have_count(0)
    panel.shot(f"before-start-{axes}.png")
