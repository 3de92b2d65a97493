"""A page whose kernel is late, or does not have a lab any more, shows its still and what to do."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.helpers import ROOT, Lab
from tests.browser.panels import LabPanel, one_cell

CODE = """
import flowlab as fl
run = fl.experiment("ising-xor", L=4, T=2.5, layers=2, start="random", steps=3, batch=10, device="cpu")
run.run(progress=False)
run.lab()
"""
KEPT = {"application/vnd.jupyter.widget-view+json": {"model_id": "late"}, "image/png": "iVBORw0KGgo="}
LATE = """
async (data) => {
    // Jupyter's renderer on a page that is busy: it looks for the model once, too early
    const models = new Set(), node = document.getElementById('view'), manager = {has_model: (id) => models.has(id)};
    const inner = {node, isDisposed: false, _manager: {promise: Promise.resolve(manager)}, removeClass() {}};
    inner.renderModel = async () => {
        node.textContent = models.has('late') ? 'a live lab' : 'Error displaying widget: model not found';
    };
    let factory;
    const rendermime = {createRenderer: () => inner, addFactory: (made) => { factory = made; }};
    const plugin = (await globalThis._JUPYTERLAB.flowlab.get('./extension'))().default;
    plugin.activate({docRegistry: {addWidgetExtension: (_, {createNew}) => createNew({content: {rendermime}})}});
    factory.createRenderer({}).renderModel({data});
    globalThis.arrive = () => models.add('late');
}
"""
END_SESSION = """
async ([path, token]) => {
    for (const session of await (await fetch(`/api/sessions?token=${token}`)).json())
        if (session.path === path) await fetch(`/api/sessions/${session.id}?token=${token}`, {method: 'DELETE'});
}
"""


def test_a_model_that_comes_after_jupyter_gave_up_is_shown(page: Page) -> None:
    page.goto("about:blank")
    page.set_content("<div id='view'></div>")
    page.add_script_tag(path=ROOT / "flowlab" / "widgets" / "labextension" / "static" / "renderer.js")
    page.evaluate(LATE, KEPT)
    view = page.locator("#view")
    expect(view).to_contain_text("run the cell to have it live again")
    expect(page.get_by_alt_text("still of a lab")).to_have_count(1)
    page.evaluate("arrive()")
    expect(view).to_have_text("a live lab")


def test_a_lab_that_its_kernel_does_not_have_shows_its_still_and_what_to_do(page: Page, lab: Lab) -> None:
    panel = LabPanel(page)
    notebook = one_cell(lab, "kept", CODE)
    panel.open(lab, notebook)
    page.keyboard.press("Control+s")
    page.locator(f".lm-TabBar-tab[title*='{notebook}']:not(.jp-mod-dirty)").wait_for()
    page.evaluate(END_SESSION, [notebook, lab.token])
    page.goto(f"{lab.url}/lab/tree/{notebook}?token={lab.token}")
    expect(page.get_by_text("run the cell to have it live again")).to_be_visible(timeout=60_000)
    assert page.get_by_alt_text("still of a lab").evaluate("e => e.naturalWidth") > 300
