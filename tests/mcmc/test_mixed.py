"""Local updates between proposals: the same answers, and no chain that is stuck."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
import torch

from flowlab.core import MarkovChain, named_generator
from flowlab.densities import IndependentSpins, Normal
from flowlab.estimators.series.chains import chain_mean, chain_observables
from flowlab.mcmc.hmc import HMC
from flowlab.mcmc.independence import IndependenceMetropolis
from flowlab.mcmc.mixed import Mixed
from flowlab.mcmc.parallel_tempering import ParallelTempering
from flowlab.systems import Ising, Phi4, SpinGlass

SYSTEM = Phi4((4, 4), kappa=0.2, lam=0.02)
POOR = IndependenceMetropolis(Normal((4, 4)), SYSTEM)
MIXED = Mixed(POOR, HMC(SYSTEM, steps=6, step_size=0.35))


def run(chain, n, first, sweeps):
    state, _ = chain.run(chain.init(n, generator=named_generator(1, "mixed")), first)
    return chain.run(state, sweeps)[1]


def test_local_steps_shorten_the_memory_of_poor_proposals():
    alone, mixed = run(POOR, 20, 500, 1500), run(MIXED, 40, 30, 200)
    assert alone["acceptance"].mean() < 0.2
    found = [chain_observables(series, n_sites=16, side=4) for series in (alone, mixed)]
    for name in ("action_per_site", "susceptibility", "phi_squared", "correlation_length"):
        a, b = (one[name] for one in found)
        assert abs(a.value - b.value) < 4 * np.hypot(a.error, b.error), name
        assert a.tau_int > 4 * b.tau_int, name
    moved = found[1]["equation_of_motion"]
    assert abs(moved.value - 1) < 4 * moved.error < 0.05


def test_a_stuck_chain_is_freed():
    stuck = torch.full((50, 4, 4), 2.2)
    weight = POOR.log_w(stuck, torch.Generator())
    state = POOR.init(50, generator=named_generator(0, "stuck"))._replace(configurations=stuck, log_w=weight)
    assert int(POOR.run(state, 60)[0].run_lengths.min()) == 60
    begin = MIXED.init(50, generator=named_generator(0, "stuck"))._replace(independence=state)
    found = MIXED.run(begin, 60)[1]
    assert (found["magnetization"] < 0).any(0).mean() > 0.9


class HeatBathState(NamedTuple):
    configurations: np.ndarray
    seed: np.ndarray


class SlowHeatBath(MarkovChain):
    """A site after the other, in numpy."""

    def __init__(self, system):
        self.system = system

    def init(self, n, *, generator=None):
        return HeatBathState(np.ones((n, *self.system.shape), dtype=np.int8), np.zeros((), dtype=np.int64))

    def step(self, state):
        rng, s = np.random.default_rng(int(state.seed)), state.configurations.copy()
        beta = 1 / float(self.system.couplings["T"])
        for y, x in np.ndindex(*s.shape[1:]):
            around = s[:, y - 1, x] + s[:, y, x - 1] + s[:, (y + 1) % s.shape[1], x] + s[:, y, (x + 1) % s.shape[2]]
            s[:, y, x] = np.where(rng.random(len(s)) < 1 / (1 + np.exp(-2.0 * beta * around)), 1, -1)
        return HeatBathState(s, state.seed + 1), None

    def state_dict(self, state):
        return state._asdict()

    def load_state_dict(self, tensors):
        return HeatBathState(*(np.asarray(tensors[name]) for name in HeatBathState._fields))


def test_spins_with_a_chain_of_arrays():
    system = Ising((2, 2), T=2.5)
    chain = Mixed(IndependenceMetropolis(IndependentSpins((2, 2)), system), SlowHeatBath(system))
    found = chain_mean(run(chain, 200, 10, 100)["energy_per_site"])
    states = torch.tensor([[(k >> i) & 1 for i in range(4)] for k in range(16)]).reshape(16, 2, 2) * 2.0 - 1
    energy = float(torch.softmax(system.log_weight(states).double(), 0) @ system.energy(states).double()) / 4
    assert abs(found.value - energy) < 4 * found.error < 0.05
    state, _ = chain.run(chain.init(3, generator=named_generator(0, "back")), 4)
    back = chain.load_state_dict(chain.state_dict(state))
    assert back.local.configurations.dtype == np.int8
    np.testing.assert_array_equal(chain.run(back, 5)[1]["acceptance"], chain.run(state, 5)[1]["acceptance"])


def test_the_weight_follows_the_local_steps():
    state, _ = MIXED.run(MIXED.init(6, generator=named_generator(0, "w")), 5)
    torch.testing.assert_close(state.independence.log_w, POOR.log_w(state.configurations, torch.Generator()))
    assert Mixed(POOR, HMC(SYSTEM, tuning=25), local_steps=10).tuning == 3


def test_refuses():
    with pytest.raises(ValueError, match="must sample one system"):
        Mixed(POOR, HMC(SYSTEM.at(kappa=0.1)))
    with pytest.raises(ValueError, match=r"must sample one system, got .*kappa=0\.2, .* and .*kappa=0\.20001"):
        Mixed(POOR, HMC(SYSTEM.at(kappa=0.20001)))
    glasses = [SpinGlass.sherrington_kirkpatrick(6, T=1.0, seed=seed) for seed in (0, 1)]
    proposals, other = (IndependenceMetropolis(IndependentSpins((6,)), glass) for glass in glasses)
    with pytest.raises(ValueError, match="must sample one system"):
        Mixed(proposals, other)
    with pytest.raises(TypeError, match="one configuration a chain, got ParallelTempering"):
        Mixed(proposals, ParallelTempering(glasses[0], [1.0, 2.0])).init(2)
    with pytest.raises(ValueError, match="local_steps must be at least 1"):
        Mixed(POOR, HMC(SYSTEM), local_steps=0)
