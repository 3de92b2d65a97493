"""A figure on a page: its state is the whole of it, and is sent again to a view that has an older one."""

from __future__ import annotations

import json
import time
from math import inf
from types import SimpleNamespace
from typing import Any

import plotly.graph_objects as go
import pytest
from IPython.core.interactiveshell import InteractiveShell

from flowlab.widgets import view
from flowlab.widgets.plot import Plot
from flowlab.widgets.view import SILENT


def figure(y: list[float], rows: int = 1) -> go.Figure:
    made = go.Figure(go.Scatter(y=y), layout_title_text=f"{len(y)} points")
    for k in range(2, rows + 1):
        made.add_scatter(y=y, xaxis=f"x{k}", yaxis=f"y{k}")
        made.update_layout({f"xaxis{k}": {"title": "new"}})
    return made


@pytest.fixture
def sent(monkeypatch) -> list[Any]:
    """The states that the kernel sends."""
    states: list[Any] = []
    monkeypatch.setattr("flowlab.widgets.plot.PlotView._send", lambda self, msg, buffers=None: states.append(msg))
    return states


def test_a_change_sends_the_whole_figure_in_one_message(sent) -> None:
    plot = Plot(figure([1.0]))
    sent.clear()
    plot.redraw(figure([1.0, 2.0], rows=3))
    (message,) = sent
    state = message["state"]
    assert state["version"] == 1
    assert json.loads(state["figure"])["layout"]["xaxis3"] == {"title": {"text": "new"}}
    assert [len(t["y"]) for t in json.loads(state["figure"])["data"]] == [2, 2, 2]
    plot.redraw(figure([1.0, 2.0], rows=3))
    assert len(sent) == 1, "the same figure is not sent again"


@pytest.mark.parametrize("seen", [0, 1, 2])
def test_a_view_built_while_the_state_changed_is_sent_what_it_lacks(sent, seen: int) -> None:
    plot = Plot(figure([1.0]))
    plot.redraw(figure([1.0, 2.0]))
    plot.redraw(figure([1.0, 2.0, 3.0]))
    sent.clear()
    plot.widget._handle_custom_msg({"type": "built", "view": "a", "version": seen}, [])
    if seen == 2:
        assert sent == []
    else:
        assert sent[-1]["state"]["version"] == 2
        assert "3 points" in sent[-1]["state"]["figure"]


def test_views_come_and_go() -> None:
    plot = Plot(figure([1.0]))
    for name in ("a", "b"):
        plot.widget._handle_custom_msg({"type": "built", "view": name, "version": 0}, [])
    plot.widget._handle_custom_msg({"type": "gone", "view": "a"}, [])
    assert plot.widget.viewers == {"b"}


def test_clicks_and_selections_are_heard() -> None:
    heard: list[Any] = []
    plot = Plot(figure([1.0]), clicked=heard.append, selected=heard.append)
    plot.widget._handle_custom_msg({"type": "click", "x": 3, "y": 1.2, "trace": 0}, [])
    plot.widget.set_state({"selections": [{"type": "rect", "x0": 0}]})
    assert heard[0]["x"] == 3
    assert heard[1] == [{"type": "rect", "x0": 0}]
    plot.deselect()
    assert heard[2] == []


def test_the_script_of_all_figures_is_one_model() -> None:
    first, second = Plot(figure([1.0])), Plot(figure([2.0]))
    assert first.widget.library is second.widget.library
    assert len(first.widget.library.source) < 5.5e6


def test_a_page_that_connects_again_is_not_sent_the_script_again(monkeypatch) -> None:
    library = Plot(figure([1.0])).widget.library
    monkeypatch.setattr("ipywidgets.widgets.widget._instances", {library.model_id: library})  # not those of other tests
    answers: list[dict[str, Any]] = []
    control = SimpleNamespace(send=lambda data, buffers: answers.append({"data": data, "buffers": buffers}))
    monkeypatch.setattr(type(library), "_control_comm", control)
    library._handle_control_comm_msg({"content": {"data": {"method": "request_states"}}})
    assert library.model_id in answers[0]["data"]["states"]
    assert sum(map(len, answers[0]["buffers"])) < 1e6
    sent: list[Any] = []
    monkeypatch.setattr(type(library), "_send", lambda self, message, buffers: sent.append(buffers[0]))
    for _ in range(3):  # asked again and again while a cell ran
        library._handle_custom_msg({"type": "wanted", "page": "first"}, [])
    assert sent == [library.source]
    library._handle_custom_msg({"type": "wanted", "page": "the same, loaded anew at once"}, [])
    assert sent == [library.source] * 2


@pytest.mark.parametrize(("heard_since", "left"), [(0.0, True), (990.0, False), (inf, False)])
def test_a_page_that_closes_silently_is_missed_once_it_could_have_spoken(monkeypatch, heard_since, left) -> None:
    """The kernel hears nothing while a cell runs, nor right after: then silence says nothing."""
    now = SimpleNamespace(monotonic=lambda: 500.0)
    monkeypatch.setattr("flowlab.widgets.view.time", now)
    monkeypatch.setattr("flowlab.widgets.view.heard_since", lambda: heard_since)
    plot, woken = Plot(figure([1.0])), []
    plot.widget.returned = lambda: woken.append(1)
    plot.widget._handle_custom_msg({"type": "built", "view": "a", "version": 0}, [])
    now.monotonic = lambda: 500.0 + SILENT - 1
    assert plot.widget.viewers == {"a"}
    now.monotonic = lambda: 1000.0
    assert plot.widget.viewers == (set() if left else {"a"})
    plot.widget._handle_custom_msg({"type": "here", "view": "a", "version": 0}, [])
    assert plot.widget.viewers == {"a"}
    assert len(woken) == (2 if left else 1), "a page that wakes up is shown what it missed"


def test_the_kernel_hears_nothing_while_a_cell_runs(monkeypatch) -> None:
    shell = InteractiveShell.instance()
    monkeypatch.setattr(view, "_free_since", [])
    monkeypatch.setattr(view, "get_ipython", lambda: shell)
    shell.push({"heard_since": view.heard_since})
    shell.run_cell("within = heard_since()")
    assert shell.user_ns["within"] == inf
    assert 0 < view.heard_since() <= time.monotonic()
    shell.run_cell("within = heard_since()")
    assert shell.user_ns["within"] == inf
    InteractiveShell.clear_instance()
