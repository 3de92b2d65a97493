"""A population cooled with the density that learns from it: at equilibrium, ln Z right, resumed bit for bit."""

import numpy as np
import pytest
import torch

import flowlab as fl
from flowlab.mcmc import Population
from flowlab.training import SequentialTempering

GLASS = dict(couplings="ea", L=3, T=0.8, network="graph", training="sequential", device="cpu")
KEYS = GLASS | dict(steps=12, batch=20, population=200, renew=3, clusters=True, temperatures="0.8", samples=200)


def test_resumed_it_gives_the_same_numbers(tmp_path):
    whole = fl.experiment("glass-autoregressive", **KEYS)
    whole.run(progress=False)
    half = fl.experiment("glass-autoregressive", out=tmp_path / "run", **KEYS)
    half.run(5, progress=False)
    again = fl.load(tmp_path / "run")
    again.run(progress=False)
    for name in ("loss", "log_z_population", "replaced", "ess"):
        np.testing.assert_array_equal(again.data[name], whole.data[name])
    for name, tensor in whole.objective.state_dict().items():
        assert torch.equal(tensor, again.objective.state_dict()[name]), name


@pytest.mark.parametrize("clusters", [False, True])
def test_the_population_is_at_equilibrium_whatever_the_density_says(clusters):
    glass = fl.SpinGlass.edwards_anderson((3, 3), T=0.5, seed=3)
    objective = SequentialTempering(glass, size=20_000, clusters=clusters, sweeps=2)
    bad = fl.IndependentSpins((3, 3), bias=0.3)
    loss = objective.loss(bad, glass, 10, generator=torch.Generator().manual_seed(0))
    every = fl.exact.configurations((3, 3))
    log_weight = glass.log_weight(every)
    p = torch.softmax(log_weight, 0)
    energy = glass.energy(objective.population.double())
    known = glass.energy(every)
    mean = float(p @ known)
    error = float(p @ (known - mean) ** 2 / 20_000) ** 0.5
    assert abs(float(energy.mean()) - mean) < 10 * error  # copies are not independent
    assert abs(loss.metrics["log_z_population"] - float(log_weight.logsumexp(0))) < 0.05
    assert 0 < loss.metrics["replaced"] < 0.9


def test_where_the_density_is_exact_every_proposal_is_taken():
    J = np.diag([0.7, -1.2, 0.4], 1)
    glass = fl.SpinGlass(J + J.T, 0.6)
    objective = SequentialTempering(glass, size=500)
    density = fl.densities.GraphAutoregressive(glass, order="raster")
    loss = objective.loss(density, glass, 10, generator=torch.Generator().manual_seed(0))
    assert loss.metrics["replaced"] > 0.99
    assert loss.metrics["log_z_upper"] == pytest.approx(fl.exact.log_z(glass), abs=1e-3)


def test_it_learns_a_cold_glass():
    run = fl.experiment("glass-autoregressive", **KEYS | dict(L=4, T=0.5, steps=80, batch=200, lr=0.01))
    run.run(progress=False)
    found = run.density
    x = found.sample(4000, generator=torch.Generator().manual_seed(0))
    log_w = run.system.log_weight(x[0]) - x[1]
    assert float((2 * log_w.logsumexp(0) - (2 * log_w).logsumexp(0)).exp()) / 4000 > 0.8


def test_moves_leave_what_is_given_and_want_pairs_for_clusters():
    glass = fl.SpinGlass.edwards_anderson((3, 3), T=1.0)
    spins = np.ones((3, 9), np.int8)
    moved = Population(glass).moved(spins, 5.0, 3, np.random.default_rng(0))
    assert spins.all() and (moved == -1).any()
    with pytest.raises(ValueError, match="n even where clusters"):
        Population(glass, clusters=True).moved(spins, 5.0, 3, np.random.default_rng(0))
    with pytest.raises(ValueError, match="T must be positive"):
        Population(glass).moved(spins, 0.0, 3, np.random.default_rng(0))


@pytest.mark.parametrize("wrong", [{"size": 99}, {"size": 101}, {"sweeps": 0}, {"renew_every": 0}])
def test_what_makes_no_population_is_refused(wrong):
    with pytest.raises(ValueError, match="size must be even and at least 100"):
        SequentialTempering(fl.SpinGlass.edwards_anderson((3, 3), T=1.0), **wrong)
