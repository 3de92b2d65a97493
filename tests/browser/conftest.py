"""Fixtures of the browser tests: a JupyterLab server on loopback and a page of a real Chromium."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.browser.helpers import CHROMIUM_ARGS, HOW_TO_INSTALL, ROOT, Lab, artifact, find_chromium, jupyterlab

HERE = Path(__file__).parent
expect.set_options(timeout=30_000)  # what must come sooner says so


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what lies here, and run it last: Playwright's event loop gets in the way of the notebooks' kernels."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.browser)
    items.sort(key=lambda item: HERE in item.path.parents)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the browser; without one the tests are skipped, and fail where CI is set."""
    path = find_chromium()
    if path is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(HOW_TO_INSTALL)
    return path


@pytest.fixture(scope="session")
def lab(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JupyterLab over a copy of the tutorials, for the whole session."""
    with jupyterlab(tmp_path_factory.mktemp("jupyter"), ROOT / "tutorials") as running:
        yield running


@pytest.fixture(scope="session")
def page(chromium: str) -> Iterator[Page]:
    """One page, 1280 x 1400, that waits up to a minute for what it is asked for."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, headless=True, args=CHROMIUM_ARGS)
        page = browser.new_page(viewport={"width": 1280, "height": 1400})
        page.set_default_timeout(150_000)
        yield page
        browser.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows the server's log and leaves a screenshot."""
    report = yield
    fixtures = getattr(item, "funcargs", {})
    if report.failed and "lab" in fixtures:
        report.sections.append(("JupyterLab's log", fixtures["lab"].log.read_text()))
    if report.failed and "page" in fixtures:
        path = artifact(f"failed-{item.name}.png")
        fixtures["page"].screenshot(path=path)
        report.sections.append(("screenshot", str(path.relative_to(ROOT))))
    return report
