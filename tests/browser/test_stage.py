"""One click gives a lab the whole screen, and pictures on it are pointed at as before."""

from __future__ import annotations

import base64

import numpy as np
import xarray as xr
from playwright.sync_api import Page, expect

from flowlab.widgets.lattice import frames_of
from flowlab.widgets.view import script
from tests.browser.helpers import Lab, artifact, run_all
from tests.browser.panels import one_cell
from tests.browser.views import set_up

ON_STAGE = """
async (script) => {
    const tab = document.createElement('div'), button = document.createElement('div');
    tab.className = 'jupyter-widget-tab';
    tab.style.width = 'calc(100% - 4px)';
    el.replaceWith(tab);
    tab.append(button, el);
    const url = URL.createObjectURL(new Blob([script], {type: 'text/javascript'}));
    await (await import(url)).default.render({model, el: button});
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
    assert tab.evaluate("e => [e.style.transform, e.style.width]") == ["", "calc(100% - 4px)"]


BUSY = """
async (script) => {
    const {default: {render}} = await import(URL.createObjectURL(new Blob([script], {type: 'text/javascript'})));
    document.body.innerHTML = '<div class="flowlab-watched" id="outer"><i></i><button>gallery</button>'
        + '<div class="flowlab-watched" id="inner"><i></i><button>lab</button></div></div><button>elsewhere</button>';
    window.kernels = ['outer', 'inner'].map((id) => new model.constructor({id}));
    const place = (kernel) => document.querySelector(`#${kernel.get('id')} > i`);
    window.ends = kernels.map((kernel) => render({model: kernel, el: place(kernel)}));
    window.answer = (k) => kernels[k].listeners['msg:custom'].slice().forEach((call) => call(kernels[k].sent.at(-1)));
}
"""


def test_a_click_that_is_not_answered_says_so_once_beside_it(page: Page) -> None:
    """By the part that it lies in: a lab in a gallery answers for itself."""
    set_up(page, ["works.js"], {}, with_library=False)
    page.evaluate(BUSY, script("works.js"))
    says = page.get_by_text("working: the kernel is busy").locator("visible=true")
    asked = "kernels.map((kernel) => kernel.sent.length)"
    page.get_by_role("button", name="elsewhere").click()
    assert page.evaluate(asked) == [0, 0]
    page.get_by_role("button", name="lab").click()
    page.get_by_role("button", name="lab").click()
    assert page.evaluate(asked) == [0, 1]  # one question at a time
    expect(says).to_have_count(1)
    button, word = page.get_by_role("button", name="lab").bounding_box(), says.bounding_box()
    assert button is not None and word is not None
    assert abs(word["x"] - button["x"]) < 100 and abs(word["y"] - button["y"]) < 60
    page.evaluate("answer(1)")
    expect(says).to_have_count(0)
    page.get_by_role("button", name="gallery").press("Enter")
    expect(says).to_have_count(1)
    assert page.evaluate(asked) == [1, 1]
    page.evaluate("answer(0)")
    expect(says).to_have_count(0)
    page.evaluate("ends.forEach((end) => end())")
    page.get_by_role("button", name="gallery").click()
    assert page.evaluate(asked) == [1, 1]
    expect(page.locator(".flowlab-works")).to_have_count(0)


NO_LAB = """
import time
import flowlab as fl
from IPython.display import display
run = fl.experiment("ising-xor", L=4, T=2.5, layers=2, start="random", steps=3, batch=10, device="cpu")
display(fl.widgets.TrainPanel(run))
display(fl.lab("none"))
time.sleep(120)
"""


def test_a_single_panel_and_the_gallery_say_that_the_kernel_is_busy(page: Page, lab: Lab) -> None:
    run_all(page, lab, one_cell(lab, "busy-parts", NO_LAB))
    says = page.get_by_text("working: the kernel is busy").locator("visible=true")
    page.get_by_role("button", name="Start", exact=True).click()
    expect(says).to_have_count(1)
    page.get_by_role("button", name="Sort bits into domains").click()
    expect(says).to_have_count(2)
    page.screenshot(path=artifact("busy-parts.png"))
