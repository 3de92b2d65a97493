"""XOR couplings of any partition: patterns, graphs, the local field of given couplings, training on a glass."""

from __future__ import annotations

import math

import pytest
import torch

import flowlab as fl
from flowlab.core import named_generator
from flowlab.exact.enumeration import configurations
from flowlab.flows.discrete.partitions import blocks, halves, pairs, partitions, sublattices
from flowlab.systems.triangular import TriangularIsing


def spins(n: int, shape: tuple[int, ...], name: str = "spins") -> torch.Tensor:
    return torch.where(torch.rand(n, *shape, generator=named_generator(0, name)) < 0.5, -1.0, 1.0)


def layer(reads: torch.Tensor, **options: object) -> fl.XorCoupling:
    return fl.XorCoupling(tuple(reads.shape), reads, generator=named_generator(1), **{"start": "random"} | options)


@pytest.mark.parametrize(("kind", "shape"), [("large_blocks", (4, 4)), ("sublattices", (3, 3))])
def test_a_bijection_that_changes_only_the_changed_sites(kind, shape):
    z = configurations(shape, dtype=torch.float32)[::7]
    for mask in partitions(kind, shape, 2):
        flow = layer(mask)
        with torch.no_grad():
            x = flow(z)[0]
            assert torch.equal(flow.inverse(x)[0], z)
        assert torch.equal(x[:, mask], z[:, mask]) and (x != z).flatten(1).any(0)[~mask.flatten()].all()


def test_an_mlp_sees_every_deciding_site():
    mask = halves((10,), 1)[0]
    flow = layer(mask, network="mlp", parity=None, hidden=(32,))
    assert flow.kind == "mlp" and layer(mask).kind == "mlp" and layer(blocks((4, 4), 1)[0]).kind == "window"
    z = spins(400, (10,))
    x = flow(z)[0]
    for site in mask.nonzero().flatten():
        flipped = z.clone()
        flipped[:, site] *= -1
        assert not torch.equal(flow(flipped)[0][:, ~mask] * z[:, ~mask], x[:, ~mask] * z[:, ~mask])


def test_patterns_have_networks_of_their_own():
    mask = blocks((8, 8), 1, size=4)[0]
    flow, z = layer(mask, kernel=3), spins(50, (8, 8))
    assert len(flow.network.networks) == 4
    x = flow(z)[0]
    moved = flow(z.roll((4, 4), (1, 2)))[0]
    assert torch.equal(moved, x.roll((4, 4), (1, 2)))
    with torch.no_grad():  # a network that always flips flips the sites of its pattern
        for parameter in flow.network.networks[2].parameters():
            parameter.zero_()
        flow.network.networks[2].biases[-1].fill_(-1.0)
    x = flow(z)[0].flatten(1)
    sites = flow.updated.chunk(4)[2]
    assert torch.equal(x[:, sites], -z.flatten(1)[:, sites])


# the local field


@pytest.mark.parametrize("parity", ["odd", None])
def test_local_field_of_a_spin_glass(parity):
    glass = fl.SpinGlass.sherrington_kirkpatrick(12, T=1.0, seed=3)
    mask = halves((12,), 1)[0]
    flow = layer(mask, parity=parity, start="local_field", couplings=glass.neighbours())
    z = spins(200, (12,)).double()
    field = (z * mask) @ glass.J
    assert torch.equal(flow(z.float())[0].double(), torch.where(mask, z, z * field.sign()))


def test_local_field_of_plus_minus_couplings_breaks_ties_by_one_neighbour():
    glass = fl.SpinGlass.edwards_anderson((4, 4), T=1.0, seed=3, kind="pm1")
    flow = fl.XorCoupling(
        (4, 4), "even", parity="odd", network="mlp", start="local_field", couplings=glass.neighbours()
    )
    z = spins(200, (4, 4)).double()
    field = glass.local_fields(z * flow.deciding)
    mask = flow(z.float())[0].double() * z
    assert torch.equal(mask[:, flow.deciding], torch.ones(200, 8, dtype=torch.float64))
    decided = (field != 0) & ~flow.deciding
    assert decided.any() and torch.equal(mask[decided], field.sign()[decided])
    assert torch.equal(flow(torch.where(flow.deciding, -z, z).float())[0], -flow(z.float())[0])


def test_local_field_of_the_triangular_antiferromagnet():
    system = TriangularIsing((6, 6), T=1.0)
    mask = sublattices((6, 6), 1)[0]
    flow = layer(mask, parity="odd", start="local_field", couplings=system.neighbours())
    z = spins(200, (6, 6)).double()
    sites, couplings = system.neighbours()
    field = (z.flatten(1)[:, sites] * couplings).sum(-1).view_as(z)
    flips = flow(z.float())[0].double() * z
    decided = (field != 0) & ~mask
    assert torch.equal(flips[decided], field.sign()[decided])


def test_local_field_on_pairs_is_that_of_the_deciding_neighbours():
    mask = pairs((4, 6), 1)[0]
    flow, z = layer(mask, parity="odd", start="local_field"), spins(200, (4, 6))
    sides = z.roll(1, 2) + z.roll(-1, 2)
    flips = (flow(z)[0] * z)[:, ~mask]
    sides = sides[:, ~mask]
    assert torch.equal(flips[sides != 0], sides.sign()[sides != 0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"network": "mlp"}, r"start='local_field' with network='mlp' needs couplings=system.neighbours\(\)"),
        ({"couplings": "glass"}, "needs couplings that are the same around every site: use network='mlp'"),
        ({"couplings": "small"}, r"neighbours of 16 sites and their couplings, \(16, k\) each, got shapes \(9, 6\)"),
        ({"network": "conv"}, "network must be 'window', 'mlp' or None, got 'conv'"),
        ({"reads": torch.ones(4, 4)}, r"reads must be booleans of shape \(4, 4\), got torch.float32"),
    ],
)
def test_refused(options, message):
    couplings = {
        "glass": fl.SpinGlass.edwards_anderson((4, 4), T=1.0).neighbours(),
        "small": TriangularIsing((3, 3), T=1.0).neighbours(),
        None: None,
    }[options.get("couplings")]
    with pytest.raises(ValueError, match=message):
        fl.XorCoupling((4, 4), **{"parity": "odd", "start": "local_field"} | options | {"couplings": couplings})


def test_a_local_field_layer_lowers_the_bound_of_a_glass_over_tilted_bits():
    """E = -Σ_B |h_i| s'_i - E_A: with fair spins A the bits along the field gain tanh, whatever the couplings."""
    T, n = 2.0, 4000
    glass = fl.SpinGlass.sherrington_kirkpatrick(16, T=T, seed=1)
    mask = halves((16,), 1)[0]
    gaps = {}
    for name, flow in {
        "flow": layer(mask, parity="odd", start="local_field", couplings=glass.neighbours()),
        "none": fl.Composed([]),
    }.items():
        base = fl.IndependentSpins((16,))
        with torch.no_grad():
            base.bias[~mask] = 2 * 0.56 / T if name == "flow" else 0.0  # E|h| = sqrt(2/π · 8/16)
        x, log_q = fl.Pushforward(flow, base).sample(n, generator=named_generator(0, "glass"))
        bound = fl.estimators.log_z_bound((glass.log_weight(x) - log_q).double().numpy())
        gaps[name] = (fl.exact.log_z(glass) - bound.value, bound.error)
    assert all(gap > -4 * error for gap, error in gaps.values())
    assert gaps["flow"][0] + 10 * math.hypot(gaps["flow"][1], gaps["none"][1]) < gaps["none"][0]
