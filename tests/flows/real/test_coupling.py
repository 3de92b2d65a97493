"""Laws of the couplings of real fields, each with both parities, both networks, on plain and staggered lattices."""

from __future__ import annotations

import itertools

import pytest
import torch

import flowlab as fl
from flowlab.core import named_generator
from flowlab.flows.composed import Composed
from flowlab.flows.real.additive import AdditiveCoupling
from flowlab.flows.real.affine import AffineCoupling, checkerboard_masks, row_masks
from flowlab.flows.real.coupling import coupling_windows, lattice_coordinates
from flowlab.flows.real.spline import SplineCoupling
from tests.laws.registry import shaken

KINDS = {"additive": AdditiveCoupling, "affine": AffineCoupling, "spline": SplineCoupling}
EVERY = list(itertools.product(KINDS, ("mlp", "conv"), (False, True), ("plain", "staggered")))
BOUND = 5.0


def masks(lattice: str, layers: int = 1) -> list[torch.Tensor]:
    return checkerboard_masks((4, 4), layers) if lattice == "plain" else row_masks((4, 3), layers)


def coupling(
    kind: str, network: str = "mlp", odd: bool = True, lattice: str = "plain", i: int = 0, **options
) -> fl.Flow:
    mask = masks(lattice, i + 1)[i]
    if network == "conv":
        options["windows"] = coupling_windows(mask, staggered=lattice == "staggered")
    return KINDS[kind](mask, network=network, odd=odd, generator=named_generator(i, "coupling"), **options)


def fields(n: int, lattice: str = "plain", dtype: torch.dtype = torch.float32, scale: float = 1.5) -> torch.Tensor:
    shape = masks(lattice)[0].shape
    return scale * torch.randn(n, *shape, dtype=dtype, generator=named_generator(0, "fields"))


def composed(case: tuple, dtype: torch.dtype = torch.float32, layers: int = 4, by: float = 0.2) -> fl.Flow:
    kind, network, odd, lattice = case
    return shaken(Composed([coupling(kind, network, odd, lattice, i) for i in range(layers)]), by).to(dtype)


def ids(case: tuple) -> str:
    kind, network, odd, lattice = case
    return f"{'odd ' if odd else ''}{kind} {network} {lattice}"


@pytest.mark.parametrize("case", EVERY, ids=ids)
def test_log_det_is_that_of_the_jacobian_inside_at_and_far_outside_the_interval(case):
    flow = shaken(coupling(*case), 0.5).double()
    z = fields(4, case[3], torch.float64)
    z[1] *= 10
    z[2] = torch.where(z[2] < 0, -BOUND, BOUND)
    z[3] = 0.0
    x, log_det = flow(z)
    torch.testing.assert_close(flow.inverse(x)[1], -log_det, rtol=0, atol=1e-9)
    n = z[0].numel()
    forward = torch.autograd.functional.jacobian(lambda z: flow(z)[0].sum(0), z).reshape(n, 4, n).movedim(1, 0)
    torch.testing.assert_close(forward.slogdet().logabsdet, log_det, rtol=0, atol=1e-9)
    inverse = torch.autograd.functional.jacobian(lambda x: flow.inverse(x)[0].sum(0), x.detach()).reshape(n, 4, n)
    torch.testing.assert_close(
        inverse.movedim(1, 0) @ forward, torch.eye(n).double().expand(4, n, n), rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("case", EVERY, ids=ids)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
def test_inverse(case, dtype, tolerance):
    flow = composed(case, dtype)
    z = fields(200, case[3], dtype)
    with torch.no_grad():
        x, log_det = flow(z)
        back, log_det_back = flow.inverse(x)
    assert x.dtype == log_det.dtype == dtype and (x - z).abs().mean() > 0.1
    assert (back - z).abs().max() < tolerance * max(1.0, float(x.abs().max()))
    torch.testing.assert_close(log_det_back, -log_det, rtol=0, atol=30 * tolerance)


@pytest.mark.parametrize("case", [case for case in EVERY if case[2]], ids=ids)
def test_odd_layers_are_odd_bit_by_bit(case):
    flow, z = composed(case), fields(301, case[3])
    z[0] = 0.0
    with torch.no_grad():
        (x, log_det), (minus, same) = flow(z), flow(-z)
        assert torch.equal(minus, -x) and torch.equal(same, log_det)
        (z, log_det), (minus, same) = flow.inverse(x), flow.inverse(-x)
        assert torch.equal(minus, -z) and torch.equal(same, log_det)
    assert torch.equal(flow.pull_flip(-torch.ones(x.shape[1:])), -torch.ones(x.shape[1:]))
    assert flow.pull_flip(torch.ones(x.shape[1:])) is None


@pytest.mark.parametrize("case", [case for case in EVERY if not case[2]], ids=ids)
def test_other_layers_claim_no_symmetry(case):
    flow, z = composed(case), fields(9, case[3])
    assert flow.pull_flip(-torch.ones(z.shape[1:])) is None
    assert (flow(-z)[0] + flow(z)[0]).abs().max() > 1e-3


@pytest.mark.parametrize("case", EVERY, ids=ids)
def test_ln_q_does_not_depend_on_the_batch(case):
    density = fl.Pushforward(composed(case), fl.Normal(masks(case[3])[0].shape))
    x = 30 * fields(40, case[3])
    x[:5] = fields(5, case[3])
    with torch.no_grad():
        alone = torch.cat([density.log_prob(one[None]) for one in x[:5]])
        torch.testing.assert_close(density.log_prob(x)[:5], alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", EVERY, ids=ids)
def test_starts_near_the_identity_with_a_gradient_for_every_parameter(case):
    flow, z = coupling(*case), fields(50, case[3])
    x, log_det = flow(z)
    assert 0 < (x - z).abs().max() < 0.15
    (x.pow(4).sum() - log_det.sum()).backward()
    for name, parameter in flow.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name
    flow.zero_grad()
    back, log_det = flow.inverse(z)
    (back.pow(4).sum() - log_det.sum()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in flow.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_same_generator_same_layer_and_only_the_mask_moves(kind):
    one, again = coupling(kind), coupling(kind)
    z, mask = fields(5), masks("plain")[0]
    x = one(z)[0]
    assert torch.equal(x, again(z)[0]) and torch.equal(x[:, ~mask], z[:, ~mask])
    assert (x != z)[:, mask].any(0).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("lattice", "steps"), [("plain", (1, 1)), ("plain", (0, 2)), ("staggered", (2, 0))])
def test_convolutions_commute_with_translations(kind, lattice, steps):
    flow, z = shaken(coupling(kind, "conv", True, lattice), 0.3), fields(20, lattice)
    moved = flow(z.roll(steps, (1, 2)))[0]
    torch.testing.assert_close(moved, flow(z)[0].roll(steps, (1, 2)), rtol=1e-5, atol=1e-5)


def test_windows_of_a_staggered_lattice_are_those_of_the_lattice():
    """Both rows of a pair see the same offsets; every site that is read is an even site of odd distance in y."""
    mask = row_masks((8, 4), 1)[0]
    table = coupling_windows(mask, 7, staggered=True)
    sides, sites = lattice_coordinates((8, 4), staggered=True)
    assert sides == (8, 8) and table.shape == (16, 16)
    offsets = (sites[table] - sites[mask.flatten()][:, None] + 3) % 8 - 3
    assert (offsets == offsets[:1]).all()
    assert (offsets % 2 == 1).all() and (offsets[0].square().sum(1).diff() >= 0).all()
    other = coupling_windows(~mask, 7, staggered=True)
    assert torch.equal((sites[other] - sites[~mask.flatten()][:, None] + 3) % 8 - 3, offsets)


def test_windows_hold_a_site_once_and_only_sites_that_stay():
    mask = checkerboard_masks((4, 4), 1)[0]
    table = coupling_windows(mask, 7)
    assert table.shape == (8, 8) and not mask.flatten()[table].any()
    assert len(coupling_windows(torch.arange(10) % 2 == 0, 5)[0]) == 2
    even = lattice_coordinates((4, 4, 4), staggered=False)[1].sum(1).view(4, 4, 4) % 2 == 0
    assert coupling_windows(even, 3).shape == (32, 6 + 8)


def test_an_odd_flow_of_splines_turns_one_mode_into_two():
    """A pair of coupled double wells, barriers of 4: the odd splines learn both modes, in equal parts."""

    def log_weight(x: torch.Tensor) -> torch.Tensor:
        return -(x.square() - 2).square().sum(1) + 0.3 * x.prod(1)

    mask = torch.tensor([True, False])
    masks = (mask, ~mask)
    flow = Composed([SplineCoupling(m, odd=True, hidden=16, generator=named_generator(i)) for i, m in enumerate(masks)])
    density = fl.Pushforward(flow, fl.Normal((2,)))
    optimiser = torch.optim.Adam(flow.parameters(), 0.02)
    generator = named_generator(0, "train")
    for _ in range(120):
        draw = density.draw(256, generator=generator)
        optimiser.zero_grad()
        (draw.log_q - log_weight(draw.x)).mean().backward()
        optimiser.step()
    x, log_q = density.sample(4000, generator=generator)
    weight = (log_weight(x) - log_q).softmax(0)
    grid = torch.linspace(-4, 4, 401)
    every = torch.cartesian_prod(grid, grid)
    p = log_weight(every).softmax(0)
    assert 1 / (4000 * weight.square().sum()) > 0.8
    same = (p * (every.prod(1) > 0)).sum()
    found = (weight * (x.prod(1) > 0)).sum()
    error = (weight.square() * ((x.prod(1) > 0).float() - found) ** 2).sum().sqrt()
    assert abs(found - same) < 4 * error
    up = (x.sum(1) > 0).double().mean()
    assert abs(up - 0.5) < 4 * 0.5 / 4000**0.5


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mask": torch.ones(4, dtype=torch.bool)}, r"got torch\.bool with 4 of 4 sites to change"),
        ({"mask": torch.tensor([0, 1])}, "mask must be boolean"),
        ({"network": "fc"}, "network must be 'mlp', 'conv' or 'stack', got 'fc'"),
        ({"hidden": 0}, "positive width"),
        ({"layers": 0}, "at least 1 hidden layer, got 0"),
        ({"activation": "sin"}, "activation must be one of"),
        ({"activation": "relu", "odd": True}, "an odd layer needs the activation 'tanh', got 'relu'"),
        ({"windows": torch.zeros(8, 2, dtype=torch.long)}, "windows are for network='conv'"),
        ({"network": "conv", "windows": torch.zeros(8, 2, dtype=torch.long)}, "sites that the mask leaves alone"),
        ({"network": "conv", "windows": torch.ones(3, 2, dtype=torch.long)}, r"\(8, k\), a row for each site"),
    ],
)
def test_refusals(kind, options, message):
    with pytest.raises(ValueError, match=message):
        KINDS[kind](**{"mask": masks("plain")[0], "odd": True} | options)


def test_refused_shapes_and_windows():
    with pytest.raises(ValueError, match=r"expected fields of shape \(n, 4, 4\), got \(2, 16\)"):
        coupling("affine")(torch.zeros(2, 16))
    with pytest.raises(ValueError, match="the first of them even, for rows in turns, got"):
        row_masks((3, 4), 2)
    with pytest.raises(ValueError, match="kernel must be an odd number of at least 3, got 4"):
        coupling_windows(masks("plain")[0], 4)
    with pytest.raises(ValueError, match="even ones before the last"):
        coupling_windows(torch.arange(15).view(3, 5) % 2 == 0, staggered=True)
    with pytest.raises(ValueError, match="the same sites alone around every site"):
        coupling_windows(torch.tensor([1, 1, 1, 0, 1, 0, 0, 0], dtype=torch.bool), 3)
