"""The lab in Jupyter Notebook 7, whose server is that of JupyterLab."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.helpers import Lab, press_run_all
from tests.browser.panels import LabPanel, one_cell

CODE = """
import flowlab as fl
run = fl.experiment("ising-xor", L=4, T=2.5, layers=2, start="random", steps=3, batch=10, device="cpu")
run.run(progress=False)
run.lab()
"""

CONNECTED = """async (token) => {
    const kernels = await (await fetch(`/api/kernels?token=${token}`)).json();
    return kernels.some(({connections, execution_state}) => connections > 0 && execution_state === 'idle');
}"""


def test_a_lab_in_notebook_7_answers(page: Page, lab: Lab) -> None:
    page.goto(f"{lab.url}/notebooks/{one_cell(lab, 'seven', CODE)}?token={lab.token}")
    page.locator(".jp-CodeCell").first.wait_for()
    page.wait_for_function(CONNECTED, arg=lab.token)
    press_run_all(page)
    panel = LabPanel(page)
    panel.output.wait_for()
    panel.output.locator(".flowlab-plot .main-svg").locator("visible=true").first.wait_for()
    panel.tab("Layers")
    panel.output.get_by_text("samples drawn at step 3").locator("visible=true").wait_for()
    expect(panel.title()).to_contain_text("layer 2 of 2")
    panel.output.locator(".flowlab-lattice").locator("visible=true").first.focus()
    page.keyboard.press("ArrowLeft")
    expect(panel.title()).to_contain_text("layer 1 of 2")
    panel.shot("notebook-7.png")
