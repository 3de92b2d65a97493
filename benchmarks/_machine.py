"""The machine that a benchmark ran on, and where its numbers go."""

from __future__ import annotations

import argparse
import datetime
import json
import multiprocessing
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch

import flowlab

Column = tuple[str, int, str]
"""Its name, which is the key of a row, its width and the format of its values."""


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
        "flowlab": flowlab.__version__,
        "commit": _commit(),
        "date": datetime.date.today().isoformat(),
    }


def _commit() -> str:
    """The commit of the checkout that is measured, with a plus sign where files of it were changed."""
    asked = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty=+", "--exclude=*"]
    found = subprocess.run(asked, capture_output=True, text=True, check=False)
    return found.stdout.strip()


def parser(text: str | None, name: str) -> argparse.ArgumentParser:
    """A parser with ``--out``, the JSON file that :func:`write` fills."""
    made = argparse.ArgumentParser(description=(text or "").split("\n")[0])
    made.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / f"{name}.json")
    return made


def head(columns: Sequence[Column]) -> str:
    """The first line of a table."""
    return " ".join(name.rjust(width) for name, width, _ in columns)


def line(row: Mapping[str, Any], columns: Sequence[Column]) -> str:
    """A row of a table; "-" for None."""
    return " ".join(("-" if row[n] is None else format(row[n], spec)).rjust(width) for n, width, spec in columns)


def apart(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function gives in a fresh process, whose peak of memory is its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def steps_that_fit(run: Any, seconds: float, least: int, clock: Callable[[], float] = time.process_time) -> int:
    """Steps of a run in that many seconds of a clock, at least so many."""
    start, wall = clock(), time.perf_counter()
    step = run.seconds_per_step()
    step *= (clock() - start) / (time.perf_counter() - wall)
    return max(least, int(seconds / step))


def write(path: Path, rows: Any) -> None:
    """Write the rows and the machine as JSON, with the title and the columns of the script, for the page of results."""
    script = sys.modules["__main__"]
    title, _, about = (script.__doc__ or path.stem).strip().partition("\n")
    text = [
        " ".join(part.split())
        for part in about.strip("\n").split("\n\n")
        if part.strip() and not part.startswith("    ")
    ]
    found = {"title": title.rstrip("."), "machine": describe(), "text": text, "rows": rows}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps(found | {"columns": getattr(script, "COLUMNS", [])}, indent=1, ensure_ascii=False) + "\n"
    )
    print(f"written to {path}")
