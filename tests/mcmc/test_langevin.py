"""Langevin dynamics: its bias, its gradients, its adjustment, and how it fails."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from flowlab.core import named_generator
from flowlab.estimators.series.chains import chain_mean
from flowlab.mcmc.langevin import Langevin
from flowlab.systems import Ising, Phi4
from tests.mcmc.test_hmc import Oscillators

SYSTEM = Phi4((2, 2), kappa=0.1, lam=0.1)


def squares(chain, n, sweeps, seed=0):
    state = chain.thermalise(chain.init(n, generator=named_generator(seed, "langevin")), 50)
    return chain_mean(chain.run(state, sweeps)[1]["phi_squared"])


def test_a_single_gaussian_has_its_known_bias():
    free = Phi4((4,), kappa=0.0, lam=0.0)  # S = Σ φ²: the chain has <φ²> = 1 / (2 - 2ε)
    found = squares(Langevin(free, step_size=0.2), 500, 60)
    assert abs(found.value - 1 / 1.6) < 4 * found.error < 0.02
    found = squares(Langevin(free, step_size=0.2, adjusted=True), 500, 60)
    assert abs(found.value - 0.5) < 4 * found.error < 0.02


def test_adjusted_at_any_step_size():
    values = [squares(Langevin(SYSTEM, step_size=size, adjusted=True), 300, 150, seed=1) for size in (0.05, 0.3)]
    apart = values[0].value - values[1].value
    assert abs(apart) < 4 * np.hypot(values[0].error, values[1].error) < 0.05
    moved = Langevin(Oscillators(), step_size=0.2, adjusted=True)
    found = chain_mean(moved.run(moved.init(200, generator=named_generator(0, "a")), 100)[1]["equation_of_motion"][20:])
    assert abs(found.value - 1) < 4 * found.error < 0.1


def test_the_gradient_is_that_of_the_loop():
    start = Langevin(SYSTEM, step_size=0.05)
    state = start.thermalise(start.init(20, generator=named_generator(0, "g")), 20)

    def mean(kappa, lam):
        return start.at(kappa=kappa, lam=lam).thermalise(state, 15).configurations.square().mean()

    kappa, lam = (torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (0.1, 0.1))
    gradients = torch.autograd.grad(mean(kappa, lam), [kappa, lam])
    for found, (dk, dl) in zip(gradients, [(1e-5, 0), (0, 1e-5)], strict=True):
        numeric = (mean(0.1 + dk, 0.1 + dl) - mean(0.1 - dk, 0.1 - dl)) / 2e-5
        assert float(found) == pytest.approx(float(numeric), rel=1e-6)
    again = start.at(kappa=kappa).thermalise(state, 1)
    assert again.configurations.requires_grad and not state.configurations.requires_grad
    later = start.at(kappa=kappa).thermalise(again, 2)  # the graph of what went before is let go
    torch.autograd.grad(later.configurations.sum(), kappa)


def test_the_gradient_of_a_long_loop_is_the_response():
    free, size = Phi4((2, 2), kappa=0.1, lam=0.0), 0.05

    def exact(kappa):  # S = ½ Σ a |φ̃|², whose chain has <|φ̃|²> = 1 / (a - ε a²/2)
        a = 2 - 4 * kappa * np.array([2.0, 0.0, 0.0, -2.0])
        return np.mean(1 / (a - size * a**2 / 2))

    chain, found = Langevin(free, step_size=size), []
    for seed in range(10):
        kappa = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
        state = chain.thermalise(chain.init(400, generator=named_generator(seed, "r")), 60)
        x = chain.at(kappa=kappa).thermalise(state, 80).configurations
        found.append(float(torch.autograd.grad(x.square().mean(), kappa)[0]))
    response = (exact(0.1 + 1e-5) - exact(0.1 - 1e-5)) / 2e-5
    error = np.std(found, ddof=1) / 10**0.5
    assert abs(np.mean(found) - response) < 4 * error < 0.2 * response


def test_without_a_force_of_its_own_it_differentiates_too():
    class Plain(Oscillators):
        def log_weight(self, x):
            return self.couplings["field"] * x.sum(1) - 0.5 * (x**2).sum(1)

    system = Plain()
    system.couplings = {"field": torch.tensor(0.5, dtype=torch.float64, requires_grad=True)}
    chain = Langevin(system, step_size=0.1)
    state = chain.thermalise(chain.init(3, generator=named_generator(0, "p")), 4)
    (found,) = torch.autograd.grad(state.configurations.mean(), system.couplings["field"])
    assert float(found) == pytest.approx(1 - 0.9**4)


@pytest.mark.filterwarnings("error")
def test_divergence_names_the_mend():
    chain = Langevin(Phi4((4, 4), kappa=0.2, lam=1.0), step_size=0.5)
    with pytest.raises(FloatingPointError, match=r"diverged at step size 0.5: use a smaller step_size, e.g. 0.05"):
        chain.thermalise(chain.init(20, generator=named_generator(0, "d")), 100)


def test_refuses():
    with pytest.raises(ValueError, match="step_size must be positive"):
        Langevin(SYSTEM, step_size=0.0)
    with pytest.raises(ValueError, match="needs a system of real fields"):
        Langevin(Ising((4, 4), T=2.0))
    with pytest.raises(ValueError, match="number of chains"):
        Langevin(SYSTEM).init(0)
