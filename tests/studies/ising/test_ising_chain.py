"""The Ising model by Markov chains, as a study."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import flowlab as fl

REFERENCE = Path(__file__).parents[2] / "data" / "public_ising_mc.json"


@pytest.mark.parametrize("moves", ["wolff", "swendsen_wang", "heat_bath"])
def test_chains_agree_with_the_reference(moves):
    case = next(case for case in json.loads(REFERENCE.read_text())["cases"] if (case["L"], case["T"]) == (8, 1.8))
    run = fl.experiment("ising-chain", L=8, T=case["T"], moves=moves, chains=32, steps=60)
    run.run(progress=False)
    found = run.evaluate()
    for mine, theirs in (("energy_per_site", "E_per_site"), ("abs_magnetization", "abs_m"), ("susceptibility", "chi")):
        error = (float(found[f"{mine}_error"]) ** 2 + case[f"{theirs}_err"] ** 2) ** 0.5
        assert abs(float(found[mine]) - case[theirs]) < 4 * error


@pytest.mark.parametrize("moves", ["wolff", "swendsen_wang", "heat_bath"])
def test_chains_of_a_ring_and_a_cube(moves):
    for d, L, T in ((1, 10, 1.2), (3, 2, 6.0)):
        run = fl.experiment("ising-chain", L=L, d=d, T=T, moves=moves, chains=32, steps=60)
        run.run(progress=False)
        found, known = run.evaluate(), fl.exact.enumerate_spins(run.system)
        for name, value in (
            ("energy_per_site", known.mean["energy_per_site"]),
            ("susceptibility", known.susceptibility),
        ):
            assert abs(float(found[name]) - value) < 4 * float(found[f"{name}_error"]) < 0.1 * abs(value)
        assert run.sample(3).configuration.sizes["x"] == L


@pytest.mark.parametrize("moves", ["wolff", "swendsen_wang"])
def test_clusters_of_a_critical_cube_agree_with_other_code(moves):
    case = json.loads((REFERENCE.parent / "cubes_mc.json").read_text())["rows"][0]
    run = fl.experiment("ising-chain", L=8, d=3, beta=case["beta"], moves=moves, chains=32, steps=40)
    run.run(progress=False)
    found = run.evaluate()
    for name in ("energy_per_site", "abs_magnetization", "susceptibility"):
        error = (float(found[f"{name}_error"]) ** 2 + case[f"{name}_err"] ** 2) ** 0.5
        assert abs(float(found[name]) - case[name]) < 4 * error < 0.1 * abs(case[name])


def test_cluster_moves_refuse_a_field():
    with pytest.raises(ValueError, match="h"):
        fl.experiment("ising-chain", L=8, h=0.1, moves="wolff")


AIS = {"L": 8, "beta": 0.44, "sweeps": 100, "chains": 50, "steps": 12, "samples": 300}


def test_annealed_clusters_agree_with_kaufman_and_the_reference():
    run = fl.experiment("ising-cluster-ais", **AIS)
    data = run.run(progress=False)
    found = run.evaluate()
    assert found.attrs["n"] == 600 and data.sizes["step"] == 12
    assert abs(float(found.log_z - found.log_z_exact)) < 4 * float(found.log_z_error) < 0.4
    energy = fl.exact.kaufman((8, 8), beta=0.44).energy / 64
    assert abs(float(found.energy_per_site) - energy) < 4 * float(found.energy_per_site_error) < 0.1
    kept = run.sample(4000).configuration.values
    assert abs(np.abs(kept.mean((1, 2))).mean() - float(found.abs_magnetization)) < 0.1
    assert len(run._kept) == 6 and "exact" in repr(run)
    curves = fl.figures.chain_overview(data).data
    np.testing.assert_allclose(curves[0].y, data.log_z / 64)
    np.testing.assert_array_equal(curves[1].y, data.ess)


def test_annealed_clusters_of_a_cube():
    row = json.loads((REFERENCE.parent / "ising_4x4x4.json").read_text())["rows"][0]
    run = fl.experiment("ising-cluster-ais", L=4, d=3, T=row["T"], sweeps=50, chains=100, steps=20, schedule="critical")
    run.run(progress=False)
    found = run.evaluate()
    assert abs(float(found.log_z) - row["log_z"]) < 4 * float(found.log_z_error) < 0.1


def test_annealed_clusters_go_on_where_they_were(tmp_path):
    whole = fl.experiment("ising-cluster-ais", **AIS)
    whole.run(progress=False)
    fl.experiment("ising-cluster-ais", **AIS, out=tmp_path / "run").run(5, progress=False)
    again = fl.load(tmp_path / "run")
    assert again.step == 5
    again.run(progress=False)
    assert again.data.drop_vars("wall_time").identical(whole.data.drop_vars("wall_time"))
    assert again.evaluate().identical(whole.evaluate()) and again.sample(50, seed=1).identical(whole.sample(50, seed=1))
    assert fl.load(tmp_path / "run").evaluate().identical(whole.evaluate())


def test_annealed_clusters_refuse():
    for keys, message in (({"chains": 1}, "chains must be at least 2"), ({"sweeps": 0}, "sweeps must be at least 1")):
        with pytest.raises(ValueError, match=message):
            fl.experiment("ising-cluster-ais", **keys)
    with pytest.raises(ValueError, match="run a step first"):
        fl.experiment("ising-cluster-ais", L=4).evaluate()
