"""Run notebooks anew and store what they show: ``python -m tests.notebooks [PATH ...]``, all of them without a PATH."""

from __future__ import annotations

import hashlib
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

from flowlab import __version__

ROOT = Path(__file__).parents[1]
LIVE = "application/vnd.jupyter.widget-view+json"
PLOTLY = "application/vnd.plotly.v1+json"
STILLS = ("image/png", "image/svg+xml")
LARGEST = 1_000_000
PLACES = re.compile(r"(?<![\w.])(/work|/root|/home|/tmp|/Users|[A-Z]:\\)[/\\]\S*")
"""Paths that belong to one machine."""
LOOK = f"""
import time as _time
from IPython.display import display as _display
from flowlab.widgets.lab import open_labs as _open_labs
for _lab in _open_labs():
    _end = _time.monotonic() + 30
    while _lab.experiment.state == "running" and _time.monotonic() < _end:
        _time.sleep(0.2)
    if _lab.experiment.state == "running":
        _lab.experiment.pause()
    (_lab.layers or _lab.configurations or [*_lab.tabs.values()][0]).refresh()
    _bundle = _lab._repr_mimebundle_()
    _display({{"image/png": _bundle["image/png"], "text/plain": _bundle["{LIVE}"]["model_id"]}}, raw=True)
"""
"""The labs of a notebook as they are half a minute after its last cell."""


def renewed(path: Path) -> nbformat.NotebookNode:
    """A notebook with the outputs of a run of all its cells; its labs show the end of their training, not its start."""
    notebook = nbformat.read(path, as_version=4)
    look = nbformat.v4.new_code_cell(LOOK)
    notebook.cells.append(look)
    client = NotebookClient(
        notebook, timeout=3600, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}},
        store_widget_state=False, record_timing=False,
    )  # fmt: skip
    client.execute()
    notebook.cells.pop()
    notebook.metadata["flowlab"] = made_by(notebook)
    found = [output["data"] for output in look.outputs if "data" in output]
    return stored(notebook, {data["text/plain"]: data["image/png"] for data in found})


def stored(notebook: nbformat.NotebookNode, stills: dict[str, str]) -> nbformat.NotebookNode:
    """A notebook as it is kept: what is live only beside a kernel gives way to its picture, by the newest of its model.

    Args:
        notebook: after it has run.
        stills: PNG by the number of a widget's model.
    """
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            if output.get("name") == "stderr":  # a warning without its line of code, nothing of this machine's fonts
                output["text"] = re.sub(r"(?m)^\S+\.py:\d+: |^  .*\n?|^findfont: .*\n?", "", output["text"])
            data: dict[str, Any] = output.get("data", {})
            view = data.get(LIVE)
            if view is not None and any(name in data for name in STILLS):
                data["image/png"] = stills.get(view["model_id"], data.get("image/png"))
                data["text/plain"] = "a live lab: run this cell"
                del data[LIVE]
        if "outputs" in cell:
            cell["outputs"] = [output for output in cell.outputs if output.get("text") != ""]
    return notebook


def made_by(notebook: nbformat.NotebookNode) -> dict[str, str]:
    """What outputs belong to: the release of flowlab, and a hash of all cells of code."""
    code = "\0".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    release = re.match(r"\d+\.\d+", __version__)
    return {"release": release[0] if release else "", "cells": hashlib.sha256(code.encode()).hexdigest()[:16]}


def stale(notebook: nbformat.NotebookNode) -> bool:
    """Whether outputs are those of other cells or of another release than there are."""
    return bool(notebook.metadata.get("flowlab") != made_by(notebook))


def faults(notebook: nbformat.NotebookNode, size: int) -> list[str]:
    """What must not be stored: pictures that nobody sees without a kernel, errors, paths of a machine, megabytes."""
    found = [f"{size} bytes"] if size >= LARGEST else []
    for number, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if LIVE in data or (PLOTLY in data and not any(name in data for name in STILLS)):
                found.append(f"cell {number}: no still")
            if output["output_type"] == "error":
                found.append(f"cell {number}: {output['ename']}")
            words = [str(output.get("text", "")), *(str(data.get(kind, "")) for kind in ("text/plain", "text/html"))]
            found += [f"cell {number}: {place[0]}" for text in words for place in PLACES.finditer(text)]
        if cell.cell_type == "code" and re.search(r"\.lab\(.*\)$", cell.source):
            shown = [output for output in cell.outputs if any(name in output.get("data", {}) for name in STILLS)]
            if not shown:
                found.append(f"cell {number}: no still of the lab")
    return found


def main(paths: list[str]) -> int:
    """Renew notebooks one after the other; how many could not be."""
    os.environ.setdefault("FLOWLAB_SCALE", "smoke")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    failed = 0
    all_of_them = [*sorted(ROOT.glob("tutorials/*.ipynb")), *sorted(ROOT.glob("notebooks/*.ipynb"))]
    for path in map(Path, paths) if paths else all_of_them:
        began = time.monotonic()
        try:
            text = nbformat.writes(renewed(path.absolute())) + "\n"
            bad = faults(nbformat.reads(text, as_version=4), len(text.encode()))
        except Exception as error:
            bad = [str(error)]
        if not bad:
            path.write_text(text, encoding="utf-8")
        failed += bool(bad)
        print(f"{path.name}: {time.monotonic() - began:.0f} s {'; '.join(bad) or 'renewed'}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
