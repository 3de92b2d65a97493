"""Laws of every flow."""

import pytest
import torch

import flowlab as fl
from flowlab.exact.enumeration import configurations
from flowlab.testing import check_flow
from tests.laws.registry import REAL_FLOWS, SHAPE, SPIN_FLOWS, shaken


@pytest.fixture(params=SPIN_FLOWS)
def spin_flow(request):
    return shaken(SPIN_FLOWS[request.param]())


def every_configuration():
    return configurations(SHAPE, 0, 2**8).float()


@pytest.mark.parametrize("name", SPIN_FLOWS)
def test_laws_of_spin_flows(name):
    check_flow(SPIN_FLOWS[name](), SHAPE, fl.Spins(), shake=0.5)


@pytest.mark.parametrize("name", REAL_FLOWS)
def test_laws_of_real_flows(name):
    check_flow(REAL_FLOWS[name](), SHAPE, n=3, shake=0)


def test_a_flip_is_pulled_through_unless_there_is_no_parity(spin_flow):
    if spin_flow.pull_flip(-torch.ones(SHAPE)) is None:
        assert "without parity" in str(spin_flow) or "parity=None" in str(spin_flow)


def test_straight_through_gradient_reaches_every_parameter(spin_flow):
    z = every_configuration()
    generator = torch.Generator().manual_seed(1)
    x, _ = spin_flow(z, generator=generator)
    if x.requires_grad:
        (x * torch.randn(x.shape, generator=generator)).sum().backward()
    for name, parameter in spin_flow.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name
