"""Laws of every flow."""

import pytest
import torch

from flowlab.exact.enumeration import configurations
from tests.laws.registry import REAL_FLOWS, SHAPE, SPIN_FLOWS, shaken


@pytest.fixture(params=SPIN_FLOWS)
def spin_flow(request):
    return shaken(SPIN_FLOWS[request.param]())


@pytest.fixture(params=REAL_FLOWS)
def real_flow(request):
    return REAL_FLOWS[request.param]().double()


def every_configuration():
    return configurations(SHAPE, 0, 2**8).float()


def test_spin_flow_is_a_bijection_of_the_spins(spin_flow):
    z = every_configuration()
    with torch.no_grad():
        x, log_det = spin_flow(z)
        back, log_det_back = spin_flow.inverse(x)
    assert torch.equal(x.abs(), torch.ones_like(x))
    assert len(x.flatten(1).unique(dim=0)) == len(z)
    assert torch.equal(back, z)
    assert not log_det.any() and not log_det_back.any()


def test_value_does_not_depend_on_gradient_mode_or_noise(spin_flow):
    z = every_configuration()
    with torch.no_grad():
        quiet, _ = spin_flow(z)
    noisy, _ = spin_flow(z, generator=torch.Generator().manual_seed(1))
    assert torch.equal(quiet, noisy.detach())


def test_flip_is_pulled_through(spin_flow):
    action = -torch.ones(SHAPE)
    pulled = spin_flow.pull_flip(action)
    if pulled is None:
        assert "without parity" in str(spin_flow) or "parity=None" in str(spin_flow)
        return
    z = every_configuration()
    with torch.no_grad():
        assert torch.equal(spin_flow(z * pulled)[0], action * spin_flow(z)[0])


def test_straight_through_gradient_reaches_every_parameter(spin_flow):
    z = every_configuration()
    generator = torch.Generator().manual_seed(1)
    x, _ = spin_flow(z, generator=generator)
    if x.requires_grad:
        (x * torch.randn(x.shape, generator=generator)).sum().backward()
    for name, parameter in spin_flow.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


def test_log_det_is_that_of_the_jacobian(real_flow):
    z = torch.randn(3, *SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x, log_det = real_flow(z)
    back, log_det_back = real_flow.inverse(x)
    torch.testing.assert_close(back, z)
    torch.testing.assert_close(log_det_back, -log_det)
    for i in range(3):
        jacobian = torch.autograd.functional.jacobian(lambda one: real_flow(one[None])[0][0], z[i]).reshape(8, 8)
        torch.testing.assert_close(jacobian.slogdet().logabsdet, log_det[i])
