"""hashes.txt: constraints.txt for one machine, with the SHA-256 of every file; ``python -m tests.hashes`` renews it.

pip works out what it would install here with the extras ``dev`` and ``docs``; it installs nothing.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
HASHES = ROOT / "hashes.txt"


def lines(report: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Of what pip reports that it would install, but for what is no file, as flowlab itself: a line a file."""
    for one in report:
        found = one["download_info"].get("archive_info", {}).get("hashes", {})
        if "sha256" in found:
            name, version = one["metadata"]["name"], one["metadata"]["version"].partition("+")[0]
            yield f"{name}=={version} --hash=sha256:{found['sha256']}"


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        pip = [sys.executable, "-m", "pip", "install", "-q", "--dry-run", "--ignore-installed", "--report", str(report)]
        pinned = ["-c", str(ROOT / "constraints.txt"), "-e", f"{ROOT}[dev,docs]"]
        subprocess.run([*pip, *pinned], check=True)
        found = sorted(lines(json.loads(report.read_text(encoding="utf-8"))["install"]), key=str.lower)
    here = f"{platform.system()} {platform.machine()}, Python {sys.version_info[0]}.{sys.version_info[1]}"
    head = f"# Made by make hashes on {here}, torch without CUDA: the files of constraints.txt with their hashes.\n"
    HASHES.write_text(head + "\n".join(found) + "\n", encoding="utf-8")
    print(f"{len(found)} packages in {HASHES.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
