"""Laws of every density."""

import math

import pytest
import torch

import flowlab as fl
from flowlab.exact.enumeration import configurations
from flowlab.testing import check_density
from tests.laws.registry import SHAPE, SPIN_DENSITIES, SYSTEMS, Scaled, shaken


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def every_configuration():
    return configurations(SHAPE, 0, 2**8)


@pytest.fixture(params=SPIN_DENSITIES)
def make(request):
    return SPIN_DENSITIES[request.param]


@pytest.fixture
def density(make):
    return shaken(make())


def test_laws_of_densities(make):
    check_density(make(), fl.Spins(), shake=0.5, n=50)


def test_the_score_is_the_likelihood_of_discrete_choices(density):
    draw = density.double().draw(300, generator=generator())
    torch.testing.assert_close(draw.score, draw.log_q, atol=1e-10, rtol=0)
    x, log_q = density.sample(300, generator=generator())
    assert not x.requires_grad and not log_q.requires_grad


def test_never_uses_the_global_generator(density):
    before = torch.get_rng_state()
    loss = density.draw(20, generator=generator(3))
    total = (loss.score + density.log_prob(loss.x)).sum()
    assert total.requires_grad == density.learns
    if density.learns:
        total.backward()
    assert torch.equal(before, torch.get_rng_state())


def test_stages_from_both_ends_are_refused(density):
    with pytest.raises(ValueError, match="exactly one of n, x, z"):
        next(iter(density.stages(3, x=density.sample(1, generator=generator())[0])))


def test_state_dict_restores_it_and_has_no_couplings(make, density):
    x = every_configuration().float()
    fresh = make()
    fresh.load_state_dict(density.state_dict())
    with torch.no_grad():
        assert torch.equal(fresh.log_prob(x), density.log_prob(x))
    assert set(density.state_dict()) == {name for name, _ in density.named_parameters()}


def test_warm_start_copies_what_fits(make, density):
    fresh = make()
    assert sorted(fresh.warm_start(density)) == sorted(density.state_dict())
    x = every_configuration().float()
    with torch.no_grad():
        assert torch.equal(fresh.log_prob(x), density.log_prob(x))


def test_refuses_a_target_of_another_shape(density):
    with pytest.raises(ValueError, match=r"density has shape \(4, 2\)"):
        density.bind(SYSTEMS["ising with odd sides"]())


class Normal(fl.Density):
    """Independent Gaussians: the smallest density of real fields."""

    shape = SHAPE

    def draw(self, n, *, generator=None):
        x = torch.randn(n, *SHAPE, generator=generator, dtype=torch.float64)
        log_q = self.log_prob(x)
        return fl.core.Draw(x, log_q, torch.zeros_like(log_q))

    def log_prob(self, x):
        return -(x.square() / 2 + math.log(2 * math.pi) / 2).sum((-1, -2))


def test_pushforward_of_a_continuous_flow_has_its_jacobian_and_a_pathwise_gradient():
    q = fl.Pushforward(Scaled(SHAPE).double(), Normal())
    draw = q.draw(50, generator=generator())
    torch.testing.assert_close(draw.log_q, q.log_prob(draw.x))
    scale = q.flow.a.exp()
    expected = torch.distributions.Normal(torch.zeros_like(scale), scale).log_prob(draw.x).sum((-1, -2))
    torch.testing.assert_close(draw.log_q, expected)
    assert draw.x.requires_grad and not draw.score.any()
    both = fl.Z2Symmetrized(q).draw(50, generator=generator())
    torch.testing.assert_close(both.log_q, q.log_prob(both.x))
