"""A saved lab from disk: no server, no kernel, no network, and alive."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

import flowlab as fl
from tests.browser.helpers import artifact


@pytest.fixture(scope="module")
def saved_lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = fl.experiment("ising-xor", L=8, T=2.5, layers=3, start="random", steps=3, batch=50, device="cpu")
    run.run(progress=False)
    lab = run.lab()
    path = lab.save(tmp_path_factory.mktemp("saved") / "lab.html")
    lab.close()
    assert path.stat().st_size < 10e6
    return path


@pytest.fixture
def saved(page: Page, saved_lab: Path) -> Page:
    page.goto(saved_lab.as_uri())
    return page


def test_what_is_drawn_can_be_had(saved: Page) -> None:
    """By keys alone: numbers, pictures, and the lines of Python."""

    def take(entry: str, place: int = 0) -> bytes:
        button = saved.locator(".flowlab-menu > button").locator("visible=true").nth(place)
        button.focus()
        button.press("Enter")
        wanted = saved.get_by_role("menuitem", name=entry).locator("visible=true")
        for _ in range(4):
            if wanted.evaluate("e => e === document.activeElement"):
                break
            saved.keyboard.press("ArrowDown")
        with saved.expect_download() as found:
            saved.keyboard.press("Enter")
        expect(wanted).to_have_count(0)
        return found.value.path().read_bytes()

    expect(saved.locator(".scatterlayer path.js-line").first).to_be_attached()
    expect(saved.locator(".modebar-btn").first).to_be_attached()
    expect(saved.locator(".modebar-btn[data-title^='Share']")).to_have_count(0)  # sends it to a server
    rows = take("Data", 1).decode().splitlines()
    assert rows[0] == "trace,x,y,error,z"
    assert {row.split(",")[1] for row in rows} >= {"1", "2", "3"}
    assert take("Picture", 1)[:4] == b"\x89PNG"
    assert b"training step" in take("Drawing", 1)
    saved.get_by_role("tab", name="Layers").click()
    rows = take("Data").decode().splitlines()
    assert rows[0] == "layer,x,y,s"
    assert len(rows) == 1 + 4 * 64
    assert {row.split(",")[3] for row in rows[1:]} == {"-1", "1"}
    assert take("Picture")[:4] == b"\x89PNG"
    saved.get_by_role("tab", name="Defects").click()
    assert take("Data").decode().startswith("picture,x,y,value\n0,0,0,")
    saved.get_by_role("tab", name="Layers").click()
    saved.locator(".flowlab-menu > button").locator("visible=true").first.click()
    saved.get_by_role("menuitem", name="Python").click()
    expect(saved.locator(".flowlab-menu pre")).to_contain_text("fl.figures.configuration(layers, sample=")
    saved.screenshot(path=artifact("menu.png"))
    saved.keyboard.press("Escape")
    expect(saved.locator(".flowlab-menu pre")).to_have_count(1)
    expect(saved.locator(".flowlab-menu .items").locator("visible=true")).to_have_count(0)


def test_every_tab_of_a_saved_lab_is_alive(saved: Page) -> None:
    asked: list[str] = []
    faults: list[str] = []
    saved.on("request", lambda request: asked.append(request.url))
    saved.on("pageerror", lambda error: faults.append(str(error)))
    expect(saved.locator(".scatterlayer path.js-line").first).to_be_attached()
    tabs = saved.get_by_role("tab")
    expect(tabs).to_have_text(["Train", "Configurations", "Layers", "Latent", "Defects", "Retrain", "Check"])
    tabs.nth(2).click()
    title, canvas = (saved.locator(f"section:not([hidden]) {one}") for one in (".flowlab-title", "canvas.main"))
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
    expect(saved.locator("section:not([hidden]) .tip")).to_contain_text("x 0, y 6: ")
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


def test_flips_and_retrainings_of_a_saved_lab_are_chosen_by_a_click(page: Page, tmp_path: Path) -> None:
    run = fl.experiment("ising-xor", L=4, T=2.5, layers=2, start="random", steps=3, batch=20, device="cpu")
    run.run(progress=False)
    lab = run.lab()
    retrain = lab.retrain
    retrain.temperature.value, retrain.steps.value = 2.8, 4
    retrain._ask()
    retrain.update()
    retrain.current.wait()
    path = lab.save(tmp_path / "lab.html")
    lab.close()
    page.goto(path.as_uri())
    front = page.locator("section:not([hidden])")

    page.get_by_role("tab", name="Latent").click()
    words = front.locator(".text")
    expect(words.filter(has_text="click on a latent")).to_be_visible()
    canvas = front.locator(".flowlab-strip canvas")
    before = canvas.last.evaluate("e => e.toDataURL()")
    for x, y in ((1, 2), (3, 0)):
        box = canvas.first.bounding_box()
        assert box is not None
        cell = box["width"] / 4
        page.mouse.click(box["x"] + (x + 0.5) * cell, box["y"] + (4 - y - 0.5) * cell)
        expect(words.filter(has_text=f"flipping latent x {x}, y {y} changes")).to_be_visible()
    after = canvas.last.evaluate("e => e.toDataURL()")
    assert after != before
    page.screenshot(path=artifact("saved-flip.png"))

    page.get_by_role("tab", name="Retrain").click()
    expect(front.get_by_text("(mean of 3 steps)")).to_be_visible()
    front.get_by_label("retraining").select_option("1: T = 2.8000")
    expect(front.get_by_text("(mean of 4 steps)")).to_be_visible()
    expect(front.locator(".gtitle").first).to_contain_text("T = 2.8")
    page.screenshot(path=artifact("saved-retrain.png"))
