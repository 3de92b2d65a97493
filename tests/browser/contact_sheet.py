"""Every tab of labs of several studies, light and dark, to look at: one picture a tab and one sheet of them all.

    python -m tests.browser.contact_sheet OUT [NAME ...]

The labs are small and have been trained for a few steps; names are those of ``CODES``.
"""

from __future__ import annotations

import argparse
import base64
import os
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.helpers import CHROMIUM_ARGS, HOW_TO_INSTALL, ROOT, Lab, find_chromium, jupyterlab
from tests.browser.panels import LabPanel, one_cell

RUN = "import flowlab as fl\nrun = fl.experiment({})\nrun.run(progress=False)\nrun.lab()"
CODES = {
    "ising-coloured": RUN.format("'ising-coloured', L=8, steps=60, batch=64, device='cpu'"),
    "ising-xor": RUN.format("'ising-xor', L=8, steps=60, batch=64, device='cpu'"),
    "phi4-flow": RUN.format("'phi4-flow', L=8, steps=60, batch=64, device='cpu'"),
    "phi4-multilevel": RUN.format("'phi4-multilevel', L=8, over='kappa:0.2:0.3', steps=60, batch=64, device='cpu'"),
    "phi4-hmc": RUN.format("'phi4-hmc', L=8, steps=60"),
    "glass-forward": RUN.format("'glass-forward', L=8, steps=60, batch=64, device='cpu'"),
    "glass-pt": RUN.format("'glass-pt', L=8, steps=200"),
    "glass-autoregressive": RUN.format("'glass-autoregressive', L=6, steps=60, batch=64, device='cpu'"),
    "potts-coloured": RUN.format("'potts-coloured', L=8, steps=60, batch=64, device='cpu'"),
    "tensor-network": RUN.format("'tensor-network', L=8"),
    "phi4-ir-matching": RUN.format("'phi4-ir-matching', steps=60, batch=64, device='cpu'"),
    "ising-sweep": "import flowlab as fl\nfl.sweep('ising-coloured', {'T': [2.0, 2.3, 2.6]}, L=4, steps=30, "
    "batch=64, device='cpu', out='sweep', progress=False)\nfl.widgets.PhaseDiagram('sweep')",
}
CELL = "figure { display: inline-block; width: 31%; margin: 1%; vertical-align: top } img { width: 100% }"


def wear(page: Page, theme: str) -> None:
    """Put the page into the light or the dark theme."""
    if page.evaluate("document.body.dataset.jpThemeLight") == str(theme == "light").lower():
        return
    page.get_by_role("menuitem", name="Settings", exact=True).click()
    page.get_by_text("Theme", exact=True).hover()
    page.get_by_role("menuitem", name=f"JupyterLab {theme.title()}", exact=True).click()
    page.wait_for_function(f"document.body.dataset.jpThemeLight === '{str(theme == 'light').lower()}'")
    page.wait_for_timeout(1000)


def shots(page: Page, lab: Lab, name: str, out: Path, wait: float) -> list[Path]:
    """Pictures of the tabs of one lab, light first."""
    panel = LabPanel(page)
    panel.output = page.locator(".jp-OutputArea-output").filter(has=page.locator(".flowlab-plot")).first
    panel.open(lab, one_cell(lab, name, CODES[name]))
    titles = panel.output.locator(".jupyter-widget-tab > .lm-TabBar [role=tab]").all_inner_texts()
    made = []
    for theme in ("light", "dark"):
        wear(page, theme)
        for title in titles or [""]:
            if title:
                panel.tab(title)
            time.sleep(wait if theme == "light" else 1.5)
            made.append(out / f"{name}-{title or 'all'}-{theme}.png".replace(" ", "-"))
            panel.output.screenshot(path=made[-1])
    return made


def sheet(browser: Browser, pictures: list[Path], path: Path) -> None:
    """All pictures on one page."""
    figures = "".join(
        f"<figure><img src='data:image/png;base64,{base64.b64encode(each.read_bytes()).decode()}'>"
        f"<figcaption>{each.stem}</figcaption></figure>"
        for each in pictures
    )
    page = browser.new_page(viewport={"width": 2400, "height": 1200})
    page.set_content(f"<style>{CELL}</style>{figures}")
    page.screenshot(path=path, full_page=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="the folder of the pictures")
    parser.add_argument("names", nargs="*", help="which labs; all where there are none")
    parser.add_argument("--wait", type=float, default=5.0, help="seconds on a tab before its picture is taken")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    os.environ["PYTHONPATH"] = str(ROOT)
    if (chromium := find_chromium()) is None:
        raise SystemExit(HOW_TO_INSTALL)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        (Path(folder) / "empty").mkdir()
        with jupyterlab(Path(folder) / "jupyter", Path(folder) / "empty") as lab:
            browser = playwright.chromium.launch(executable_path=chromium, headless=True, args=CHROMIUM_ARGS)
            pictures = []
            page = browser.new_page(viewport={"width": 1280, "height": 1400})
            page.set_default_timeout(150_000)
            page.on("pageerror", lambda error: print("page error:", error, flush=True))
            for name in options.names or CODES:
                pictures += shots(page, lab, name, options.out, options.wait)
                print(name, "done", flush=True)
            sheet(browser, pictures, options.out / "sheet.png")
            browser.close()


if __name__ == "__main__":
    main()
