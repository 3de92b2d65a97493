"""The way in, as a person uses it: choose a card, change T, press Start, and see the lab."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.browser.helpers import Lab, artifact, run_all
from tests.browser.panels import one_cell


def test_a_card_is_chosen_T_changed_and_the_lab_opens(page: Page, lab: Lab) -> None:
    run_all(page, lab, one_cell(lab, "gallery", "import flowlab as fl\nfl.lab()"))
    gallery = page.locator(".flowlab-gallery")
    card = gallery.get_by_role("button", name="Sort bits into domains")
    card.wait_for()
    assert gallery.locator(".flowlab-card svg[aria-label]").count() == gallery.locator(".flowlab-card").count() > 20
    page.screenshot(path=artifact("gallery-cards.png"))
    card.focus()
    card.press("Enter")

    T = gallery.get_by_label("T", exact=True)
    expect(T).to_have_value("2.26919")
    expect(gallery.get_by_text("T_c 2.269")).to_be_visible()
    slider = gallery.get_by_label("T, slider")
    slider.focus()
    slider.press("ArrowRight")
    expect(T).to_have_value("2.28")
    expect(gallery.get_by_text("critical", exact=True)).to_be_visible()
    T.fill("-1")
    gallery.get_by_role("button", name="Start").click()
    expect(gallery.get_by_text("T must be positive, got -1")).to_be_visible(timeout=30_000)
    T.fill("3.5")
    expect(gallery.get_by_text("disordered", exact=True)).to_be_visible()
    steps = gallery.get_by_label("steps", exact=True)
    steps.fill("200")
    steps.press("Enter")
    page.screenshot(path=artifact("gallery-form.png"))

    gallery.get_by_role("button", name="Start", exact=True).first.click()
    gallery.locator(".jupyter-widget-tab").wait_for()
    expect(gallery.get_by_text(re.compile("finished · step 200 of 200")).first).to_be_visible(timeout=90_000)
    expect(gallery.locator(".flowlab-runs").get_by_text("ising-xor-1")).to_be_visible(timeout=30_000)
    page.screenshot(path=artifact("gallery-lab.png"))
