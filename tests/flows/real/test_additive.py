"""Additive couplings: the formula, and a free field in closed form."""

from __future__ import annotations

import torch

import flowlab as fl
from flowlab.core import named_generator
from flowlab.flows.real.additive import AdditiveCoupling
from flowlab.flows.real.affine import checkerboard_masks
from tests.laws.registry import shaken


def test_formula():
    mask = checkerboard_masks((4, 4), 1)[0]
    layer = shaken(AdditiveCoupling(mask, hidden=5, activation="tanh"), 0.5)
    z = torch.randn(9, 4, 4, generator=named_generator(0))
    x, log_det = layer(z)
    network = layer.network
    h = (z[:, ~mask] @ network.weights[0].T + network.biases[0].T).tanh()
    shift = h @ network.odd_weight.T + network.odd_bias.T
    torch.testing.assert_close(x[:, mask], z[:, mask] + shift)
    assert torch.equal(x[:, ~mask], z[:, ~mask]) and not log_det.any()


def test_a_linear_shift_makes_a_correlated_pair():
    """x_1 = z_1 + c z_2, x_2 = z_2: covariance [[1 + c², c], [c, 1]], which the linear term of an odd layer gives."""
    layer = AdditiveCoupling(torch.tensor([True, False]), odd=True)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        layer.network.linear.fill_(0.7)
    density = fl.Pushforward(layer, fl.Normal((2,)))
    exact = torch.distributions.MultivariateNormal(torch.zeros(2), torch.tensor([[1.49, 0.7], [0.7, 1.0]]))
    x = torch.randn(50, 2, generator=named_generator(1))
    torch.testing.assert_close(density.log_prob(x), exact.log_prob(x), rtol=0, atol=1e-5)
