"""``flowlab watch`` in a pseudo-terminal and without one: it reads only what is on disk, and keeps up with it."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import numpy as np
import pytest

from flowlab.cli import main
from flowlab.cli.watching import Followed, sparkline
from flowlab.storage.store import Store
from tests.runs.small_runs import study

COLOUR = re.compile(r"\x1b\[(?:\d+;)*3[0-7]m")
SHOWN = "import sys; from flowlab.cli import main; sys.exit(main(sys.argv[1:]))"


def seen(*arguments: str, **environment: str) -> str:
    """What a command without a terminal prints."""
    command = [sys.executable, "-c", SHOWN, *arguments]
    found = subprocess.run(command, capture_output=True, timeout=120, env=os.environ | environment)
    assert found.returncode == 0, found.stderr
    return found.stdout.decode(environment.get("PYTHONIOENCODING", "utf-8"))


@pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals")
@pytest.mark.parametrize("colour", [True, False])
def test_in_a_terminal_it_follows_a_run_to_its_end(tmp_path, colour):
    import pty

    run = study(steps=40, out=tmp_path / "followed")
    run.run(20, progress=False)
    above, below = pty.openpty()
    own = {"TERM": "xterm-256color", "COLUMNS": "100"} | ({} if colour else {"NO_COLOR": "1"})
    command = [sys.executable, "-c", SHOWN, "watch", str(tmp_path), "--every", "0.1"]
    child = subprocess.Popen(command, stdout=below, stderr=below, env=os.environ | own)
    os.close(below)
    said = b""
    while b"step 20 of 40" not in said:
        said += os.read(above, 1000)
    run.run(progress=False)
    try:
        while more := os.read(above, 1000):
            said += more
    except OSError:  # the terminal was closed
        pass
    os.close(above)
    text = said.decode()
    assert child.wait(60) == 0 and "Traceback" not in text
    assert "step 40 of 40" in text and "finished" in text and "█" in text and "(exact 0.9" in text and "ESS 0." in text
    assert bool(COLOUR.search(text)) == colour


def test_without_a_terminal_it_looks_once_and_ascii_is_enough(tmp_path):
    for T in (2.0, 2.4, 2.6, 3.0):
        study(steps=5, T=T, out=tmp_path / f"T={T}").run(3, progress=False)
    text = seen("watch", str(tmp_path), PYTHONIOENCODING="ascii")
    lines = text.splitlines()
    assert lines[0] == "4 runs: 4 stopped" and len(lines) == 5 and text.isascii()
    assert all(f"T={T}" in line and "3/5" in line for line, T in zip(lines[1:], (2.0, 2.4, 2.6, 3.0), strict=True))


def test_a_run_that_is_being_trained_is_running_and_what_was_undone_is_forgotten(tmp_path, capsys):
    run = study(steps=100, out=tmp_path / "run")
    found = Followed(tmp_path / "run")
    assert (found.state, found.headline(), found.step) == ("ready", "", 0)
    for record in run.stream(30):
        if record["step"] == 30:
            found.look()
            assert (found.state, found.step, len(found.ess)) == ("running", 30, 30)
            assert main(["watch", str(tmp_path), "--once"]) == 0
    said = capsys.readouterr().out
    assert "run  ising-xor  running" in said and "step 30 of 100, " in said and " left" in said
    found.look()
    assert found.state == "stopped" and found.speed == pytest.approx(run.steps_per_second, rel=2)
    with Store.open(tmp_path / "run") as store:
        store.cut(10)
    found.look()
    assert (found.step, len(found.bound)) == (10, 10)
    np.testing.assert_array_equal(found.bound, run.data.log_z_bound.values[:10])


def test_a_look_reads_only_what_is_new(tmp_path, monkeypatch):
    run = study(steps=20, out=tmp_path / "run")
    run.run(10, progress=False)
    found = Followed(tmp_path / "run")
    read = []
    monkeypatch.setattr("flowlab.cli.watching.from_line", lambda line: read.append(line) or {"step": 11})
    found.look()
    assert read == []
    run.run(1, progress=False)
    found.look()
    assert len(read) == 1


def test_a_curve_of_nothing_and_of_one_value():
    assert (sparkline([]), sparkline([float("nan")]), sparkline([2.0, 2.0])) == ("", "", "▁▁")


def test_what_is_no_folder_is_refused(tmp_path, capsys):
    assert main(["watch", str(tmp_path / "none")]) == 2
    assert "there is no folder" in capsys.readouterr().err
    assert main(["watch", str(tmp_path), "--every", "0"]) == 2
    assert main(["watch", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "no runs yet\n"
