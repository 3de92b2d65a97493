"""XOR couplings: exact parity at ties, starts, refusals, surrogate gradients, a closed form."""

from __future__ import annotations

import math

import pytest
import torch

import flowlab as fl
from flowlab.core import named_generator
from flowlab.exact.enumeration import configurations
from flowlab.flows.discrete.mask import HardSign
from flowlab.flows.discrete.xor import windows
from flowlab.systems.lattice import checkerboard, neighbours


def spins(n: int, shape: tuple[int, int], name: str = "spins") -> torch.Tensor:
    return torch.where(torch.rand(n, *shape, generator=named_generator(0, name)) < 0.5, -1.0, 1.0)


# parity and ties


def always_tied(parity: str | None) -> fl.XorCoupling:
    """A layer whose network is zero wherever the sum of the four neighbours is."""
    layer = fl.XorCoupling((6, 6), parity=parity, start="random", generator=named_generator(0))
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        layer.network.skip[:, :4] = 1.0
    return layer


def test_odd_mask_is_odd_even_at_ties():
    layer, z = always_tied("odd"), spins(200, (6, 6))
    even = checkerboard((6, 6))
    sums = z.flatten(1)[:, neighbours((6, 6))].sum(-1).view_as(z)
    assert ((sums == 0) & ~even).any()
    x = layer(z)[0]
    assert torch.equal(layer(torch.where(even, -z, z))[0], -x)
    assert torch.equal(layer.inverse(x)[0], z)


def test_even_mask_is_even_even_at_ties():
    layer, z = always_tied("even"), spins(200, (6, 6))
    assert torch.equal(layer(-z)[0], -layer(z)[0])
    assert not torch.equal(layer(z)[0], z)


@pytest.mark.parametrize("reads", ["even", "odd"])
@pytest.mark.parametrize("parity", ["odd", None])
def test_local_field_start_follows_the_neighbours_and_the_first_one_where_they_cancel(reads, parity):
    layer, z = fl.XorCoupling((6, 4), reads, parity=parity, start="local_field"), spins(300, (6, 4))
    around = z.flatten(1)[:, neighbours((6, 4))]  # above, below, left, right
    field = around.sum(-1)
    first = z.flatten(1)[:, windows((6, 4), torch.arange(24), 5)[:, 0]]
    mask = torch.where(field == 0, first, field.sign()).view_as(z)
    deciding = checkerboard((6, 4)) == (reads == "even")
    assert torch.equal(layer(z)[0], torch.where(deciding, z, z * mask))


@pytest.mark.parametrize("parity", ["even", None])
def test_identity_start_is_the_identity(parity):
    z = spins(500, (6, 6))
    assert torch.equal(fl.XorCoupling((6, 6), parity=parity, start="identity")(z)[0], z)


def test_deciding_sublattice_never_changes():
    z, even = spins(50, (6, 6)), checkerboard((6, 6))
    for reads, deciding in (("even", even), ("odd", ~even)):
        x = fl.XorCoupling((6, 6), reads, start="random", parity=None)(z)[0]
        assert torch.equal(x[:, deciding], z[:, deciding]) and not torch.equal(x, z)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shape": (4, 5)}, r"shape must be two even sides for a checkerboard, got \(4, 5\)"),
        ({"reads": "left"}, "reads must be 'even' or 'odd', got 'left'"),
        ({"parity": "both"}, "parity must be 'even', 'odd' or None, got 'both'"),
        ({"parity": "odd", "start": "identity"}, "an odd mask cannot start at the identity"),
        ({"parity": "even", "start": "local_field"}, "the local-field mask is odd"),
        ({"start": "nowhere"}, "start must be 'identity', 'local_field' or 'random', got 'nowhere'"),
        ({"gradient": "none"}, "gradient must be one of tanh, clip, identity, gumbel, got 'none'"),
        ({"kernel": 4}, "kernel must be an odd number of at least 3, got 4"),
        ({"hidden": ()}, "at least one positive width"),
    ],
)
def test_refused(options, message):
    with pytest.raises(ValueError, match=message):
        fl.XorCoupling(**{"shape": (4, 4)} | options)


def test_a_base_of_the_other_symmetry_is_refused():
    shape = (4, 4)
    odd = fl.XorCoupling(shape, "even", parity="odd", start="local_field")
    even = fl.XorCoupling(shape, "even", parity="even")
    for flow, action in ((odd, "all"), (odd, "odd"), (even, "even"), (even, "odd")):
        base = fl.Z2Symmetrized(fl.IndependentSpins(shape), action)
        with pytest.raises(ValueError, match="needs a base symmetric under a flip of"):
            fl.Pushforward(flow, base)
    for flow, action in ((odd, "even"), (even, "all")):
        density = fl.Pushforward(flow, fl.Z2Symmetrized(fl.IndependentSpins(shape, bias=0.3), action))
        x = spins(50, shape)
        torch.testing.assert_close(density.log_prob(-x), density.log_prob(x))


@pytest.mark.parametrize("flow", [None, "even", "odd"])
def test_a_symmetric_density_in_a_field_is_refused_before_training(flow):
    shape = (4, 4)
    base = fl.IndependentSpins(shape)
    density: fl.Density = fl.Z2Symmetrized(base)
    if flow is not None:
        density = fl.Pushforward(fl.XorCoupling(shape, parity=flow, start="random"), base)
    with pytest.raises(ValueError, match=r"cannot fit a target that a field breaks: Ising\(.*h=0.1"):
        fl.Training(
            fl.Ising(shape, 2.0, h=0.1), density, fl.ReverseKL(), steps=1, batch=2, learning_rate={"base": 1, "flow": 1}
        )


# windows


def test_window_holds_the_neighbours_first_and_only_the_other_sublattice():
    even = checkerboard((6, 8)).flatten()
    sites = even.nonzero().flatten()
    for kernel in (3, 5, 7):
        table = windows((6, 8), sites, kernel)
        assert table.shape == (24, (kernel**2 - 1) // 2)
        assert not even[table].any()
        assert torch.equal(table[:, :4].sort(1).values, neighbours((6, 8))[sites].sort(1).values)


def test_lattice_of_side_two_sees_each_neighbour_twice():
    assert sorted(windows((2, 2), torch.tensor([0]), 3)[0].tolist()) == [1, 1, 2, 2]
    layer = fl.XorCoupling((2, 2), parity="odd", start="local_field")
    z = configurations((2, 2), 0, 16).float()
    x = layer(z)[0]
    assert len(x.flatten(1).unique(dim=0)) == 16 and torch.equal(layer.inverse(x)[0], z)


# surrogate gradients


G = torch.linspace(-2.5, 2.5, 41)


@pytest.mark.parametrize(
    ("gradient", "derivative"),
    [
        ("tanh", lambda g: 1 / g.cosh() ** 2),
        ("clip", lambda g: (g.abs() <= 1).float()),
        ("identity", torch.ones_like),
    ],
)
def test_straight_through_derivatives(gradient, derivative):
    g = G.clone().requires_grad_()
    mask = HardSign(gradient)(g)
    assert torch.equal(mask.detach(), torch.where(G < 0, -1.0, 1.0))
    (found,) = torch.autograd.grad(mask.sum(), g)
    torch.testing.assert_close(found, derivative(G))


@pytest.mark.parametrize(("progress", "noise", "temperature"), [(0.0, 1.0, 2.0), (0.5, 0.5, 1.0), (1.0, 0.0, 0.5)])
def test_gumbel_tanh_derivative_and_its_annealing(progress, noise, temperature):
    sign = HardSign("gumbel")
    sign.anneal(progress)
    assert (sign.noise, sign.temperature) == pytest.approx((noise, temperature))
    g = G.clone().requires_grad_()
    mask = sign(g, generator=named_generator(0, "gumbel"))
    assert torch.equal(mask.detach(), torch.where(G < 0, -1.0, 1.0))
    (found,) = torch.autograd.grad(mask.sum(), g)
    u = torch.rand(G.shape, generator=named_generator(0, "gumbel"))
    soft = ((G + noise * (u / (1 - u)).log()) / temperature).tanh()
    torch.testing.assert_close(found, (1 - soft**2) / temperature, rtol=1e-4, atol=1e-5)


def test_annealing_reaches_every_layer():
    density = fl.Pushforward(
        fl.Composed([fl.XorCoupling((4, 4), gradient="gumbel") for _ in range(2)]), fl.IndependentSpins((4, 4))
    )
    density.anneal(1.0)
    assert [layer.sign.noise for layer in density.flow] == [0.0, 0.0]


# composition


def test_slices_and_layers_share_the_weights():
    layers = [fl.XorCoupling((4, 4), reads, parity=None, start="random") for reads in ("even", "odd", "even")]
    flow, z = fl.Composed(layers), spins(20, (4, 4))
    assert len(flow) == 3 and list(flow) == layers and flow[-1] is layers[2]
    assert isinstance(flow[1:], fl.Composed) and list(flow[1:]) == layers[1:]
    assert torch.equal(flow[1:](flow[:1](z)[0])[0], flow(z)[0])


# physics


def test_local_field_layer_over_tilted_independent_spins_has_its_closed_form():
    """Even spins fair, odd ones against |Σ_nn σ| with mean 3/2: F/N = -T ln 2 - (T/2) ln cosh(3/(2T)) at b = 3/T."""
    T, shape, n = 4.0, (6, 6), 20_000
    base = fl.IndependentSpins(shape)
    with torch.no_grad():
        base.bias[~checkerboard(shape)] = 3 / T
    density = fl.Pushforward(fl.XorCoupling(shape, parity="odd", start="local_field"), base)
    system = fl.Ising(shape, T)
    x, log_q = density.sample(n, generator=named_generator(0, "majority"))
    f = -T * fl.estimators.log_z_bound((system.log_weight(x) - log_q).double().numpy()).value / 36
    error = T * fl.estimators.log_z_bound((system.log_weight(x) - log_q).double().numpy()).error / 36
    expected = -T * math.log(2) - T / 2 * math.log(math.cosh(1.5 / T))
    assert error < 2e-3
    assert abs(f - expected) < 4 * error
    assert f > -T * fl.exact.log_z(system) / 36
