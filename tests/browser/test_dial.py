"""The dial: keys change the coupling, the picture and the line in the curves, in a notebook and in a saved file."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

import flowlab as fl
from tests.browser.helpers import Lab, artifact
from tests.browser.panels import LabPanel, one_cell

KEYS = dict(L=8, over="beta:0.35:0.55", hidden=8, batch=40, steps=6, device="cpu")
CELL = f"""
import flowlab as fl
run = fl.experiment("ising-coloured", **{KEYS})
run.run(progress=False)
run.lab()
"""
LINE = ".shapelayer path[style*='stroke-width: 2px']"

SEEN = """e => {
  window.seen = [];
  new MutationObserver(() => window.seen.push(e.textContent))
    .observe(e, { childList: true, characterData: true, subtree: true });
}"""
"""Keeps every text that an element has from now on."""


def turn(page: Page, part: Locator) -> None:
    """From one end of the interval to the other by keys: pictures, words and lines follow."""
    title, canvas = (part.locator(f"{what} >> visible=true") for what in (".flowlab-title", "canvas.main"))
    line = part.locator(LINE)  # no width, which a browser calls not visible
    expect(line).to_have_count(3)
    part.locator(".flowlab-lattice >> visible=true").focus()
    page.keyboard.press("Home")
    expect(title).to_have_text("β = 0.3500 · T = 2.857 · disordered · sample 0")
    page.wait_for_timeout(300)
    first, place = canvas.evaluate("e => e.toDataURL()"), line.first.get_attribute("d")
    page.keyboard.press("End")
    expect(title).to_have_text("β = 0.5500 · T = 1.818 · ordered · sample 0")
    expect(line.first).not_to_have_attribute("d", place or "")
    assert canvas.evaluate("e => e.toDataURL()") != first
    title.evaluate(SEEN)  # a frame may pass between two looks
    page.keyboard.press("Space")
    page.wait_for_function("window.seen.some(words => words.includes('critical point'))", timeout=60_000)
    page.keyboard.press("Space")  # it plays on from wherever a hand puts the slider
    expect(part.locator("[style*=error-color] >> visible=true")).to_have_count(0)


def test_keys_turn_the_dial_in_a_notebook(page: Page, lab: Lab) -> None:
    panel = LabPanel(page)
    panel.open(lab, one_cell(lab, "dial", CELL))
    panel.tab("Dial")
    expect(panel.output.get_by_text("12 samples at 66 couplings")).to_be_visible()
    turn(page, panel.output)
    panel.shot("dial.png")


@pytest.fixture
def saved(page: Page, tmp_path: Path) -> Page:
    run = fl.experiment("ising-coloured", **KEYS)
    run.run(progress=False)
    lab = run.lab()
    path = lab.save(tmp_path / "lab.html")
    lab.close()
    assert path.stat().st_size < 10e6
    page.goto(path.as_uri())
    return page


def test_keys_and_slider_turn_the_dial_in_a_saved_file(saved: Page) -> None:
    saved.get_by_role("tab", name="Dial").click()
    part = saved.locator("section:not([hidden])")
    turn(saved, part)
    part.get_by_role("slider").fill("0")
    expect(part.locator(".flowlab-title")).to_contain_text("β = 0.3500")
    expect(part.locator("output")).to_have_text("β = 0.3500 · T = 2.857 · disordered")
    saved.screenshot(path=artifact("saved-dial.png"))
