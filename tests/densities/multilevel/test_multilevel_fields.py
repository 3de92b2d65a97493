"""Multilevel densities of real fields."""

import math

import pytest
import torch

import flowlab as fl
from flowlab.densities.multilevel import MultilevelFields
from flowlab.densities.multilevel.maps import Bends, _asinh
from flowlab.densities.multilevel.reals import Maps, Mixtures
from flowlab.estimators.weights.weights import ess
from flowlab.systems.phi4 import Phi4
from flowlab.training.objectives.reverse_kl import PathGradient
from tests.laws.registry import shaken

KINDS = {
    "coloured": {},
    "coloured in one colour": {"colours": 1},
    "mixtures": {"conditional": "mixture"},
    "autoregressive": {"kind": "autoregressive"},
    "autoregressive mixtures": {"kind": "autoregressive", "conditional": "mixture"},
}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(params=KINDS)
def options(request):
    return {"hidden": (8, 8)} | KINDS[request.param]


@pytest.fixture(params=[(4, 2), (6, 3)])
def density(request, options):
    side, coarsest = request.param
    return shaken(MultilevelFields((side, side // 2), coarsest=coarsest, **options), 0.15).double()


def test_draws_agree_with_log_prob_and_are_symmetric(density):
    x, log_q, score = density.draw(40, generator=generator())
    assert x.requires_grad and not score.any()
    for sign in (1, -1):
        torch.testing.assert_close(density.log_prob(sign * x), log_q, atol=1e-9, rtol=0)
    assert torch.equal(density.flip_action(), -torch.ones(density.shape))


def test_a_density_that_is_not_odd_has_no_symmetry_and_starts_with_it():
    fresh = MultilevelFields((8, 4), odd=False, hidden=(8, 8))
    q = shaken(MultilevelFields((8, 4), odd=False, hidden=(8, 8)), 0.3).double()
    for each, same in ((fresh, True), (q, False)):
        x, log_q = each.sample(40, generator=generator())
        torch.testing.assert_close(each.log_prob(x).detach(), log_q, atol=1e-9 if each is q else 1e-4, rtol=0)
        assert bool(torch.isclose(each.log_prob(-x), log_q, atol=1e-4).all()) is same
    assert q.flip_action() is None


def test_normalised(density):
    """The mean of r/q over draws of q is the integral of r: here a Gaussian a little narrower than q."""
    x, log_q = density.sample(20_000, generator=generator(1))
    flat = x.flatten(1)
    narrower = torch.distributions.MultivariateNormal(flat.mean(0), 0.5 * flat.T.cov())
    ratio = (narrower.log_prob(flat) - log_q).exp()
    assert abs(float(ratio.mean()) - 1) < 4 * float(ratio.std()) / math.sqrt(20_000) < 0.5


def test_log_prob_has_the_gradient_of_its_finite_differences(density):
    x, _ = density.sample(6, generator=generator())
    direction = torch.randn(x.shape, generator=generator(1), dtype=x.dtype)
    (gradient,) = torch.autograd.grad(density.log_prob(x.requires_grad_()).sum(), x)
    with torch.no_grad():
        above, below = (density.log_prob(x + h * direction) for h in (1e-5, -1e-5))
    found = (gradient * direction).flatten(1).sum(1)
    torch.testing.assert_close(found, (above - below) / 2e-5, atol=1e-4, rtol=1e-4)


def test_gradient_in_the_parameters_is_that_of_finite_differences(density):
    parameter = density.conditionals["0 centre" if density.kind == "autoregressive" else "0 centre 0"].window

    def mean_square():
        x, log_q, _ = density.draw(60, generator=generator(2))
        return (x.square().flatten(1).sum(1) + log_q).mean()

    (gradient,) = torch.autograd.grad(mean_square(), parameter)
    place = int(gradient.abs().argmax())
    values = []
    for h in (1e-5, -2e-5):
        with torch.no_grad():
            parameter.view(-1)[place] += h
        values.append(float(mean_square().detach()))
    if density.conditional == "map":  # a mixture's gradient is that of the mean, not of each draw
        assert float(gradient.view(-1)[place]) == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-4)


def test_levels_reassemble_the_configuration(density):
    x, log_q = density.sample(3, generator=generator())
    stages = list(density.stages(x=x))
    n = density.coarsest**2
    assert [int((~stage.x[0].isnan()).sum()) for stage in stages] == [n, 2 * n]
    assert torch.equal(stages[-1].x, x)
    torch.testing.assert_close(stages[-1].log_q, log_q, atol=1e-9, rtol=0)
    *_, last = density.stages(z=stages[0].x, generator=generator(3))
    known = ~stages[0].x.isnan()
    assert torch.equal(last.x[known], x[known]) and not last.x.isnan().any()
    torch.testing.assert_close(last.log_q, density.log_prob(last.x).detach(), atol=1e-9, rtol=0)


def test_sizes_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="steps must be 0 or more tanh of a map, got -1"):
        MultilevelFields((4, 2), steps=-1)
    with pytest.raises(ValueError, match=r"at least 1 unit in each of the two layers, got \(3, 0\)"):
        MultilevelFields((4, 2), hidden=(3, 0))


def test_an_outer_base_draws_the_coarsest_lattice_where_it_is_unknown():
    q = shaken(MultilevelFields((8, 4), base=fl.Normal((2, 2))), 0.1)
    z, _ = q.sample(4, generator=generator())
    z[1:3] = torch.nan
    *_, last = q.stages(z=z, generator=generator(1))
    assert torch.equal(last.x[[0, 3]], z[[0, 3]]) and bool(last.x.isfinite().all())
    torch.testing.assert_close(last.log_q, q.log_prob(last.x).detach(), atol=1e-4, rtol=0)


def test_single_precision_loses_little():
    q = shaken(MultilevelFields((8, 4)), 0.1)
    x, log_q = q.sample(500, generator=generator())
    assert float((q.log_prob(x).detach() - log_q).abs().max()) < 1e-4  # a sum of 32 terms
    exact = q.double().log_prob(x.double()).detach()
    assert float((exact - log_q).abs().max()) < 1e-4


def bends(n, scale=1.5):
    numbers = scale * torch.randn(12, 1, n, generator=generator(5), dtype=torch.float64)
    return Maps(3).bends(numbers)


def test_maps_rise_and_their_slope_is_the_derivative():
    found = bends(200)
    z = torch.linspace(-4, 4, 201, dtype=torch.float64)[:, None]
    x, log_slope = found.forward(z.asinh())
    above, below = (found.forward((z + h).asinh())[0] for h in (1e-6, -1e-6))
    torch.testing.assert_close(log_slope.exp(), (above - below) / 2e-6, rtol=1e-5, atol=1e-7)
    assert bool((x.diff(dim=0) > 0).all())


@pytest.mark.parametrize("scale", [0.5, 1.5, 3.0])
def test_maps_are_inverted(scale):
    found = bends(300, scale)
    z = 6 * torch.randn(50, 300, generator=generator(6), dtype=torch.float64)
    x, log_slope = found.forward(z.asinh())
    t, same = found.inverse(x)
    reached, _ = found.forward(t)
    torch.testing.assert_close(reached, x, rtol=1e-9, atol=1e-9)
    near = log_slope > -5
    torch.testing.assert_close(t.sinh()[near], z[near], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(same[near], log_slope[near], rtol=0, atol=1e-5)


def test_odd_numbers_turn_a_map_around():
    found = bends(50)
    turned = Bends(-found.mu, found.a, found.delta, found.steps, found.slopes, -found.shifts)
    t = torch.linspace(-3, 3, 20, dtype=torch.float64)[:, None]
    torch.testing.assert_close(turned.forward(-t)[0], -found.forward(t)[0])


def test_log_prob_of_a_map_is_the_derivative_of_its_distribution_function():
    found = bends(40)
    x = torch.linspace(-2, 2, 20, dtype=torch.float64)[:, None].expand(20, 40)
    below, above = (torch.special.ndtr(found.inverse(x + h)[0].sinh()) for h in (-1e-6, 1e-6))
    t, log_slope = found.inverse(x)
    density = torch.exp(-0.5 * t.sinh().square() - 0.5 * math.log(2 * math.pi) - log_slope)
    torch.testing.assert_close(density, (above - below) / 2e-6, rtol=1e-5, atol=1e-8)


def test_fast_asinh():
    x = torch.linspace(-30, 30, 1001, dtype=torch.float64)
    torch.testing.assert_close(_asinh(x), x.asinh(), rtol=1e-14, atol=1e-15)


def test_mixture_draws_have_the_gradient_of_their_mean():
    numbers = 0.7 * torch.randn(8, 1, generator=generator(7), dtype=torch.float64)
    many = numbers.expand(-1, 200_000).clone().requires_grad_()
    x, log_q = Mixtures().draw(many, generator(8))
    torch.testing.assert_close(Mixtures().log_prob(many, x), log_q)
    (gradient,) = torch.autograd.grad(x.sum(), many)
    wanted = numbers.clone().requires_grad_()
    log_weights, means, _ = Mixtures().components(wanted)
    (expected,) = torch.autograd.grad((log_weights.exp() * means).sum(), wanted)
    error = gradient.std(1) / math.sqrt(200_000)
    assert bool(((gradient.mean(1) - expected[:, 0]).abs() < 4 * error + 1e-9).all())


def test_training_on_the_path_gradient_improves_it():
    target = Phi4.from_beta((4, 4), beta=0.5, lam=0.5).decimate()
    q = MultilevelFields((4, 2), hidden=(8, 8))
    q.bind(target)
    optimiser, stream = torch.optim.Adam(q.parameters(), lr=0.02), generator()
    for _ in range(40):
        optimiser.zero_grad()
        PathGradient().loss(q, target, 100, generator=stream).value.backward()
        optimiser.step()
    x, log_q = q.sample(5000, generator=stream)
    assert float(ess((target.log_weight(x) - log_q).double().numpy()).value) > 0.9


def test_growth_hands_on_the_networks():
    small, large = shaken(MultilevelFields((8, 4))), MultilevelFields((16, 8))
    assert sorted(large.warm_start(small)) == sorted(large.state_dict())
    one = large.conditionals["2 edge 1"].window
    assert torch.equal(one, small.conditionals["1 edge 1"].window)


def test_an_outer_base_draws_the_coarsest_lattice():
    q = shaken(MultilevelFields((8, 4), coarsest=4, base=fl.Normal((4, 4))), 0.1).double()
    draw = q.draw(10, generator=generator())
    torch.testing.assert_close(q.log_prob(draw.x), draw.log_q, atol=1e-9, rtol=0)


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="kind must be one of coloured, autoregressive, got 'heat_bath'"):
        MultilevelFields((8, 4), "heat_bath")
    with pytest.raises(ValueError, match="conditional must be one of map, mixture, got 'spline'"):
        MultilevelFields((8, 4), conditional="spline")
    with pytest.raises(ValueError, match=r"L must be 2 · 2\^k"):
        MultilevelFields((12, 6))
    with pytest.raises(ValueError, match="real fields cannot fit Ising"):
        MultilevelFields((8, 4)).bind(fl.Ising((8, 8), T=2.0).decimate())
