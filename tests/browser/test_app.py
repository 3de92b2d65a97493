"""The lab as a page of its own, served by Voila."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from playwright.sync_api import Page, expect

from tests.browser.helpers import artifact

pytest.importorskip("voila")


def test_the_app_shows_the_gallery_and_asks_no_network(page: Page, chromium: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = [sys.executable, "-m", "flowlab.cli", "app", "--no-browser", str(tmp_path / "runs")]
    with log.open("w") as out:
        server = psutil.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=dict(os.environ))
    page.goto("about:blank")  # what a page before this one asks for is none of the app's
    answered: list[str] = []
    page.on("response", lambda response: answered.append(response.url))
    try:
        deadline = time.monotonic() + 60
        while not (found := re.search(r"(http://\S+token=\w+)", log.read_text())):
            assert server.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        page.goto(found[1])
        card = page.locator(".flowlab-gallery").get_by_role("button", name="Sort bits into domains")
        card.wait_for(timeout=90_000)
        card.click()
        expect(page.get_by_label("T", exact=True)).to_have_value("2.26919")
        page.get_by_label("steps", exact=True).fill("20")
        page.get_by_role("button", name="Start", exact=True).first.click()
        expect(page.locator(".flowlab-plot .gtitle").first).to_be_visible(timeout=60_000)
        page.screenshot(path=artifact("app.png"))
        home = f"http://{urlsplit(found[1]).netloc}/"
        assert [url for url in answered if not url.startswith((home, "data:", "blob:"))] == []
    finally:
        page.goto("about:blank")
        family = [server, *server.children(recursive=True)] if server.is_running() else []
        for process in family:
            process.terminate()
        psutil.wait_procs(family, timeout=10)
