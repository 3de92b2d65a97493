"""Networks of a person's own in coupling layers: modules, and functions that make them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import flowlab as fl
from flowlab.systems.lattice import checkerboard
from flowlab.testing import check_flow

MASK = checkerboard((4, 4))
LAYERS = {"affine": fl.AffineCoupling, "additive": fl.flows.AdditiveCoupling, "spline": fl.flows.SplineCoupling}


def made(inputs: int, outputs: int) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(inputs, 8), nn.Tanh(), nn.Linear(8, outputs))


@pytest.mark.parametrize("odd", [False, True])
@pytest.mark.parametrize("kind", LAYERS)
def test_any_module_or_function_makes_an_invertible_layer(kind, odd):
    layer = LAYERS[kind](MASK, network=made, odd=odd)
    z = torch.randn(5, 4, 4, generator=torch.Generator().manual_seed(1))
    x, log_det = layer(z)
    back, inverse = layer.inverse(x)
    torch.testing.assert_close(back, z, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(inverse, -log_det, rtol=1e-3, atol=1e-3)
    assert not torch.allclose(x, z) and list(layer.parameters())
    if odd:
        torch.testing.assert_close(layer(-z)[0], -x)


def test_a_module_is_taken_as_it_is():
    network = nn.Sequential(nn.Linear(8, 16), nn.Unflatten(1, (2, 8)))
    layer = fl.AffineCoupling(MASK, network=network)
    assert layer.network.network is network
    assert layer(torch.zeros(3, 4, 4))[0].shape == (3, 4, 4)
    with pytest.raises(ValueError, match=r"network must give 16 numbers for each of 2 .* got shape \(2, 8\)"):
        fl.AffineCoupling(MASK, network=nn.Linear(8, 8))
    with pytest.raises(ValueError, match=r"network must take \(n, 8\) values, .*16 numbers for each: RuntimeError"):
        fl.AffineCoupling(MASK, network=nn.Linear(16, 16))
    mean = nn.BatchNorm1d(8)
    layer = fl.AffineCoupling(MASK, network=nn.Sequential(mean, nn.Linear(8, 16)))
    assert mean.num_batches_tracked == 0 and layer.network.network.training, "being tried leaves no trace"
    with pytest.raises(TypeError, match=r"a function \(inputs, outputs\) that makes one, got .*, which makes 3"):
        fl.AffineCoupling(MASK, network=lambda inputs, outputs: 3)


@pytest.mark.parametrize("parity", ["even", "odd", None])
def test_masks_of_spins_have_the_parity_asked_for(parity):
    layer = fl.XorCoupling((4, 4), network=made, parity=parity)
    z = torch.where(torch.rand(50, 4, 4, generator=torch.Generator().manual_seed(2)) < 0.5, -1.0, 1.0)
    x = layer(z)[0]
    assert torch.equal(layer.inverse(x)[0], z)
    action = layer.pull_flip(-torch.ones(4, 4))
    assert (action is None) == (parity is None)
    if action is not None:
        assert torch.equal(layer(action * z)[0], -x)


@pytest.mark.parametrize("group", ["all", "cyclic"])
def test_permutations_of_states_take_any_network(group):
    layer = fl.flows.PermutationCoupling((4, 4), q=3, group=group, network=made)
    z = torch.randint(3, (50, 4, 4), generator=torch.Generator().manual_seed(2)).float()
    x = layer(z)[0]
    assert torch.equal(layer.inverse(x)[0], z) and not torch.equal(x, z)
    assert torch.equal(x[:, MASK], z[:, MASK]), "the sites that decide stay"
    check_flow(layer, (4, 4), fl.core.States(3))
    module = nn.Linear(24, (6 if group == "all" else 3) * 8)
    assert fl.flows.PermutationCoupling((4, 4), q=3, group=group, network=module).network.network is module
    with pytest.raises(ValueError, match="network must be 'window', 'mlp' or None, got 'conv'; or a module"):
        fl.flows.PermutationCoupling((4, 4), network="conv")


def test_a_flow_without_a_generator_is_one_too():
    class Shift(fl.Flow):
        def forward(self, z):
            return z + 1, z.new_zeros(len(z))

        def inverse(self, x):
            return x - 1, x.new_zeros(len(x))

    q = fl.Pushforward(fl.Composed([Shift(), Shift()]), fl.Normal((4, 4)))
    x, log_q = q.sample(3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(q.log_prob(x), log_q)
