"""Laws of every density of real fields."""

import pytest
import torch

from tests.laws.registry import REAL_DENSITIES


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(params=REAL_DENSITIES)
def density(request):
    return REAL_DENSITIES[request.param]().double()


def test_draw_agrees_with_log_prob(density):
    draw = density.draw(300, generator=generator())
    torch.testing.assert_close(draw.log_q, density.log_prob(draw.x), atol=1e-9, rtol=0)
    assert not draw.score.any()
    again = density.draw(300, generator=generator())
    assert torch.equal(draw.x, again.x) and torch.equal(draw.log_q, again.log_q)


def test_normalised(density):
    """The mean of r/q over draws of q is the integral of r: here a Gaussian a little narrower than q."""
    x, log_q = density.sample(40_000, generator=generator(1))
    flat = x.flatten(1)
    r = torch.distributions.MultivariateNormal(flat.mean(0), 0.6 * flat.T.cov())
    ratio = (r.log_prob(flat) - log_q).exp()
    assert abs(float(ratio.mean()) - 1) < 4 * float(ratio.std()) / 200
    assert float(ratio.std()) < 10


def test_flip_action_leaves_q_alone(density):
    action = density.flip_action()
    if action is not None:
        x, log_q = density.sample(50, generator=generator())
        torch.testing.assert_close(density.log_prob(x * action), log_q, atol=1e-9, rtol=0)


def test_stages_forwards_and_backwards_agree(density):
    x, _ = density.sample(9, generator=generator())
    back = list(density.stages(x=x))
    drawn = list(density.stages(9, generator=generator()))
    if back[0].kind == "level":  # the sites of finer levels would be drawn again
        again = back
        assert [bool(state.x.isnan().any()) for state in back] == [True] * (len(back) - 1) + [False]
    else:
        again = list(density.stages(z=back[0].x))
    for one, other in zip(back, again, strict=True):
        torch.testing.assert_close(one.x, other.x, equal_nan=True)
        torch.testing.assert_close(one.log_q, other.log_q, equal_nan=True)
    torch.testing.assert_close(back[-1].x, x)
    for stages in (back, drawn):
        torch.testing.assert_close(stages[-1].log_q, density.log_prob(stages[-1].x).detach())
        assert stages[-1].time == 1.0


def test_pathwise_gradient_reaches_every_parameter(density):
    draw = density.draw(50, generator=generator())
    loss = (draw.log_q + draw.x.pow(4).flatten(1).sum(1)).mean()
    if loss.requires_grad:
        loss.backward()
    for name, parameter in density.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


def test_state_dict_holds_all_that_was_learned_or_estimated(density):
    names = {name for name, _ in density.named_parameters()}
    others = {name.split(".")[-1] for name in set(density.state_dict()) - names}
    assert others <= {"basis", "scale"}
