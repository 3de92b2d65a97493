"""A browser and a JupyterLab for the tests. Run as a program, it installs the browser where it may."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = Path(__file__).parents[2]
ARTIFACTS = ROOT / ".ci" / "artifacts"
NAMES = ["chromium", "chromium-browser", "google-chrome"]
PACKAGES = ["chromium", "fonts-dejavu-core"]
HOW_TO_INSTALL = (
    f"the browser tests need one of {', '.join(NAMES)}: on Debian `apt-get install {' '.join(PACKAGES)}`; "
    "for one that lies elsewhere set FLOWLAB_CHROMIUM to its path"
)
# No sandbox, because containers run as root; the rest keeps the browser to itself.
CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
]


def find_chromium() -> str | None:
    """Path of the browser: FLOWLAB_CHROMIUM where set, else the first of the usual names; None where there is none."""
    if named := os.environ.get("FLOWLAB_CHROMIUM"):
        return shutil.which(named)
    return next(filter(None, map(shutil.which, NAMES)), None)


def install_chromium() -> int:
    """Install the browser with apt as root or through a sudo that asks for nothing; an exit status.

    Without the right to, this is a failure only where CI is set: elsewhere the tests are skipped.
    """
    if find_chromium():
        return 0
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if not os.environ.get("FLOWLAB_CHROMIUM") and all(map(shutil.which, ["apt-get", *sudo[:1]])):
        print(f"Installing {' and '.join(PACKAGES)} for the browser tests.", flush=True)
        for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *PACKAGES]):
            full = [*sudo, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", *command]
            if subprocess.run(full, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL).returncode:
                break
    if find_chromium():
        return 0
    print(HOW_TO_INSTALL, file=sys.stderr)
    return 1 if os.environ.get("CI") else 0


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab: its address on loopback, its token, the folder it serves and its log."""

    url: str
    token: str
    root: Path
    log: Path


@contextlib.contextmanager
def jupyterlab(folder: Path, notebooks: Path) -> Iterator[Lab]:
    """JupyterLab over a copy of ``notebooks``, with every setting and state of its own below ``folder``.

    On leaving, the server is stopped and whatever it started is gone.
    """
    import psutil

    root = folder / "notebooks"
    shutil.copytree(notebooks, root, ignore=shutil.ignore_patterns(".ipynb_checkpoints", "runs"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    lab = Lab(f"http://127.0.0.1:{port}", secrets.token_hex(16), root, folder / "server.log")
    places = ["JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"]
    places += ["JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR"]
    extension = folder / "jupyter_data_dir" / "labextensions" / "flowlab"  # as an installed flowlab brings it
    shutil.copytree(ROOT / "flowlab" / "widgets" / "labextension", extension)
    settings = folder / "jupyterlab_settings_dir" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    quiet = {"checkForUpdates": False, "fetchNews": "false"}
    (settings / "notification.jupyterlab-settings").write_text(json.dumps(quiet))
    command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", "--ip=127.0.0.1"]
    command += [f"--port={port}", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={root}"]
    env = os.environ | {place: str(folder / place.lower()) for place in places}
    env |= {"JUPYTER_TOKEN": lab.token, "OMP_NUM_THREADS": "1"}
    with lab.log.open("w") as log:
        server = psutil.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        wait_until_up(lab, server)
        yield lab
    finally:
        family = server.children(recursive=True) if server.is_running() else []
        server.terminate()
        _, alive = psutil.wait_procs([server, *family], timeout=20)
        for process in alive:
            process.kill()
        psutil.wait_procs(alive, timeout=5)


def wait_until_up(lab: Lab, server: subprocess.Popen[bytes], seconds: float = 60) -> None:
    """Return once the server answers; RuntimeError with its log where it dies or stays silent."""
    deadline = time.monotonic() + seconds
    while server.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"{lab.url}/api/status?token={lab.token}", timeout=2).close()
            return
        time.sleep(0.2)
    raise RuntimeError(f"JupyterLab did not come up in {seconds:g} s:\n{lab.log.read_text()}")


def run_all(page: Page, lab: Lab, notebook: str) -> None:
    """Open a notebook (its path below the served folder) and start its cells; returns when the first has started."""
    page.goto(f"{lab.url}/lab/tree/{notebook}?reset&token={lab.token}")
    page.locator(".jp-NotebookPanel .jp-CodeCell").first.wait_for()
    page.locator("#jp-main-statusbar").get_by_text("| Idle").wait_for()  # the kernel is connected
    press_run_all(page)


def press_run_all(page: Page) -> None:
    """Start the cells of the notebook on the page; returns when the first has started."""
    from playwright.sync_api import TimeoutError as NotYet

    started = r"() => /\[[*\d]/.test(document.querySelector('.jp-CodeCell .jp-InputArea-prompt').textContent)"
    for _ in range(5):  # JupyterLab drops a Run All that comes too early, without a word
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        with contextlib.suppress(NotYet):
            page.wait_for_function(started, timeout=5000)
            return
    raise AssertionError("the cells never started")


def artifact(name: str) -> Path:
    """Where a screenshot, a log or a trace is kept for a person to look at: ``.ci/artifacts/<name>``."""
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    return ARTIFACTS / re.sub(r"[^\w.-]+", "-", name)


if __name__ == "__main__":
    sys.exit(install_chromium())
