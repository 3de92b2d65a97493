"""Annealed importance sampling against Kaufman and enumeration."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from flowlab import exact
from flowlab.core import named_generator
from flowlab.estimators.observables.spins import spin_observables
from flowlab.estimators.weights import weights
from flowlab.mcmc.annealed_importance import MOVES, Annealed, AnnealedImportance
from flowlab.systems import Ising

DATA = Path(__file__).parents[1] / "data"
MC = json.loads((DATA / "public_ising_mc.json").read_text())["cases"]
EXACT = json.loads((DATA / "public_ising_exact.json").read_text())["cases"]


def annealed(system: Ising, n: int, *arguments, seed: int = 0, **options) -> Annealed:
    return AnnealedImportance(system, *arguments, **options).run(n, generator=named_generator(seed, "annealing"))


@pytest.mark.parametrize("schedule", ["uniform", "critical"])
@pytest.mark.parametrize("moves", MOVES)
def test_log_z_and_its_error_are_those_of_kaufman(moves, schedule):
    system = Ising((8, 8), 1 / 0.4406867935)
    annealing = AnnealedImportance(system, 100, moves=moves, schedule=schedule)
    known = next(c["lnZ"] for c in EXACT if (c["L"], c["beta"]) == (8, 0.4406867935))
    z = []
    for seed in range(12):
        found = annealing.run(200, generator=named_generator(seed, "annealing"))
        assert 0.03 < found.log_z_error < 0.5 and 0.07 < found.ess < 0.8
        z.append((found.log_z - known) / found.log_z_error)
    assert abs(np.mean(z)) < 4 / math.sqrt(12)
    assert 0.6 < np.std(z) < 1.6


def test_weights_are_unbiased_however_few_the_steps():
    """<w> = Z and <w f> = Z <f>, with a field and J < 0, by enumeration."""
    system = Ising((2, 4), 2.5, J=-0.7, h=0.6)
    x = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=8)), dtype=torch.float64).reshape(-1, 2, 4)
    log_weight = system.log_weight(x)
    log_z = float(log_weight.logsumexp(0))
    found = annealed(system, 200_000, 3, moves="heat_bath")
    w = np.exp(found.log_w - log_z)
    for name, seen in (("energy_per_site", found.energy_per_site), ("magnetization", found.magnetization)):
        mean = float((log_weight - log_z).exp() @ system.observables(x)[name])
        product = w * seen
        assert abs(product.mean() - mean) < 4 * product.std() / math.sqrt(w.size) < 0.02
    assert abs(w.mean() - 1) < 4 * w.std() / math.sqrt(w.size) < 0.02


@pytest.mark.parametrize("moves", ["wolff", "swendsen_wang"])
def test_reweighted_observables_are_those_of_the_reference_run(moves):
    case = next(c for c in MC if (c["L"], c["T"]) == (8, 2.269185314))
    found = annealed(Ising((8, 8), case["T"]), 1500, 200, moves=moves)
    seen = spin_observables(found.energy_per_site, found.magnetization, n_sites=64, T=case["T"], log_w=found.log_w)
    for name, key in (("energy_per_site", "E_per_site"), ("abs_magnetization", "abs_m"), ("susceptibility", "chi")):
        estimate = seen[name]
        assert abs(estimate.value - case[key]) < 4 * math.hypot(estimate.error, case[key + "_err"])
        assert estimate.error < 0.05 * abs(case[key])


def test_an_odd_antiferromagnet_by_swendsen_wang():
    found = annealed(Ising((3, 4), 1.5, J=-1.0), 4000, 30, moves="swendsen_wang")
    assert abs(found.log_z - exact.kaufman((3, 4), 1 / 1.5, J=-1.0).log_z) < 4 * found.log_z_error < 0.1


@pytest.mark.parametrize("row", json.loads((DATA / "ising_4x4x4.json").read_text())["rows"], ids=str)
@pytest.mark.parametrize("moves", MOVES)
def test_log_z_of_a_cube_is_exact(moves, row):
    if row["h"] and moves != "heat_bath":
        pytest.skip("clusters have no field")
    found = annealed(Ising((4, 4, 4), row["T"], h=row["h"]), 4000, 60, moves=moves, schedule="critical")
    assert abs(found.log_z - row["log_z"]) < 4 * found.log_z_error < 0.15


def test_numbers_are_those_of_the_estimators():
    found = annealed(Ising((4, 6), 2.3), 300, 10)
    value, error = weights.log_z(found.log_w)
    assert (found.log_z, found.log_z_error) == pytest.approx((value, error), rel=1e-12)
    assert found.ess == pytest.approx(weights.ess(found.log_w).value, rel=1e-12)
    data = found.data
    assert data.configuration.dims == ("sample", "y", "x") and data.configuration.shape == (300, 4, 6)
    assert float(data.log_z) == found.log_z and float(data.log_z_error) == found.log_z_error
    assert all({"long_name", "units"} <= set(data[name].attrs) for name in data)
    energy = Ising((4, 6), 2.3).observables(torch.from_numpy(found.configurations.astype(np.float64)))
    np.testing.assert_allclose(found.energy_per_site, energy["energy_per_site"].numpy(), atol=1e-12)


def test_threads_do_not_matter_and_seeds_do():
    system = Ising((6, 6), 2.3)
    one, three = (annealed(system, 7, 10, threads=threads) for threads in (1, 3))
    assert np.array_equal(one.log_w, three.log_w) and np.array_equal(one.configurations, three.configurations)
    assert not np.array_equal(one.log_w, annealed(system, 7, 10, seed=1).log_w)


@pytest.mark.parametrize(("T", "shape"), [(1.0, (8, 8)), (2.27, (8, 8)), (20.0, (8, 8)), (2.5, (4, 4, 4))])
def test_the_critical_schedule_crowds_where_it_should(T, shape):
    betas = AnnealedImportance(Ising(shape, T, J=-1.0), 50, schedule="critical").betas
    assert betas[0] == 0 and betas[-1] == pytest.approx(1 / T) and (np.diff(betas) > 0).all()
    closest = betas[:-1][np.diff(betas).argmin()]
    assert abs(closest - min(1 / T, {2: 0.4407, 3: 0.22165}[len(shape)])) < 2.5 / T / 50


def test_a_schedule_of_ones_own():
    betas = [0.0, 0.1, 0.3, 0.4]
    annealing = AnnealedImportance(Ising((4, 4), 2.5), schedule=betas)
    assert annealing.betas.tolist() == betas and annealing.steps == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"moves": "metropolis"}, r"one of \['heat_bath', 'swendsen_wang', 'wolff'\], got 'metropolis'"),
        ({"steps": 0}, "steps must be a whole number of at least 1, got 0"),
        ({"schedule": "slow"}, "'uniform', 'critical' or inverse temperatures, got 'slow'"),
        (
            {"system": Ising((8,), 2.0), "schedule": "critical"},
            "'uniform' on a ring, which has no critical temperature",
        ),
        ({"schedule": [0.1, 0.5]}, "must increase from 0"),
        ({"schedule": [0.0, 0.3, 0.2, 0.5]}, "must increase from 0"),
        ({"schedule": [0.0, 0.5], "steps": 1000}, "a schedule of 2 inverse temperatures has 1 steps, got 1000"),
        ({"schedule": []}, "must increase from 0"),
        ({"schedule": [0.0, 0.4]}, "must end at the target's 1/T = 0.5, got 0.4"),
        ({"system": Ising((4, 4), 2.0, h=0.1)}, "Wolff needs a system without magnetic field"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        AnnealedImportance(**{"system": Ising((4, 4), 2.0)} | arguments)


def test_one_chain_is_refused():
    with pytest.raises(ValueError, match="at least 2 for an error"):
        AnnealedImportance(Ising((4, 4), 2.0)).run(1)
