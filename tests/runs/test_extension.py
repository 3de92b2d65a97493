"""Finished runs that get more steps: schedules, interruption, what is kept on disk."""

from __future__ import annotations

import contextlib
import json

import pytest
import xarray as xr

import flowlab as fl
from flowlab.storage.shelf import look
from flowlab.storage.store import StoreError
from flowlab.training.stage import Stage
from tests.runs.small_runs import broken_off_everywhere, by_hand, records, study


def finished(**keys: object) -> fl.Training:
    run = study(**{"steps": 6} | keys)
    run.run(progress=False)
    return run


@pytest.mark.parametrize("restart", [False, True])
def test_the_learning_rate_stays_or_follows_its_schedule_again(restart):
    run = finished()
    run.extend(6, restart=restart)
    assert (run.state, run.step, run.steps) == ("stopped", 6, 12)
    rate = run.run(progress=False).learning_rate.values
    assert run.state == "finished" and len(rate) == 12
    if restart:
        assert rate[6:].tolist() == rate[:6].tolist()
    else:
        assert set(rate[6:].tolist()) == {rate[0] * 0.01}
    assert run.data.inverse_temperature.values[6:].tolist() == [1 / 2.4] * 6


@pytest.mark.parametrize("restart", [False, True])
def test_resumed_at_any_step_it_is_the_uninterrupted_one(tmp_path, restart):
    straight, kept = finished(), finished(out=tmp_path / "run")
    broken = broken_off_everywhere(study(steps=6))
    for run in (straight, kept, broken):
        run.extend(5, restart=restart)
    straight.run(progress=False)
    kept.run(2, progress=False)
    again = fl.load(tmp_path / "run")
    assert (again.state, again.step, again.steps) == ("stopped", 8, 11) and look(tmp_path / "run").steps == 11
    again.run(progress=False)
    again.extend(1)
    again.run(progress=False)
    straight.extend(1)
    straight.run(progress=False)
    xr.testing.assert_identical(records(fl.load(tmp_path / "run")), records(straight))
    for more in (0, 1):
        if more:
            broken.extend(more)
        while broken.state != "finished":
            with contextlib.suppress(KeyboardInterrupt, ZeroDivisionError):
                broken.run(progress=False)
    xr.testing.assert_identical(records(broken), records(straight))


def in_two_stages() -> fl.Training:
    """Both of which end early, since they hardly learn."""

    def how(side: int) -> dict[str, object]:
        own = {"steps": 60, "batch": 20, "learning_rate": 1e-6, "annealing": None, "patience": 3}
        return own | {
            "target": fl.Ising((side, side), 2.4),
            "density": fl.MADE((side, side)),
            "objective": fl.ReverseKL(),
        }

    return fl.Training(**how(4), stages=[Stage(**how(2))], start_from=lambda density, before: None)


def test_stages_that_ended_early_are_extended(tmp_path):
    run = in_two_stages()
    run.attach(tmp_path / "run")
    run.run(progress=False)
    at = run.step
    assert run.state == "finished" and at < run.steps < 120
    run.extend(20)
    assert run.run(1, progress=False).sizes["step"] == at + 1
    again = in_two_stages()
    again.restore(tmp_path / "run")
    assert (again.step, again.steps) == (at + 1, at + 20)
    again.run(progress=False)
    run = in_two_stages()
    run.run(progress=False)
    run.extend(20)
    run.run(progress=False)
    assert at + 6 <= run.step == again.step
    xr.testing.assert_identical(records(again), records(run))


def test_chains_are_extended_and_have_no_schedule():
    chain = fl.experiment("phi4-hmc", L=4, kappa=0.2, steps=24)
    chain.run(progress=False)
    with pytest.raises(ValueError, match="restart runs a schedule again, and this run has none"):
        chain.extend(5, restart=True)
    chain.extend(5)
    assert chain.run(progress=False).sizes["step"] == 29


def test_what_was_extended_before_it_had_a_directory_is_kept_and_a_run_by_hand_too(tmp_path):
    run = by_hand(steps=3)
    run.run(progress=False)
    run.extend(2)
    run.attach(tmp_path / "run")
    again = by_hand(steps=3)
    again.restore(tmp_path / "run")
    assert (again.step, again.steps) == (3, 5)
    with pytest.raises(StoreError, match="horizon of 3 steps, this run of 4"):
        by_hand(steps=4).restore(tmp_path / "run")


def test_what_makes_no_sense_is_refused(tmp_path):
    run = study(steps=6, out=tmp_path / "run")
    with pytest.raises(RuntimeError, match="only a finished run is extended, this one is at step 0 of 6"):
        run.extend(5)
    run.run(progress=False)
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        run.extend(0)
    assert run.steps == 6 and run.state == "finished"
    described = tmp_path / "run" / "experiment.json"
    for wrong in (3, [3], [{"after": 6, "steps": -1, "restart": False}], [{"after": 6, "steps": 1}]):
        described.write_text(json.dumps(json.loads(described.read_text()) | {"extended": wrong}))
        with pytest.raises(StoreError, match=r"extended in experiment\.json must list"):
            fl.load(tmp_path / "run")
