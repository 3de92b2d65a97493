"""Pages for a class, by the clock: from opening one from disk to the first picture that a slider has changed.

    python benchmarks/explorables.py [--times 3]

A page is opened in a fresh window of Chromium, headless, 1280 x 1000. As soon as there are pictures and a slider (in
the page of levels: the button *draw one*), it is moved at every frame until a picture is another. `median_s` and
`worst_s` are the seconds from the start of the navigation to that frame, of so many openings; `cpu_s` is what the page
itself took of the processor until then, of the median. Other jobs shared the processor: `load`.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import _machine as machine
from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "docs" / "explore")]

from tests.browser.helpers import CHROMIUM_ARGS, HOW_TO_INSTALL, find_chromium  # noqa: E402

COLUMNS: list[machine.Column] = [
    ("page", 22, ""), ("mb", 6, ".2f"), ("median_s", 9, ".2f"), ("worst_s", 8, ".2f"),
    ("cpu_s", 6, ".2f"), ("load", 6, ".1f"),
]  # fmt: skip
WATCH = """
window.changedAt = new Promise((resolve) => {
    const seen = (e) => e.tagName === 'CANVAS' ? e.toDataURL() : e.innerHTML;
    const pictures = () => [...document.querySelectorAll('canvas, svg.main-svg')]
        .filter((e) => e.getBoundingClientRect().width > 0).map(seen);
    let before = null, down = false, moved = false;
    const look = () => {
        const control = document.querySelector('input[type=range], #draw'), now = pictures();
        const same = before !== null && now.length === before.length && now.every((one, k) => one === before[k]);
        if (moved && !same) return resolve(performance.now());
        if (control && now.length && same) {
            if (control.tagName === 'INPUT') {
                down = !down && Number(control.value) > Number(control.min);
                (down ? control.stepDown(3) : control.stepUp(3));
                control.dispatchEvent(new Event('input', {bubbles: true}));
            } else control.click();
            moved = true;
        }
        before = now;
        requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
});
"""


def opening(browser: Browser, path: Path) -> tuple[float, float]:
    """Seconds from navigation to the first changed picture, by the clock and of the processor."""
    window = browser.new_page(viewport={"width": 1280, "height": 1000})
    try:
        session = window.context.new_cdp_session(window)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        window.add_init_script(WATCH)
        window.goto(path.as_uri(), wait_until="commit")
        changed = window.evaluate("window.changedAt")
        spent = {metric["name"]: metric["value"] for metric in session.send("Performance.getMetrics")["metrics"]}
        return float(changed) / 1000, float(spent["TaskDuration"])
    finally:
        window.close()


def main() -> None:
    parser = machine.parser(__doc__, "explorables")
    parser.add_argument("--times", type=int, default=3)
    options = parser.parse_args()
    chromium = find_chromium()
    if chromium is None:
        raise SystemExit(HOW_TO_INSTALL)
    import pages

    rows: list[dict[str, Any]] = []
    print(machine.head(COLUMNS))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        made = pages.main(Path(folder))
        browser = playwright.chromium.launch(executable_path=chromium, headless=True, args=CHROMIUM_ARGS)
        for path in made:
            took = sorted(opening(browser, path) for _ in range(options.times))
            middle, spent = took[len(took) // 2]
            row = {"page": path.stem, "mb": path.stat().st_size / 1e6, "median_s": middle, "worst_s": took[-1][0]}
            rows.append(row | {"cpu_s": spent, "load": os.getloadavg()[0]})
            print(machine.line(rows[-1], COLUMNS), flush=True)
        browser.close()
    machine.write(options.out, rows)


if __name__ == "__main__":
    main()
