"""Laws of every system."""

import pytest
import torch

from tests.laws.registry import SYSTEMS


@pytest.fixture(params=SYSTEMS)
def system(request):
    return SYSTEMS[request.param]()


def spins(system, n=20):
    generator = torch.Generator().manual_seed(0)
    if system.domain == "potts":
        return torch.randint(0, system.q, (n, *system.shape), generator=generator).double()
    return torch.where(torch.rand(n, *system.shape, generator=generator, dtype=torch.float64) < 0.5, -1.0, 1.0).double()


def test_one_number_a_configuration_whatever_the_batch(system):
    x = spins(system)
    log_weight = system.log_weight(x)
    assert log_weight.shape == (20,)
    torch.testing.assert_close(torch.cat([system.log_weight(one[None]) for one in x]), log_weight)
    assert all(value.shape == (20,) for value in system.observables(x).values())


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
    T = torch.tensor(3.3, dtype=torch.float64, requires_grad=True)
    other = system.at(T=T)
    x = spins(system)
    torch.testing.assert_close(other.log_weight(x) * 3.3, system.log_weight(x) * float(system.couplings["T"]))
    other.log_weight(x).sum().backward()
    torch.testing.assert_close(T.grad, -other.log_weight(x).sum().detach() / 3.3)
    assert float(system.couplings["T"]) != 3.3 and set(other.couplings) == set(system.couplings)
    with pytest.raises(ValueError, match="has the couplings"):
        system.at(gamma=1.0)


def test_couplings_are_no_state(system):
    assert not system.state_dict()
