"""The lower bounds of pyproject.toml: ``python -m tests.oldest [NAME==VERSION ...]`` installs them and runs unit tests.

The environment is a new one in build/oldest. What has no bound, such as what packages need themselves, is taken as
constraints.txt has it where that fits. ``NAME==VERSION`` takes another one instead of its bound.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "build" / "oldest"
EXTRAS = ("lab", "chains", "export")
TOOLS = ("pytest", "pytest-xdist", "nbval", "psutil")
ROOMS = (
    "core",
    "systems",
    "exact",
    "estimators",
    "flows",
    "nn",
    "densities",
    "mcmc",
    "storage",
    "training",
    "runs",
    "figures",
)


def bounds(project: dict[str, Any]) -> dict[str, str]:
    """The lowest version of every package that a user's installation may have."""
    optional = project["optional-dependencies"]
    asked = [*project["dependencies"], *(one for extra in EXTRAS for one in optional[extra])]
    found: dict[str, str] = {}
    for one in asked:
        name, version = re.fullmatch(r"([\w.-]+)>=([\w.]+)", one).groups()  # type: ignore[union-attr]
        if found.setdefault(name, version) != version:
            raise SystemExit(f"{name} has two bounds, {found[name]} and {version}")
    return found


def main(instead: list[str]) -> int:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = bounds(project) | dict(one.split("==") for one in instead)
    FOLDER.mkdir(parents=True, exist_ok=True)
    oldest = FOLDER / "constraints.txt"
    oldest.write_text("".join(f"{name}=={version}\n" for name, version in pins.items()), encoding="utf-8")
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(FOLDER / "env")], check=True)
    python = str(FOLDER / "env" / "bin" / "python")
    wanted = [f"{ROOT}[{','.join(EXTRAS)}]", *TOOLS]
    pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-c", str(oldest), *wanted]
    if subprocess.run(pip).returncode:
        return 1
    tests = [str(ROOT / "tests" / room) for room in ROOMS]
    skipped = ["-m", "not slow and not devices", "--ignore", str(ROOT / "tests" / "runs" / "test_scheduler.py")]
    return subprocess.run(
        [python, "-m", "pytest", "-q", "-n", "2", "--dist", "loadfile", *skipped, *tests], cwd=ROOT
    ).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
