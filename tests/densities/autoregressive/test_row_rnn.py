import copy
import math

import pytest
import torch

from flowlab.core import named_generator
from flowlab.densities.autoregressive.autoregressive import Autoregressive
from flowlab.densities.autoregressive.row_rnn import RowRNN
from flowlab.exact.enumeration import configurations
from tests.laws.registry import shaken


class NaiveRowRNN(RowRNN):
    """Samples as the definition says: one evaluation of the network per site."""

    choose = Autoregressive.choose


def scrambled(shape, kind=RowRNN, dtype=torch.float64, **keys):
    """Strongly coupled sites."""
    return shaken(kind(shape, **{"hidden": 6} | keys).to(dtype), 0.7)


def uniforms(q, n, seed=1):
    dtype = next(q.parameters()).dtype
    return torch.rand(n, q.n_sites, generator=named_generator(seed, "uniforms"), dtype=dtype)


ORDERS = ["raster", "checkerboard", "hierarchical", "hilbert"]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("shape", [(4, 4), (8, 4), (2, 6)])
def test_the_sampler_chooses_what_the_naive_one_chooses(shape, order):
    fast, naive = (scrambled(shape, kind, order=order) for kind in (RowRNN, NaiveRowRNN))
    u = uniforms(fast, 30)
    x, log_q = fast.from_uniforms(u)
    assert torch.equal(x, naive.from_uniforms(u)[0])
    torch.testing.assert_close(log_q, fast.log_prob(x).detach(), rtol=0, atol=1e-10)
    assert float(log_q.std()) > 0.1


@pytest.mark.parametrize("order", ORDERS)
def test_probabilities_sum_to_one(order):
    q = scrambled((2, 4), order=order)
    log_q = q.log_prob(configurations((2, 4))).detach()
    assert log_q.std() > 0.1
    assert float(log_q.exp().sum()) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("order", ORDERS)
def test_a_logit_sees_every_earlier_site_and_no_other(order):
    q = scrambled((2, 6), order=order)
    x = q.sample(1, generator=named_generator(2, "jacobian"))[0]
    jacobian = torch.autograd.functional.jacobian(lambda x: q.logits(x)[0], x).flatten(1)[:, q.sites]
    assert torch.equal(jacobian != 0, torch.ones(12, 12).tril(-1).bool())


def test_in_raster_order_the_state_comes_from_the_left_and_from_above():
    q = RowRNN((4, 5))
    assert q.across[5:] == list(range(15))
    assert q.index[7].tolist() == [6, 2, 20, 6, 20]
    assert q.index[19].tolist() == [18, 14, 4, 18, 15]
    assert q.index[0].tolist() == [20] * 5


def test_a_sample_costs_no_evaluation_of_the_network(monkeypatch):
    q = scrambled((4, 4))
    monkeypatch.setattr(RowRNN, "logits", lambda self, x: pytest.fail("the network was evaluated"))
    with torch.no_grad():
        _, log_q, score = q.draw(10, generator=named_generator(0, "draw"))
    assert torch.equal(log_q, score)


def test_log_q_in_single_precision():
    q = scrambled((8, 8), dtype=torch.float32)
    x, log_q = q.from_uniforms(uniforms(q, 100))
    assert log_q.dtype == x.dtype == torch.float32
    exact = copy.deepcopy(q).double().log_prob(x).detach()
    torch.testing.assert_close(log_q.double(), exact, rtol=0, atol=1e-4)


def test_the_start_is_nearly_uniform_and_reproducible():
    q = RowRNN((8, 8))
    _, log_q = q.sample(200, generator=named_generator(0, "start"))
    assert float((log_q / 64 + math.log(2)).abs().max()) < 0.1
    assert torch.equal(q.gates, RowRNN((4, 4)).gates)
    assert not torch.equal(q.gates, RowRNN((8, 8), generator=named_generator(1, "row_rnn")).gates)


def test_a_warm_start_takes_over_every_weight_from_another_size():
    small, large = scrambled((4, 4)), RowRNN((8, 6), hidden=6).double()
    assert sorted(large.warm_start(small)) == sorted(small.state_dict())
    assert torch.equal(large.gates, small.gates)


def test_impossible_networks_are_refused():
    with pytest.raises(ValueError, match="hidden must be at least 1, got 0"):
        RowRNN((4, 4), hidden=0)
    with pytest.raises(ValueError, match=r"shape must be two sides of at least 2, got \(16,\)"):
        RowRNN((16,))
    with pytest.raises(ValueError, match=r"shape must be two even sides for a checkerboard, got \(3, 4\)"):
        RowRNN((3, 4), order="checkerboard")
