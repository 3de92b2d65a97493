import copy
import math

import pytest
import torch

from flowlab.core import named_generator
from flowlab.densities.autoregressive.autoregressive import Autoregressive
from flowlab.densities.autoregressive.local import LocalAutoregressive
from flowlab.densities.z2 import Z2Symmetrized
from flowlab.exact.enumeration import configurations
from flowlab.exact.partition_function import log_z
from flowlab.systems import Ising
from flowlab.training import ReverseKL, Training
from flowlab.training.optimisation import beta_ramp
from tests.laws.registry import shaken


class NaiveLocal(LocalAutoregressive):
    """Samples as the definition says: one evaluation of the network per site."""

    choose = Autoregressive.choose


KINDS = [
    {},
    {"k": 1},
    {"k": 6, "order": "checkerboard", "site_bias": True},
    {"k": "row", "neighbourhood": "previous"},
    {"k": 3, "neighbourhood": "previous", "order": "hilbert", "hidden": 1},
]


def scrambled(shape, kind=LocalAutoregressive, dtype=torch.float64, **keys):
    """Strongly coupled sites."""
    return shaken(kind(shape, **keys).to(dtype), 0.7)


def uniforms(q, n, seed=1):
    dtype = next(q.parameters()).dtype
    return torch.rand(n, q.n_sites, generator=named_generator(seed, "uniforms"), dtype=dtype)


def sites_seen(q):
    """(N, N) booleans in the order of sites: whose spin moves whose logit."""
    x = q.sample(1, generator=named_generator(2, "jacobian"))[0]
    return torch.autograd.functional.jacobian(lambda x: q.logits(x)[0], x).flatten(1)[:, q.sites] != 0


@pytest.mark.parametrize("keys", KINDS)
@pytest.mark.parametrize("shape", [(4, 4), (2, 8), (8, 8)])
def test_the_sampler_chooses_what_the_naive_one_chooses(shape, keys):
    fast, naive = (scrambled(shape, kind, **keys) for kind in (LocalAutoregressive, NaiveLocal))
    u = uniforms(fast, 50)
    x, log_q = fast.from_uniforms(u)
    assert torch.equal(x, naive.from_uniforms(u)[0])
    torch.testing.assert_close(log_q, fast.log_prob(x).detach(), rtol=0, atol=1e-10)
    assert float(log_q.std()) > 0.1


@pytest.mark.parametrize("keys", KINDS)
def test_probabilities_sum_to_one(keys):
    q = scrambled((4, 2), **keys)
    log_q = q.log_prob(configurations((4, 2))).detach()
    assert log_q.std() > 0.1
    assert float(log_q.exp().sum()) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("order", ["raster", "checkerboard", "hierarchical", "hilbert"])
@pytest.mark.parametrize("k", [1, 4, 30])
def test_a_site_sees_the_k_nearest_that_are_drawn_before(k, order):
    q = scrambled((4, 8), k=k, order=order)
    sees = sites_seen(q)
    assert torch.equal(sees.sum(1), torch.arange(32).clamp(max=k))
    assert not bool(sees.triu().any())
    y, x = q.sites // 8, q.sites % 8
    dy, dx = (y[:, None] - y).abs(), (x[:, None] - x).abs()
    distance = torch.minimum(dy, 4 - dy).square() + torch.minimum(dx, 8 - dx).square()
    for i in range(1, 32):
        before = distance[i, :i]
        assert torch.equal(before[sees[i, :i]].sort().values, before.sort().values[:k])


def test_in_raster_order_four_spins_are_left_above_and_the_two_between():
    q = scrambled((8, 8))
    assert sites_seen(q)[8 * 3 + 4].nonzero().flatten().tolist() == [19, 20, 21, 27]
    assert (0, -1) in q.displacements and (-1, 1) in q.displacements


def test_the_last_of_the_order():
    q = scrambled((13,), k=3, neighbourhood="previous")
    expected = torch.ones(13, 13).tril(-1).triu(-3).bool()
    assert torch.equal(sites_seen(q), expected)
    row = scrambled((3, 5), k="row", neighbourhood="previous")
    assert torch.equal(sites_seen(row), torch.ones(15, 15).tril(-1).triu(-5).bool())


def test_all_sites_that_see_the_same_share_their_conditional():
    q = scrambled((6, 6))
    x = torch.ones(1, 6, 6, dtype=torch.float64)
    logits = q.logits(x)[0].detach().view(6, 6)
    assert float((logits[1:-1, 1:-1] - logits[1, 1]).abs().max()) < 1e-12
    assert float((logits[0] - logits[1, 1]).abs().min()) > 1e-3


def test_log_q_in_single_precision():
    q = scrambled((8, 8), dtype=torch.float32)
    x, log_q = q.from_uniforms(uniforms(q, 100))
    assert log_q.dtype == x.dtype == torch.float32
    exact = copy.deepcopy(q).double().log_prob(x).detach()
    torch.testing.assert_close(log_q.double(), exact, rtol=0, atol=1e-4)


def test_the_start_is_nearly_uniform_and_reproducible():
    q = LocalAutoregressive((8, 8), site_bias=True)
    _, log_q = q.sample(200, generator=named_generator(0, "start"))
    assert float((log_q / 64 + math.log(2)).abs().max()) < 0.1
    assert q.bias.shape == (64,) and not q.bias.any()
    assert torch.equal(q.of_spins, LocalAutoregressive((8, 8)).of_spins)
    assert not torch.equal(q.of_spins, LocalAutoregressive((8, 8), generator=named_generator(1, "local")).of_spins)


def test_a_warm_start_from_another_size_gives_the_same_conditionals():
    small, large = scrambled((4, 4)), LocalAutoregressive((8, 8)).double()
    assert sorted(large.warm_start(small)) == sorted(large.state_dict())
    x = configurations((4, 4))[::997].repeat(1, 2, 2)
    inner = large.logits(x).detach().view(-1, 8, 8)[:, 1:3, 1:3]
    torch.testing.assert_close(inner, small.logits(x[:, :4, :4]).detach().view(-1, 4, 4)[:, 1:3, 1:3])
    assert LocalAutoregressive((8, 8), hidden=3).warm_start(small.float()) == [
        "bias",
        "skip_flags",
        "skip_spins",
    ]


def test_a_warm_start_mixes_up_no_displacements():
    previous, nearest = (LocalAutoregressive((4, 4), k=4, neighbourhood=name) for name in ("previous", "nearest"))
    start = nearest.of_spins.detach().clone()
    assert nearest.warm_start(scrambled((4, 4), k=4, neighbourhood="previous").float()) == [
        "bias",
        "constant",
        "output",
    ]
    assert torch.equal(nearest.of_spins, start)
    assert previous.displacements == [(-4,), (-3,), (-2,), (-1,)]


def test_with_a_bias_and_both_signs_the_bound_is_near_the_exact_free_energy():
    target = Ising((4, 4), T=2.0)
    q = Z2Symmetrized(LocalAutoregressive((4, 4)))
    training = Training(
        target,
        q,
        ReverseKL(n_sites=16),
        steps=150,
        batch=200,
        learning_rate={"base": 0.03},
        clip=10.0,
        annealing=beta_ramp(2.0, 0.5),
        threads=1,
    )
    training.run(progress=False)
    x, log_q = q.sample(4000, generator=named_generator(0, "evaluate"))
    bound = target.log_weight(x) - log_q
    gap = 2.0 * (float(log_z(target)) - float(bound.mean())) / 16
    error = 2.0 * float(bound.std()) / math.sqrt(4000) / 16
    assert -4 * error < gap < 0.005
    assert float(q.density.bias.detach().abs()) > 0.2


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"k": 0}, "k must be at least 1, or 'row', got 0"),
        ({"k": "column"}, "k must be at least 1, or 'row', got 'column'"),
        ({"hidden": 0}, "hidden must be at least 1, got 0"),
        ({"neighbourhood": "far"}, "neighbourhood must be 'nearest' or 'previous', got 'far'"),
    ],
)
def test_impossible_networks_are_refused(keys, message):
    with pytest.raises(ValueError, match=message):
        LocalAutoregressive((4, 4), **keys)


def test_the_nearest_need_a_lattice():
    with pytest.raises(ValueError, match=r"shape must be two sides of at least 2, got \(16,\)"):
        LocalAutoregressive((16,))
    assert LocalAutoregressive((1,), neighbourhood="previous").sample(3)[0].shape == (3, 1)
