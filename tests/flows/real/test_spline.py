"""Splines: increasing and C¹ everywhere, exact tails, zuko's and ours, refusals."""

from __future__ import annotations

import pytest
import torch
from zuko.transforms import MonotonicRQSTransform

from flowlab.core import named_generator
from flowlab.flows.real.affine import checkerboard_masks
from flowlab.flows.real.odd_spline import odd_spline
from flowlab.flows.real.spline import SplineCoupling
from tests.laws.registry import shaken

A = 2.0


def one_site(odd: bool, scale: float = 1.0, bins: int = 8, seed: int = 0):
    """z_0 -> x_0 of a layer whose network ignores z_1: a function of one variable, and its log-derivative."""
    layer = SplineCoupling(torch.tensor([True, False]), odd=odd, bins=bins, bound=A, hidden=4).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        bias = layer.network.even_bias
        bias.copy_(scale * torch.randn(bias.shape, generator=named_generator(seed, "spline"), dtype=torch.float64))

    def function(z: torch.Tensor, inverse: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
        both = torch.stack([z, torch.zeros_like(z)], 1)
        x, log_slope = (layer.inverse if inverse else layer)(both)
        return x[:, 0], log_slope

    return function


@pytest.mark.parametrize("odd", [False, True])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_increasing_and_inverted_everywhere(odd, seed, scale):
    f = one_site(odd, scale, seed=seed)
    z = torch.linspace(-10 * A, 10 * A, 40_001, dtype=torch.float64)
    with torch.no_grad():
        x, log_slope = f(z)
        back, log_slope_back = f(x, inverse=True)
    assert (x.diff() > 0).all() and log_slope.isfinite().all()
    assert (back - z).abs().max() < 1e-8
    mean = x.diff() / z.diff()
    slope = log_slope.exp()
    between = slope[1:-1].minimum(slope[:-2]).minimum(slope[2:])
    assert (mean[1:] > 0.5 * between[: len(mean) - 1]).all()
    torch.testing.assert_close(log_slope_back, -log_slope, rtol=0, atol=1e-5)


@pytest.mark.parametrize("odd", [False, True])
@pytest.mark.parametrize("end", [-A, A])
def test_once_differentiable_where_the_tails_begin(odd, end):
    f = one_site(odd, 2.0)
    near = end + torch.tensor([-1e-7, 0.0, 1e-7], dtype=torch.float64)
    with torch.no_grad():
        x, log_slope = f(near)
    torch.testing.assert_close(log_slope, log_slope[1].expand(3), rtol=0, atol=2e-4)
    torch.testing.assert_close(x.diff(), 1e-7 * log_slope[1].exp().expand(2), rtol=1e-3, atol=0)


@pytest.mark.parametrize("odd", [False, True])
def test_tails_are_straight_lines(odd):
    f = one_site(odd, 2.0)
    z = torch.tensor([-1e6, -7.0, -A, A, 7.0, 1e6], dtype=torch.float64)
    with torch.no_grad():
        x, log_slope = f(z)
    scale = log_slope[0].exp()
    torch.testing.assert_close(log_slope, log_slope[:1].expand(6), rtol=0, atol=1e-12)
    torch.testing.assert_close(x, scale * z)
    assert odd or torch.equal(x, z)
    assert not odd or abs(float(scale) - 1) > 0.05


@pytest.mark.parametrize("kinked", [0.0, 0.7])
def test_odd_spline_is_the_one_of_zuko_with_mirrored_knots(kinked):
    generator = named_generator(0, "mirror")
    widths, heights, slopes = torch.randn(3, 4, 50, dtype=torch.float64, generator=generator)
    x = 3 * torch.randn(50, dtype=torch.float64, generator=generator)
    slopes = slopes * kinked
    y, log_slope = odd_spline(x, widths, heights, slopes, bound=A)

    both = [torch.cat([t.flip(0), t]).movedim(0, -1) for t in (widths, heights)]
    bent = [t / (1 + 0.5 * t.abs()) for t in (widths, heights, slopes)]
    mean = bent[1].log_softmax(0) - bent[0].log_softmax(0)
    inner = bent[2] + torch.cat([mean[:1], 0.5 * (mean[1:] + mean[:-1])])
    theirs = MonotonicRQSTransform(*both, torch.zeros(50, 7, dtype=torch.float64), bound=A)
    half = [torch.nn.functional.pad(A * t.softmax(0).cumsum(0), (0, 0, 1, 0)).movedim(0, -1) for t in bent[:2]]
    theirs.horizontal, theirs.vertical = (torch.cat([-t.flip(-1), t[:, 1:]], -1) for t in half)
    right = torch.nn.functional.pad(inner, (0, 0, 0, 1)).exp().movedim(0, -1)
    theirs.derivatives = torch.cat([right.flip(-1), right[:, 1:]], -1)
    expected, expected_log_slope = theirs.call_and_ladj(x)
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(log_slope, expected_log_slope, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("scale", [1.0, 10.0, 100.0])
def test_odd_spline_stays_finite_in_single_precision_however_far_its_parameters_go(scale):
    generator = named_generator(1, "extreme")
    parameters = scale * torch.randn(3, 4, 20_000, generator=generator)
    parameters.requires_grad_()
    x = (2 * torch.rand(20_000, generator=generator) - 1) * 1.2 * A
    x[:3] = torch.tensor([0.0, A, -A])
    y, log_slope = odd_spline(x, *parameters, bound=A)
    back, log_slope_back = odd_spline(y.detach(), *parameters, bound=A, inverse=True)
    (y.sum() + log_slope.sum() + back.sum() + log_slope_back.sum()).backward()
    assert all(t.isfinite().all() for t in (y, log_slope, back, log_slope_back, parameters.grad))
    assert (back - x).abs().median() < 1e-6


def test_one_flow_is_the_same_on_both_sides_of_zero_magnetisation():
    """Continuous where the sign of the mean field changes: no configuration is treated by its sign."""
    mask = checkerboard_masks((4, 4), 1)[0]
    layer = shaken(SplineCoupling(mask, odd=True), 0.5).double()
    z = torch.randn(20, 4, 4, dtype=torch.float64, generator=named_generator(3))
    z = z - z.mean((1, 2), keepdim=True)
    with torch.no_grad():
        above, below = layer(z + 1e-9)[0], layer(z - 1e-9)[0]
    assert (above - below).abs().max() < 1e-6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bound": 0.0}, "bound must be positive, got 0"),
        ({"bound": -1.0}, "bound must be positive, got -1"),
        ({"bins": 1}, "bins must be at least 2, and even for an odd layer, got 1"),
        ({"bins": 5, "odd": True}, "even for an odd layer, got 5"),
    ],
)
def test_refusals(options, message):
    with pytest.raises(ValueError, match=message):
        SplineCoupling(torch.tensor([True, False]), **options)
