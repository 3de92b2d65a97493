"""Parallel tempering as a run: against enumeration, on disk, resumed, refused."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

import flowlab as fl
from flowlab.analysis.reference import Reference
from flowlab.cli import main
from flowlab.mcmc import ladder
from flowlab.storage.store import Store

DATA = json.loads((Path(__file__).parents[1] / "data" / "public_sk_exact.json").read_text())
SMALL = {"N": 8, "T": 0.5, "temperatures": "0.3,0.5,1,2", "replicas": 4, "samples": 400, "steps": 240}


def simulation(**more: object) -> fl.runs.TemperingRun:
    return fl.experiment("sk-pt", **SMALL | more)


@pytest.fixture(scope="module")
def done() -> fl.runs.TemperingRun:
    run = fl.experiment("sk-pt", N=16, seed_J=1, T=0.5, temperatures="0.2,0.5,1,2", samples=2000, steps=1200, seed=2)
    run.run(progress=False)
    return run


def exact(T: float) -> dict[str, float]:
    return next(case for case in DATA["cases"] if (case["N"], case["seed"], case["T"]) == (16, 1, T))


def test_thermodynamics_and_overlaps_agree_with_enumeration(done):
    found = done.evaluate()
    assert found.attrs["warnings"] == "" and float(found.thermalised) == 1
    for T in (0.2, 0.5, 1.0, 2.0):
        here, case = found.sel(temperature=T, kept_temperature=T), exact(T)
        for name, value in {
            "energy_per_site": case["E_per_site"], "specific_heat": case["C_per_site"], "log_z": case["lnZ"],
            "log_z_integration": case["lnZ"], "overlap_squared": case["q2"], "abs_overlap": case["abs_q"],
            "free_energy_per_site": -T * case["lnZ"] / 16,
        }.items():  # fmt: skip
            assert abs(float(here[name]) - value) < 4 * float(here[f"{name}_error"]), (T, name)
        p = np.array(case["P_q_desc"])[::-1]
        assert 0.5 * np.abs(here.overlap_distribution - p).sum() < 0.08


def test_data_has_the_energies_of_all_temperatures(done):
    data = done.data
    assert dict(data.energy.sizes) == {"step": 1200, "replica": 8, "temperature": len(done.chain.temperatures)}
    assert data.temperature.values[-1] == math.inf and {0.2, 0.5, 1.0, 2.0} <= set(data.temperature.values)
    assert np.isfinite(data.energy).all()


def test_reference_is_what_was_kept(done):
    found = done.reference(0.5)
    assert found.configuration.dims == ("replica", "sample", "site") and found.sizes["replica"] == 8
    assert set(np.unique(found.configuration)) == {-1.0, 1.0}
    energy = done.system.energy(torch.tensor(found.configuration.values.reshape(-1, 16)))
    assert abs(float(energy.mean()) / 16 - exact(0.5)["E_per_site"]) < 0.02
    assert found.sizes["overlap"] == 17
    assert done.sample(5, T=1.0).configuration.shape == (5, 16)


def test_interrupted_and_resumed_is_uninterrupted(tmp_path):
    straight = simulation()
    straight.run(progress=False)
    run = simulation(out=tmp_path / "run")
    run.run(70, progress=False)
    resumed = fl.load(tmp_path / "run")
    assert resumed.step == 70
    resumed.run(progress=False)
    again = fl.load(tmp_path / "run")
    for other in (resumed, again):
        xr.testing.assert_identical(other.data.drop_vars("wall_time"), straight.data.drop_vars("wall_time"))
        xr.testing.assert_identical(other.evaluate(), straight.evaluate())


def test_what_a_killed_run_wrote_beyond_its_checkpoint_is_made_again(tmp_path):
    run = simulation(out=tmp_path / "run")
    run.run(50, progress=False)
    with Store.open(tmp_path / "run") as store:
        store.write_part(90, run._part(0))
    resumed = fl.load(tmp_path / "run")
    assert len(resumed.data.step) == resumed.data.energy.sizes["step"] == 50
    resumed.run(progress=False)
    assert fl.load(tmp_path / "run").data.energy.sizes["step"] == 240


def test_measurements_on_disk_need_no_flowlab(tmp_path):
    simulation(out=tmp_path / "run").run(progress=False)
    parts = sorted((tmp_path / "run" / "samples").glob("*.nc"))
    with xr.open_dataset(parts[-1], engine="h5netcdf") as part:
        assert part.step.values[-1] == 240 and part.configuration.dims[-1] == "site"


def test_too_short_a_run_says_so():
    run = simulation()
    with pytest.raises(ValueError, match="run it longer"):
        run.evaluate()
    short = fl.experiment("sk-pt", N=32, seed_J=0, temperatures="0.1,0.5", steps=200, samples=400, sweeps=1)
    short.run(progress=False)
    assert "not thermalised" in short.evaluate().attrs["warnings"]


def test_evaluate_prints_all_temperatures(tmp_path, capsys):
    keys = [f"{key}={value}" for key, value in SMALL.items()]
    assert main(["run", "sk-pt", *keys, "--out", str(tmp_path / "p"), "--quiet"]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path / "p"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["temperature"]) == len(found["log_z"]) == len(found["energy_per_site_error"])
    assert found["study"] == "sk-pt" and found["round_trips"] > 0
    assert main(["evaluate", str(tmp_path / "p")]) == 0
    assert "energy_per_site" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"temperatures": "0.5,warm"}, "temperatures must be numbers separated by commas"),
        ({"temperatures": "-1"}, "temperatures must be positive"),
        ({"discard": 1.0}, "discard must lie in"),
        ({"replicas": 0}, "replicas must be"),
        ({"replicas": 1}, "replicas must be at least 3, of which triangles are made, got 1"),
        ({"replicas": 2}, "replicas must be at least 3"),
        ({"ladder": "0.1;2"}, "ladder must be numbers separated by commas"),
        ({"T": 0.0}, "T must be positive"),
        ({"samples": 0}, "samples must be at least 1, got 0"),
        ({"samples": -5}, "samples must be at least 1, got -5"),
        ({"steps": 10}, "steps must leave 18 behind the part 0.25 that is discarded, got 10"),
    ],
)
def test_refuses(keys, message):
    with pytest.raises(ValueError, match=message):
        simulation(**keys)


def test_a_reference_runs_once_and_knows_its_temperatures():
    glass = fl.SpinGlass.sherrington_kirkpatrick(8, T=1.0, seed=0)
    reference = Reference(glass, [1.0, 0.5], samples=60, replicas=3)
    said: list[str] = []
    assert not reference.is_ready and reference.temperatures == (0.5, 1.0)
    assert reference.run(said.append) is reference.run()
    assert "parallel tempering" in said[0] and said[-1] == ""
    found = reference.dataset(0.5)
    assert float(found.log_z) == pytest.approx(fl.exact.log_z(glass.at(T=0.5))) and float(found.log_z_error) == 0
    with pytest.raises(ValueError, match=r"temperatures 0.5, 1, got 0.7"):
        reference.dataset(0.7)
    with pytest.raises(ValueError, match="replicas must be at least 3"):
        Reference(glass, [1.0], replicas=2)


def reference(system: fl.SpinGlass, temperatures: list[float], **how: object) -> Reference:
    return Reference(system, temperatures, **{"samples": 1200, "replicas": 4} | how)


def test_a_reference_of_other_units_is_the_same():
    """J x 5 at T x 5: as many temperatures, the same configurations, the same verdict."""
    base = fl.SpinGlass.sherrington_kirkpatrick(24, T=1.0, seed=0)
    one, other = (reference(fl.SpinGlass(base.J * s, T=s), [0.4 * s, s]).run() for s in (1.0, 5.0))
    np.testing.assert_allclose(np.array(other.ladder) / 5, one.ladder, rtol=1e-12)
    assert other.verdict.text == one.verdict.text and one.verdict.thermalised
    np.testing.assert_array_equal(other.bits, one.bits)
    np.testing.assert_allclose(other.energies / 5, one.energies, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", ["gaussian", "pm1"])
@pytest.mark.parametrize("shape", [(4, 4), (2, 3, 3)])
def test_references_of_lattices_against_enumeration(shape, kind):
    system = fl.SpinGlass.edwards_anderson(shape, 1.0, 1, kind)
    run = reference(system, [0.3, 1.0]).run()
    assert run.verdict.thermalised, run.verdict.text
    for T in (0.3, 1.0):
        at = run.ladder.index(T)
        assert abs(run.bennett.value[at] - fl.exact.log_z(system.at(T=T))) < 4 * run.bennett.error[at] < 0.5


def test_three_dimensions_thermalise():
    run = reference(fl.SpinGlass.edwards_anderson((4, 4, 4), 1.0, 0, "pm1"), [0.5, 1.0]).run()
    assert run.verdict.thermalised, run.verdict.text


def test_where_swaps_are_seldom_temperatures_are_added():
    """All spins coupled alike: below the transition the width of the energy is that of N² bonds, not of N."""
    ferromagnet = fl.SpinGlass((np.ones((40, 40)) - np.eye(40)) / 40, T=1.0)
    run = reference(ferromagnet, [0.3, 1.0]).run()
    assert len(run.ladder) > len(ladder([0.3, 1.0], ferromagnet))
    assert run.verdict.thermalised, run.verdict.text
    assert reference(ferromagnet, [0.3], ladder=[0.5, 2.0])._ladder() == (0.3, 0.5, 2.0, math.inf)


def test_round_trips_are_those_of_the_part_that_is_kept(tmp_path):
    run = simulation(discard=0.5, out=tmp_path / "run")
    run.run(120, progress=False)
    before = run._chain_state.round_trips[0].copy()
    run.run(progress=False)
    kept = run._chain_state.round_trips[0] - before
    assert before.min() > 0
    np.testing.assert_array_equal(run.measured.round_trips, kept)
    assert float(run.evaluate().round_trips) == kept.sum()
    again = fl.load(tmp_path / "run")
    np.testing.assert_array_equal(again.measured.round_trips, kept)
    parts = [part.drop_vars("round_trips") for part in Store.open(tmp_path / "run", write=False).read_parts(240)]
    again._take(parts)  # as an earlier version left them
    assert abs(int(again.measured.round_trips.sum()) - kept.sum()) <= len(kept)


def test_a_reference_counts_the_round_trips_of_what_it_measures():
    glass = fl.SpinGlass.sherrington_kirkpatrick(8, T=1.0, seed=0)
    long, short = (reference(glass, [0.5], samples=400, discard=d).run().round_trips.sum() for d in (0.9, 0.0))
    assert 0.7 < long / short < 1.4


def test_tempering_beside_a_run_has_keys():
    keys = {"samples": 90, "temperatures": "1,2", "ladder": "1,3", "replicas": 5, "sweeps": 2, "tempering_seed": 7}
    for study in ("sk-forward", "sk-reverse", "sk-autoregressive"):
        found = fl.experiment(study, N=8, T=0.5, **keys).comparison
        assert found.temperatures == (0.5, 1.0, 2.0) and found._ladder() == (0.5, 1.0, 2.0, 3.0, math.inf)
        assert (found.replicas, found.every, found.seed, found.steps) == (5, 2, 7, 18)
        assert fl.experiment(study, N=8, seed_J=3).comparison.seed == 3
        with pytest.raises(ValueError, match="replicas must be at least 3, of which triangles are made, got 2"):
            fl.experiment(study, N=8, replicas=2)
    with pytest.raises(ValueError, match="sweeps must be at least 1, got 0"):
        fl.experiment("sk-reverse", N=8, sweeps=0)
    assert simulation(ladder="0.8,4").chain.temperatures == (0.3, 0.5, 0.8, 1.0, 2.0, 4.0, math.inf)


def test_a_ladder_that_ends_at_a_finite_temperature_gives_all_but_ln_z():
    glass = fl.SpinGlass.sherrington_kirkpatrick(8, T=1.0, seed=0)
    chain = fl.mcmc.ParallelTempering(glass, [1.0, 2.0], replicas=3)
    run = fl.runs.TemperingRun(glass, chain, temperatures=(1.0,), steps=300, every=1, keep_every=10, seed=1)
    run.run(progress=False)
    found = run.evaluate()
    assert np.isnan(found.log_z).all() and np.isnan(found.log_z_integration).all()
    assert np.isfinite(found.energy_per_site).all() and np.isfinite(found.overlap_squared).all()
    assert "ln Z is not known: it is summed up from infinity, and temperatures end at 2" in found.attrs["reasons"]
