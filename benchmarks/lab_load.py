"""The lab beside two busy processes, at play, and over half an hour.

    python benchmarks/lab_load.py [--parts openings frames memory] [--openings 20] [--within 300] [--minutes 30]

Openings: a page is loaded, the cell of a lab at 8 x 8 is run beside two processes that do nothing but count, and each
tab is opened; then the page is loaded anew and each tab is opened again. `page_s` is the time until the tab in front is
drawn, from the loading of JupyterLab on. A tab is late where one of its figures is not drawn 3 s after the click,
measured in the page; `missing` are figures that were not drawn after 60 s. Openings may be measured in pieces, each of
which goes on where the one before ended.

Frames: pictures that the browser drew in a second while the slider of Layers plays, one layer every 50 ms at 16 x 16,
and how long the longest took; a run trains meanwhile.

Memory: page and kernel, before and after that time in which a run trains, every tab is opened in turn and Layers plays.
Parts that are not asked for keep what was measured before.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import _machine as machine
import psutil
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests.browser.helpers import CHROMIUM_ARGS, HOW_TO_INSTALL, Lab, find_chromium, jupyterlab  # noqa: E402
from tests.browser.panels import LabPanel, one_cell  # noqa: E402

CELL = """
import os
from pathlib import Path
import flowlab as fl
Path("pid").write_text(str(os.getpid()))
run = fl.experiment("ising-xor", L={L}, T=2.5, layers=4, start="random", steps={steps}, batch=100, device="cpu")
run.start()
lab = run.lab()
lab.layers.play.interval = 50
lab
"""
TABS = ("Train", "Configurations", "Layers", "Latent", "Defects", "Retrain", "Check")
LIMIT = 3.0
COLUMNS: list[machine.Column] = [
    ("opening", 8, ""),
    ("load", 6, ".1f"),
    ("loaded", 12, ""),
    ("page_s", 7, ".1f"),
    ("slowest_tab", 16, ""),
    ("slowest_s", 10, ".2f"),
    ("late", 5, ""),
    ("missing", 8, ""),
]
DRAWN = """
async ([name, patience]) => {
    const output = document.querySelector('.jupyter-widget-tab');
    const tab = [...output.querySelectorAll('[role=tab]')].find((e) => e.textContent.trim() === name);
    tab.scrollIntoView({block: 'nearest'});
    const {x, y, width, height} = tab.getBoundingClientRect(), began = performance.now();
    const at = {clientX: x + width / 2, clientY: y + height / 2};
    for (const type of ['pointerdown', 'pointerup', 'click'])
        tab.dispatchEvent(new PointerEvent(type, {bubbles: true, button: 0, ...at}));
    const shown = () => [...output.querySelectorAll('.flowlab-plot, .flowlab-lattice, .flowlab-strip')]
        .filter((e) => e.parentElement.clientWidth > 0);
    const there = (e) => e.querySelector('.main-svg .cartesianlayer, .main-svg .ternarylayer, canvas') !== null;
    const chosen = () => tab.getAttribute('aria-selected') === 'true' || tab.classList.contains('lm-mod-current');
    for (;;) {
        await new Promise(requestAnimationFrame);
        const all = shown(), took = (performance.now() - began) / 1000;
        if (chosen() && all.length && all.every(there)) return [took, 0];
        if (took > patience) return [took, Math.max(1, all.filter((e) => !there(e)).length)];
    }
}
"""
PLAY = """
async (seconds) => {
    const stamps = [];
    const end = performance.now() + 1000 * seconds;
    while (performance.now() < end) stamps.push(await new Promise(requestAnimationFrame));
    const gaps = stamps.slice(1).map((t, k) => t - stamps[k]);
    return [1000 * gaps.length / (stamps.at(-1) - stamps[0]), Math.max(...gaps)];
}
"""


@contextmanager
def opened(playwright: Any, busy: int = 0) -> Iterator[tuple[Page, Lab]]:
    """A page and a JupyterLab, with so many processes that count beside them."""
    chromium = find_chromium()
    if chromium is None:
        raise SystemExit(HOW_TO_INSTALL)
    os.environ["PYTHONPATH"] = str(ROOT)
    with tempfile.TemporaryDirectory() as name, ExitStack() as ends:
        folder = Path(name)
        (folder / "notebooks").mkdir()
        lab = ends.enter_context(jupyterlab(folder / "jupyter", folder / "notebooks"))
        for _ in range(busy):
            counting = subprocess.Popen([sys.executable, "-c", "n = 0\nwhile True: n += 1"])
            ends.callback(counting.kill)
        browser = playwright.chromium.launch(executable_path=chromium, headless=True, args=CHROMIUM_ARGS)
        ends.callback(browser.close)
        page = browser.new_page(viewport={"width": 1280, "height": 1400})
        page.set_default_timeout(150_000)
        yield page, lab


def openings(
    count: int, before: list[dict[str, Any]], within: float, keep: Callable[[list[dict[str, Any]]], object]
) -> list[dict[str, Any]]:
    """Seconds from a click on a tab until all its figures are drawn, the slowest of each opening.

    After those of ``before``, each kept as it comes, and none is begun after so many seconds.
    """
    rows, start = list(before), time.monotonic()
    with sync_playwright() as playwright, opened(playwright, busy=2) as (page, lab):
        panel = LabPanel(page)
        notebook = one_cell(lab, "lab", CELL.format(L=8, steps=100_000))
        for number in range(len(before) // 2 + 1, count + 1):
            began = time.monotonic()
            if began - start > within:
                break
            panel.open(lab, notebook)
            rows.append(one_opening(page, number, "by the cell", began))
            page.keyboard.press("Control+s")
            page.locator(f".lm-TabBar-tab[title*='{notebook}']:not(.jp-mod-dirty)").wait_for()
            began = time.monotonic()
            page.goto(f"{lab.url}/lab/tree/{notebook}?token={lab.token}")
            panel.output.wait_for()
            rows.append(one_opening(page, number, "anew", began))
            keep(rows)
    return rows


def one_opening(page: Page, number: int, loaded: str, began: float) -> dict[str, Any]:
    page.evaluate(DRAWN, [TABS[0], 60])
    front = time.monotonic() - began
    found = {tab: page.evaluate(DRAWN, [tab, 60]) for tab in TABS}
    slowest = max(found, key=lambda tab: float(found[tab][0]))
    late = sum(took > LIMIT for took, _ in found.values())
    missing = sum(gone for _, gone in found.values())
    row = {"opening": number, "load": os.getloadavg()[0], "loaded": loaded, "page_s": front}
    row["commit"] = machine.describe()["commit"]
    row |= {"slowest_tab": slowest, "slowest_s": found[slowest][0], "late": late, "missing": missing}
    print(machine.line(row, COLUMNS), flush=True)
    return row


def frames() -> list[dict[str, Any]]:
    """The frame rate of the browser with Layers in front, at rest and while it plays."""
    with sync_playwright() as playwright, opened(playwright) as (page, lab):
        panel = LabPanel(page)
        panel.open(lab, one_cell(lab, "lab", CELL.format(L=16, steps=100_000)))
        panel.tab("Layers")
        panel.output.get_by_text("samples drawn at step").locator("visible=true").wait_for()
        page.wait_for_timeout(3000)
        rest = page.evaluate(PLAY, 5)
        lattice = panel.output.locator(".flowlab-lattice").locator("visible=true").first
        lattice.focus()
        page.keyboard.press("Space")
        page.wait_for_timeout(1000)
        play = page.evaluate(PLAY, 5)
        loads = {"load": os.getloadavg()[0]}
        named = zip(("at rest", "playing"), (rest, play), strict=True)
        return [{"layers": name, "frames_per_s": rate, "longest_ms": gap, **loads} for name, (rate, gap) in named]


def memory(minutes: float) -> list[dict[str, Any]]:
    """Megabytes of page and kernel over that time."""
    rows: list[dict[str, Any]] = []
    with sync_playwright() as playwright, opened(playwright) as (page, lab):
        panel = LabPanel(page)
        panel.open(lab, one_cell(lab, "lab", CELL.format(L=8, steps=10_000_000)))
        kernel = psutil.Process(int((lab.root / "pid").read_text()))
        session = page.context.new_cdp_session(page)
        for tab in (*TABS, *TABS):  # what is loaded once is no growth
            page.evaluate(DRAWN, [tab, 60])
            page.wait_for_timeout(3000)
        began, least = time.monotonic(), 0.0
        while True:
            session.send("HeapProfiler.collectGarbage")
            heap = page.evaluate("performance.memory.usedJSHeapSize") / 1e6
            step = panel.output.get_by_text("step ").first.inner_text()
            passed = (time.monotonic() - began) / 60
            rows.append({"minutes": passed, "page_mb": heap, "kernel_mb": kernel.memory_info().rss / 1e6})
            print(rows[-1], step, flush=True)
            if passed >= minutes:
                return rows
            least += minutes / 6
            while time.monotonic() - began < 60 * min(least, minutes):
                for tab in TABS:
                    page.evaluate(DRAWN, [tab, 60])
                    if tab == "Layers":
                        panel.output.locator(".flowlab-lattice").locator("visible=true").first.focus()
                        page.keyboard.press("Space")
                    page.wait_for_timeout(3000)
                    if tab == "Layers":
                        page.keyboard.press("Space")


def main() -> None:
    parser = machine.parser(__doc__, "lab_load")
    parser.add_argument("--parts", nargs="+", default=["openings", "frames", "memory"], help="what is measured")
    parser.add_argument("--openings", type=int, default=20)
    parser.add_argument("--within", type=float, default=math.inf, help="seconds after which no opening begins")
    parser.add_argument("--minutes", type=float, default=30.0)
    options = parser.parse_args()
    kept = json.loads(options.out.read_text(encoding="utf-8"))["rows"] if options.out.exists() else {}
    before = kept.get("openings", [])
    before = before if len(before) < 2 * options.openings else []
    measure = {
        "openings": lambda: openings(
            options.openings, before, options.within, lambda rows: machine.write(options.out, kept | {"openings": rows})
        ),
        "frames": frames,
        "memory": lambda: memory(options.minutes),
    }
    for part in options.parts:
        kept[part] = measure[part]()
        print(part, kept[part])
        machine.write(options.out, kept)


if __name__ == "__main__":
    main()
