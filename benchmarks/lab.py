"""The lab in a browser: bytes that it sends, seconds until pictures are there, answers while training runs.

    python benchmarks/lab.py [--flowlab folder of another checkout] [--name before]

An Ising lab at 8 x 8 is opened in JupyterLab and Chromium while it trains; each tab is opened once. Megabytes are those
of the opening, and of all that training and tabs sent until the end, some minute later. Answers are medians
over ten presses, measured in the page from the key to the picture's new title; changes a second are counted while keys
are pressed as fast as the page takes them. Rows of other names in the results are kept.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import _machine as machine
from playwright.sync_api import Locator, Page, sync_playwright

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests.browser.helpers import CHROMIUM_ARGS, HOW_TO_INSTALL, find_chromium, jupyterlab  # noqa: E402
from tests.browser.panels import LabPanel, one_cell  # noqa: E402

CELL = """
import flowlab as fl
run = fl.experiment("ising-xor", L=8, T=2.5, layers=4, start="random", steps=100_000, batch=100, device="cpu")
run.start()
run.lab()
"""
WATCH = """
() => {
    const title = () => [...document.querySelectorAll('.flowlab-title, .gtitle')]
        .find((e) => e.checkVisibility() && /^(layer|level) /.test(e.textContent))?.textContent ?? '';
    window.changes = [];
    window.pressed = [];
    let last = title();
    document.addEventListener('keydown', () => window.pressed.push(performance.now()), true);
    const look = () => {
        const now = title();
        if (now !== last) { last = now; window.changes.push(performance.now()); }
        requestAnimationFrame(look);
    };
    look();
}
"""
COLUMNS: list[machine.Column] = [
    ("version", 8, ""),
    ("opening_mb", 11, ".1f"),
    ("megabytes", 10, ".1f"),
    ("curve_s", 8, ".1f"),
    ("layers_s", 9, ".1f"),
    ("slider_ms", 10, ".0f"),
    ("sample_ms", 10, ".0f"),
    ("changes_per_s", 14, ".1f"),
    ("page_mb", 8, ".0f"),
]


def answer(page: Page, control: Locator, keys: list[str]) -> float:
    """The median time in ms from a key to the new title."""
    control.focus()
    took = []
    for key in keys:
        page.evaluate("() => { window.changes.length = window.pressed.length = 0; }")
        control.press(key)
        page.wait_for_function("window.changes.length > 0", timeout=30_000)
        took.append(page.evaluate("window.changes[0] - window.pressed[0]"))
        page.wait_for_timeout(300)
    return statistics.median(took)


def measure(flowlab: Path) -> dict[str, Any]:
    """One opening of the lab of a checkout."""
    chromium = find_chromium()
    if chromium is None:
        raise SystemExit(HOW_TO_INSTALL)
    os.environ["PYTHONPATH"] = str(flowlab)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        (Path(folder) / "notebooks").mkdir()
        with jupyterlab(Path(folder) / "jupyter", Path(folder) / "notebooks") as lab:
            browser = playwright.chromium.launch(executable_path=chromium, headless=True, args=CHROMIUM_ARGS)
            page = browser.new_page(viewport={"width": 1280, "height": 1400})
            page.set_default_timeout(150_000)
            panel = LabPanel(page)
            panel.count_bytes()
            began = time.monotonic()
            panel.open(lab, one_cell(lab, "lab", CELL))
            panel.output.locator(".scatterlayer path.js-line").locator("visible=true").first.wait_for()
            row: dict[str, Any] = {"curve_s": time.monotonic() - began, "opening_mb": panel.received / 1e6}
            began = time.monotonic()
            panel.tab("Layers")
            panel.output.get_by_text("samples drawn at step").locator("visible=true").wait_for()
            picture = ".flowlab-lattice canvas.main, .heatmaplayer image"
            panel.output.locator(picture).locator("visible=true").first.wait_for()
            row["layers_s"] = time.monotonic() - began
            page.evaluate(WATCH)
            page.wait_for_timeout(1000)
            handle = panel.output.locator(".noUi-handle").locator("visible=true").first
            row["slider_ms"] = answer(page, handle, ["ArrowLeft", "ArrowRight"] * 5)
            sample = panel.output.get_by_label("sample").and_(page.locator("input")).locator("visible=true").first
            row["sample_ms"] = answer(page, sample, ["ArrowUp"] * 10)
            page.evaluate("() => { window.changes.length = 0; }")
            handle.focus()
            began = time.monotonic()
            while time.monotonic() - began < 3:
                handle.press("ArrowRight")
                handle.press("ArrowLeft")
            page.wait_for_timeout(200)
            row["changes_per_s"] = page.evaluate("window.changes.length") / (time.monotonic() - began)
            for tab in ("Latent", "Defects", "Retrain"):
                panel.tab(tab)
                page.wait_for_timeout(4000)
            row["megabytes"] = panel.received / 1e6
            row["page_mb"] = page.evaluate("performance.memory.usedJSHeapSize") / 1e6
            browser.close()
    return row


def main() -> None:
    parser = machine.parser(__doc__, "lab")
    parser.add_argument("--flowlab", type=Path, default=ROOT, help="the checkout that is measured")
    parser.add_argument("--name", default="now", help="what its row is called")
    options = parser.parse_args()
    row = {"version": options.name, **measure(options.flowlab.resolve())}
    kept = json.loads(options.out.read_text(encoding="utf-8"))["rows"] if options.out.exists() else []
    rows = [*({"opening_mb": None} | each for each in kept if each["version"] != options.name), row]
    print(machine.head(COLUMNS))
    for each in rows:
        print(machine.line(each, COLUMNS))
    machine.write(options.out, rows)


if __name__ == "__main__":
    main()
