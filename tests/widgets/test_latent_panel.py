from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from flowlab.runs import experiment
from flowlab.training import Training
from flowlab.widgets import Lab, LatentPanel, LayersPanel


@pytest.fixture(scope="module")
def run() -> Training:
    """A flow that changes much, over a base with an order of its own."""
    made = experiment("ising-xor", L=4, T=2.5, layers=2, start="random", steps=3, batch=50, order="checkerboard")
    made.run(progress=False)
    return made


@pytest.fixture(scope="module")
def one_panel(run: Training) -> Iterator[LatentPanel]:
    panel = LatentPanel(run, n=20)
    panel.diagnosis.n = 500
    yield panel
    panel.close()


@pytest.fixture
def panel(one_panel: LatentPanel, until) -> LatentPanel:
    """Diagnosed, with no flip."""
    one_panel.publisher.wake()
    until(lambda: one_panel.diagnosis.data is not None and not one_panel.publisher.alive)
    if one_panel.flipped is not None:
        one_panel.turn(*one_panel.flipped)
    until(lambda: "click on" in one_panel.line.value)
    return one_panel


def click(panel: LatentPanel, x: int, y: int) -> None:
    """A click on the latents, as the browser reports it."""
    panel.live.widget._handle_custom_msg({"type": "click", "x": x, "y": y, "trace": 0}, [])


def test_a_click_flips_a_latent_and_shows_what_changes(panel: LatentPanel, run: Training, until) -> None:
    click(panel, x=3, y=1)
    assert "working" in panel.line.value
    until(lambda: "x 3, y 1" in panel.line.value)
    z = panel.data["field"].values[0, 0]
    other = z.copy()
    other[1, 3] *= -1
    x = run.layers(z=np.stack([z, other]))["configuration"].values[-1]
    traces = panel.live.figure.data
    for trace, expected in zip((traces[0], traces[2], traces[4]), (z, *x), strict=True):
        np.testing.assert_array_equal(trace.z, expected)
    assert f"changes {int((x[0] != x[1]).sum())} of 16 spins" in panel.line.value
    assert (panel.x.value, panel.y.value) == (3, 1)
    click(panel, x=3, y=1)
    until(lambda: "click on" in panel.line.value)
    np.testing.assert_array_equal(panel.live.figure.data[4].z, x[0])


def test_the_button_flips_what_the_boxes_say_and_the_profile_points_to_it(panel: LatentPanel, until) -> None:
    panel.x.value, panel.y.value = 1, 0
    panel.flip.click()
    place = panel.diagnosis.data["place"].values.tolist().index(1)
    assert place != 1, "the base has an order of its own"
    until(lambda: list(panel.profile.figure.data[1].x) == [place + 1])
    assert f"place {place + 1} in the order" in panel.line.value


def test_a_drag_flips_all_latents_that_it_crosses(panel: LatentPanel, run: Training, until, unmarked) -> None:
    crossed = [[0, 0], [1, 0], [2, 1]]
    for count in (1, 3):
        sites = crossed[:count]
        stroke = {"type": "click", "x": sites[-1][0], "y": sites[-1][1], "trace": 0, "sites": sites, "value": -1}
        panel.live.widget._handle_custom_msg(stroke | {"stroke": count}, [])
    until(lambda: "flipping 3 latents" in unmarked(panel.line.value) and not panel._stale)
    assert panel.flips == [(0, 0), (0, 1), (1, 2)]
    assert panel.live.widget.seen == 3
    assert panel.live.widget.marks[0] == [0, 1, 6]
    z = panel.data["field"].values[0, [0]]
    z[0, [0, 0, 1], [0, 1, 2]] *= -1
    np.testing.assert_array_equal(panel.pair["configuration"][-1, 1], run.layers(z=z)["configuration"][-1, 0])


def test_another_sample_keeps_the_flip(panel: LatentPanel, until) -> None:
    panel.turn(2, 2)
    panel.sample.value = 7
    until(lambda: np.array_equal(panel.live.figure.data[0].z, panel.data["field"][0, 7]))
    until(lambda: panel._shown == [(2, 2)] and not panel._stale)
    panel.sample.value = 0


def test_entropies_and_information_are_those_of_the_diagnosis(panel: LatentPanel) -> None:
    found = panel.diagnosis.data
    np.testing.assert_array_equal(panel.profile.figure.data[0].y, found["conditional_entropy"])
    bars = [t for t in panel.profile.figure.data if t.type == "bar"]
    np.testing.assert_array_equal(bars[0].y, found["information_sign"][1:])
    assert "500 samples at step 3" in panel.diagnosis.line.value


def test_what_has_no_flow_or_no_lattice_is_refused(make_run) -> None:
    with pytest.raises(TypeError, match=r"needs a flow, got .* without layers"):
        LatentPanel(experiment("ising-xor", L=4, layers=0, steps=1, batch=10))
    with pytest.raises(TypeError, match="got a run that trains none"):
        LatentPanel(make_run())


def test_a_slow_diagnosis_does_not_hold_up_the_panel(run: Training, until, monkeypatch) -> None:
    diagnose, go = run.diagnose, threading.Event()
    monkeypatch.setattr(run, "diagnose", lambda n, *, parts: go.wait(5.0) and diagnose(n, parts=parts))
    panel = LatentPanel(run, n=20)
    panel.diagnosis.n = 500
    panel.publisher.wake()
    until(lambda: panel.pair is not None)
    panel.turn(0, 0)
    until(lambda: "x 0, y 0" in panel.line.value)
    assert "diagnosis: working" in panel.diagnosis.line.value
    assert panel.diagnosis.data is None
    go.set()
    until(lambda: panel.diagnosis.data is not None)
    panel.close()


def test_a_diagnosis_that_fails_says_why(run: Training, until, monkeypatch) -> None:
    def fail(n: int, *, parts: list[str]) -> None:
        raise ValueError("no <luck>")

    monkeypatch.setattr(run, "diagnose", fail)
    panel = LatentPanel(run, n=20)
    panel.publisher.wake()
    until(lambda: "ValueError: no &lt;luck&gt;" in panel.diagnosis.line.value)
    panel.close()


def test_lab_has_latents_and_defects_of_a_flow_on_a_lattice_only(run: Training, until) -> None:
    lab = Lab(run)
    assert lab.widget.titles == ("Train", "Configurations", "Layers", "Latent", "Defects", "Retrain", "Check")
    assert lab.latent.data is None
    lab.widget.selected_index = 3
    until(lambda: lab.latent.pair is not None)
    assert lab.defects.path is None, "what is not in front rests"
    lab.close()
    bare = experiment("ising-xor", L=4, layers=0, steps=1, batch=10)
    glass = experiment("sk-forward", N=8, T=1.0, steps=1, batch=10)
    for other in (bare, glass):
        assert not {"Latent", "Defects"} & set(Lab(other).widget.titles)


def test_layers_shows_the_change_of_the_bound_in_the_gauge(run: Training, until) -> None:
    panel = LayersPanel(run, n=50)
    before = panel.changes.figure.layout.height
    panel.publisher.wake()
    until(lambda: panel.work.data is not None and len(panel.changes.figure.data[0].x) == 2)
    expected = panel.work.data["delta_free_energy_per_site"].values[1:]
    np.testing.assert_array_equal(panel.changes.figure.data[0].y, expected)
    assert panel.changes.figure.layout.height == before
    panel.close()
