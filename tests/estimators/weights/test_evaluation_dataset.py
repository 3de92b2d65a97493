"""The Dataset of an evaluation: its names, its numbers, its warnings, and a way through a file."""

from __future__ import annotations

import json
import math
import time
import warnings

import numpy as np
import pytest
import xarray as xr

from flowlab.estimators import (
    EquationOfMotionWarning,
    LowESSWarning,
    UntrustedWarning,
    evaluation,
    scalars,
    tau_int,
    tau_int_rejections,
)
from flowlab.estimators.weights.independence import independence_chain

SAMPLED = {
    "log_z", "log_z_bound", "free_energy", "free_energy_bound", "free_energy_per_site", "free_energy_bound_per_site",
    "ess", "emdm", "acceptance", "tau_int", "tau_int_rejections", "energy_per_site", "magnetization",
    "abs_magnetization", "susceptibility", "susceptibility_connected", "binder", "specific_heat",
}  # fmt: skip
NAMES = SAMPLED | {f"{name}_error" for name in SAMPLED} | {"log_z_exact", "longest_rejection_run"}
ENERGY = np.array([-2.0, -1.0, -1.0, 0.0, 0.0, -0.5, -1.5, 1.0])
MAGNETIZATION = np.array([1.0, -0.5, 0.5, 0.25, -0.25, 0.0, -1.0, 0.1])


def evaluate(states, n=4000, seed=1, **changes):
    x = states.draw(n, np.random.default_rng(seed))
    arguments = {
        "observables": {"energy_per_site": ENERGY[x], "magnetization": MAGNETIZATION[x]},
        "n_sites": 4,
        "T": 2.0,
        "log_z_exact": states.log_z,
        "rng": np.random.default_rng(seed + 1),
    }
    return evaluation(states.log_weight[x], states.log_q[x], **(arguments | changes))


def test_names_units_and_values(states):
    found = evaluate(states, attrs={"seed": 3, "step": 100})
    assert set(found.data_vars) == NAMES
    assert not found.coords
    assert all(variable.ndim == 0 for variable in found.values())
    assert all(variable.attrs["long_name"] and variable.attrs["units"] for variable in found.values())
    assert "reason" not in {key for variable in found.values() for key in variable.attrs}
    words = {name: found.attrs.pop(name) for name in ("verdict", "reasons", "warnings")}
    assert words["verdict"].startswith("consistent: ln Z is ") and words["warnings"] == ""
    assert words["reasons"].splitlines()[1].startswith("the 4000 weights are worth")
    assert found.attrs == {"seed": 3, "step": 100, "n": 4000, "n_sites": 4, "domain": "spin", "T": 2.0}
    exact = {
        "log_z": states.log_z,
        "free_energy": -2 * states.log_z,
        "free_energy_per_site": -states.log_z / 2,
        "ess": states.ess,
        "emdm": 1.0,
        "energy_per_site": states.p @ ENERGY,
        "susceptibility": 4 * states.p @ MAGNETIZATION**2,
        "specific_heat": (states.p @ ENERGY**2 - (states.p @ ENERGY) ** 2),
    }
    for name, value in exact.items():
        error = float(found[f"{name}_error"])
        assert error > 0
        assert float(found[name]) == pytest.approx(value, abs=4 * error), name
    assert found.free_energy_bound > found.free_energy
    assert float(found.log_z_exact) == states.log_z


def test_the_slowest_observable_gives_tau_int(states):
    found = evaluate(states)
    x = states.draw(4000, np.random.default_rng(1))
    chain = independence_chain(states.log_w[x], np.random.default_rng(2))
    taus = {
        "energy_per_site": tau_int(ENERGY[x][chain.indices]),
        "magnetization": tau_int(MAGNETIZATION[x][chain.indices]),
    }
    slowest = max(taus, key=lambda name: taus[name].value)
    assert found.tau_int.attrs["observable"] == slowest
    assert (float(found.tau_int), float(found.tau_int_error)) == taus[slowest]
    assert float(found.tau_int_rejections) == tau_int_rejections(chain.accepted).value


def test_a_missing_mode_shows_in_the_mode_dropping_measure_and_the_verdict(half_missing):
    with pytest.warns(UntrustedWarning, match=r"ln Z is 1\.45\d* ± 0 and 2\.14\d* exactly: .* errors too low"):
        found = evaluate(half_missing)
    assert float(found.ess) > 0.999
    assert float(found.emdm) == pytest.approx(0.5)
    assert found.emdm.attrs["reference"] == "exact ln Z"


def test_target_samples_serve_where_no_exact_value_is_known(half_missing):
    x = half_missing.draw(2000, np.random.default_rng(5), of="p")
    target = half_missing.log_weight[x], half_missing.log_q[x]
    with pytest.warns(UntrustedWarning, match="the draws cover 51.7 % of the target, by samples of the target"):
        found = evaluate(half_missing, log_z_exact=None, target_samples=target)
    assert float(found.emdm) == pytest.approx(0.5, abs=4 * float(found.emdm_error) + 1e-9)
    assert found.emdm.attrs["reference"] == "samples of the target"
    assert math.isnan(found.log_z_exact)
    assert found.log_z_exact.attrs["reason"] == "no exact value is known"


def test_what_is_unknown_is_nan_with_a_reason(states):
    found = evaluate(states, log_z_exact=None)
    assert math.isnan(found.emdm)
    assert math.isnan(found.emdm_error)
    assert "no exact ln Z" in found.emdm.attrs["reason"]
    still = evaluate(states, observables={"magnetization": np.zeros(4000)})
    assert "no observable varies" in still.tau_int.attrs["reason"]
    assert "every magnetization is zero" in still.binder.attrs["reason"]


def test_a_low_ess_warns_with_the_number_and_is_recorded():
    log_w = np.zeros(1000)
    log_w[17] = 20.0
    with pytest.warns(LowESSWarning, match=r"worth 1 equal ones \(ESS 0\.1 %\)"):
        found = evaluation(log_w, np.full(1000, -3.0), {}, n_sites=4, T=1.0, rng=np.random.default_rng(1))
    assert found.attrs["warnings"].startswith("the 1000 weights are worth 1 equal")
    assert len(found.attrs["warnings"].splitlines()) == 1


def test_the_equation_of_motion_sees_what_the_ess_does_not():
    """One site of a free field: draws that never leave [-1, 1] have even weights and miss a third of the target."""
    x = np.random.default_rng(1).uniform(-1, 1, 5000)
    one = {"n_sites": 1, "domain": "real", "rng": np.random.default_rng(2)}
    with pytest.warns(EquationOfMotionWarning, match=r"per site is 0\.29\d* ± 0\.00\d+ and not 1, as it must be"):
        found = evaluation(-(x**2) / 2, np.full(5000, -np.log(2.0)), {"equation_of_motion": x**2}, **one)
    assert float(found.ess) > 0.95 and "miss part of the target" in found.attrs["warnings"]
    x = 1.5 * np.random.default_rng(1).normal(size=5000)
    found = evaluation(-(x**2) / 2, -((x / 1.5) ** 2) / 2, {"equation_of_motion": x**2}, **one)
    assert found.attrs["warnings"] == ""


def test_a_field_theory_has_no_free_energy_but_its_own_observables(states):
    x = states.draw(500, np.random.default_rng(1))
    observables = {"action_per_site": ENERGY[x], "magnetization": MAGNETIZATION[x], "field_squared": ENERGY[x] ** 2}
    found = evaluate(states, n=500, observables=observables, domain="real", T=None)
    assert {"action_per_site_error", "binder", "susceptibility", "field_squared"} <= set(found.data_vars)
    assert not {"free_energy", "specific_heat", "energy_per_site"} & set(found.data_vars)
    assert "T" not in found.attrs


@pytest.mark.parametrize("low_ess", [False, True])
def test_a_file_gives_it_back(states, tmp_path, low_ess):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LowESSWarning)
        weight = {"log_weight": np.r_[500.0, np.zeros(3999)], "log_q": np.zeros(4000), "observables": {}}
        found = (
            evaluation(**weight, n_sites=4, T=2.0, rng=np.random.default_rng(1))
            if low_ess
            else evaluate(states, attrs={"seed": 1, "resumed": True, "study": None})
        )
    path = tmp_path / "evaluation.nc"
    found.to_netcdf(path, engine="h5netcdf")
    with xr.open_dataset(path, engine="h5netcdf") as again:
        xr.testing.assert_identical(again.load(), found)


def test_scalars_are_json(states):
    found = evaluate(states, log_z_exact=None)
    flat = json.loads(json.dumps(scalars(found), allow_nan=False))
    assert set(flat) == NAMES
    assert flat["emdm"] is None
    assert flat["log_z"] == float(found.log_z)


def test_the_same_generator_gives_the_same_numbers(states):
    xr.testing.assert_identical(evaluate(states), evaluate(states))


def test_a_hundred_thousand_samples_are_fast(states):
    evaluate(states)  # imports
    start = time.perf_counter()
    evaluate(states, n=100_000)
    assert time.perf_counter() - start < 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"domain": "clock"}, "domain must be 'spin', 'potts', 'real' or 'angle', got 'clock'"),
        ({"observables": {"magnetization": np.zeros(3)}}, "magnetization must have the shape of log_weight"),
        ({"observables": {"magnetization": np.full(4000, np.nan)}}, "magnetization must be finite, got 4000"),
    ],
)
def test_what_does_not_fit_is_refused(states, changes, message):
    with pytest.raises(ValueError, match=message):
        evaluate(states, **changes)


def test_nan_weights_are_counted():
    log_weight = np.zeros(10)
    log_weight[:3] = np.nan
    with pytest.raises(ValueError, match="got 3 NaN of 10"):
        evaluation(log_weight, np.zeros(10), {}, n_sites=1, T=1.0, rng=np.random.default_rng(1))
