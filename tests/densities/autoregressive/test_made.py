import copy
import itertools
import math

import pytest
import torch
from scipy import stats

from flowlab.core import named_generator
from flowlab.densities.autoregressive.autoregressive import SAMPLES_AT_ONCE, Autoregressive
from flowlab.densities.autoregressive.made import MADE
from flowlab.nn.masked_linear import MaskedLinear


class NaiveMADE(MADE):
    """Samples as the definition says: one evaluation of the network per site."""

    choose = Autoregressive.choose


def scrambled(shape, kind=MADE, seed=0, dtype=torch.float64, **keys):
    """Strongly coupled sites, and numbers outside the masks too, which must not matter."""
    made = kind(shape, **keys).to(dtype)
    generator = named_generator(seed, "scrambled")
    with torch.no_grad():
        for parameter in made.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.add_((1.5 * noise / math.sqrt(parameter.shape[-1])).to(dtype))
    return made


def uniforms(made, n, seed=1):
    dtype = next(made.parameters()).dtype
    return torch.rand(n, made.n_sites, generator=named_generator(seed, "uniforms"), dtype=dtype)


def every_configuration(shape):
    states = itertools.product([1.0, -1.0], repeat=math.prod(shape))
    return torch.tensor(list(states), dtype=torch.float64).reshape(-1, *shape)


@pytest.mark.parametrize("skip", [True, False])
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("shape", [(4, 4), (6, 6), (8, 8), (4, 6), (5, 7), (13,), (1,)])
def test_the_fast_sampler_chooses_what_the_naive_one_chooses(shape, layers, skip):
    fast, naive = (scrambled(shape, kind, layers=layers, skip=skip) for kind in (MADE, NaiveMADE))
    u = uniforms(fast, 100)
    x, log_q = fast.from_uniforms(u)
    x_naive, log_q_naive = naive.from_uniforms(u)
    assert torch.equal(x, x_naive)
    torch.testing.assert_close(log_q, log_q_naive, rtol=0, atol=1e-10)
    torch.testing.assert_close(log_q, fast.log_prob(x).detach(), rtol=0, atol=1e-10)
    assert x.shape == (100, *shape)
    assert not log_q.requires_grad


@pytest.mark.parametrize("hidden", [35, 70, 105])
def test_the_fast_sampler_at_other_widths(hidden):
    fast, naive = (scrambled((5, 7), kind, layers=2, hidden=hidden) for kind in (MADE, NaiveMADE))
    u = uniforms(fast, 50)
    assert torch.equal(fast.from_uniforms(u)[0], naive.from_uniforms(u)[0])


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("shape", [(8, 8), (5, 7), (16, 16)])
def test_log_q_of_the_fast_sampler_in_single_precision(shape, layers):
    made = scrambled(shape, layers=layers, dtype=torch.float32)
    x, log_q = made.from_uniforms(uniforms(made, 200))
    exact = copy.deepcopy(made).double().log_prob(x)
    assert log_q.dtype == x.dtype == torch.float32
    torch.testing.assert_close(log_q.double(), exact.detach(), rtol=0, atol=1e-5 * math.sqrt(made.n_sites))


def test_large_draws_are_split_without_a_trace():
    fast, naive = scrambled((2, 3)), scrambled((2, 3), NaiveMADE)
    u = uniforms(fast, SAMPLES_AT_ONCE + 7)
    x, log_q = fast.from_uniforms(u)
    assert torch.equal(x, naive.from_uniforms(u)[0])
    assert log_q.shape == (SAMPLES_AT_ONCE + 7,)


def test_ties_and_the_smallest_uniform():
    fast, naive = MADE((3, 3)), NaiveMADE((3, 3))
    half = torch.full((1, 9), 0.5)
    assert torch.equal(fast.from_uniforms(half)[0], naive.from_uniforms(half)[0])
    rare = MADE((3, 3))
    with torch.no_grad():
        rare.output.bias.fill_(-25.0)
    x, log_q = rare.from_uniforms(torch.zeros(1, 9))
    assert bool((x == -1).all())
    assert bool(log_q.isfinite().all())


@pytest.mark.parametrize("keys", [{}, {"skip": False}, {"layers": 3}, {"hidden": 18, "layers": 2}])
@pytest.mark.parametrize("shape", [(2, 3), (3, 3)])
def test_probabilities_sum_to_one(shape, keys):
    made = scrambled(shape, **keys)
    log_q = made.log_prob(every_configuration(shape)).detach()
    assert log_q.std() > 0.5
    assert float(log_q.exp().sum()) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("keys", [{}, {"skip": False}, {"layers": 3}, {"layers": 3, "skip": False}])
def test_a_logit_sees_every_earlier_site_and_no_other(keys):
    made = scrambled((3, 4), **keys)
    x = made.sample(1, generator=named_generator(2, "jacobian"))[0]
    jacobian = torch.autograd.functional.jacobian(lambda x: made.logits(x)[0], x).reshape(12, 12)
    assert torch.equal(jacobian != 0, torch.ones(12, 12).tril(-1).bool())


def test_draw_agrees_with_log_prob():
    made = scrambled((4, 4))
    x, log_q, score = made.draw(50, generator=named_generator(3, "draw"))
    assert torch.equal(score, made.log_prob(x))
    assert torch.equal(log_q, score.detach())
    assert score.requires_grad
    assert not x.requires_grad
    assert not log_q.requires_grad
    again, log_q_sampler = made.sample(50, generator=named_generator(3, "draw"))
    assert torch.equal(x, again)
    torch.testing.assert_close(log_q_sampler, log_q, rtol=0, atol=1e-10)


def test_a_draw_without_gradients_runs_no_network(monkeypatch):
    made = MADE((4, 4))
    monkeypatch.setattr(MADE, "logits", lambda self, x: pytest.fail("the network was evaluated"))
    with torch.no_grad():
        _, log_q, score = made.draw(10, generator=named_generator(0, "draw"))
    assert torch.equal(log_q, score)


@pytest.mark.parametrize("layers", [1, 3])
def test_the_score_gradient_reaches_every_connection_and_nothing_else(layers):
    made = scrambled((3, 3), layers=layers)
    score = made.draw(200, generator=named_generator(4, "score")).score
    (score * torch.linspace(-1, 2, 200, dtype=score.dtype)).sum().backward()
    for layer in made.modules():
        if isinstance(layer, MaskedLinear):
            assert torch.equal(layer.weight.grad != 0, layer.mask.bool())
            assert layer.bias is None or bool((layer.bias.grad != 0).all())


def test_frequencies_follow_the_probabilities():
    made, n = scrambled((2, 2), seed=5), 100_000
    q = made.log_prob(every_configuration((2, 2))).detach().exp().numpy()
    x = made.sample(n, generator=named_generator(6, "frequencies"))[0]
    states = ((1 - x.reshape(n, 4)) / 2 @ torch.tensor([8.0, 4.0, 2.0, 1.0], dtype=x.dtype)).long()
    counts = torch.bincount(states, minlength=16).numpy()
    assert (n * q).min() > 5
    assert stats.chisquare(counts, n * q).pvalue > 1e-3
    assert stats.chisquare(counts, n * q.mean().repeat(16)).pvalue < 1e-9


def test_the_start_is_nearly_uniform_and_reproducible():
    made = MADE((8, 8))
    _, log_q = made.sample(500, generator=named_generator(0, "start"))
    assert float((log_q / 64 + math.log(2)).abs().max()) < 0.05
    assert torch.equal(made.hidden_layers[0].weight, MADE((8, 8)).hidden_layers[0].weight)
    other = MADE((8, 8), generator=named_generator(1, "made"))
    assert not torch.equal(made.hidden_layers[0].weight, other.hidden_layers[0].weight)
    assert not any("mask" in name for name in made.state_dict())


def test_a_masked_layer_does_not_starve_rows_with_few_inputs():
    layer = MaskedLinear(torch.ones(400, 400).tril(), gain=2.0, generator=named_generator(0, "rows"))
    norms = layer.weight.detach().square().sum(1)
    assert torch.equal(layer.weight.detach() != 0, layer.mask.bool())
    for rows in (norms[:100], norms[-100:]):
        assert float(rows.mean()) == pytest.approx(4.0, rel=0.25)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"hidden": 0}, "hidden must be a positive multiple of the 6 sites.* got 0"),
        ({"hidden": -6}, "hidden must be a positive multiple of the 6 sites.* got -6"),
        ({"hidden": 8}, "hidden must be a positive multiple of the 6 sites.* got 8"),
        ({"layers": 0}, "layers must be at least 1, got 0"),
    ],
)
def test_impossible_networks_are_refused(keys, message):
    with pytest.raises(ValueError, match=message):
        MADE((2, 3), **keys)


@pytest.mark.parametrize("shape", [(), (0, 3), (2, -3)])
def test_impossible_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="shape must be positive sides, got"):
        MADE(shape)


def test_bad_configurations_and_uniforms_are_refused():
    made = MADE((2, 3))
    with pytest.raises(ValueError, match=r"configurations must have shape \(n, 2, 3\), got \(5, 3, 2\)"):
        made.log_prob(torch.ones(5, 3, 2))
    with pytest.raises(ValueError, match=r"spins must be -1 or \+1, got 0.0"):
        made.log_prob(torch.zeros(5, 2, 3))
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        made.draw(0)
    with pytest.raises(ValueError, match=r"uniforms must have shape \(n, 6\), n at least 1, got \(5, 7\)"):
        made.from_uniforms(torch.zeros(5, 7))
    with pytest.raises(ValueError, match=r"uniforms must lie in \[0, 1\), got values from 0.0 to 1.0"):
        made.from_uniforms(torch.eye(6))
    with pytest.raises(ValueError, match="mask must be a matrix of 0 and 1"):
        MaskedLinear(torch.full((2, 2), 0.5))
