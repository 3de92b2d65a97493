"""The overlaps and triangles of a spin glass in a real JupyterLab, while a small flow trains."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.helpers import Lab
from tests.browser.panels import LabPanel, one_cell

CELL = """
import flowlab as fl
run = fl.experiment("sk-forward", N=16, T=0.5, steps=300, batch=64, device="cpu")
run.start()
run.lab()
"""


class GlassPanel(LabPanel):
    """The lab of a spin glass."""

    def curve(self) -> str:
        """The curve of the layer on show, as drawn: the one that is filled down to zero."""
        path = self.output.locator(".scatterlayer .trace:has(.js-fill) path.js-line").locator("visible=true").first
        return path.get_attribute("d") or ""


@pytest.fixture(scope="module")
def glass(page: Page, lab: Lab) -> GlassPanel:
    panel = GlassPanel(page)
    panel.open(lab, one_cell(lab, "spin_glass", CELL))
    return panel


def test_overlaps_appear_and_the_slider_walks_through_the_layers(glass: GlassPanel) -> None:
    glass.output.get_by_text(re.compile("finished ·")).first.wait_for()
    glass.shot("7-spin-glass-train.png")
    glass.tab("Overlaps")
    glass.output.get_by_text(re.compile("T = 0.5: thermalised")).locator("visible=true").wait_for()
    expect(glass.title()).to_contain_text("overlap distribution · layer 5")
    glass.slide("Home")
    expect(glass.title()).to_contain_text("overlap distribution · layer 0")
    names = glass.output.locator(".legendtext").locator("visible=true")
    expect(names).to_have_text(["latent", "this layer", "parallel tempering", "exact"])
    before = glass.curve()
    for layer in range(1, 6):
        glass.slide()
        expect(glass.title()).to_contain_text(f"layer {layer} of 5")
    expect(glass.output.get_by_text("total variation", exact=True)).to_be_visible()
    assert before
    assert glass.curve() != before
    glass.shot("8-overlaps.png")


def test_a_selected_region_shows_three_configurations(glass: GlassPanel) -> None:
    glass.tab("Triangles")
    glass.output.get_by_text(re.compile("T = 0.5: thermalised")).locator("visible=true").wait_for()
    chosen = glass.output.get_by_text(re.compile("^triangle 1 of")).locator("visible=true")
    expect(chosen).to_contain_text("in all")
    cloud = glass.output.locator(".draglayer .xy .nsewdrag").locator("visible=true").first
    box = cloud.bounding_box()
    assert box is not None
    glass.page.mouse.move(box["x"] + 0.05 * box["width"], box["y"] + 0.95 * box["height"])
    glass.page.mouse.down()
    glass.page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.4 * box["height"], steps=5)
    glass.page.mouse.up()
    expect(chosen).to_contain_text("of model in the region")
    expect(glass.pictures()).to_have_count(5)  # two clouds and three configurations
    expect(glass.output.get_by_text("one triangle")).to_be_visible()
    glass.shot("9-triangles.png")
