"""Fully connected networks: copies are independent networks, starts, refusals."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from flowlab.core import named_generator
from flowlab.nn.mlp import MLP


@pytest.mark.parametrize(("activation", "layer"), [("leaky_relu", nn.LeakyReLU()), ("tanh", nn.Tanh())])
def test_each_copy_is_the_network_that_torch_builds_from_its_weights(activation, layer):
    network = MLP((3, 8, 5, 2), copies=2, activation=activation, generator=named_generator(0, "mlp"))
    x = torch.randn(7, 3, generator=named_generator(0, "x"))
    for i, out in enumerate(network(x)):
        y = x
        for k in range(3):
            y = y if k == 0 else layer(y)
            y = nn.functional.linear(y, network.weights[k][i].T, network.biases[k][i, 0])
        torch.testing.assert_close(out, y)
        out.sum().backward(retain_graph=True)
    assert not torch.equal(network.weights[0][0], network.weights[0][1])


def test_starts_within_the_bounds_of_torch_layers_and_from_its_generator_alone():
    before = torch.get_rng_state()
    one, again, other = (MLP((100, 400, 50), output_gain=0.1, generator=named_generator(s, "mlp")) for s in (0, 0, 1))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), again.parameters(), strict=True))
    assert not torch.equal(one.weights[0], other.weights[0])
    for parameters in (one.weights, one.biases):
        assert parameters[0].detach().abs().max() == pytest.approx(0.1, rel=0.02)
        assert parameters[1].detach().abs().max() == pytest.approx(0.1 / 20, rel=0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(sizes=(3,)), r"at least two positive widths, input to output, got \(3,\)"),
        (dict(sizes=(3, 0, 2)), "at least two positive widths"),
        (dict(sizes=(3, 2), copies=0), "copies must be at least 1, got 0"),
        (dict(sizes=(3, 2), activation="gelu"), "activation must be one of leaky_relu, relu, tanh, silu, got 'gelu'"),
    ],
)
def test_refusals(options, message):
    with pytest.raises(ValueError, match=message):
        MLP(**options, generator=named_generator(0))
