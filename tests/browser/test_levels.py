"""The level slider of a multilevel sampler and the refinement of a field in a real JupyterLab."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.helpers import Lab
from tests.browser.panels import LabPanel, one_cell

LEVELS = """
import flowlab as fl
run = fl.experiment("ising-coloured", L=8, beta=0.44, steps=6, batch=20, device="cpu")
run.run(progress=False)
run.lab()
"""
REFINEMENT = """
import flowlab as fl
run = fl.experiment(
    "phi4-ir-matching", coarse=2, L=4, kappa=0.2, kernel=3, ode_steps=3, steps=6, batch=8, device="cpu"
)
run.run(progress=False)
run.lab()
"""


def test_the_level_slider_shows_finer_lattices(page: Page, lab: Lab) -> None:
    panel = LabPanel(page)
    panel.count_bytes()
    panel.open(lab, one_cell(lab, "levels", LEVELS))
    panel.tab("Layers")
    panel.title().filter(has_text="level").wait_for(timeout=60_000)
    panel.slide("Home")
    expect(panel.title()).to_contain_text("level 0 of")
    panel.slide()
    expect(panel.title()).to_contain_text("level 1 of", timeout=60_000)
    panel.shot("10-levels.png")
    panel.tab("Retrain")
    expect(panel.title()).to_contain_text("bound per site", timeout=60_000)
    opened = panel.received
    assert 5_000_000 < opened < 6_000_000, "plotly.js is sent once a page, not once a picture"
    page.get_by_role("menuitem", name="Kernel", exact=True).click()
    page.get_by_role("menuitem", name="Reconnect to Kernel", exact=True).click()  # asks for the state of all
    page.wait_for_timeout(4000)
    assert panel.received - opened < 1_000_000, "plotly.js is not sent again to a page that connects again"


def test_a_coarse_field_is_refined(page: Page, lab: Lab) -> None:
    panel = LabPanel(page)
    panel.open(lab, one_cell(lab, "refinement", REFINEMENT))
    panel.tab("Refinement")
    expect(panel.title()).to_contain_text("t = 1 ", timeout=60_000)
    expect(panel.pictures()).to_have_count(4)  # coarse, upsampled, with noise, flowed
    panel.slide("ArrowLeft")
    expect(panel.title()).to_contain_text("t = 0.67", timeout=60_000)
    panel.shot("11-refinement.png")
