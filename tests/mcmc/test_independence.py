"""The independence chain: exact with any proposals, and its books in order."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from flowlab import estimators, exact
from flowlab.core import Draw, named_generator
from flowlab.core.system import measured
from flowlab.densities import IndependentSpins, Normal
from flowlab.estimators.series.chains import chain_mean
from flowlab.mcmc.independence import IndependenceMetropolis
from flowlab.systems import ContinuousSpinGlass, Ising, Phi4, SpinGlass


def started(chain, n, seed=0):
    return chain.init(n, generator=named_generator(seed, "independence"))


def test_every_configuration_has_its_weight():
    system = Ising((2, 2), T=3.0, h=0.2)
    chain = IndependenceMetropolis(IndependentSpins((2, 2), bias=0.3), system)
    state, first = chain.run(started(chain, 500), 10)
    state, found = chain.run(state, 120)
    states = torch.tensor([[(k >> i) & 1 for i in range(4)] for k in range(16)]).reshape(16, 2, 2) * 2.0 - 1
    p = torch.softmax(system.log_weight(states).double(), 0)
    for name in ("energy_per_site", "magnetization"):
        here = chain_mean(found[name])
        assert abs(here.value - float(p @ system.observables(states)[name].double())) < 4 * here.error < 0.06
    assert first["accepted"].shape == (10, 500)
    np.testing.assert_array_equal(found["accepted"] <= 1, True)
    rate, meant = found["accepted"].mean(), found["acceptance"].mean()
    assert abs(rate - meant) < 4 / 60_000**0.5


def test_a_field_that_is_drawn_exactly_is_always_accepted():
    free = Phi4((2, 2), kappa=0.0, lam=0.25)
    free.log_weight = lambda x: -0.5 * x.square().sum((1, 2))
    chain = IndependenceMetropolis(Normal((2, 2)), free, batch=9)
    state, found = chain.run(started(chain, 3), 20)
    assert (found["acceptance"] > 1 - 1e-5).all()
    torch.testing.assert_close(state.log_w, torch.full((3,), 2 * math.log(2 * math.pi), dtype=torch.float64))


@pytest.mark.parametrize("batch", [1, 7, 1000])
@pytest.mark.parametrize("n", [1, 5])
def test_the_books_are_in_order(batch, n):
    system = Phi4((2, 2), kappa=0.2, lam=0.3)
    chain = IndependenceMetropolis(Normal((2, 2)), system, batch=batch)
    begin = started(chain, n)
    state, found = chain.run(begin, 30)
    last = measured(system, state.configurations)
    for name, values in last.items():
        np.testing.assert_allclose(found[name][-1], values.numpy(), rtol=1e-5)
    torch.testing.assert_close(state.log_w, chain.log_w(state.configurations, torch.Generator()), rtol=1e-5, atol=1e-5)
    moved = np.diff(
        np.vstack([measured(system, begin.configurations)["magnetization"], found["magnetization"]]), axis=0
    )
    np.testing.assert_array_equal(moved != 0, found["accepted"] == 1)
    for chosen in range(n):
        accepted = found["accepted"][:, chosen] == 1
        runs = estimators.rejection_runs(accepted)
        assert int(state.run_lengths[chosen]) == (0 if accepted[-1] else runs[-1])
    step, info = chain.step(state)
    assert torch.equal(step.run_lengths, torch.where(info.accepted, 0, state.run_lengths + 1))
    back = chain.load_state_dict(chain.state_dict(state))
    np.testing.assert_array_equal(chain.run(back, 9)[1]["accepted"], chain.run(state, 9)[1]["accepted"])


def test_rejections_say_the_autocorrelation_time():
    chain = IndependenceMetropolis(Normal((2, 2)), Phi4((2, 2), kappa=0.1, lam=0.3))
    state, _ = chain.run(started(chain, 1), 50)
    found = chain.run(state, 6000)[1]
    rejections = estimators.tau_int_rejections(found["accepted"][:, 0] == 1)
    sign = chain_mean(np.sign(found["magnetization"]))  # uncorrelated with the weight
    assert (
        abs(rejections.value - sign.tau_int) < 4 * np.hypot(rejections.error, sign.tau_int_error) < 0.8 * sign.tau_int
    )


def test_proposals_of_a_representation_are_restored():
    glass = SpinGlass.sherrington_kirkpatrick(5, T=1.5, seed=1)
    chain = IndependenceMetropolis(Normal((5,)), ContinuousSpinGlass(glass, 0.01))
    assert chain.system is not chain.target
    state, _ = chain.run(started(chain, 400), 20)
    found = chain_mean(chain.run(state, 150)[1]["energy_per_site"])
    T, step = 1.5, 1e-4
    log_z = [exact.log_z(glass.at(T=1 / (1 / T + shift))) for shift in (-step, step)]
    assert abs(found.value + (log_z[1] - log_z[0]) / (2 * step) / 5) < 4 * found.error < 0.05
    assert set(state.configurations.unique().tolist()) == {-1.0, 1.0}


def test_refuses():
    with pytest.raises(ValueError, match="density has shape"):
        IndependenceMetropolis(Normal((2, 2)), Phi4((4, 4), kappa=0.1, lam=0.1))
    with pytest.raises(ValueError, match="batch must be at least 1"):
        IndependenceMetropolis(Normal((2, 2)), Phi4((2, 2), kappa=0.1, lam=0.1), batch=0)

    class Correlated(Normal):
        iid = False

    with pytest.raises(ValueError, match="draws of Correlated are not"):
        IndependenceMetropolis(Correlated((2, 2)), Phi4((2, 2), kappa=0.1, lam=0.1))

    class Broken(Normal):
        def draw(self, n, *, generator=None):
            x, log_q, score = super().draw(n, generator=generator)
            return Draw(x, log_q * torch.nan, score)

    with pytest.raises(FloatingPointError, match=r"NaN or \+inf for a draw of Broken"):
        IndependenceMetropolis(Broken((2, 2)), Phi4((2, 2), kappa=0.1, lam=0.1)).init(3)
