"""A saved lab from disk: no server, no kernel, no network, and alive."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

import flowlab as fl
from tests.browser.helpers import artifact


@pytest.fixture
def saved(page: Page, tmp_path: Path) -> Page:
    run = fl.experiment("ising-xor", L=8, T=2.5, layers=3, start="random", steps=3, batch=50, device="cpu")
    run.run(progress=False)
    lab = run.lab()
    path = lab.save(tmp_path / "lab.html")
    lab.close()
    assert path.stat().st_size < 10e6
    page.goto(path.as_uri())
    return page


def test_every_tab_of_a_saved_lab_is_alive(saved: Page) -> None:
    asked: list[str] = []
    faults: list[str] = []
    saved.on("request", lambda request: asked.append(request.url))
    saved.on("pageerror", lambda error: faults.append(str(error)))
    expect(saved.locator(".scatterlayer path.js-line").first).to_be_attached()
    tabs = saved.get_by_role("tab")
    expect(tabs).to_have_text(["Train", "Configurations", "Layers", "Latent", "Defects", "Retrain", "Check"])
    tabs.nth(2).click()
    title, canvas = saved.locator(".flowlab-title"), saved.locator("canvas.main")
    slider = saved.locator("section:not([hidden]) input[type=range]")
    expect(title).to_contain_text("layer 3 of 3")
    slider.press("Home")
    expect(title).to_contain_text("layer 0 of 3 · latent")
    expect(saved.locator("section:not([hidden]) .gtitle").first).to_contain_text("layer 0 of 3")
    before = canvas.evaluate("e => e.toDataURL()")
    saved.get_by_role("spinbutton", name="sample").fill("5")
    expect(title).to_contain_text("sample 5")
    other = canvas.evaluate("e => e.toDataURL()")
    assert other != before
    for layer in range(1, 4):
        slider.press("ArrowRight")
        expect(title).to_contain_text(f"layer {layer} of 3")
        expect(saved.locator("section:not([hidden]) .gtitle").first).to_contain_text(f"layer {layer} of 3")
    assert canvas.evaluate("e => e.toDataURL()") != other
    box = canvas.bounding_box()
    assert box is not None
    saved.mouse.move(box["x"] + 60, box["y"] + 60)
    expect(saved.locator(".tip")).to_contain_text("x 0, y 6: ")
    saved.get_by_role("button", name="play").click()
    expect(title).to_contain_text("layer 1 of 3")
    saved.get_by_role("button", name="play").click()
    saved.screenshot(path=artifact("saved-lab.png"))
    saved.get_by_role("button", name="light or dark").click()
    for index in (3, 4, 5):
        tabs.nth(index).click()
        expect(saved.locator("section:not([hidden]) .gtitle").first).to_be_visible()
    saved.screenshot(path=artifact("saved-lab-dark.png"))
    assert [url for url in asked if not url.startswith(("blob:", "data:", "file:"))] == []
    assert faults == []
