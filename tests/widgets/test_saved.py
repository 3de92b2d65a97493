"""A lab as one file."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

import flowlab as fl
from flowlab.widgets import Lab, LayersPanel
from flowlab.widgets.panel import views_in
from flowlab.widgets.saved import page, text


def lab_in(path: Path) -> dict:
    found = re.search(
        r'<script type="application/json" id="lab">(.*?)</script>', path.read_text(encoding="utf-8"), re.S
    )
    assert found is not None
    return json.loads(found[1])


def test_every_tab_is_in_the_file_and_nothing_is_loaded(make_run, tmp_path: Path) -> None:
    run = make_run()
    run.system.title = "Ising </script> 4 × 4"
    lab = Lab(run)
    path = lab.save(tmp_path / "lab.html")
    assert path.stat().st_size < 10e6
    html = path.read_text(encoding="utf-8")
    assert html.count("</script>") == 3
    saved = lab_in(path)
    assert [tab["title"] for tab in saved["tabs"]] == ["Train", "Configurations", "Layers", "Retrain"]
    sentence, *layers = saved["tabs"][2]["parts"]
    assert sentence["frames"] == [lab.layers.sentence]
    assert [part["kind"] for part in layers] == ["controls", "text", "beside", "plot", "text"]
    assert [len(part["frames"]) for part in layers if "frames" in part] == [3, 3, 1]
    assert layers[2]["parts"][0]["state"]["shape"] == [3, 500, 4, 4]
    lab.close()


def test_saving_leaves_the_lab_as_it_is(make_run, tmp_path: Path) -> None:
    lab = Lab(make_run())
    lab.layers.refresh()
    lab.layers.layer.value = 2
    shown = lab.layers.live.figure.to_dict()
    lab.save(tmp_path / "lab.html")
    assert lab.layers.layer.value == lab.layers.at == 2
    assert lab.layers.live.figure.to_dict() == shown
    lab.close()


def test_a_panel_that_fails_leaves_a_line(make_run, tmp_path: Path, monkeypatch) -> None:
    def fail(self) -> None:
        raise ValueError("no <layers>")

    monkeypatch.setattr(LayersPanel, "page", fail)
    lab = Lab(make_run())
    (part,) = lab_in(lab.save(tmp_path / "lab.html"))["tabs"][2]["parts"]
    assert "ValueError: no &lt;layers&gt;" in part["frames"][0]
    lab.close()


def test_a_file_that_cannot_be_written_leaves_the_older_one(make_run, tmp_path: Path) -> None:
    lab = Lab(make_run())
    with pytest.raises(OSError, match="nowhere"):
        lab.save(tmp_path / "nowhere" / "lab.html")
    lab.close()


def test_the_lines_of_python_make_the_figure(until) -> None:
    """Those of every picture of every tab, run as they stand."""
    run = fl.experiment("ising-xor", L=4, T=2.5, layers=2, start="random", steps=2, batch=20, device="cpu")
    run.run(progress=False)
    lab = run.lab()
    lab.layers.sample_now()
    lab.show()
    for title, panel in lab.tabs.items():
        for view in views_in(panel.widget):
            first, second = view.code.format(layer=1, sample=3).split("\n")
            names = {"fl": fl, "run": run}
            exec(first, names)
            assert eval(second, names).data or title == "Check", title  # nothing before its own start
    assert "configuration(layers, sample={sample}, layer={layer})" in lab.layers.lattice.widget.code
    figure = eval("fl.figures.configuration(run.layers(500, seed=0), sample=3, layer=1)", names)
    frames = np.frombuffer(lab.layers.lattice.widget.frames, np.int8).reshape(3, 500, 4, 4)
    np.testing.assert_array_equal(figure.data[0].z, frames[1, 3])
    lab.close()


def test_what_a_page_says_is_escaped() -> None:
    made = page("<b>", "a", [("x", [text("</script>")], "")])
    assert "<title>&lt;b&gt;</title>" in made
    assert made.count("</script>") == 3


def test_recorded_retrainings_are_compared(until, tmp_path: Path) -> None:
    run = fl.experiment("ising-xor", L=4, T=2.5, layers=1, steps=3, batch=20, device="cpu")
    run.run(progress=False)
    lab = Lab(run)
    assert [part["kind"] for part in lab.retrain.page()] == ["plot"]
    for T in (2.6, 2.7):
        lab.retrain.temperature.value, lab.retrain.steps.value = T, 3
        lab.retrain.button.click()
        until(lambda: not lab.retrain.update() and lab.retrain.current.state == "finished")
    lab.save(tmp_path / "lab.html")
    *_, controls, text, plot, ess = lab.retrain.page()
    assert len(ess["frames"]) == 1
    assert controls["parts"][0]["options"] == ["all", "1: T = 2.6000", "2: T = 2.7000"]
    assert text["by"] == plot["by"] == [("retraining", 3)]
    curves = [sum(trace["name"].startswith("T = ") for trace in json.loads(figure)["data"] if "name" in trace)
              for figure in plot["frames"]]  # fmt: skip
    assert curves[0] > curves[1] == curves[2] > 0
    lab.close()
