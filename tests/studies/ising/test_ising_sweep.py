"""The Ising model against temperature: exact beside estimated, trained from T_c outward."""

from __future__ import annotations

import numpy as np
import pytest

import flowlab as fl
from flowlab.runs.sweeps import sweep

SMALL = dict(L=4, T_min=2.0, T_max=2.8, points=3, batch=100, evaluate=2000, device="cpu", progress=False)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    out = tmp_path_factory.mktemp("ising") / "sweep"
    return out, sweep("ising-sweep", steps=400, warm_steps=120, out=out, seed=1, **SMALL)


def test_estimates_agree_with_the_exact_values(found):
    data = found[1]
    assert (data.ess > 0.7).all()
    for name in (
        "free_energy_per_site", "energy_per_site", "specific_heat", "abs_magnetization", "susceptibility",
        "susceptibility_connected", "binder",
    ):  # fmt: skip
        error = data[f"{name}_error"]
        assert (error > 0).all() and (error < 0.15 * abs(data[name])).all(), name
        assert (abs(data[name] - data[f"{name}_exact"]) < 4 * error).all(), name


def test_exact_values_are_per_site(found):
    moments = fl.exact.enumerate_spins(fl.Ising((4, 4), 2.4))
    row = found[1].sel(T=2.4)
    assert float(row.free_energy_per_site_exact) == pytest.approx(-2.4 * moments.log_z / 16, rel=1e-10)
    assert float(row.energy_per_site_exact) == pytest.approx(moments.mean["energy_per_site"], rel=1e-10)
    assert float(row.specific_heat_exact) == pytest.approx(moments.log_weight_variance / 16, rel=1e-8)


def test_temperatures_ascend_and_were_trained_from_the_critical_one(found):
    out, data = found
    assert data.attrs["n"] == 2000 and data.attrs["study"] == "ising-sweep"
    np.testing.assert_array_equal(data["T"], [2.0, 2.4, 2.8])
    np.testing.assert_array_equal(data["steps"], [120, 400, 120])
    assert [fl.load(out / f"T={T}").parent["keys"]["T"] for T in (2.0, 2.8)] == [2.4, 2.4]
    assert "free_energy_per_site_exact" in fl.storage.netcdf.from_netcdf((out / "sweep.nc").read_bytes())


@pytest.mark.parametrize("keys", [{"T_min": 0.0}, {"T_min": 4.0}, {"points": 0}, {"points": 1}, {"T_max": 1.8}])
def test_a_range_that_is_none_is_refused(keys):
    with pytest.raises(
        ValueError,
        match=r"T_min must be positive|points must be at least 1|temperatures must run from T_min",
    ):
        sweep("ising-sweep", **SMALL | keys)


def test_temperatures_may_be_listed():
    few = {key: value for key, value in SMALL.items() if key not in ("T_min", "T_max", "points")}
    few |= {"steps": 3, "warm_steps": 2, "evaluate": 100}
    for temperatures in ([3.0, 2.25], "3,2.25"):
        assert sweep("ising-sweep", temperatures=temperatures, **few)["T"].values.tolist() == [2.25, 3.0]
    with pytest.raises(ValueError, match="points has no effect beside temperatures"):
        sweep("ising-sweep", temperatures="2,3", points=4, **few)
    for wrong in ([], "2,x", [2.0, 2.0], [-1.0], 2.5):
        with pytest.raises(ValueError, match="temperatures must be"):
            sweep("ising-sweep", temperatures=wrong, **few)
