"""Growing from small lattices: stages, what they hand on, resuming within one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import flowlab as fl
from flowlab.core import named_generator
from flowlab.training import Stage

HOW = {"batch": 50, "learning_rate": {"base": 1e-2}}


def local(L: int) -> fl.densities.LocalAutoregressive:
    return fl.densities.LocalAutoregressive((L, L), generator=named_generator(L, "local"))


def grown(steps: int = 4) -> fl.Training:
    stages = [Stage(fl.Ising((L, L), T=3.0), local(L), fl.ReverseKL(), steps=3, **HOW) for L in (4, 6)]
    return fl.Training(fl.Ising((8, 8), T=3.0), local(8), fl.ReverseKL(), steps=steps, stages=stages, **HOW)


def test_stages_follow_each_other_and_hand_their_weights_on():
    run = grown()
    run.run(6, progress=False)
    before, after = run.before[1].density.state_dict(), run.reading()[1].state_dict()
    for name, value in before.items():
        if value.shape == after[name].shape:
            torch.testing.assert_close(after[name], value)
    run.run(progress=False)
    data = run.data
    np.testing.assert_array_equal(data.stage, [0, 0, 0, 1, 1, 1, 2, 2, 2, 2])
    assert np.isnan(data.log_z_bound[:6]).all() and np.isfinite(data.log_z_bound[6:]).all()
    assert np.isfinite(data.stage_ess).all() and (data.stage_ess[6:] == data.ess[6:]).all()
    np.testing.assert_allclose(data.learning_rate[[0, 3, 6]], 1e-2)  # each stage has its schedule


@pytest.mark.parametrize("at", [1, 3, 5, 8])
def test_interrupted_in_any_stage_is_uninterrupted(tmp_path, at):
    whole = grown().run(progress=False).drop_vars("wall_time")
    run = grown()
    run.attach(tmp_path / "run")
    run.run(at, progress=False)
    run.save()
    again = grown()
    again.restore(tmp_path / "run")
    assert again.step == at
    again.run(progress=False)
    assert again.data.drop_vars("wall_time").identical(whole)


def test_a_run_of_a_study_grows():
    run = fl.experiment("ising-xor", L=4, T=3.0, layers=0, base="local", steps=2, batch=20)
    run.run(progress=False)
    larger = run.grow(steps=3)
    assert larger.keys["L"] == 8 and larger.parent["keys"]["L"] == 4
    for name, value in run.density.state_dict().items():
        if larger.density.state_dict()[name].shape == value.shape:
            torch.testing.assert_close(larger.density.state_dict()[name], value)
    with pytest.raises(ValueError, match="side L"):
        fl.experiment("sk-reverse", N=6, steps=2, batch=20).grow()
    larger = grown().grow()
    assert larger.system.shape == (16, 16) and not larger.before


def test_a_run_in_stages_built_by_hand_is_made_again_and_a_warm_start_from_it_has_none(tmp_path):
    run = grown()
    run.attach(tmp_path / "run")
    run.run(4, progress=False)
    again = fl.load(tmp_path / "run")
    assert again.step == 4 and [stage.system.shape for stage in again.before] == [(4, 4), (6, 6)]
    assert (
        again.run(progress=False).drop_vars("wall_time").identical(grown().run(progress=False).drop_vars("wall_time"))
    )
    other = run.at(T=3.5)
    assert not other.before and other.steps == 4 and float(other.system.couplings["T"]) == 3.5
    torch.testing.assert_close(dict(other.density.named_parameters()), dict(run.reading()[1].named_parameters()))
