"""Tensor networks of planes, held against enumeration, transfer matrices and a public instance's exact ln Z."""

import copy

import numpy as np
import pytest
import torch

import flowlab as fl
from flowlab.exact import configurations, enumerate_log_z, log_z


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


PLANES = {
    "glass": lambda T=0.5: fl.SpinGlass.edwards_anderson((4, 4), T, seed=3, boundary="open"),
    "glass on a cylinder": lambda T=0.5: fl.SpinGlass.edwards_anderson((5, 3), T, seed=3, boundary="cylinder"),
    "ring of two": lambda T=0.5: fl.SpinGlass.edwards_anderson((5, 2), T, seed=3, boundary="cylinder"),
    "antiferromagnet in a field": lambda T=0.9: fl.SpinGlass.uniform((4, 4), T, J=-1.0, h=0.4),
    "fields of its own": lambda T=0.9: fl.SpinGlass(
        fl.SpinGlass.uniform((3, 4), T).J, T, h=np.linspace(-1, 1, 12), shape=(3, 4)
    ),
}


@pytest.mark.parametrize("name", PLANES)
def test_with_all_bonds_kept_it_is_the_boltzmann_distribution(name):
    system = PLANES[name]()
    density = fl.TensorNetwork(system, chi=64)
    x = configurations(system.shape)
    exact = enumerate_log_z(system)
    assert density.log_z == pytest.approx(exact, abs=1e-11)
    torch.testing.assert_close(density.log_prob(x), system.log_weight(x) - exact, atol=1e-9, rtol=0)
    drawn, log_q = density.sample(50, generator=generator())
    torch.testing.assert_close(log_q, system.log_weight(drawn) - exact, atol=1e-9, rtol=0)


@pytest.mark.parametrize("boundary", ["open", "cylinder"])
def test_potts_states_are_those_of_the_boltzmann_distribution(boundary):
    system = fl.Potts((3, 3), T=0.8, q=3, boundary=boundary)
    density = fl.TensorNetwork(system, chi=81)
    x = fl.exact.potts_configurations((3, 3), 3)
    log_weight = system.log_weight(x)
    torch.testing.assert_close(density.log_prob(x), log_weight - log_weight.logsumexp(0), atol=1e-9, rtol=0)


@pytest.mark.parametrize(("name", "chi"), [("glass", 2), ("glass on a cylinder", 1), ("fields of its own", 1)])
def test_cut_bonds_leave_an_exact_ln_q(name, chi):
    density = fl.TensorNetwork(PLANES[name](), chi=chi)
    assert density.truncation > 1e-12
    log_q = density.log_prob(configurations(density.shape))
    assert float(log_q.exp().sum()) == pytest.approx(1, abs=1e-10)


@pytest.mark.parametrize("L", [10, 12])
@pytest.mark.parametrize("T", [0.5, 1.0, 1 / 0.44])
def test_ln_z_is_that_of_the_transfer_matrix(L, T):
    ferromagnet = fl.SpinGlass.uniform(L, T)
    glass = fl.SpinGlass.edwards_anderson(L, T, seed=3, kind="pm1", boundary="open")
    for system in (ferromagnet, glass):
        assert fl.TensorNetwork(system, chi=64).log_z == pytest.approx(log_z(system), abs=1e-10)


def test_weights_make_up_for_cut_bonds():
    system = fl.SpinGlass.edwards_anderson(14, T=0.4, seed=5, boundary="open")
    density = fl.TensorNetwork(system, chi=4)
    x, log_q = density.sample(2000, generator=generator())
    w = (system.log_weight(x) - log_q - log_z(system)).exp()
    error = float(w.std()) / len(w) ** 0.5
    assert 1e-4 < float(w.std()) < 3 and abs(float(w.mean()) - 1) < 4 * error


@pytest.mark.parametrize("seed", [3, 4])
def test_a_large_chi_makes_nothing_of_rounding_errors_in_the_cold(seed):
    system = fl.SpinGlass.edwards_anderson(16, T=0.2, seed=seed, kind="pm1", boundary="open")
    assert fl.TensorNetwork(system, chi=48).log_z == pytest.approx(log_z(system), abs=1e-5)


def test_rows_are_stages_and_a_stage_can_be_drawn_on():
    density = fl.TensorNetwork(PLANES["glass on a cylinder"](), chi=4)
    states = list(density.stages(20, generator=generator()))
    assert [state.name for state in states] == ["1 row of 5", *(f"{k} rows of 5" for k in range(2, 6))]
    whole = states[-1].x
    torch.testing.assert_close(states[-1].log_q, density.log_prob(whole))
    for done, state in enumerate(states, start=1):
        assert not state.x[:, :done].isnan().any() and state.x[:, done:].isnan().all()
        assert torch.equal(state.x[:, :done], whole[:, :done])
    again = list(density.stages(z=states[1].x, generator=generator(1)))
    assert torch.equal(again[-1].x[:, :2], whole[:, :2]) and not torch.equal(again[-1].x, whole)
    torch.testing.assert_close(again[-1].log_q, density.log_prob(again[-1].x))


def test_many_rows_are_few_stages():
    density = fl.TensorNetwork(fl.SpinGlass.uniform((100, 2), T=2.0), chi=2)
    states = list(density.stages(2, generator=generator()))
    assert len(states) == 25 and states[0].name == "4 rows of 100" and states[-1].time == 1


def test_it_follows_its_target_and_copies_share_what_was_found():
    density = fl.TensorNetwork(PLANES["glass"](T=0.5), chi=16)
    cold, twin = density.log_z, copy.deepcopy(density)
    density.bind(PLANES["glass"](T=2.0))
    assert density.log_z == pytest.approx(enumerate_log_z(PLANES["glass"](T=2.0)))
    assert twin.log_z == cold and twin._contraction is copy.deepcopy(twin)._contraction


@pytest.mark.parametrize(
    ("system", "words"),
    [
        (lambda: fl.Ising(4, T=2.0), "system must have boundary.*SpinGlass.uniform"),
        (lambda: fl.SpinGlass.sherrington_kirkpatrick(9, 1.0), "system must be a plane"),
        (lambda: fl.SpinGlass.edwards_anderson((3, 3, 3), 1.0), "system must be a plane"),
        (lambda: fl.SpinGlass.edwards_anderson(4, 1.0), "open.*periodic along y"),
        (lambda: fl.Potts(4, 1.0), "open.*periodic along y"),
        (lambda: fl.Phi4((4, 4), 0.2, 0.5), "system must have spins or states"),
    ],
)
def test_says_which_systems_it_takes(system, words):
    with pytest.raises((TypeError, ValueError), match=words):
        fl.TensorNetwork(system())


def test_a_long_row_of_many_configurations_is_drawn_in_parts(monkeypatch):
    density = fl.TensorNetwork(PLANES["glass"](), chi=16)
    monkeypatch.setattr("flowlab.densities.tensor.network.AT_ONCE", 7)
    x, log_q = density.sample(20, generator=generator())
    torch.testing.assert_close(density.log_prob(x), log_q)
    assert len(torch.unique(x.flatten(1), dim=0)) > 1
