"""The machine that a benchmark ran on, and where its numbers go."""

from __future__ import annotations

import argparse
import json
import os
import platform
from pathlib import Path
from typing import Any

import torch


def describe() -> dict[str, Any]:
    """Processor, cores, load and versions."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def parser(text: str | None, name: str) -> argparse.ArgumentParser:
    """A parser with ``--out``, the JSON file that :func:`write` fills."""
    made = argparse.ArgumentParser(description=(text or "").split("\n")[0])
    made.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / f"{name}.json")
    return made


def write(path: Path, rows: Any) -> None:
    """Write the rows and the machine as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": describe(), "rows": rows}, indent=1) + "\n")
    print(f"written to {path}")
