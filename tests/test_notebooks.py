"""What is stored of notebooks is seen without a kernel, small, and of no machine."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from tests.notebooks import LIVE, PLOTLY, ROOT, faults, made_by, stale, stored

NOTEBOOKS = sorted([*ROOT.glob("tutorials/*.ipynb"), *ROOT.glob("notebooks/*.ipynb")])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_every_picture_that_is_stored_is_seen_without_a_kernel(path: Path) -> None:
    assert faults(nbformat.read(path, as_version=4), path.stat().st_size) == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_what_is_stored_is_of_these_cells(path: Path) -> None:
    assert not stale(nbformat.read(path, as_version=4)), f"make notebooks, or python -m tests.notebooks {path}"


def test_outputs_of_other_cells_or_of_another_release_are_stale() -> None:
    notebook = new_notebook(cells=[new_code_cell("1 + 1")])
    assert stale(notebook)
    notebook.metadata["flowlab"] = made_by(notebook)
    assert not stale(notebook)
    notebook.cells[0].source = "1 + 2"
    assert stale(notebook)
    notebook.metadata["flowlab"] = made_by(notebook) | {"release": "0.0"}
    assert stale(notebook)


def shown(**data: object) -> nbformat.NotebookNode:
    names = {"live": LIVE, "plotly": PLOTLY, "png": "image/png", "html": "text/html"}
    output = new_output("display_data", data={names[name]: value for name, value in data.items()})
    return new_notebook(cells=[new_code_cell("run.lab()", outputs=[output])])


def test_a_lab_is_stored_as_its_newest_still() -> None:
    view = {"model_id": "a"}
    for stills, expected in (({"a": "new"}, "new"), ({"b": "new"}, "old")):
        (cell,) = stored(shown(live=view, png="old"), stills).cells
        assert cell.outputs[0].data == {"image/png": expected, "text/plain": "a live lab: run this cell"}
    assert faults(stored(shown(live=view), {}), 1) != []


def test_what_must_not_be_stored_is_found() -> None:
    assert faults(shown(png="x"), 1) == []
    assert faults(shown(plotly={}, png="x"), 1_000_000) == ["1000000 bytes"]
    assert faults(shown(plotly={}), 1) == ["cell 0: no still", "cell 0: no still of the lab"]
    assert faults(shown(png="x", html="kept in /home/me/runs, and"), 1) == ["cell 0: /home/me/runs,"]
    failed = new_output("error", ename="ValueError", evalue="", traceback=[])
    assert faults(new_notebook(cells=[new_code_cell("x", outputs=[failed])]), 1) == ["cell 0: ValueError"]


def test_a_warning_is_stored_without_the_line_that_it_points_at() -> None:
    text = "/home/me/flowlab/analysis/evaluation.py:214: UntrustedWarning: ESS 0.1\n  found = evaluation(\n"
    cell = new_code_cell("x", outputs=[new_output("stream", name="stderr", text=text)])
    assert faults(new_notebook(cells=[cell]), 1) != []
    (cell,) = stored(new_notebook(cells=[cell]), {}).cells
    assert cell.outputs[0].text == "UntrustedWarning: ESS 0.1\n"
    assert faults(new_notebook(cells=[cell]), 1) == []


def test_what_the_fonts_of_a_machine_are_is_not_stored() -> None:
    said = [new_output("stream", name="stderr", text="findfont: Font family ['cmr10'] not found.\n") for _ in range(2)]
    kept = new_output("stream", name="stdout", text="3 runs\n")
    (cell,) = stored(new_notebook(cells=[new_code_cell("x", outputs=[*said, kept])]), {}).cells
    assert cell.outputs == [kept]
