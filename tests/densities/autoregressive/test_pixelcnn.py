import copy
import itertools
import math

import pytest
import torch

from flowlab.core import named_generator
from flowlab.densities.autoregressive import pixelcnn
from flowlab.densities.autoregressive.autoregressive import Autoregressive
from flowlab.densities.autoregressive.pixelcnn import PixelCNN
from flowlab.exact.enumeration import configurations
from flowlab.nn.masked_conv import CausalConv
from tests.laws.registry import shaken

SMALL = {"channels": 5, "layers": 3, "kernel": (5, 3, 3)}
KINDS = [SMALL, SMALL | {"residual": False}, {"channels": 3, "layers": 1, "kernel": 3}, SMALL | {"kernel": 13}]


class NaivePixelCNN(PixelCNN):
    """Samples as the definition says: one evaluation of the network per site."""

    choose = Autoregressive.choose


def scrambled(shape, kind=PixelCNN, dtype=torch.float64, **keys):
    """Strongly coupled sites."""
    return shaken(kind(shape, **keys).to(dtype), 0.7)


def uniforms(q, n, seed=1):
    dtype = next(q.parameters()).dtype
    return torch.rand(n, q.n_sites, generator=named_generator(seed, "uniforms"), dtype=dtype)


@pytest.mark.parametrize("keys", KINDS)
@pytest.mark.parametrize("shape", [(4, 4), (8, 8), (5, 7), (2, 9), (9, 2)])
def test_the_cached_sampler_chooses_what_the_naive_one_chooses(shape, keys):
    cached, naive = (scrambled(shape, kind, **keys) for kind in (PixelCNN, NaivePixelCNN))
    u = uniforms(cached, 30)
    x, log_q = cached.from_uniforms(u)
    x_naive, log_q_naive = naive.from_uniforms(u)
    assert torch.equal(x, x_naive)
    torch.testing.assert_close(log_q, log_q_naive, rtol=0, atol=1e-10)
    torch.testing.assert_close(log_q, cached.log_prob(x).detach(), rtol=0, atol=1e-10)
    assert 0.01 < float((x == 1).double().mean()) < 0.99 and float(log_q.std()) > 0.1


def test_the_cached_sampler_evaluates_no_whole_network(monkeypatch):
    q = scrambled((4, 4), **SMALL)
    monkeypatch.setattr(PixelCNN, "logits", lambda self, x: pytest.fail("the network was evaluated"))
    with torch.no_grad():
        _, log_q, score = q.draw(10, generator=named_generator(0, "draw"))
    assert torch.equal(log_q, score)


def test_parts_of_a_draw_leave_no_trace(monkeypatch):
    q = scrambled((4, 4), **SMALL)
    u = uniforms(q, 37)
    whole = q.from_uniforms(u)[0]
    monkeypatch.setattr(pixelcnn, "SAMPLES_IN_CACHE", 10)
    assert torch.equal(q.from_uniforms(u)[0], whole)


def test_log_q_in_single_precision():
    q = scrambled((8, 8), dtype=torch.float32, **SMALL)
    x, log_q = q.from_uniforms(uniforms(q, 100))
    assert log_q.dtype == x.dtype == torch.float32
    exact = copy.deepcopy(q).double().log_prob(x).detach()
    torch.testing.assert_close(log_q.double(), exact, rtol=0, atol=1e-4)


@pytest.mark.parametrize("keys", KINDS)
def test_probabilities_sum_to_one(keys):
    q = scrambled((2, 4), **keys)
    log_q = q.log_prob(configurations((2, 4))).detach()
    assert log_q.std() > 0.1
    assert float(log_q.exp().sum()) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("keys", KINDS)
def test_a_logit_sees_no_site_from_its_own_on(keys):
    q = scrambled((4, 5), **keys)
    x = q.sample(1, generator=named_generator(2, "jacobian"))[0]
    jacobian = torch.autograd.functional.jacobian(lambda x: q.logits(x)[0], x).reshape(20, 20)
    assert bool((jacobian.triu() == 0).all())
    if keys["kernel"] == 13:
        assert torch.equal(jacobian != 0, torch.ones(20, 20).tril(-1).bool())


def test_one_layer_sees_its_window_and_nothing_around_the_torus():
    q = scrambled((4, 5), channels=3, layers=1, kernel=3)
    x = q.sample(1, generator=named_generator(2, "jacobian"))[0]
    sees = torch.autograd.functional.jacobian(lambda x: q.logits(x)[0], x).reshape(20, 4, 5) != 0
    assert sees[7].nonzero().tolist() == [[0, 1], [0, 2], [0, 3], [1, 1]]
    assert sees[9].nonzero().tolist() == [[0, 3], [0, 4], [1, 3]]
    assert sees[10].nonzero().tolist() == [[1, 0], [1, 1]]


def test_a_convolution_at_one_site_is_the_whole_one_there():
    conv = CausalConv(2, 3, kernel=5, own=True, generator=named_generator(0, "conv")).double()
    x = torch.randn(4, 2, 6, 7, generator=named_generator(1, "conv"), dtype=torch.float64)
    whole, rows, last = conv(x), conv.rows(), x.permute(2, 3, 1, 0)
    for row, column in itertools.product(range(6), range(7)):
        torch.testing.assert_close(conv.at(rows, last, row, column).t(), whole[:, :, row, column])


def test_the_start_is_nearly_uniform_and_reproducible():
    q = PixelCNN((8, 8), channels=16, layers=4, kernel=5)
    _, log_q = q.sample(200, generator=named_generator(0, "start"))
    assert float((log_q / 64 + math.log(2)).abs().max()) < 0.1
    assert torch.equal(q.network.first.weight, PixelCNN((4, 4), channels=16, layers=4, kernel=5).network.first.weight)
    other = PixelCNN((8, 8), channels=16, layers=4, kernel=5, generator=named_generator(1, "pixelcnn"))
    assert not torch.equal(q.network.first.weight, other.network.first.weight)


def test_a_warm_start_takes_over_every_weight_from_another_size():
    small, large = scrambled((4, 4), **SMALL), PixelCNN((8, 6), **SMALL).double()
    assert sorted(large.warm_start(small)) == sorted(small.state_dict())
    x = configurations((2, 4))[::17].repeat(1, 4, 2)[:, :8, :6]
    logits = large.logits(x).detach().reshape(-1, 8, 6)
    torch.testing.assert_close(logits[:, :2, :2], small.logits(x[:, :4, :4]).detach().reshape(-1, 4, 4)[:, :2, :2])


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"channels": 0}, "channels and layers must be at least 1, got 0 and 6"),
        ({"layers": 0}, "channels and layers must be at least 1, got 32 and 0"),
        ({"kernel": 4}, "kernel must be odd, .* got 4"),
        ({"kernel": 1}, "at least 3 where a site does not see itself, got 1"),
        ({"kernel": (3, 3)}, r"one for each of the 6 layers, got \(3, 3\)"),
    ],
)
def test_impossible_networks_are_refused(keys, message):
    with pytest.raises(ValueError, match=message):
        PixelCNN((4, 4), **keys)


@pytest.mark.parametrize("shape", [(16,), (1, 4), (2, 2, 2)])
def test_impossible_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="shape must be two sides of at least 2, got"):
        PixelCNN(shape)
