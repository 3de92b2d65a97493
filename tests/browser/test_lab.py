"""The first tutorial in a real JupyterLab, from its first cell to the buttons of the live lab."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.helpers import Lab
from tests.browser.panels import LabPanel

TUTORIAL = "01_a_flow_learns_the_ising_model.ipynb"
STATUS = re.compile(r"(ready|running|paused|stopped|finished|failed) · step ([\d\u202f]+) of")


class LivePanel(LabPanel):
    """The lab in the tutorial's last cell; the other one is in its first."""

    def __init__(self, page: Page) -> None:
        super().__init__(page)
        self.output = self.output.nth(1)

    def press(self, name: str) -> None:
        self.output.get_by_role("button", name=name, exact=True).click()

    def status(self) -> Locator:
        """The status line of the tab in front."""
        lines = self.output.locator(".widget-html-content").filter(has_text=STATUS)
        return lines.locator("visible=true").first

    def step(self) -> int:
        found = STATUS.search(self.status().inner_text())
        assert found, self.status().inner_text()
        return int(found[2].replace("\u202f", ""))

    def wait_for_state(self, state: str) -> None:
        expect(self.status()).to_contain_text(f"{state} ·", timeout=90_000)

    def wait_for_step_after(self, step: int) -> None:
        later = """([line, step]) => {
            const found = /step ([\\d\\u202f]+) of/.exec(line.textContent);
            return found && Number(found[1].replaceAll('\\u202f', '')) > step;
        }"""
        self.page.wait_for_function(later, arg=[self.status().element_handle(), step])

    def lines(self) -> Locator:
        """The curves in the tab in front; what is exactly level, as an exact value, has no height and is not seen."""
        return self.output.locator(".scatterlayer path.js-line").locator("visible=true")

    def lattice(self) -> str:
        """The lattice on show, as the browser has drawn it."""
        canvas = self.output.locator(".flowlab-lattice canvas.main").locator("visible=true")
        canvas.wait_for()
        return str(canvas.evaluate("e => e.toDataURL()"))

    def click_on_site(self, x: int, y: int, side: int = 8) -> None:
        """Click on a site of the first picture of the tab in front, once that stands still."""
        picture = self.output.locator(".flowlab-strip canvas").locator("visible=true").first
        cell = picture.evaluate("e => e.clientWidth") / side
        picture.click(position={"x": (x + 0.5) * cell, "y": (side - y - 0.5) * cell})
        expect(self.output.locator(".tip").locator("visible=true")).to_contain_text(f"x {x}, y {y}")

    def says(self, text: str) -> None:
        """Wait for a line of the tab in front."""
        self.output.get_by_text(re.compile(text)).locator("visible=true").first.wait_for()


@pytest.fixture(scope="module")
def live(page: Page, lab: Lab) -> LivePanel:
    """Tutorial 01, run to its end, with the live lab in view."""
    panel = LivePanel(page)
    panel.open(lab, TUTORIAL)
    return panel


def test_the_curve_appears_while_training_runs(live: LivePanel) -> None:
    live.wait_for_state("running")
    live.wait_for_step_after(100)
    expect(live.output.get_by_text("free-energy bound per site:").locator("visible=true")).to_contain_text("exact")
    drawn = "e => e.getAttribute('d').length"
    expect(live.lines()).to_have_count(3)  # the bound, its error band and the ESS
    before = max(live.lines().evaluate_all(f"all => all.map({drawn})"))
    live.wait_for_step_after(live.step() + 100)
    live.page.wait_for_function(
        "([before]) => Math.max(...[...document.querySelectorAll('.jupyter-widget-tab .js-line')]"
        ".map(e => e.getAttribute('d').length)) > before",
        arg=[before],
    )
    live.shot("1-train.png")


def test_the_slider_walks_through_the_layers(live: LivePanel) -> None:
    live.tab("Layers")
    live.output.get_by_text(re.compile("samples drawn at step")).wait_for()
    live.output.locator(".flowlab-title").locator("visible=true").filter(has_text="layer 4 of 4").wait_for()
    live.slide("Home")
    live.output.locator(".flowlab-title").locator("visible=true").filter(has_text="layer 0 of 4").wait_for()
    latent = live.lattice()
    live.shot("2-layers-latent.png")
    live.slide()
    live.output.locator(".flowlab-title").locator("visible=true").filter(has_text="layer 1 of 4").wait_for()
    live.output.locator(".gtitle").filter(has_text="layer 1 of 4").wait_for()
    assert live.lattice() != latent
    live.shot("3-layers-first.png")


def test_pause_resume_and_stop(live: LivePanel) -> None:
    live.tab("Train")
    live.press("Pause")
    live.wait_for_state("paused")
    paused = live.step()
    live.shot("4-paused.png")
    live.page.wait_for_timeout(1500)  # enough for a hundred steps
    assert live.step() == paused
    live.press("Resume")
    live.wait_for_state("running")
    live.wait_for_step_after(paused)
    live.press("Stop")
    live.wait_for_state("stopped")
    live.shot("5-stopped.png")


def test_retraining_at_another_temperature_draws_a_second_curve(live: LivePanel) -> None:
    live.tab("Retrain")
    expect(live.lines()).to_have_count(3)  # the bound, its error band and the ESS
    handle = live.output.locator(".noUi-handle").locator("visible=true").first
    handle.focus()
    for _ in range(12):
        handle.press("ArrowRight")
    steps = live.output.get_by_label("steps").locator("visible=true")
    steps.fill("200")
    steps.press("Enter")
    live.press("Retrain")
    live.wait_for_state("running")
    live.output.get_by_text(re.compile("from the weights of step")).wait_for()
    live.wait_for_state("finished")
    names = live.output.locator(".legendtext").locator("visible=true")
    expect(names).to_have_count(2)
    assert len(set(names.all_text_contents())) == 2, names.all_text_contents()
    expect(live.lines()).to_have_count(6)  # its bound, its ESS, and the way to it from the first run
    live.shot("6-retrained.png")


def test_a_click_flips_a_latent(live: LivePanel) -> None:
    live.tab("Latent")
    live.says("click on a latent, or")
    live.click_on_site(x=5, y=2)
    live.says(r"flipping latent x 5, y 2 changes \d+ of 64 spins")
    live.says("diagnosis from")
    expect(live.output.get_by_text("with sign M").locator("visible=true")).to_have_count(1)
    live.shot("lab-7-latent.png")


def test_a_click_paints_a_defect(live: LivePanel) -> None:
    live.tab("Defects")
    live.says("^island · 4 down")
    live.click_on_site(x=6, y=6)
    live.says("^painted · 5 down · wall length 12,")
    live.page.mouse.down()  # back up, and on to the left: what a stroke begins with is what it paints
    live.move_to_site(x=4, y=6, side=8)
    live.page.mouse.up()
    live.says("^painted · 4 down")
    live.click_on_site(x=1, y=1)
    live.page.mouse.down()
    live.page.mouse.up()
    live.says("^painted · 4 down")
    expect(live.pictures()).to_have_count(6)  # the one to paint on, and five on the way back
    live.shot("lab-8-defects.png")
