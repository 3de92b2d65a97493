"""One click gives a lab the whole screen, and pictures on it are pointed at as before."""

from __future__ import annotations

import base64

import numpy as np
import xarray as xr
from playwright.sync_api import Page, expect

from flowlab.widgets.lattice import frames_of
from flowlab.widgets.view import script
from tests.browser.views import set_up

ON_STAGE = """
async (script) => {
    const tab = document.createElement('div'), button = document.createElement('div');
    tab.className = 'jupyter-widget-tab';
    tab.style.width = 'calc(100% - 4px)';
    el.replaceWith(tab);
    tab.append(button, el);
    const url = URL.createObjectURL(new Blob([script], {type: 'text/javascript'}));
    window.heads = new model.constructor({});
    await (await import(url)).default.render({model: heads, el: button});
    await view.render({model, el});
}
"""


def test_a_lab_fills_the_screen_magnified_and_goes_back(page: Page) -> None:
    spins = np.ones((1, 1, 4, 4))
    spins[0, 0, 1, 2] = -1
    layers = xr.Dataset({"configuration": (("layer", "sample", "y", "x"), spins)}, attrs={"domain": "spin"})
    state = frames_of(layers) | dict(version=0, width=350, layer=0, sample=0, playing=False, plays=True, interval=20)
    state["frames"] = base64.b64encode(state["frames"]).decode()
    set_up(page, ["theme.js", "menu.js", "canvas.js", "lattice.js"], state, with_library=False)
    page.evaluate(ON_STAGE, script("stage.js"))
    tab, main = page.locator(".jupyter-widget-tab"), page.locator("canvas.main")
    small = main.bounding_box()
    page.get_by_role("button", name="Present").click()
    page.get_by_role("button", name="Leave").wait_for()
    page.wait_for_function(
        "(width) => document.querySelector('canvas.main').getBoundingClientRect().width > width",
        arg=1.2 * small["width"],
    )
    large = main.bounding_box()
    scale = large["width"] / small["width"]
    cell = (350 - 42) / 4 * scale
    page.mouse.move(large["x"] + 34 * scale + 2.5 * cell, large["y"] + 2.5 * cell)
    expect(page.locator(".tip")).to_have_text("x 2, y 1: −1")
    page.get_by_role("button", name="Leave").click()
    page.get_by_role("button", name="Present").wait_for()
    page.wait_for_function("document.fullscreenElement === null")
    assert main.bounding_box()["width"] == small["width"]
    says = page.get_by_text("working: the kernel is busy")  # which has not answered the clicks
    expect(says).to_be_visible()
    page.evaluate("heads.listeners['msg:custom'].forEach((call) => call(heads.sent.at(-1)))")
    expect(says).to_be_hidden()
    assert tab.evaluate("e => [e.style.transform, e.style.width]") == ["", "calc(100% - 4px)"]
