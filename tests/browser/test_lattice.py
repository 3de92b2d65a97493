"""The lattice on its canvas: slider, keys, hover and zoom without a kernel, and while a cell runs."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest
import xarray as xr
from playwright.sync_api import Page, expect

from flowlab.figures import configuration
from flowlab.widgets.lattice import frames_of
from flowlab.widgets.strip import strip_of
from tests.browser.helpers import Lab
from tests.browser.panels import LabPanel, one_cell
from tests.browser.views import set_up

MINUS, PLUS = [47, 93, 138], [230, 169, 79]
PIXEL = """([x, y]) => {
    const c = document.querySelector('.flowlab-lattice canvas.main'), ratio = c.width / c.clientWidth;
    return [...c.getContext('2d').getImageData(x * ratio, y * ratio, 1, 1).data].slice(0, 3);
}"""


SCRIPTS = ["theme.js", "menu.js", "canvas.js"]
INK = """([canvas, x, y, w, h]) => {
    const c = document.querySelector(canvas), ratio = c.width / c.clientWidth;
    const {data} = c.getContext('2d').getImageData(x * ratio, y * ratio, w * ratio, h * ratio);
    return data.filter((_, k) => k % 4 === 3).some((opaque) => opaque > 100);
}"""


def state(values: np.ndarray, domain: str = "spin", **more: Any) -> dict[str, Any]:
    dims = ("layer", "sample", *("z", "y", "x")[5 - values.ndim :])
    layers = xr.Dataset({"configuration": (dims, values)}, attrs={"domain": domain})
    made = frames_of(layers) | dict(version=0, width=350, layer=0, sample=0, playing=False, plays=True, interval=20)
    return made | {"frames": base64.b64encode(made["frames"]).decode()} | more


def spins(size: int = 4) -> np.ndarray:
    """All up, then down at x = 1, y = 0, then all down; the second sample the other way round."""
    s = np.ones((3, 2, size, size))
    s[1, 0, 0, 1] = -1
    s[2, 0] = -1
    s[:, 1] = -s[:, 0]
    return s


@pytest.fixture
def drawn(page: Page) -> Page:
    set_up(page, ["theme.js", "menu.js", "canvas.js", "lattice.js"], state(spins()), with_library=False)
    page.evaluate("async () => { window.end = await view.render({model, el}); }")
    expect(page.locator(".flowlab-title")).to_contain_text("layer 0 of 2")
    return page


def color_at(page: Page, x: int, y: int, size: int = 4) -> list[int]:
    """The colour of a site, beside its middle, where a mark may be."""
    cell = (350 - 42) / size
    return page.evaluate(PIXEL, [34 + (x + 0.85) * cell, (size - y - 0.15) * cell])


def test_vortices_of_angles_are_counted_and_marked(page: Page) -> None:
    y, x = np.meshgrid(np.arange(8.0), np.arange(8.0), indexing="ij")
    pair = np.arctan2(y - 3.5, x - 1.5) - np.arctan2(y - 3.5, x - 5.5)
    values = np.stack([np.zeros((1, 8, 8)), (pair[None] + np.pi) % (2 * np.pi) - np.pi])
    shown = state(values, layer=1, domain="angle")
    set_up(page, ["theme.js", "menu.js", "canvas.js", "lattice.js"], shown, with_library=False)
    page.evaluate("async () => { window.end = await view.render({model, el}); }")
    expect(page.locator(".flowlab-title")).to_contain_text("vortices: 1 + and 1 −")
    cell = (350 - 42) / 8
    corner = [34 + 2 * cell + 4, (8 - 4) * cell - 4]  # beside the sign, where x is 1 and 2 and y is 3 and 4
    assert page.evaluate(PIXEL, corner) == [255, 255, 255]


def cube() -> np.ndarray:
    """Two planes of 4 x 4: one site of z = 1 alone at first, then all, with x = 1, y = 2, z = 1 down."""
    s = np.ones((2, 1, 2, 4, 4))
    s[1, 0, 1, 2, 1] = -1
    s[0, 0] = np.nan
    s[0, 0, 1, 0, 0] = -1
    return s


def test_planes_of_a_cube_stand_side_by_side_under_their_names(page: Page) -> None:
    set_up(page, [*SCRIPTS, "lattice.js"], state(cube(), layer=1), with_library=False)
    page.evaluate("async () => { window.end = await view.render({model, el}); }")
    expect(page.locator(".flowlab-title")).to_contain_text("level 1 of 1")
    cell = (350 - 42) / 9
    box = page.locator("canvas.main").bounding_box()
    assert box is not None
    for column, named in ((0, True), (4.2, False), (5, True)):
        assert page.evaluate(INK, ["canvas.main", 34 + column * cell, 0, 0.7 * cell, cell]) == named
    page.mouse.move(box["x"] + 34 + 6.5 * cell, box["y"] + 2.5 * cell)
    expect(page.locator(".tip")).to_have_text("x 1, y 2, z 1: −1")
    page.mouse.move(box["x"] + 34 + 4.5 * cell, box["y"] + 2.5 * cell)
    expect(page.locator(".tip")).to_be_hidden()
    page.evaluate("model.set('layer', 0)")
    expect(page.locator(".flowlab-title")).to_contain_text("1 of 32 sites are drawn; pale: the nearest one that is")
    page.wait_for_timeout(100)
    assert page.evaluate(INK.replace("> 100", "> 30"), ["canvas.main", 34 + 2.2 * cell, 2.2 * cell, 5, 5])


def test_a_strip_names_the_planes_of_a_cube_too(page: Page) -> None:
    layers = xr.Dataset({"configuration": (("layer", "sample", "z", "y", "x"), cube()[1:])}, attrs={"domain": "spin"})
    made = strip_of(configuration(layers))
    shown = made | dict(side=360, across=1, paints="", seen=0, signed=True, version=0)
    shown |= {"frames": base64.b64encode(made["frames"]).decode()}
    set_up(page, [*SCRIPTS, "strip.js"], shown, with_library=False)
    page.evaluate("async () => { window.end = await view.render({model, el}); }")
    canvas = page.locator(".flowlab-strip canvas")
    box = canvas.bounding_box()
    assert box is not None
    for column, named in ((0, True), (4.2, False), (5, True)):
        assert page.evaluate(INK, [".flowlab-strip canvas", column * 40, 2, 28, 30]) == named
    page.mouse.move(box["x"] + 6.5 * 40, box["y"] + 2.5 * 40)
    expect(page.locator(".tip")).to_have_text("x 1, y 2, z = 1: −1")
    page.mouse.move(box["x"] + 4.5 * 40, box["y"] + 2.5 * 40)
    expect(page.locator(".tip")).to_be_hidden()


def test_keys_step_through_layers_and_samples(drawn: Page) -> None:
    assert color_at(drawn, 1, 0) == PLUS
    drawn.locator(".flowlab-lattice").focus()
    drawn.keyboard.press("ArrowRight")
    expect(drawn.locator(".flowlab-title")).to_have_text("layer 1 of 2 · layer 1 · sample 0 · 1 of 16 sites changed")
    assert (color_at(drawn, 1, 0), color_at(drawn, 0, 1)) == (MINUS, PLUS)
    drawn.keyboard.press("ArrowUp")
    expect(drawn.locator(".flowlab-title")).to_contain_text("sample 1")
    assert (color_at(drawn, 1, 0), color_at(drawn, 0, 1)) == (PLUS, MINUS)
    drawn.keyboard.press("End")
    expect(drawn.locator(".flowlab-title")).to_contain_text("layer 2 of 2")
    assert drawn.evaluate("[model.get('layer'), model.get('sample')]") == [2, 1]


def test_keys_are_heard_before_the_shortcuts_of_the_page(drawn: Page) -> None:
    """Notebook 7 takes arrow keys at the document, before they reach a picture."""
    drawn.evaluate("() => document.addEventListener('keydown', (e) => { e.stopPropagation(); }, true)")
    drawn.locator(".flowlab-lattice").focus()
    drawn.keyboard.press("ArrowRight")
    expect(drawn.locator(".flowlab-title")).to_contain_text("layer 1 of 2")
    drawn.get_by_label("menu of this picture").press("Enter")
    drawn.keyboard.press("ArrowDown")
    assert drawn.evaluate("document.activeElement.textContent") == "Picture (PNG)"
    drawn.evaluate("window.end()")


def test_space_plays(drawn: Page) -> None:
    drawn.locator(".flowlab-lattice").focus()
    drawn.keyboard.press("Space")
    drawn.wait_for_function("model.get('layer') === 2")
    drawn.wait_for_function("model.get('layer') === 0")
    drawn.keyboard.press("Space")
    assert drawn.evaluate("model.get('playing')") is False


def test_the_mouse_reads_values_and_zooms(drawn: Page) -> None:
    box = drawn.locator("canvas.main").bounding_box()
    assert box is not None
    cell = (350 - 42) / 4
    drawn.evaluate("model.set('layer', 1)")
    drawn.mouse.move(box["x"] + 34 + 1.5 * cell, box["y"] + 3.5 * cell)
    expect(drawn.locator(".tip")).to_have_text("x 1, y 0: −1")
    drawn.mouse.down()
    drawn.mouse.move(box["x"] + 34 + 2.5 * cell, box["y"] + 2.5 * cell, steps=3)
    drawn.mouse.up()
    drawn.wait_for_timeout(100)
    drawn.mouse.move(box["x"] + 34 + 0.5 * cell, box["y"] + 3.5 * cell)
    expect(drawn.locator(".tip")).to_have_text("x 1, y 0: −1")  # the lower left corner of what is left
    drawn.mouse.dblclick(box["x"] + 34 + 0.5 * cell, box["y"] + 3.5 * cell)
    drawn.wait_for_timeout(100)
    drawn.mouse.move(box["x"] + 34 + 0.6 * cell, box["y"] + 3.5 * cell)
    expect(drawn.locator(".tip")).to_have_text("x 0, y 0: +1")


def test_a_click_on_a_small_one_chooses_its_layer(drawn: Page) -> None:
    drawn.locator(".thumbs canvas").nth(2).click()
    expect(drawn.locator(".flowlab-title")).to_contain_text("layer 2 of 2")
    expect(drawn.locator(".thumbs canvas.on")).to_have_count(1)


def test_new_configurations_are_drawn_where_a_person_is(drawn: Page) -> None:
    drawn.evaluate("model.set('layer', 1)")
    expect(drawn.locator(".flowlab-title")).to_contain_text("layer 1")
    frames = base64.b64encode(-spins().astype(np.int8)).decode()
    drawn.evaluate(
        "(f) => model.change({frames: new DataView(Uint8Array.from(atob(f), (c) => c.charCodeAt(0)).buffer)})", frames
    )
    drawn.wait_for_timeout(100)
    assert (color_at(drawn, 1, 0), color_at(drawn, 0, 1)) == (PLUS, MINUS)


def test_a_large_lattice_is_drawn_in_a_moment(page: Page) -> None:
    s = np.where(np.random.default_rng(0).random((5, 2, 128, 128)) < 0.5, -1.0, 1.0)
    set_up(page, ["theme.js", "menu.js", "canvas.js", "lattice.js"], state(s), with_library=False)
    page.evaluate("async () => { await view.render({model, el}); }")
    took = page.evaluate(
        "async () => { const t = performance.now(); for (let k = 0; k < 50; k++) { model.set('layer', k % 5);"
        " await new Promise(requestAnimationFrame); } return (performance.now() - t) / 50; }"
    )
    assert took < 100, f"{took:.0f} ms a picture"


CELL = """
import time
import flowlab as fl
from IPython.display import display
run = fl.experiment("ising-xor", L=8, T=2.5, layers=3, start="random", steps=3, batch=20, device="cpu")
run.run(progress=False)
lab = run.lab()
lab.widget.selected_index = 2
display(lab)
time.sleep(120)
"""


def test_the_slider_moves_the_lattice_while_a_cell_runs(page: Page, lab: Lab) -> None:
    panel = LabPanel(page)
    panel.open(lab, one_cell(lab, "busy", CELL))
    title = panel.output.locator(".flowlab-lattice .flowlab-title").locator("visible=true")
    expect(title).to_contain_text("layer 3 of 3", timeout=60_000)
    panel.slide("Home")
    expect(title).to_contain_text("layer 0 of 3")
    panel.slide()
    expect(title).to_contain_text("layer 1 of 3 · xor 1", timeout=3000)
    panel.output.locator(".flowlab-lattice").locator("visible=true").focus()
    page.keyboard.press("ArrowRight")
    expect(title).to_contain_text("layer 2 of 3", timeout=3000)
    assert page.locator(".jp-InputPrompt").first.inner_text() == "[*]:", "the cell still runs"
    panel.output.get_by_role("button", name="New samples").locator("visible=true").click()
    expect(page.get_by_text("working: the kernel is busy").locator("visible=true")).to_have_count(1)
    panel.shot("lattice-while-a-cell-runs.png")
