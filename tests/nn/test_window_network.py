"""The gathered network against a circular convolution."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from flowlab.core import named_generator
from flowlab.nn.window_network import WindowNetwork
from flowlab.systems.lattice import window

SHAPE = (5, 6)
OFFSETS = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]


def network(**options: object) -> WindowNetwork:
    made = WindowNetwork(window(SHAPE, OFFSETS), generator=named_generator(0), **options)
    with torch.no_grad():
        made.skip.normal_(generator=named_generator(1))
        for bias in made.biases:
            bias.normal_(generator=named_generator(2, len(bias)))
    return made


def values(n: int = 7) -> torch.Tensor:
    return torch.where(torch.rand(n, *SHAPE, generator=named_generator(3)) < 0.5, -1.0, 1.0)


def apply(net: WindowNetwork, v: torch.Tensor) -> torch.Tensor:
    return net(v.flatten(1).T).T.reshape(v.shape)


def test_is_a_circular_convolution_and_pointwise_ones():
    net, v = network(hidden=(4, 3)), values()
    padded = functional.pad(v[:, None], (1, 1, 1, 1), mode="circular")
    out = functional.conv2d(padded, net.skip.view(1, 1, 3, 3))
    first, second, last = net.weights
    hidden = functional.conv2d(padded, first.view(4, 1, 3, 3), net.biases[0].flatten())
    hidden = functional.conv2d(functional.leaky_relu(hidden, 0.1), second[:, :, None, None], net.biases[1].flatten())
    out = out + functional.conv2d(functional.leaky_relu(hidden, 0.1), last[:, :, None, None], net.biases[2].flatten())
    torch.testing.assert_close(apply(net, v), out[:, 0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("parity", [None, "even", "odd"])
def test_is_the_same_function_everywhere(parity):
    net, v = network(parity=parity), values()
    torch.testing.assert_close(apply(net, v.roll((2, 1), (1, 2))), apply(net, v).roll((2, 1), (1, 2)))


@pytest.mark.parametrize(("parity", "sign"), [("even", 1), ("odd", -1)])
def test_parity_is_exact_in_floating_point(parity, sign):
    net, v = network(parity=parity, hidden=(8, 8)), values(50)
    assert torch.equal(apply(net, -v), sign * apply(net, v))
    assert apply(net, v).std() > 0.1


@pytest.mark.parametrize("hidden", [(), (0,), (4, 0)])
def test_no_hidden_layer_is_refused(hidden):
    with pytest.raises(ValueError, match="hidden must name at least one positive width"):
        WindowNetwork(window(SHAPE, OFFSETS), hidden=hidden, generator=named_generator(0))
