"""The dial: what it shows at a coupling is what the run draws there, the same random numbers at all of them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import flowlab as fl
from flowlab.widgets import DialPanel, Lab
from flowlab.widgets.panels import dial

FAST = {"device": "cpu", "steps": 6, "batch": 40, "threads": 1}
RUNS = {
    "beta": ("ising-coloured", {"L": 8, "over": "beta:0.35:0.55", "hidden": 8}),
    "T": ("ising-van", {"L": 4, "over": "T:2:3.4", "channels": 2, "layers": 2, "kernel": 3}),
    "field": ("phi4-multilevel", {"L": 4, "over": "beta:0.5:0.75", "beta": 0.576, "hidden": 4}),
}


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dial, "LEVELS", (3, 5))
    monkeypatch.setattr(dial, "CURVES", ((60, 3),))
    monkeypatch.setattr(dial, "SLICE", np.inf)  # a level at a time


def opened(name: str, trained: bool = True, **keys: Any) -> DialPanel:
    study, own = RUNS[name]
    run = fl.experiment(study, **FAST | own | keys)
    vars(run)["log_z_exact"] = None
    if trained:
        run.run(progress=False)
    return DialPanel(run)


def shown(panel: DialPanel) -> np.ndarray:
    """The configurations as the browser has them."""
    state = panel.lattice.widget
    return np.frombuffer(state.frames, state.dtype).reshape(state.shape) * state.scale


@pytest.mark.parametrize("name", RUNS)
def test_every_frame_is_what_the_run_draws_at_its_coupling_from_one_seed(few: None, name: str) -> None:
    panel = opened(name)
    while panel.update() and panel.curve is None:
        pass
    coupling = "T" if name == "T" else "beta"
    low, high = panel.experiment.over[coupling]
    assert panel.couplings == sorted(panel.couplings) and {low, high} < set(panel.couplings)
    for value, frame in zip(panel.couplings, shown(panel), strict=True):
        drawn = panel.experiment.sample(12, seed=0, **{coupling: value}).configuration
        np.testing.assert_allclose(frame, drawn, atol=1e-3 if name == "field" else 0)
    places = json.loads(panel.live.widget.figure)["layout"]["meta"]["places"]
    assert places == panel.couplings
    assert panel.live.figure.layout.title.text.startswith("one model, every coupling")


def test_all_frames_and_curves_are_of_one_step_while_the_run_trains_on(few: None) -> None:
    run = fl.experiment("ising-coloured", L=4, over="beta:0.35:0.55", steps=6, batch=64, device="cpu")
    run.run(2, progress=False)
    held, panel = run.reading(), DialPanel(run)
    panel.publisher.close()
    panel.update()
    run.run(2, progress=False)
    while panel.curve is None:
        panel._go_on()
    for value, frame in zip(panel.couplings, shown(panel), strict=True):
        np.testing.assert_array_equal(frame, run.sample(12, seed=0, held=held, beta=value).configuration)
    assert panel.curve.attrs["step"] == held[0] == 2 and "at step 2" in panel.message.value
    panel.close()


def test_a_finer_grid_leaves_the_slider_where_it_is(few: None) -> None:
    panel = opened("beta", trained=False)
    critical = 1 / fl.CRITICAL_TEMPERATURE
    panel.update()
    assert panel.couplings == [0.35, critical, 0.45, 0.55]
    assert panel.couplings[panel.layer.value] == critical  # the run's own
    panel.layer.value = 3
    panel.update()
    assert len(panel.couplings) == 6 and panel.layer.value == panel.layer.max == panel.lattice.widget.layer == 5
    names = panel.lattice.widget.names
    assert names[0] == "β = 0.3500 · T = 2.857 · disordered" and names[-1] == "β = 0.5500 · T = 1.818 · ordered"
    assert names[panel.couplings.index(critical)] == "β = 0.4407 · T = 2.269 · critical point"
    assert "β = 0.3500 disordered" in panel.ends[0].value and "β = 0.5500 ordered" in panel.ends[1].value


def test_new_samples_have_other_random_numbers_and_the_curves_stay(few: None) -> None:
    panel = opened("beta")
    for _ in range(4):
        panel.update()
    before, curve = shown(panel), panel.curve
    panel.new_samples.click()
    panel.publisher.close()
    while panel.update():
        pass
    assert (shown(panel) != before).any() and panel.curve is curve


def test_a_click_on_a_curve_turns_the_dial(few: None) -> None:
    panel = opened("beta")
    panel.update()
    panel._go_to({"x": 0.54, "y": 0.0, "trace": 0})
    assert panel.couplings[panel.layer.value] == 0.55


def test_a_run_that_goes_on_is_drawn_again_at_its_end(few: None) -> None:
    panel = opened("beta", trained=False)
    while panel._go_on() or panel.data is None:
        panel.update()
    panel.experiment.run(4, progress=False)
    panel.update()
    assert "as it was at step 0 · the run is at step 4 now" in panel.message.value
    panel.experiment.run(progress=False)
    panel.update()
    assert "at step 6" in panel.message.value and len(panel.couplings) == 4


def test_of_two_couplings_one_is_chosen(few: None) -> None:
    over = {"beta": (0.4, 0.6), "h": (-0.1, 0.1)}
    density = fl.Conditional(fl.MADE((4, 4)), over, degree=1)
    objective = fl.training.OverCouplings(fl.ReverseKL(), over)
    run = fl.Training(fl.Ising((4, 4), T=2.0), density, objective, steps=2, batch=32, learning_rate=1e-2)
    run.run(progress=False)
    panel = DialPanel(run)
    panel.update()
    assert [name for _, name in panel.along.options] == ["beta", "h"] and panel.name == "beta"
    panel.along.value = "h"
    panel.publisher.close()
    panel.update()
    assert panel.couplings == [-0.1, 0.0, 0.1]
    assert panel.lattice.widget.names == ["h = −0.1000 · down", "h = 0.0000 · transition", "h = 0.1000 · up"]
    drawn = run.sample(12, seed=0, h=0.1).configuration
    np.testing.assert_array_equal(shown(panel)[2], drawn)


def test_a_saved_page_has_the_frames_and_a_line_in_the_curves(few: None) -> None:
    panel = opened("beta")
    pieces = {piece["kind"]: piece for piece in panel.page()}
    slider, state = pieces["controls"]["parts"][0], pieces["lattice"]["state"]
    assert slider["texts"][2] == "β = 0.4407 · T = 2.269 · critical point"
    assert state["shape"] == [6, 12, 8, 8] and state["layer"] == slider["value"] == 2
    assert pieces["plot"]["marks"] == slider["name"] == "layer"


def test_it_is_a_tab_of_runs_over_a_range_only() -> None:
    assert not DialPanel.fits(fl.experiment("ising-coloured", **FAST, L=4))
    lab = Lab(opened("beta", trained=False).experiment)
    assert list(lab.tabs)[1] == "Dial"
    lab.close()


def test_frames_are_drawn_a_few_at_a_time(few: None, monkeypatch) -> None:
    """So that a tab that comes to the front need not wait for all of them."""
    monkeypatch.setattr(dial, "SLICE", -1.0)
    panel = opened("beta", trained=False)
    panel.publisher.close()
    monkeypatch.setattr(panel.publisher, "wake", lambda: woken.append(1))
    woken: list[int] = []
    assert panel.update() and panel.data is None and woken == [1]
    monkeypatch.setattr(dial, "SLICE", np.inf)
    assert panel.update() and len(panel.couplings) == 4
    panel.close()
