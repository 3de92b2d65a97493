"""The studies of super-resolving flows: grown, resumed, shown, and what they refuse."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from flowlab.cli import main
from flowlab.runs import experiment, load

TINY = {"coarse": 2, "kernel": 3, "ode_steps": 3, "batch": 8, "steps": 3, "check_every": 2}
CASE = ("kappa", 8, 0.2)
NAMES = {
    "phi2": "phi_squared",
    "abs_M_per_site": "abs_magnetization",
    "chi": "susceptibility",
    "G_q1": "structure_factor_1",
    "action_per_site": "action_per_site",
    "xi": "correlation_length",
    "binder": "binder",
}
FOUR = TINY | {"kappa": 0.2}
IR = FOUR | {"stage_steps": 2}


@pytest.mark.filterwarnings("ignore::flowlab.densities.refined.coarse_chain.PathwiseGradientWarning")
@pytest.mark.parametrize("keys", [{}, {"shared": True, "learn": "lam"}, {"gradient": "pathwise", "langevin_steps": 3}])
def test_grown_saved_and_resumed_is_uninterrupted(tmp_path, keys):
    keys = IR | {"L": 8, "d": 1} | keys
    whole = experiment("phi4-ir-matching", **keys).run(progress=False).drop_vars("wall_time")
    run = experiment("phi4-ir-matching", out=tmp_path / "run", **keys)
    run.run(3, progress=False)
    again = load(tmp_path / "run")
    again.run(progress=False)
    assert again.data.drop_vars("wall_time").identical(whole)
    np.testing.assert_array_equal(whole.stage, [0, 0, 1, 1, 1])
    moved = whole[f"coarse_{keys.get('learn', 'kappa')}"].values
    assert len(set(moved)) == 5
    loaded = load(tmp_path / "run").density.state_dict()
    for name, value in again.density.state_dict().items():
        torch.testing.assert_close(loaded[name], value, rtol=0, atol=0)


def test_resumed_in_the_middle_of_three_levels(tmp_path):
    keys = IR | {"L": 16, "d": 1, "steps": 2}
    whole = experiment("phi4-ir-matching", **keys).run(progress=False).drop_vars("wall_time")
    run = experiment("phi4-ir-matching", out=tmp_path / "run", **keys)
    run.run(3, progress=False)
    again = load(tmp_path / "run")
    again.run(progress=False)
    np.testing.assert_array_equal(again.data.stage, [0, 0, 1, 1, 2, 2])
    assert again.data.drop_vars("wall_time").identical(whole)


def test_levels_end_where_they_no_longer_improve(tmp_path):
    """At a rate that moves nothing the ESS stays, and 2 x 2 steps are enough to see it."""
    rates = dict.fromkeys(("lr", "lr_kappa", "lr_sigma"), 1e-12)
    keys = IR | {"L": 8, "d": 1, "stage_steps": 20, "steps": 20, "patience": 2, "seed": 1} | rates
    whole = experiment("phi4-ir-matching", **keys)
    data = whole.run(progress=False).drop_vars("wall_time")
    lengths = [int((data.stage == k).sum()) for k in (0, 1)]
    assert min(lengths) >= 4 and max(lengths) < 20 and whole.state == "finished" and whole.steps == lengths[0] + 20
    run = experiment("phi4-ir-matching", out=tmp_path / "run", **keys)
    run.run(lengths[0], progress=False)
    again = load(tmp_path / "run")
    again.run(progress=False)
    assert again.data.drop_vars("wall_time").identical(data)


def test_couplings_and_weights_are_handed_on():
    run = experiment("phi4-ir-matching", **IR, L=8, lr=1e-9, lr_kappa=1e-9, lr_sigma=1e-9)
    with torch.no_grad():
        run.before[0].density.flow.weight.fill_(0.01)
        run.before[0].density.coarse.couplings["kappa"].fill_(0.17)
    run.run(3, progress=False)
    for level in run.density.levels:
        torch.testing.assert_close(level.flow.weight, torch.full_like(level.flow.weight, 0.01))
    assert float(run.density.coarse_system.couplings["kappa"].detach()) == pytest.approx(0.17, abs=1e-6)
    larger = run.grow(steps=1)
    assert larger.keys["L"] == 16 and not larger.before and len(larger.density.levels) == 3
    torch.testing.assert_close(larger.density.flow.weight, run.density.flow.weight)


def test_layers_show_the_way():
    found = experiment("phi4-ir-matching", **IR, L=8).layers(4)
    assert list(found.layer_name.values[:3]) == ["latent", "coarse 2 x 2", "noise 4 x 4"]
    assert list(found.layer_name.values[-2:]) == ["t = 0.67", "t = 1"]
    assert list(found.layer_kind.values[1:3]) == ["level", "level"] and found.layer_kind.values[-1] == "time"
    assert found.configuration.shape == (len(found.layer), 4, 8, 8)
    flow = experiment("phi4-cnf", L=4, ode_steps=4).layers(4)
    assert list(flow.layer_name.values) == ["latent", "t = 0.25", "t = 0.5", "t = 0.75", "t = 1"]
    assert set(flow.layer_kind.values[1:]) == {"time"}


def test_readings_depend_on_weights_and_seed_alone():
    run = experiment("phi4-ir-matching", **FOUR, L=4, d=1)
    run.run(2, progress=False)
    for read in (lambda: run.layers(4, seed=1), lambda: run.sample(8, seed=3), lambda: run.evaluate(20)):
        first = read()
        run.layers(4, seed=2)
        assert read().identical(first)


def test_evaluation_knows_ln_z():
    """Two by two to four by four, somewhat trained: the exact ln Z within four errors."""
    run = experiment("phi4-ir-matching", **(FOUR | {"L": 4, "steps": 50, "batch": 64, "lam": 0.1}))
    run.run(progress=False)
    found = run.evaluate(1000)
    assert abs(float(found.log_z - found.log_z_exact)) < 4 * float(found.log_z_error) < 0.2
    assert float(found.ess) > 0.7
    assert float(found.round_trip_error) < 1e-6 and float(found.log_det_closure) < 5e-5
    assert abs(float(found.equation_of_motion) - 1) < 4 * float(found.equation_of_motion_error) < 0.2


def test_observables_are_those_of_a_long_chain():
    """Four by four to eight by eight, hardly trained: the weights do the rest."""
    path = Path(__file__).parents[2] / "data" / "public_phi4_mc.json"
    case = next(c for c in json.loads(path.read_text())["cases"] if (c["form"], c["L"], c.get("kappa")) == CASE)
    keys = {"L": 8, "kappa": case["kappa"], "lam": case["lam"], "steps": 20, "batch": 64, "seed": 1, "device": "cpu"}
    run = experiment("phi4-ir-matching", **keys)
    vars(run)["log_z_exact"] = None  # takes longer than the run
    run.run(progress=False)
    found = run.evaluate(2000)
    assert float(found.ess) > 0.5
    assert abs(float(found.positive_fraction) - 0.5) < 4 * float(found.positive_fraction_error)
    for there, here in NAMES.items():
        error = math.hypot(float(found[f"{here}_error"]), case[f"{there}_err"])
        assert abs(float(found[here]) - case[there]) < 4 * error, here
        assert float(found[f"{here}_error"]) < 12 * case[f"{there}_err"], here
    assert abs(float(found.equation_of_motion) - 1) < 4 * float(found.equation_of_motion_error) < 0.1


def test_both_couplings_learned():
    """Four sites to eight in one dimension: both move, and ln Z comes out."""
    keys = TINY | {"coarse": 4, "L": 8, "d": 1, "kappa": 0.3, "lam": 0.1, "learn": "kappa,lam"}
    keys |= {"steps": 24, "batch": 64, "lr_kappa": 2e-3}
    run = experiment("phi4-ir-matching", **keys)
    run.run(progress=False)
    known = np.isfinite(run.data.log_z_bound)
    np.testing.assert_array_equal(known, [True] + 23 * [False])  # ln Z of the coarse lattice is found seldom
    assert np.isfinite(run.data.log_z_bound_error).equals(known) and np.isfinite(run.data.log_z_ratio_bound).all()
    for name, start in (("kappa", 0.3), ("lam", 0.1)):
        assert abs(float(run.data[f"coarse_{name}"][-1]) - start) > 0.005
        value = float(run.density.coarse_system.couplings[name].detach())
        assert value == float(run.density.coarse.couplings[name].detach()) != float(run.system.couplings[name])
    found = run.evaluate(2000)
    assert abs(float(found.log_z - found.log_z_exact)) < 4 * float(found.log_z_error) < 0.1
    assert float(found.ess) > 0.6


def test_beta_is_twice_kappa():
    by_beta = experiment("phi4-ir-matching", **(FOUR | {"kappa": None, "L": 4}), beta=0.4)
    assert float(by_beta.system.couplings["kappa"]) == pytest.approx(0.2)
    assert by_beta.system.form == by_beta.density.coarse_system.form == "beta"


LEARNING = TINY | {"L": 4, "d": 1, "lam": 0.1, "learn": "kappa,lam", "kappa": 0.3}


def test_learned_coarse_couplings_come_with_errors(tmp_path, capsys):
    run = experiment("phi4-ir-matching", **LEARNING, out=tmp_path / "run")
    before = run.objective.learned(run.density, run.target, 0)
    assert before.values == {"kappa": 0.3, "lam": pytest.approx(0.1)} and np.isnan(before.errors["lam"])
    run.run(progress=False)
    assert main(["evaluate", str(tmp_path / "run"), "-n", "40", "--json"]) == 0
    told = capsys.readouterr()
    found = json.loads(told.out)
    for name, value in run.density.coarse_system.couplings.items():
        if name in ("kappa", "lam"):
            assert found[f"learned_{name}"] == float(value.detach()) and found[f"learned_{name}_error"] > 0
    assert "the learned coarse lam = 0." in told.err  # three steps say little


def test_learned_fine_couplings_come_with_errors(tmp_path, capsys):
    keys = [f"{key}={value}" for key, value in (LEARNING | {"learn": "kappa", "samples": 32}).items()]
    assert main(["sweep", "phi4-uv-matching", *keys, "seed=0,1", "--out", str(tmp_path), "-n", "40", "--quiet"]) == 0
    assert "learned_kappa_error" in capsys.readouterr().out
    swept = xr.open_dataset(tmp_path / "sweep.nc", engine="h5netcdf")
    assert swept.learned_kappa.dims == ("seed",) and (swept.learned_kappa_error > 0).all()


def test_uv_matching_iterates():
    run = experiment("phi4-uv-matching", **TINY, L=8, retrain=2, samples=32, kappa=0.3)
    data = run.run(progress=False)
    np.testing.assert_array_equal(data.stage, [0, 0, 0, 1, 1])
    assert len(set(data.trained_kappa.values)) == 4 and set(data.coarse_kappa.values) == {0.3}
    assert run.grow().keys["L"] == 16


def test_cnf_trains():
    run = experiment("phi4-cnf", L=4, steps=3, batch=8, check_every=2)
    data = run.run(progress=False)
    assert np.isfinite(data.log_z_bound).all() and float(data.integration_error[1]) < 1e-3
    assert np.isfinite(run.evaluate(100).log_z)


@pytest.mark.parametrize(
    ("name", "keys", "message"),
    [
        ("phi4-ir-matching", {"L": 10}, "L must be 2, 4, 8, ... times the coarse side, got L = 10 and coarse = 4"),
        ("phi4-ir-matching", {"L": 4}, "got L = 4 and coarse = 4"),
        ("phi4-ir-matching", {"coarse": 0}, "coarse must be at least 2, got 0"),
        ("phi4-ir-matching", {"lam": 0.0, "kappa": 0.3}, r"needs \|kappa\| < 1/4 to be stable, got 0.3"),
        ("phi4-ir-matching", {"lam": 0.0, "kappa": 0.5, "d": 1}, r"needs \|kappa\| < 1/2 to be stable, got 0.5"),
        ("phi4-ir-matching", {"lam": -0.1}, "lam must be 0 or more, got -0.1"),
        ("phi4-ir-matching", {"gradient": "path"}, "gradient must be one of score, pathwise, got 'path'"),
        ("phi4-ir-matching", {"gradient": "pathwise", "langevin_step": 0.0}, "langevin_step must be positive, got 0.0"),
        ("phi4-uv-matching", {"L": 12}, "L must be 2, 4, 8, ... times the coarse side, got L = 12 and coarse = 8"),
        ("phi4-uv-matching", {"lam": 0.0, "kappa": 0.5}, r"needs \|kappa\| < 1/2 to be stable, got 0.5"),
        ("phi4-ir-matching", {"learn": "beta"}, "learn must be kappa, lam, both with a comma, or nothing, got 'beta'"),
        ("phi4-ir-matching", {"kernel": 4}, "kernel must be odd"),
        ("phi4-uv-matching", {"learn": ""}, "learn must name a coupling"),
        ("phi4-cnf", {"device": "mps"}, "device mps has no float64"),
        ("phi4-cnf", {"kernel": 2}, "kernel must be odd"),
        ("phi4-cnf", {"lam": 0.0, "kappa": 0.25}, r"needs \|kappa\| < 1/4 to be stable, got 0.25"),
    ],
)
def test_keys_that_do_not_fit_are_refused(name, keys, message):
    with pytest.raises(ValueError, match=message):
        experiment(name, **keys)


def test_langevin_that_runs_away_says_what_to_do():
    run = experiment(
        "phi4-ir-matching", **(FOUR | {"L": 4, "gradient": "pathwise", "langevin_step": 3.0, "langevin_steps": 50})
    )
    with pytest.raises(FloatingPointError, match=r"smaller step_size, e\.g\. 0\.3"):
        run.run(progress=False)


def test_couplings_that_leave_the_stable_region_say_what_to_do():
    """Free fields need |kappa| < 1/4, from which a step of a huge rate leads away in either direction."""
    run = experiment("phi4-ir-matching", **(FOUR | {"L": 4, "lam": 0.0, "lr_kappa": 1.0}))
    with pytest.raises(FloatingPointError, match=r"< 1/4 to be stable, got .*smaller learning rate.*lr_kappa"):
        run.run(progress=False)


def test_free_fields():
    """Without a quartic coupling the coarse lattice is known in closed form, however near the bound."""
    run = experiment("phi4-ir-matching", **(FOUR | {"L": 4, "lam": 0.0, "kappa": 0.24, "steps": 5, "batch": 32}))
    run.run(progress=False)
    found = run.evaluate(2000)
    assert abs(float(found.log_z - found.log_z_exact)) < 4 * float(found.log_z_error) < 1
