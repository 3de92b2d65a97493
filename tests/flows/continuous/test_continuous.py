"""The continuous flow: its divergence, its hand-written derivative, its symmetries and its integration."""

import itertools

import pytest
import torch

from flowlab.core import named_generator
from flowlab.densities.normal import Normal
from flowlab.flows.continuous.continuous import ContinuousFlow, refined
from flowlab.nn import field_kernel
from flowlab.nn.field_kernel import FieldKernel
from tests.laws.registry import shaken

GEOMETRIES = {
    "blocks in 2d": ((8, 8), 2, 5, 15),
    "blocks in 1d": ((8,), 2, 5, 5),
    "blocks of 3": ((9, 9), 3, 3, 15),
    "kernel around the lattice": ((4, 4), 2, 5, 15),
    "all translations in 2d": ((6, 6), 1, 5, 6),
    "all translations in 1d": ((8,), 1, 5, 3),
    "whole lattice": ((4, 4), 1, None, 6),
    "whole lattice of blocks": ((4,), 2, None, 4),
}


def continuous(shape=(4, 4), scale=0.03, **options):
    return shaken(ContinuousFlow(shape, **options), scale).double()


def fields(n, shape, name="fields"):
    return torch.randn(n, *shape, generator=named_generator(0, name), dtype=torch.float64)


@pytest.fixture(params=GEOMETRIES)
def flow(request):
    shape, block, kernel, _ = GEOMETRIES[request.param]
    return continuous(shape, block=block, kernel=kernel)


@pytest.mark.parametrize(("shape", "block", "kernel", "orbits"), GEOMETRIES.values(), ids=GEOMETRIES)
def test_number_of_orbits(shape, block, kernel, orbits):
    assert FieldKernel(shape, block=block, kernel=kernel).n_orbits == orbits


def test_starts_at_the_identity():
    flow, z = ContinuousFlow((8, 8)), fields(3, (8, 8)).float()
    x, log_det = flow(z)
    assert torch.equal(x, z) and not log_det.any()
    (x.square().sum() + log_det.sum()).backward()
    assert flow.weight.grad.abs().min() > 0


def test_velocity_is_the_kernel_on_the_sines_of_the_field():
    flow, z = continuous((8, 8)), fields(3, (8, 8))
    t = torch.tensor(0.3, dtype=torch.float64)
    series = torch.stack([torch.cos(0 * t), *(f(2 * torch.pi * k * t) for k in (1, 2) for f in (torch.cos, torch.sin))])
    weights = torch.einsum("d,di,oij,fj->of", series, flow.in_time, flow.weight, flow.in_features)
    features = torch.stack([z, *((w * z).sin() for w in flow.omega)]).flatten(2)
    expected = sum(
        couplings @ (w @ features.flatten(1)).view(3, 64).T for couplings, w in zip(orbits(flow), weights, strict=True)
    )
    torch.testing.assert_close(flow.velocity(z, 0.3)[0].flatten(1).T, expected)


def orbits(flow):
    """(orbits, N, N) of 0 and 1: which pairs of sites share a weight."""
    kernel, found = flow.kernel, []
    rows = kernel.to_rows(torch.eye(64, dtype=torch.float64).view(64, 8, 8))
    for unit in torch.eye(kernel.n_orbits, dtype=torch.float64):
        weights = torch.stack([unit, torch.zeros_like(unit)], 1)
        v, _ = kernel.velocity(rows, kernel.matrices(weights), torch.ones(1, dtype=torch.float64))
        found.append(kernel.from_rows(v).flatten(1).T)
    return torch.stack(found)


def test_orbits_are_what_the_symmetries_of_a_block_leave():
    couples = orbits(continuous((8, 8)))
    frames = {}
    for y, x, dy, dx in itertools.product(range(2), range(2), range(-2, 3), range(-2, 3)):
        column = couples[:, y * 8 + x, (y + dy) % 8 * 8 + (x + dx) % 8]
        assert column.sum() == 1 and column.max() == 1
        # Mirrors bring the site to the first place of its block; the mirror on the diagonal is left.
        frame = tuple(sorted((dy * (1 - 2 * y), dx * (1 - 2 * x))))
        assert frames.setdefault(frame, int(column.argmax())) == int(column.argmax())
    assert sorted(frames.values()) == list(range(15))
    assert couples.sum() == 64 * 25


@pytest.mark.parametrize("block", [1, 2])
def test_a_kernel_of_the_whole_lattice_is_the_same_dense_and_by_offsets(block, monkeypatch):
    dense = FieldKernel((4, 4), block=block, kernel=None)
    monkeypatch.setattr(field_kernel, "DENSE", 0)
    sparse = FieldKernel((4, 4), block=block, kernel=None)
    assert (dense.n_cells, sparse.n_cells) == (1, 16 // block**2) and dense.n_orbits == sparse.n_orbits
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(dense.n_orbits, 3, generator=generator, dtype=torch.float64)
    x, omega = fields(5, (4, 4)), torch.tensor([0.7, 1.9], dtype=torch.float64)
    found = [(k.velocity(k.to_rows(x), k.matrices(weights), omega), k) for k in (dense, sparse)]
    (v, div), (v_sparse, div_sparse) = ((k.from_rows(v), div) for (v, div), k in found)
    torch.testing.assert_close(v, v_sparse)
    torch.testing.assert_close(div, div_sparse)
    moved = x.roll((block, 2 * block), (1, 2))
    there = dense.from_rows(dense.velocity(dense.to_rows(moved), dense.matrices(weights), omega)[0])
    torch.testing.assert_close(there, v.roll((block, 2 * block), (1, 2)))


def test_divergence_is_the_trace_of_the_jacobian(flow):
    x = fields(2, flow.shape)
    _, div = flow.velocity(x, 0.37)
    for one, expected in zip(x, div, strict=True):
        jacobian = torch.autograd.functional.jacobian(lambda y: flow.velocity(y[None], 0.37)[0][0], one)
        torch.testing.assert_close(jacobian.view(one.numel(), -1).trace(), expected, atol=1e-10, rtol=0)


@pytest.mark.parametrize(("shape", "block", "kernel"), [((4,), 2, 5), ((4, 4), 2, 3), ((3, 3), 1, None), ((3,), 3, 3)])
def test_hand_written_derivative(shape, block, kernel):
    flow = continuous(shape, block=block, kernel=kernel, frequencies=2)
    rows = flow.kernel.to_rows(fields(2, shape)).requires_grad_()
    matrix = flow.matrices(torch.tensor([0.2], dtype=torch.float64))[0].detach().requires_grad_()
    omega = flow.omega.detach().requires_grad_()
    assert torch.autograd.gradcheck(flow.kernel.velocity, (rows, matrix, omega))


@pytest.mark.parametrize(("shape", "times"), [((4, 4), 5), ((6,), 4), ((4,), 1)])
def test_log_det_is_that_of_the_jacobian(shape, times):
    flow, z = continuous(shape, times=times, steps=40), fields(1, shape)
    _, log_det = flow(z)
    jacobian = torch.autograd.functional.jacobian(lambda y: flow(y[None])[0][0], z[0]).view(z.numel(), z.numel())
    torch.testing.assert_close(jacobian.slogdet().logabsdet, log_det[0], atol=1e-5, rtol=0)


def test_fourth_order_and_the_way_back():
    flow, z = continuous(steps=10), fields(20, (4, 4))
    rough = flow.integration_error(z)
    with refined(flow, 4):
        assert flow.steps == 40
        fine = flow.integration_error(z)
    assert flow.steps == 10
    for name in ("field", "log_det"):
        assert rough[name] > 1e-6 and 128 < rough[name] / fine[name] < 512, name
    # Errors of fourth order cancel between there and back.
    for name in ("round_trip", "closure"):
        assert rough[name] > 1e-6 and 512 < rough[name] / fine[name] < 2048, name


def test_symmetries_of_the_lattice(flow):
    z = fields(3, flow.shape)
    x, log_det = flow(z)
    sides = tuple(range(1, z.ndim))
    moves = [lambda f: -f, lambda f: f.flip(1), lambda f: f.roll(flow.kernel.block, sides[-1])]
    if len(sides) == 2:
        moves += [lambda f: f.transpose(1, 2), lambda f: f.rot90(1, sides)]
    for move in moves:
        moved, log_det_moved = flow(move(z))
        torch.testing.assert_close(moved, move(x))
        torch.testing.assert_close(log_det_moved, log_det)
    if flow.kernel.block > 1:
        assert (flow(z.roll(1, sides[-1]))[0] - x.roll(1, sides[-1])).abs().max() > 1e-3
    assert torch.equal(flow.pull_flip(-torch.ones(flow.shape)), -torch.ones(flow.shape))
    assert flow.pull_flip(torch.ones(flow.shape)) is None


def gradients(flow, z):
    flow.zero_grad()
    z = z.clone().requires_grad_()
    x, log_det = flow(z)
    (x.pow(4).mean() - log_det.mean()).backward()
    return {"z": z.grad, **{name: p.grad.clone() for name, p in flow.named_parameters()}}


def test_gradients_reach_every_parameter_and_agree_between_solvers():
    z = fields(3, (4,))
    expected = gradients(continuous((4,), steps=40), z)
    assert all(grad.abs().max() > 0 for grad in expected.values())
    others = [
        {"steps": 40, "gradient": "adjoint"},
        {"solver": "dopri5", "tolerance": 1e-8},
        {"solver": "dopri5", "gradient": "adjoint", "tolerance": 1e-8},
    ]
    for options in others:
        for name, grad in gradients(continuous((4,), **options), z).items():
            torch.testing.assert_close(grad, expected[name], atol=3e-5, rtol=1e-4, msg=f"{name}, {options}")


def test_the_field_alone_has_the_same_gradient_by_the_adjoint():
    z, found = fields(3, (4,)), []
    for gradient in ("backprop", "adjoint"):
        flow = continuous((4,), steps=40, gradient=gradient)
        kept = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, kept=kept: kept.append(t.numel()) or t, lambda t: t):
            x, log_det, slope = flow.push(z, -z)
        assert x.requires_grad and not log_det.requires_grad and not slope.requires_grad
        x.pow(4).mean().backward()
        found.append(([p.grad for p in flow.parameters()], slope, len(kept)))
    for one, other in zip(found[0][0], found[1][0], strict=True):
        torch.testing.assert_close(one, other, atol=3e-5, rtol=1e-4)
    torch.testing.assert_close(found[0][1], found[1][1])
    assert found[1][2] < found[0][2] / 10  # what is kept for the way back does not grow with the steps


def test_gradient_of_the_way_back():
    flow, x = continuous((4,), frequencies=2, steps=3), fields(2, (4,)).requires_grad_()
    assert torch.autograd.gradcheck(flow.inverse, (x,))


def test_pieces_are_the_flow():
    flow, z = continuous(steps=7), fields(3, (4, 4))
    x, log_det = flow(z)
    pieces, total = flow.pieces(3), 0.0
    for piece in pieces:
        before, (z, change) = z, piece(z)
        torch.testing.assert_close(piece.inverse(z)[0], before, atol=1e-2, rtol=0)
        total = total + change
    assert [piece.label for piece in pieces] == ["t = 0.29", "t = 0.71", "t = 1"]
    torch.testing.assert_close(z, x)
    torch.testing.assert_close(total, log_det)
    assert len(flow.pieces(50)) == 7 and not list(pieces[0].parameters())


def test_other_sizes_share_the_weights():
    flow = continuous((4, 4))
    larger = flow.on((8, 8))
    assert all(p is q for p, q in zip(flow.parameters(), larger.parameters(), strict=True))
    z = fields(2, (4, 4))
    tiled, log_det = larger(z.repeat(1, 2, 2))
    torch.testing.assert_close(tiled, flow(z)[0].repeat(1, 2, 2))
    torch.testing.assert_close(log_det, 4 * flow(z)[1])
    with pytest.raises(ValueError, match="belongs to its lattice"):
        ContinuousFlow((4, 4), kernel=None).on((8, 8))


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((4, 8), {}, r"equal sides.*got \(4, 8\)"),
        ((5, 5), {}, "multiple of the block's 2 sites"),
        ((4, 4), {"kernel": 4}, "odd and reach less than 4 sites"),
        ((2, 2), {"kernel": 5}, "reach less than 2 sites"),
        ((4, 4), {"steps": 0}, "steps must be at least 1, got 0"),
        ((4, 4), {"bonds": (4, 0)}, "bonds must be at least 1"),
        ((4, 4), {"solver": "euler"}, "solver must be one of rk4"),
    ],
)
def test_what_does_not_fit_is_refused(shape, options, message):
    with pytest.raises(ValueError, match=message):
        ContinuousFlow(shape, **options)


def test_fields_of_another_lattice_are_refused():
    with pytest.raises(ValueError, match=r"shape \(n, 4, 4\), got \(2, 8, 8\)"):
        ContinuousFlow((4, 4))(fields(2, (8, 8)))


def test_float32_stays_float32():
    z, _ = Normal((4, 4)).sample(2, generator=named_generator(0, "z"))
    x, log_det = shaken(ContinuousFlow((4, 4)), 0.1)(z)
    assert x.dtype == log_det.dtype == torch.float32


def test_twice_the_steps_have_a_sixteenth_of_the_tolerance_as_fits_the_fourth_order():
    flow = ContinuousFlow((4, 4), steps=5, tolerance=1e-3)
    with refined(flow, 2):
        assert (flow.steps, flow.tolerance) == (10, pytest.approx(1e-3 / 16))
    assert (flow.steps, flow.tolerance) == (5, 1e-3)
