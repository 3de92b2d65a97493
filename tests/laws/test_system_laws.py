"""Laws of every system."""

import pytest
import torch

import flowlab as fl
from tests.laws.registry import SYSTEMS


@pytest.fixture(params=SYSTEMS)
def system(request):
    return SYSTEMS[request.param]()


def spins(system, n=20):
    generator = torch.Generator().manual_seed(0)
    if system.domain == "potts":
        return torch.randint(0, system.q, (n, *system.shape), generator=generator).double()
    if system.domain == "real":
        return torch.randn(n, *system.shape, generator=generator, dtype=torch.float64)
    return torch.where(torch.rand(n, *system.shape, generator=generator, dtype=torch.float64) < 0.5, -1.0, 1.0).double()


def test_one_number_a_configuration_whatever_the_batch(system):
    x = spins(system)
    log_weight = system.log_weight(x)
    assert log_weight.shape == (20,)
    torch.testing.assert_close(torch.cat([system.log_weight(one[None]) for one in x]), log_weight)
    assert all(value.shape == (20,) for value in system.observables(x).values())


def test_configurations_of_another_lattice_are_refused(system):
    x = spins(system)
    for wrong in (x[0], torch.cat([x, x], -1)):
        with pytest.raises(ValueError, match=r"configurations must have shape \(n, "):
            system.log_weight(wrong)


def test_flip_symmetric_means_it(system):
    if system.domain == "potts":
        assert not system.flip_symmetric  # states have no sign
        return
    x = spins(system)
    same = torch.allclose(system.log_weight(x), system.log_weight(-x))
    assert same == system.flip_symmetric


def test_gradient_is_that_of_finite_differences(system):
    x = spins(system, 2).requires_grad_()
    assert torch.autograd.gradcheck(system.log_weight, (x,))


def test_at_changes_one_coupling_and_leaves_the_rest(system):
    x = spins(system)
    for name, value in system.couplings.items():
        here = float(value)

        def total(new, name=name):
            return system.at(**{name: new}).log_weight(x).sum()

        new = torch.tensor(here + 0.01, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(total, (new,), rtol=1e-4)
        other = system.at(**{name: new})
        assert float(system.couplings[name]) == here and set(other.couplings) == set(system.couplings)
    with pytest.raises(ValueError, match="has the couplings"):
        system.at(gamma=1.0)


def test_at_another_temperature_scales_the_weight(system):
    if "T" not in system.couplings or isinstance(system, fl.Representation):
        pytest.skip("no temperature of the whole weight")
    x, T = spins(system), float(system.couplings["T"])
    torch.testing.assert_close(system.at(T=3.3).log_weight(x) * 3.3, system.log_weight(x) * T)


def test_couplings_are_no_state(system):
    assert not system.state_dict()
