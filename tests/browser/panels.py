"""A notebook of one cell, and the lab that it opens, as a person uses it."""

from __future__ import annotations

import nbformat
from playwright.sync_api import Locator, Page

from tests.browser.helpers import Lab, artifact, run_all

KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}


def one_cell(lab: Lab, name: str, code: str) -> str:
    """Write a notebook of one cell into the folder that the lab serves; its file name."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code.strip())], metadata=KERNEL)
    nbformat.write(notebook, lab.root / f"{name}.ipynb")
    return f"{name}.ipynb"


class LabPanel:
    """What ``run.lab()`` shows in a page."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.received = 0
        self.output = page.locator(".jp-OutputArea-output").filter(has=page.locator(".jupyter-widget-tab"))

    def count_bytes(self) -> None:
        """Add up in ``received`` what the kernels of pages opened from now on send."""

        def add(frame: str | bytes) -> None:
            self.received += len(frame)

        self.page.on("websocket", lambda socket: socket.on("framereceived", add))

    def open(self, lab: Lab, notebook: str) -> None:
        """Run all cells of a notebook whose last one shows the lab, and bring that into view."""
        run_all(self.page, lab, notebook)
        self.output.wait_for(timeout=450_000)
        self.output.scroll_into_view_if_needed()

    def tab(self, name: str) -> None:
        self.output.get_by_role("tab", name=name, exact=True).click()

    def title(self) -> Locator:
        """The title of the first picture of the tab in front."""
        return self.output.locator(".flowlab-title, .gtitle").locator("visible=true").first

    def pictures(self) -> Locator:
        """The heat maps in the figures of the tab in front, and the pictures side by side."""
        return self.output.locator(".heatmaplayer image, .flowlab-strip canvas").locator("visible=true")

    def move_to_site(self, x: int, y: int, side: int) -> None:
        """Move the mouse to a site of the first picture of the tab in front that stands beside others."""
        box = self.output.locator(".flowlab-strip canvas").locator("visible=true").first.bounding_box()
        assert box is not None
        cell = box["width"] / side
        self.page.mouse.move(box["x"] + (x + 0.5) * cell, box["y"] + (side - y - 0.5) * cell)

    def slide(self, key: str = "ArrowRight") -> None:
        """Move the first slider of the tab in front by one."""
        handle = self.output.locator(".noUi-handle").locator("visible=true").first
        handle.focus()
        handle.press(key)

    def shot(self, name: str) -> None:
        self.output.screenshot(path=artifact(name))
