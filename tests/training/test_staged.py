"""Growing from small lattices: stages, what they hand on, resuming within one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import flowlab as fl
from flowlab.core import named_generator
from flowlab.training.staged import Grown

HOW = {"batch": 50, "learning_rate": {"base": 1e-2}}


def local(L: int) -> fl.densities.LocalAutoregressive:
    return fl.densities.LocalAutoregressive((L, L), generator=named_generator(L, "local"))


def grown(steps: int = 4) -> Grown:
    before = [fl.Training(fl.Ising((L, L), T=3.0), local(L), fl.ReverseKL(), steps=3, **HOW) for L in (4, 6)]
    return Grown(before, fl.Ising((8, 8), T=3.0), local(8), fl.ReverseKL(), steps=steps, **HOW)


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


def test_a_stage_that_has_begun_is_refused():
    begun = fl.Training(fl.Ising((4, 4), T=3.0), local(4), fl.ReverseKL(), steps=3, **HOW)
    begun.run(1, progress=False)
    with pytest.raises(ValueError, match="must not have begun"):
        Grown([begun], fl.Ising((8, 8), T=3.0), local(8), fl.ReverseKL(), steps=3, **HOW)


def test_a_run_of_a_study_grows():
    run = fl.experiment("ising-xor", L=4, T=3.0, layers=0, base="local", steps=2, batch=20)
    run.run(progress=False)
    larger = run.grow(steps=3)
    assert larger.keys["L"] == 8 and larger.parent["keys"]["L"] == 4
    for name, value in run.density.state_dict().items():
        if larger.density.state_dict()[name].shape == value.shape:
            torch.testing.assert_close(larger.density.state_dict()[name], value)
    with pytest.raises(ValueError, match="side L"):
        grown().grow()
