"""Hybrid Monte Carlo: reversible, exact, tuned once, and free of a sign."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from flowlab.core import System, named_generator
from flowlab.core.system import measured
from flowlab.estimators.series.chains import chain_mean, chain_observables
from flowlab.mcmc.hmc import HMC
from flowlab.systems import ContinuousSpinGlass, Ising, Phi4, SpinGlass


class Oscillators(System):
    """S = Σ x²/2 (1 + x²/4) in a field, which breaks the symmetry; its force comes from autograd."""

    def __init__(self, field: float = 0.3) -> None:
        super().__init__()
        self.shape, self.dims, self.domain, self.couplings = (3,), ("site",), "real", {}
        self.field = field

    def log_weight(self, x):
        return (self.field * x - 0.5 * x**2 - 0.125 * x**4).sum(1)

    def observables(self, x):
        return {"magnetization": x.mean(1)}


def run(chain, n, first, sweeps, seed=0):
    state, _ = chain.run(chain.init(n, generator=named_generator(seed, "hmc")), first)
    return chain.run(state, sweeps)


@pytest.mark.parametrize("shape", [(6,), (4, 6), (2, 2), (2, 3, 4)])
def test_the_force_is_the_gradient(shape):
    system = Phi4.from_beta(shape, 0.6, 0.4)
    x = torch.randn(3, *shape, generator=named_generator(0, "x"), dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(system.log_weight(x).sum(), x)
    torch.testing.assert_close(system.force(x), gradient)
    torch.testing.assert_close(Oscillators().force(torch.ones(1, 3)), torch.full((1, 3), 0.3 - 1 - 0.5))


def test_a_trajectory_runs_backwards_and_keeps_energy_at_second_order():
    system = Phi4((4, 4), kappa=0.2, lam=0.5)
    chain = HMC(system, steps=8, step_size=0.1)
    x, p = torch.randn(2, 5, 4, 4, generator=named_generator(0, "xp"), dtype=torch.float64)
    forth = chain.trajectory(x, p, 0.1, 8)
    back = chain.trajectory(forth[0], -forth[1], 0.1, 8)
    torch.testing.assert_close(back, (x, -p), atol=1e-12, rtol=0)

    def violation(size, steps):
        end, momenta = chain.trajectory(x, p, size, steps)
        change = system.action(end) - system.action(x) + 0.5 * (momenta**2 - p**2).sum((1, 2))
        return float(change.abs().mean())

    assert violation(0.02, 20) / violation(0.01, 40) == pytest.approx(4, rel=0.2)


def test_a_trajectory_keeps_volume():
    chain = HMC(Phi4((2, 2), kappa=0.2, lam=0.5), steps=3, step_size=0.2)
    x = torch.randn(8, generator=named_generator(0, "volume"), dtype=torch.float64)

    def flow(both):
        moved = chain.trajectory(both[:4].reshape(1, 2, 2), both[4:].reshape(1, 2, 2), 0.2, 3)
        return torch.cat([part.flatten() for part in moved])

    columns = [(flow(x + 1e-5 * e) - flow(x - 1e-5 * e)) / 2e-5 for e in torch.eye(8, dtype=torch.float64)]
    assert float(torch.linalg.det(torch.stack(columns))) == pytest.approx(1, abs=1e-8)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_single_sites_have_their_exact_mean(dtype):
    x = np.linspace(-8, 8, 4001)
    weight = np.exp(0.3 * x - 0.5 * x**2 - 0.125 * x**4)
    chain = HMC(Oscillators(), steps=4, tuning=50, dtype=dtype)
    state, found = run(chain, 150, 60, 160)
    assert state.configurations.dtype == dtype and not chain.flips
    here = chain_mean(found["magnetization"])
    assert abs(here.value - (x * weight).sum() / weight.sum()) < 4 * here.error < 0.04
    moved = chain_mean(found["equation_of_motion"])
    assert abs(moved.value - 1) < 4 * moved.error < 0.1


def test_the_free_field_has_its_propagator():
    kappa, L = 0.2, 6
    state, found = run(HMC(Phi4((L, L), kappa=kappa, lam=0.0), steps=6, tuning=50), 80, 70, 150)
    here = chain_observables(found, n_sites=L * L, side=L)
    wave = 2 * np.pi / L
    for name, momentum in (("susceptibility", 0.0), ("structure_factor_1", wave)):
        exact = 1 / (2 - 4 * kappa * (1 + np.cos(momentum)))
        assert abs(here[name].value - exact) < 4 * here[name].error < 0.15 * exact
    assert abs(here["equation_of_motion"].value - 1) < 4 * here["equation_of_motion"].error
    assert abs(here["binder"].value) < 4 * here["binder"].error
    assert state.configurations.shape == (80, L, L)


def test_the_change_of_energy_averages_to_one():
    chain = HMC(Phi4((4, 4), kappa=0.25, lam=0.5), steps=5, step_size=0.3)
    state, _ = chain.run(chain.init(400, generator=named_generator(3, "hmc")), 40)
    changes = []
    for _ in range(60):
        state, info = chain.step(state)
        changes.append(info.delta_H.neg().exp().numpy())
        torch.testing.assert_close(info.energies, chain.system.action(state.configurations))
    found = chain_mean(np.array(changes))
    assert abs(found.value - 1) < 4 * found.error < 0.1


def test_the_step_size_is_tuned_once_and_then_frozen():
    chain = HMC(Phi4((8, 8), kappa=0.25, lam=0.5), steps=6, tuning=80, target_acceptance=0.7)
    state, _ = chain.run(chain.init(32, generator=named_generator(0, "hmc")), 80)
    tuned = float(state.step_size)
    state, found = chain.run(state, 60)
    assert float(state.step_size) == tuned and int(state.trajectories) == 140
    assert found["acceptance"].mean() == pytest.approx(0.7, abs=0.04)
    fixed = HMC(chain.system, step_size=0.1)
    assert fixed.tuning == 0 and float(fixed.step(fixed.init(2))[0].step_size) == 0.1


def test_flips_visit_both_signs_of_a_broken_phase():
    system = Phi4((4, 4), kappa=0.4, lam=0.1)
    fields = torch.full((50, 4, 4), 2.0, dtype=torch.float64)
    means = {}
    for flips in (True, False):
        chain = HMC(system, steps=4, step_size=0.2, flips=flips)
        start = chain.init(50, generator=named_generator(0, "hmc"))._replace(configurations=fields)
        means[flips] = chain.run(start, 60)[1]["magnetization"][20:]
    assert abs(np.sign(means[True]).mean()) < 0.1 and (means[False] > 0).all()
    assert np.abs(means[True]).mean() == pytest.approx(means[False].mean(), rel=0.02)


def test_a_state_goes_to_tensors_and_back_and_is_never_changed():
    chain = HMC(Phi4((4, 4), kappa=0.2, lam=0.02), steps=3, tuning=10)
    state, _ = chain.run(chain.init(4, generator=named_generator(0, "hmc")), 5)
    kept = {name: tensor.clone() for name, tensor in chain.state_dict(state).items()}
    once, twice = chain.run(state, 7)[1], chain.run(chain.load_state_dict(kept), 7)[1]
    for name in once:
        np.testing.assert_array_equal(once[name], twice[name])
    for name, tensor in chain.state_dict(state).items():
        assert torch.equal(tensor, kept[name]), name
    with pytest.raises(ValueError, match="needs rng too"):
        chain.load_state_dict({name: kept[name] for name in kept if name != "rng"})
    with pytest.raises(ValueError, match=r"shape \(n, 4, 4\)"):
        chain.load_state_dict(kept | {"configurations": torch.zeros(4, 2, 2)})


def test_any_system_of_real_fields():
    glass = ContinuousSpinGlass(SpinGlass.sherrington_kirkpatrick(6, T=1.0), 0.01)
    found = chain_mean(run(HMC(glass, steps=4, tuning=40), 100, 60, 100)[1]["equation_of_motion"])
    assert abs(found.value - 1) < 4 * found.error < 0.1
    assert set(measured(Ising((4, 4), T=1.0), torch.ones(2, 4, 4))) == {"energy_per_site", "magnetization"}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"steps": 0}, "steps must be"),
        ({"step_size": -0.1}, "step_size must be positive"),
        ({"target_acceptance": 1.0}, "target_acceptance must lie"),
        ({"tuning": 0}, "tuning must be at least 1"),
        ({"flips": True, "system": Oscillators()}, "flips need a system"),
        ({"system": Ising((4, 4), T=2.0)}, "HMC needs a system of real fields or angles, got Ising of spins"),
    ],
)
def test_refuses(keys, message):
    with pytest.raises(ValueError, match=message):
        HMC(**{"system": Phi4((4, 4), kappa=0.2, lam=0.02)} | keys)
    with pytest.raises(ValueError, match="number of chains"):
        HMC(Phi4((4, 4), kappa=0.2, lam=0.02)).init(0)
