from __future__ import annotations

import gc
import threading

import numpy as np
import plotly.graph_objects as go
import pytest

import flowlab as fl
from flowlab.figures.shared.style import number
from flowlab.widgets import Lab, LayersPanel, RetrainPanel, TrainPanel
from flowlab.widgets.controls import ENABLED
from flowlab.widgets.publisher import Publisher


def enabled(controls) -> set[str]:
    return {name for name, button in controls.buttons.items() if not button.disabled}


@pytest.mark.parametrize("state", ENABLED)
def test_buttons_are_enabled_where_they_make_sense(make_run, state: str) -> None:
    run = make_run()
    run.state = state
    panel = TrainPanel(run)
    panel.refresh()
    assert enabled(panel.controls) == ENABLED[state]
    panel.close()


def test_buttons_drive_the_run(make_run, until) -> None:
    run = make_run(steps=100_000)
    panel = TrainPanel(run)
    for button, state in (("Start", "running"), ("Pause", "paused"), ("Resume", "running"), ("Stop", "stopped")):
        panel.controls.buttons[button].click()
        until(lambda state=state: run.state == state and f"<b>{state}</b>" in panel.controls.status.value)
        assert enabled(panel.controls) == ENABLED[state]
    panel.close()


def test_a_button_says_what_it_waits_for_until_the_run_has_done_it(make_run) -> None:
    run = make_run()
    run.state = "running"  # in its first step, which takes long
    panel = TrainPanel(run)
    panel.controls.buttons["Pause"].click()
    panel.refresh()
    assert "pauses as soon as" in panel.controls.status.value
    assert enabled(panel.controls) == {"Stop"}
    run.state = "paused"
    panel.refresh()
    assert "pauses as soon as" not in panel.controls.status.value
    assert enabled(panel.controls) == ENABLED["paused"]
    panel.close()


def test_curve_follows_training_to_its_end_and_the_thread_ends(make_run, until, unmarked) -> None:
    run = make_run(steps=40)
    panel = TrainPanel(run)
    panel.publisher.wake()
    run.start()
    until(lambda: not panel.publisher.alive)
    curve = next(t for t in panel.live.figure.data if t.name == "T = 2.5")
    np.testing.assert_allclose(curve.y, -2.5 * run.data["log_z_bound"] / 16)
    assert "finished" in panel.controls.status.value
    assert panel.controls.progress.value == 1.0
    assert "ESS 0.9" in unmarked(panel.controls.numbers.value)
    panel.close()


def test_an_error_in_the_training_thread_is_shown(make_run, until) -> None:
    run = make_run(fail_at=7)
    panel = TrainPanel(run)
    panel.controls.buttons["Start"].click()
    until(lambda: "FloatingPointError: the loss became &lt;nan&gt; at step 7" in panel.message.value)
    until(lambda: not panel.publisher.alive)
    assert enabled(panel.controls) == set()
    panel.close()


def test_an_error_of_a_button_is_shown(make_run) -> None:
    run = make_run(steps=100_000)
    run.start()
    panel = TrainPanel(run)
    panel.controls.press("Start")
    assert "training already" in panel.message.value
    panel.close()


def test_slider_changes_the_picture(make_run) -> None:
    run = make_run()
    panel = LayersPanel(run, n=30)
    assert "working" in panel.message.value
    panel.refresh()
    assert panel.layer.value == panel.layer.max == 2, "the samples themselves come first"
    assert panel.follow.value
    x = panel.data["configuration"]
    changes = (x.values[1:] != x.values[:-1]).sum(axis=(0, 2, 3))
    assert changes[panel.sample.value] == changes.max()
    panel.sample.value = 0
    for layer in (1, 2, 0):
        panel.layer.value = layer
        assert f"layer {layer}" in panel.live.figure.layout.title.text
        np.testing.assert_array_equal(panel.live.figure.data[3].y, panel.data["correlation"][layer])
        np.testing.assert_array_equal(panel.snapshot().data[0].z, panel.data["configuration"][layer, 0])
    view = panel.lattice.widget
    sent = np.frombuffer(view.frames, view.dtype).reshape(view.shape)
    np.testing.assert_array_equal(sent, panel.data["configuration"])
    panel.sample.value = 29
    panel.layer.value = 1
    assert "<b>xor 1</b>" in panel.line.value
    assert f"{-2.5 * 18 / 16:.3f}".replace("-", "−") in panel.line.value
    panel.close()


def test_the_first_picture_comes_when_its_controls_are_set(make_run, monkeypatch) -> None:
    """Else a hand that is quicker than the values of the controls is undone by them."""
    panel, sent, drawn = LayersPanel(make_run(), n=30), [], []
    send, redraw = panel.lattice.widget.send_state, panel.live.redraw
    at = lambda: (panel.layer.value, panel.sample.value)  # noqa: E731
    monkeypatch.setattr(panel.lattice.widget, "send_state", lambda key=None: (sent.append(at()), send(key)))
    monkeypatch.setattr(panel.live, "redraw", lambda figure: (drawn.append(at()), redraw(figure)))
    panel.sample_now()
    assert sent and set(sent) == {at()} and panel.layer.value == 2 and panel.sample.value != 0
    assert drawn == [at()], "drawn once"
    panel.close()


def test_new_samples_and_following(make_run, until) -> None:
    run = make_run(steps=100_000)
    panel = LayersPanel(run, n=10, every=0.05)
    panel.publisher.wake()
    until(lambda: panel.data is not None)
    first = panel.data["configuration"].values
    panel.new_samples.click()
    until(lambda: not np.array_equal(panel.data["configuration"].values, first))
    run.start()
    asked = len(run.asked)
    panel.follow.value = True
    until(lambda: len(run.asked) >= asked + 3)
    assert {a["seed"] for a in run.asked[asked:]} == {1}, "following shows the same random numbers, as weights change"
    panel.close()


def test_samples_of_an_earlier_step_say_so(make_run) -> None:
    run = make_run()
    panel = LayersPanel(run, n=10)
    panel.refresh()
    assert "drawn at step 0" in panel.message.value
    assert "now" not in panel.message.value
    run.step = 7
    panel.refresh()
    assert "drawn at step 0" in panel.message.value
    assert "the run is at step 7 now" in panel.message.value
    run.step, run.state = 9, "finished"
    assert not panel.refresh()
    assert "drawn at step 9" in panel.message.value
    panel.close()


def test_no_time_left_is_told_before_there_is_a_speed(make_run) -> None:
    run = make_run(steps=100)
    run.state, run.step, run.seconds_left = "running", 1, 90_000.0
    panel = TrainPanel(run)
    assert "left" not in panel.controls.status.value
    run.step = 50
    panel.refresh()
    assert "25 h 0 min left" in panel.controls.status.value
    panel.close()


def test_what_a_long_error_says_is_folded(make_run) -> None:
    panel = TrainPanel(make_run())
    panel.say(ValueError("the reason\n" + "and more " * 40))
    assert panel.message.value.startswith("<details><summary>")
    assert (
        panel.message.value.index("the reason")
        < panel.message.value.index("</summary>")
        < panel.message.value.index("and more")
    )
    panel.close()


def test_a_run_that_ends_while_it_is_looked_at_is_shown_at_its_end(make_run, monkeypatch) -> None:
    run = make_run(steps=30)
    panel = RetrainPanel(make_run())
    panel.retrained.append(run)
    panel.controls.experiment, panel.experiment.state = run, "finished"
    run.state, run.step = "running", 29
    show = panel.controls.show

    def late(data) -> None:
        show(data)
        run.state, run.step = "finished", 30

    monkeypatch.setattr(panel.controls, "show", late)
    while panel.refresh():
        pass
    assert "step 30 of 30" in panel.controls.status.value
    panel.close()


def test_layers_that_cannot_be_drawn_say_why(make_run) -> None:
    run = make_run()

    def fail(n: int, *, seed: int) -> None:
        raise ValueError("no layers here")

    run.layers = fail
    panel = LayersPanel(run)
    panel.refresh()
    assert "ValueError: no layers here" in panel.message.value
    panel.close()


def test_a_sample_stands_beside_the_curve_from_the_first_step(make_run, until) -> None:
    run = make_run(steps=30, pace=0.0)
    panel = TrainPanel(run)
    panel.refresh()
    assert panel.sample.figure.layout.title.text == "a sample at step 0"
    run.start()
    until(lambda: run.state == "finished")
    panel.refresh()
    assert panel.sample.figure.layout.title.text == "a sample at step 30"
    np.testing.assert_array_equal(panel.sample.figure.data[0].z, run.layers(4, seed=0)["configuration"][-1, 0])
    assert panel.page()[-1]["kind"] == "beside"
    panel.close()


def test_retraining_draws_the_new_curve_over_the_old(make_run, until) -> None:
    run = make_run(T=2.0, steps=30)
    run.start()
    until(lambda: run.state == "finished")
    panel = RetrainPanel(run)
    assert panel.temperature.min == pytest.approx(1.4)
    assert panel.temperature.max == pytest.approx(2.8)
    assert panel.device.value == "cpu"
    for count, T in enumerate((2.2, 2.4), start=1):
        panel.temperature.value = T
        panel.steps.value = 20
        panel.button.click()
        until(lambda count=count: len(panel.retrained) == count and not panel.publisher.alive)
        assert run.asked[-1] == {"T": panel.temperature.value, "steps": 20, "device": "cpu"}
        assert panel.current.state == "finished"
        names = [t.name for t in panel.live.figure.data if t.showlegend]
        assert names == [["T = 2", "T = 2.2"], ["T = 2.2", "T = 2", "T = 2.4"]][count - 1]
        new = next(t for t in panel.live.figure.data if t.name == f"T = {T:g}")
        np.testing.assert_allclose(new.y, -panel.current.T * panel.current.data["log_z_bound"] / 16)
        assert not panel.button.disabled
    panel.close()


def test_retraining_along_a_path_goes_from_run_to_run(make_run, until) -> None:
    run = make_run(T=2.0, steps=30, pace=0.0)
    run.start()
    until(lambda: run.state == "finished")
    panel = RetrainPanel(run)
    panel.temperature.value, panel.stops.value, panel.steps.value = 2.6, 3, 5
    T = panel.temperature.value
    panel.button.click()
    until(lambda: len(panel.retrained) == 3 and not panel.publisher.alive)
    steps = [2.0 + (T - 2.0) * k / 3 for k in (1, 2, 3)]
    assert [each.asked for each in (run, *panel.retrained[:2])] == [
        [{"steps": 5, "device": "cpu", "T": pytest.approx(value)}] for value in steps
    ]
    assert "3 of 3 on the path" in panel.message.value
    assert panel.family.value.count("└ ") == 3 and "padding-left:60px" in panel.family.value
    panel.origin.value, panel.stops.value = 0, 1  # back to the first, and a branch from there
    panel.button.click()
    until(lambda: len(panel.retrained) == 4 and not panel.publisher.alive)
    assert len(panel.retrained[0].asked) == 2 and panel.kin.parents == [-1, 0, 1, 0]
    panel.close()


def test_runs_have_names_and_stand_at_their_couplings(make_run, until) -> None:
    run = make_run(T=2.0, steps=30, pace=0.0)
    run.start()
    until(lambda: run.state == "finished")
    panel = RetrainPanel(run)
    panel.temperature.value, panel.stops.value, panel.steps.value = 2.6, 2, 5
    panel.button.click()
    until(lambda: len(panel.retrained) == 2 and not panel.publisher.alive)
    panel.origin.value = 1
    panel.name.value = "hot & <bright>"
    assert panel.origin.value == 1 and panel.origin.options[-1][0].endswith("hot & <bright>")
    panel.refresh()
    assert "hot &amp; &lt;bright&gt;" in panel.family.value
    assert "hot & <bright>" in [trace.name for trace in panel.live.figure.data]
    *lines, points = panel.ess.figure.data
    T = panel.temperature.value
    assert list(points.text) == ["this run", "run 1", "hot & <bright>"]
    np.testing.assert_allclose(points.x, [2.0, (2.0 + T) / 2, T])
    np.testing.assert_allclose(points.y[2], panel.retrained[1].data["ess"][-20:].mean())
    np.testing.assert_allclose([line.x for line in lines], [[2.0, (2.0 + T) / 2], [(2.0 + T) / 2, T]])
    panel.origin.value = 0
    assert panel.name.value == "" and panel.name.placeholder == "run 1"
    panel.close()


def test_stop_ends_a_path(make_run, until) -> None:
    run = make_run(T=2.0, steps=30)
    panel = RetrainPanel(run)
    panel.stops.value, panel.steps.value = 4, 100_000
    panel.button.click()
    until(lambda: panel.current is not None)
    panel.controls.press("Stop")
    until(lambda: "the path ended on the way, at T" in panel.message.value)
    assert len(panel.retrained) == 1
    until(lambda: not panel.button.disabled)
    panel.close()


def test_retraining_that_fails_says_why_and_can_be_tried_again(make_run, until) -> None:
    run = make_run()
    run.at_error = ValueError("T must be positive, got -1")
    panel = RetrainPanel(run)
    panel.button.click()
    until(lambda: "T must be positive" in panel.message.value)
    until(lambda: not panel.button.disabled)
    assert panel.retrained == []
    panel.close()


def test_a_model_of_many_couplings_says_what_it_knows_and_what_steps_added(until) -> None:
    keys = {"L": 4, "over": "beta:0.35:0.55", "hidden": 4, "batch": 40, "steps": 6, "device": "cpu"}
    run = fl.experiment("ising-coloured", **keys)
    run.run(progress=False)
    panel = RetrainPanel(run)
    assert (panel.temperature.min, panel.temperature.max, panel.steps.value) == (0.35, 0.55, 50)
    panel.temperature.value = 0.5
    panel.refresh()
    found = run.at(beta=0.5, steps=50).evaluate(2000)
    until(lambda: "exact: " in panel.table.value)
    assert number(float(found.ess), float(found.ess_error)) in panel.table.value
    panel.steps.value = 3
    panel.button.click()
    until(lambda: "3 steps more" in panel.table.value and "measuring" not in panel.table.value)
    assert panel.current.system.value_of("beta") == pytest.approx(0.5)
    assert panel.table.value.count("<tr>") == 3
    panel.temperature.value = 0.4  # where nothing was added
    until(lambda: "steps more" not in panel.table.value and "measuring" not in panel.table.value)
    panel.close()


def test_lab_refreshes_the_tab_in_front(make_run, until) -> None:
    def publishers() -> set[threading.Thread]:
        return {t for t in threading.enumerate() if t.name == "flowlab-publisher"}

    before = publishers()  # of other tests' panels
    run = make_run(steps=100_000)
    lab = Lab(run)
    assert lab.widget.titles == ("Train", "Configurations", "Layers", "Retrain")
    assert lab.layers.data is None
    lab.widget.selected_index = 2
    until(lambda: "samples drawn" in lab.layers.message.value)
    assert "layer 2" in lab.snapshot().layout.title.text
    assert "text/plain" in lab._repr_mimebundle_()
    assert len(publishers() - before) == 1
    lab.close()
    until(lambda: not publishers() - before)


@pytest.mark.parametrize("panel", [TrainPanel, LayersPanel, RetrainPanel, Lab])
def test_snapshots_are_static_figures(make_run, panel) -> None:
    shown = panel(make_run())
    assert isinstance(shown.snapshot(), go.Figure)
    assert not isinstance(shown.snapshot(), go.FigureWidget)
    shown.close()


def test_publisher_ends_with_its_owner() -> None:
    class Owner:
        def refresh(self) -> bool:
            return True

    owner = Owner()
    publisher = Publisher(owner, rate=200.0)
    publisher.wake()
    thread = publisher._thread
    assert thread is not None
    assert thread.daemon
    del owner
    gc.collect()
    thread.join(2.0)
    assert not publisher.alive


def test_a_run_that_stands_still_says_whether_it_may_be_believed(make_run, until) -> None:
    run = make_run(steps=3)
    panel = TrainPanel(run)
    panel.refresh()
    assert panel.verdict.widget.value == ""
    run.start()
    panel.publisher.wake()
    until(lambda: "Verdict at step 3: <b>not checked</b>: a run &lt;without&gt;" in panel.verdict.widget.value)
    assert panel.verdict.widget.value.count("<li>") == 2
    until(lambda: not panel.publisher.alive)
    panel.close()
