"""A training that diverges, or that ends where it no longer gets better."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import xarray as xr

import flowlab as fl
from tests.runs.small_runs import by_hand, records, study


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_number_that_diverges_stops_the_run_and_names_the_last_good_checkpoint(tmp_path, bad):
    run = by_hand(lambda step: bad if step == 8 else 1.0)
    run.attach(tmp_path / "run")
    run.run(5, progress=False)
    with pytest.raises(FloatingPointError, match=r"at step 8; the last good checkpoint is .*step-00000005"):
        run.run(progress=False)
    assert run.state == "failed" and run.density.bias.isfinite().all()
    again = by_hand()
    again.restore(tmp_path / "run")
    assert run.step == again.step == 6  # what made step 8 fail was left by step 7
    assert torch.equal(again.density.bias, run.density.bias)
    again.run(progress=False)
    assert again.state == "finished"


def test_an_absurd_learning_rate_is_found_out():
    run = study(lr=1e30, lr_flow=1e30, clip=1e30, steps=200)
    with pytest.raises(FloatingPointError, match=r"became .* at step \d+; nothing was saved; try a smaller"):
        run.run(progress=False)
    assert np.isfinite(run.data.loss).all()


def test_a_plateau_ends_the_run_before_its_horizon_and_equally_when_resumed(tmp_path):
    options = {"learning_rate": {"base": 1e-6}, "steps": 400, "patience": 10}
    straight, run = by_hand(**options), by_hand(**options)
    straight.run(progress=False)
    assert straight.state == "finished" and 20 <= straight.step < 400
    run.attach(tmp_path / "run")
    run.run(15, progress=False)
    resumed = by_hand(**options)
    resumed.restore(tmp_path / "run")
    resumed.run(progress=False)
    assert resumed.state == "finished"
    xr.testing.assert_identical(records(resumed), records(straight))
    ended = by_hand(**options)
    ended.restore(tmp_path / "run")
    assert ended.state == "finished" and ended.step == straight.step


def test_a_plateau_while_annealing_does_not_count():
    run = by_hand(
        learning_rate={"base": 1e-6},
        steps=100,
        patience=10,
        annealing=lambda progress: {"T": 2.4 if progress >= 0.5 else 100.0},
    )
    run.run(progress=False)
    assert run.state == "finished" and 70 <= run.step < 100


def test_patience_of_one_step_is_refused():
    with pytest.raises(ValueError, match="patience must be 0"):
        by_hand(patience=1)


def test_bound_and_ess_refer_to_the_final_target_while_annealing():
    run = by_hand(steps=1, annealing=lambda progress: {"T": 30.0})
    (record,) = run.stream()
    log_q = -16 * math.log(2)
    assert record["inverse_temperature"] == pytest.approx(1 / 30)
    assert record["loss"] == pytest.approx(log_q + record["energy_mean"] / 30, rel=1e-5)
    assert record["log_z_bound"] == pytest.approx(-log_q - record["energy_mean"] / 2.4, rel=1e-5)
    assert record["ess"] < 0.9


def test_hand_built_runs_on_random_couplings_anneal_and_are_compared_where_nothing_is_said():
    glass = fl.SpinGlass.sherrington_kirkpatrick(6, T=0.5, seed=0)

    def built(target, density, objective=None, **how):
        rate = {"base": 1e-3, "flow": 1e-3}
        return fl.Training(target, density, objective or fl.ReverseKL(), steps=10, batch=4, learning_rate=rate, **how)

    run = built(glass, fl.MADE((6,)))
    assert run.annealing(0.0)["T"] == pytest.approx(2.5) and run.annealing(0.8) == {}
    assert run.comparison is not None and run.comparison.temperatures == (0.5,)
    plain = built(glass, fl.MADE((6,)), annealing=None, comparison=None)
    assert plain.annealing is None and plain.comparison is None
    on_samples = built(glass, fl.MADE((6,)), fl.training.ForwardKL(torch.ones(20, 6)))
    assert on_samples.annealing is None and on_samples.comparison is not None
    ferromagnet = built(fl.Ising((4, 4), T=2.0), fl.MADE((4, 4)))
    assert ferromagnet.annealing is None and ferromagnet.comparison is None


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"out": "runs/a"}, r"no argument 'out': attach\(path\) of a run keeps it on disk; of the optimiser .* clip"),
        ({"learning_rate": 0.1, "lr": 0.1}, "no argument 'lr': it is learning_rate here"),
        ({"momentum": 0.9}, "no argument 'momentum'; of the optimiser there are schedule, warmup, clip, betas"),
    ],
)
def test_an_argument_that_there_is_not_is_named(wrong, message):
    keys = {"steps": 3, "batch": 10, "learning_rate": 1e-3} | wrong
    with pytest.raises(TypeError, match=message):
        fl.Training(fl.Ising((2, 2), T=3.0), fl.MADE((2, 2)), fl.ReverseKL(), **keys)
