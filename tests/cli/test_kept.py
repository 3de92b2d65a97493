"""``flowlab ls``, ``show`` and ``compare``, and what a shell does with their output."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import flowlab as fl
from flowlab.cli import main
from flowlab.storage.shelf import throw_away
from tests.runs.small_runs import study


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kept")
    for T, steps in ((2.4, 5), (3.0, 2)):
        run = study(steps=5, T=T, out=folder / f"T={T}")
        run.run(steps, progress=False)
    run = fl.load(folder / "T=2.4")
    run.keep(run.evaluate(1000), "evaluation.nc")
    return folder


def test_ls_tells_how_far_runs_are(runs, tmp_path, capsys):
    assert main(["ls", str(runs)]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["run", "study", "state", "step", "of", "ESS", "verdict", "written"]
    found = {row.split()[0]: row.split()[1:5] for row in rows}
    assert found == {
        "T=2.4": ["ising-xor", "finished", "5", "5"],
        "T=3.0": ["ising-xor", "stopped", "2", "5"],
    }
    assert main(["ls", str(runs / "T=2.4")]) == 0 and "finished" in capsys.readouterr().out
    assert main(["ls", str(tmp_path)]) == 0 and "no runs in" in capsys.readouterr().out
    assert main(["ls", str(tmp_path / "none")]) == 2


def test_compare_names_the_keys_that_differ_and_the_numbers(runs, tmp_path, capsys):
    assert main(["compare", str(runs / "T=2.4"), str(runs / "T=3.0")]) == 0
    rows = {line.split("  ")[0]: line for line in capsys.readouterr().out.splitlines()}
    assert rows["T"].split() == ["T", "2.4", "3.0"] and "L" not in rows and "seed" not in rows
    assert "finished at 5 of 5" in rows["state"] and "stopped at 2 of 5" in rows["state"]
    assert " +- " in rows["log_z_bound"] and rows["log_z"].endswith("-")
    assert main(["compare", str(runs / "T=2.4")]) == 2
    assert main(["compare", str(runs / "T=2.4"), str(tmp_path)]) == 2
    assert "there is no run in" in capsys.readouterr().err


def test_show_writes_a_page_of_a_run_and_of_a_sweep(runs, tmp_path, capsys):
    assert main(["show", str(runs / "T=2.4")]) == 0
    page = runs / "T=2.4" / "report.html"
    assert capsys.readouterr().out == f"{page}\n"
    text = page.read_text()
    assert "ising-xor, step 5 of 5" in text and "free energy" in text and "plotly" in text
    out = tmp_path / "sweep"
    fl.sweep("ising-xor", {"T": [2.4, 3.0]}, out=out, evaluate=20, progress=False, L=4, steps=1, batch=20, device="cpu")
    assert main(["show", str(out), "--out", str(tmp_path / "page.html")]) == 0
    assert "ising-xor" in (tmp_path / "page.html").read_text()
    assert main(["show", str(tmp_path)]) == 2
    throw_away(runs / "T=2.4")  # the page too
    assert not page.exists()


@pytest.mark.skipif(os.name == "nt", reason="a shell")
def test_a_reader_that_has_seen_enough_is_no_error():
    # a pipe holds the whole list, so that a reader must be gone before it is written
    command = f"{sys.executable} -m flowlab list --keys | true; echo ${{PIPESTATUS[0]}}"
    found = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert (found.stderr, found.stdout.splitlines()[-1]) == ("", "141")


def test_a_terminal_without_greek_gets_other_words():
    own = os.environ | {"PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "flowlab", "list"]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60, env=own)
    assert found.returncode == 0 and found.stdout.isascii() and "phi^4" in found.stdout and "?" not in found.stdout
