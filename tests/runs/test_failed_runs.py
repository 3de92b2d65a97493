"""A run that failed can be looked at, in memory and from disk: its records, its system, its weights, its lab."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import flowlab as fl
from flowlab.runs import experiment, load

pytestmark = pytest.mark.usefixtures("short_warm_up")

TINY = {"coarse": 2, "L": 4, "d": 1, "kernel": 3, "ode_steps": 3, "batch": 8, "steps": 12}
RUNS = {
    "ising-xor": {"L": 4, "T": 2.5, "steps": 12, "batch": 50},
    "phi4-affine": {"L": 4, "beta": 0.5, "steps": 12, "batch": 50},
    "phi4-ir-matching": TINY | {"learn": "kappa,lam", "lam": 0.1},
    "phi4-uv-matching": TINY | {"learn": "kappa,lam", "lam": 0.1, "samples": 16},
}


def look(run) -> None:
    assert f"{run.study} " in repr(run) and f": {run.state} at step {run.step}" in repr(run)
    assert len(run.data.step) == run.step and np.isfinite(run.data.loss).all()
    assert run.system.title
    found = run.evaluate(60)
    assert np.isfinite(found.ess) and np.isfinite(run.sample(5).log_q).all()
    assert run.layers(3).sizes["sample"] == 3
    run.lab()


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", RUNS)
def test_weights_that_are_no_numbers(tmp_path, name):
    run = experiment(name, out=tmp_path / "run", **RUNS[name])
    run.run(5, progress=False)
    records = run.data.drop_vars("wall_time").isel(step=slice(4))
    with torch.no_grad():
        for group in run.optimisation.groups.values():
            for parameter in group:
                parameter.fill_(torch.nan)
    with pytest.raises(FloatingPointError):
        run.run(progress=False)
    assert run.state == "failed" and run.step == 4
    xr_equal(run.data.drop_vars("wall_time"), records)
    look(run)
    loaded = load(tmp_path / "run")
    assert loaded.step == 4
    xr_equal(loaded.data.drop_vars("wall_time"), records)
    look(loaded)
    run.run(1, progress=False)  # from weights that are numbers, it goes on
    assert run.step == 5


def xr_equal(one, other) -> None:
    for column in other.data_vars:
        np.testing.assert_array_equal(one[column], other[column])


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_couplings_that_left_the_stable_region():
    """Free fields need |kappa| < 1/2 on a chain; a huge rate leads away at the first step."""
    for name in ("phi4-ir-matching", "phi4-uv-matching"):
        run = experiment(name, **TINY | {"lam": 0.0, "kappa": 0.3, "lr_kappa": 2.0})
        with pytest.raises(FloatingPointError, match=r"to be stable, got .*smaller learning rate"):
            run.run(progress=False)
        assert run.state == "failed" and abs(float(run.system.couplings["kappa"])) < 0.5
        look(run)


@pytest.mark.parametrize("seed", [0, 2])
def test_a_learned_lambda_stays_positive(seed):
    """At rates at which it went below zero."""
    keys = TINY | {"coarse": 4, "L": 8, "batch": 16, "steps": 60, "lr_kappa": 0.02, "lam": 0.02}
    for name in ("phi4-ir-matching", "phi4-uv-matching"):
        run = experiment(name, **keys | {"learn": "kappa,lam", "kappa": 0.4, "seed": seed})
        data = run.run(progress=False)
        lam = data["coarse_lam" if name == "phi4-ir-matching" else "trained_lam"]
        assert len(lam) == 60 and (lam > 0).all()
    with pytest.raises(ValueError, match="lam must be positive to be learned, got 0"):
        experiment("phi4-uv-matching", **TINY | {"learn": "lam", "lam": 0.0})
    assert fl.Phi4((4,), 0.3, 0.02).positive == ("lam",)
