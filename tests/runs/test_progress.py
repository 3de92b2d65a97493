"""Progress bars: widgets in a notebook, and elsewhere not more lines than anybody reads."""

from __future__ import annotations

import types

import IPython
import pytest
import tqdm.notebook
import tqdm.std

from flowlab.runs.process import Audience, progress_bar
from tests.runs.small_runs import study


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(IPython, "get_ipython", lambda: types.SimpleNamespace(kernel=True))


@pytest.fixture
def no_widgets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tqdm.notebook, "IProgress", None)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that bars see."""
    now = [1e9]
    monkeypatch.setattr(tqdm.std, "time", lambda: now[0])
    monkeypatch.setattr(tqdm.std.tqdm, "monitor_interval", 0)
    return now


@pytest.mark.usefixtures("notebook", "no_widgets")
def test_a_notebook_without_widgets_gets_a_line_a_minute(capsys, clock):
    audience = Audience()
    with audience.bar(3600, True, lambda: "F = -2.1") as update:
        for _ in range(20):
            audience.report("it begins")
        for _ in range(3600):
            clock[0] += 1
            update()
    said = capsys.readouterr().err.split("\r")
    assert 30 < len(said) < 64 and "F = -2.1" in said[-1]


@pytest.mark.usefixtures("notebook")
def test_a_notebook_with_widgets_gets_a_bar_of_them_and_no_lines(capsys):
    with progress_bar(10, "step", shown=True) as bar:
        assert isinstance(bar, tqdm.notebook.tqdm)
        bar.update()
    study(steps=2).run()
    assert not capsys.readouterr().err


def test_a_log_file_gets_a_line_now_and_then(capsys, clock):
    with progress_bar(400, "step", shown=True) as bar:
        for _ in range(400):
            clock[0] += 1
            bar.update()
    assert 10 < len(capsys.readouterr().err.split("\r")) < 24
    with progress_bar(400, "step", shown=False) as bar:
        bar.update()
    assert not capsys.readouterr().err
