"""Multilevel densities of Potts states, against every configuration of small lattices."""

import itertools

import pytest
import torch

import flowlab as fl
from flowlab.densities.multilevel import MultilevelStates
from flowlab.densities.multilevel.coarse import StateTable
from flowlab.exact.potts import potts_configurations
from tests.laws.registry import shaken

KINDS = {
    "coloured": {},
    "one colour": {"colours": 1},
    "two colours, four states": {"colours": 2, "q": 4},
    "site by site": {"kind": "autoregressive", "hidden": (8, 8)},
    "six states": {"q": 6},
}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(params=KINDS)
def options(request):
    return KINDS[request.param]


def density(shape, **options):
    return shaken(MultilevelStates(shape, **{"hidden": (8, 8)} | options)).double()


@pytest.mark.parametrize("more", [{}, {"colours": 1}, {"kind": "autoregressive"}])
def test_normalised_over_all_configurations(more):
    with torch.no_grad():
        assert abs(float(density((4, 2), **more).log_prob(potts_configurations((4, 2), 3)).logsumexp(0))) < 1e-10


@pytest.mark.parametrize(("side", "coarsest"), [(8, 2), (6, 3), (8, 4)])
def test_draws_agree_with_log_prob_under_every_permutation(options, side, coarsest):
    q = density((side, side // 2), coarsest=coarsest, **options)
    draw = q.draw(20, generator=generator())
    assert draw.score.requires_grad and set(draw.x.unique().tolist()) == set(range(q.q))
    torch.testing.assert_close(draw.score, draw.log_q, atol=1e-10, rtol=0)
    for image in itertools.islice(itertools.permutations(range(q.q)), 0, None, 7):
        moved = torch.tensor(image, dtype=torch.float64)[draw.x.long()]
        torch.testing.assert_close(q.log_prob(moved), draw.log_q, atol=1e-10, rtol=0)


def test_gradient_of_log_prob_is_the_score_of_a_draw(options):
    q = density((8, 4), **options)
    draw = q.draw(30, generator=generator())
    weights, parameters = torch.linspace(-1, 1, 30, dtype=torch.float64), list(q.parameters())
    one = torch.autograd.grad((weights * draw.score).sum(), parameters)
    other = torch.autograd.grad((weights * q.log_prob(draw.x)).sum(), parameters)
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize(("q", "J"), [(3, 1.0), (5, 0.7), (3, -0.8)])
def test_the_last_group_is_the_exact_conditional_of_the_target(q, J):
    target = fl.Potts((8, 8), T=1.3, q=q, J=J).decimate()
    levels = MultilevelStates((8, 4), q)
    levels.bind(target)
    x, _ = levels.sample(6, generator=generator())
    conditional, rows, span = list(levels.steps())[-1]
    state = levels.rows(x).double()
    logits = conditional(state, rows)
    for i, row in enumerate(range(span.start, span.stop)):
        images = x.double().repeat(q, 1, 1)
        images.flatten(1)[:, levels.order[row]] = torch.arange(q, dtype=torch.float64).repeat_interleave(6)
        expected = target.log_weight(images).reshape(q, 6).log_softmax(0)
        torch.testing.assert_close(logits[:, i].log_softmax(0), expected, atol=1e-9, rtol=0)


def test_draws_have_the_frequencies_that_log_prob_says():
    q, n = density((4, 2), q=2), 40_000
    with torch.no_grad():
        x, _ = q.sample(n, generator=generator(1))
        every = potts_configurations((4, 2), 2)
        p = q.log_prob(every).exp()
    numbers = (x.flatten(1) @ 2 ** torch.arange(8, dtype=torch.float64)).long()
    count = torch.bincount(numbers, minlength=256)
    chi = ((count - n * p) ** 2 / (n * p)).sum()
    assert abs(float(chi) - 255) < 4 * (2 * 255) ** 0.5


def test_stages_complete_what_is_unknown(options):
    q = density((8, 4), **options)
    x, log_q = q.sample(5, generator=generator())
    stages = list(q.stages(x=x))
    torch.testing.assert_close(stages[-1].log_q, log_q)
    again = list(q.stages(z=stages[1].x, generator=generator(2)))[-1].x
    known = ~stages[1].x.isnan()
    assert torch.equal(again[known], x[known]) and not again.isnan().any() and not torch.equal(again, x)
    half = stages[0].x.clone()
    half[:, 0, 0] = torch.nan
    assert not list(q.stages(z=half, generator=generator(2)))[-1].x.isnan().any()


def test_a_table_completes_by_its_conditional():
    table = shaken(StateTable(2, 3), 0.7)
    n = 20_000
    x = torch.tensor([[[0.0, torch.nan], [1.0, 0.0]]]).expand(n, 2, 2)
    found = table.complete(x, generator=generator())
    choices = torch.tensor([[[0.0, k], [1.0, 0.0]] for k in range(3)])
    p = table.log_prob(choices).softmax(0)
    shares = torch.stack([(found[:, 0, 1] == k).float().mean() for k in range(3)])
    torch.testing.assert_close(shares, p, atol=4 * 0.5 / n**0.5, rtol=0)
    with pytest.raises(ValueError, match="at most 65536 configurations, got 3 states on 4 x 4"):
        StateTable(4, 3)


def test_a_larger_lattice_starts_from_a_smaller_one():
    small, large = density((8, 4)), MultilevelStates((16, 8), 3, hidden=(8, 8)).double()
    copied = large.warm_start(small)
    assert len(copied) == len(list(large.parameters()))
    key = next(iter(small.conditionals))
    mine, theirs = large.conditionals[key].state_dict(), small.conditionals[key].state_dict()
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)


def test_what_it_is_not_for_is_refused():
    q = MultilevelStates((4, 2), 3)
    with pytest.raises(ValueError, match="states must be whole numbers from 0 to 2, got 3"):
        q.log_prob(torch.full((1, 4, 2), 3.0))
    with pytest.raises(ValueError, match=r"expected what \.decimate"):
        q.bind(fl.Potts((4, 4), T=1.0))
    with pytest.raises(ValueError, match=r"states with q = 3 cannot fit Potts 4 × 4, q = 4"):
        q.bind(fl.Potts((4, 4), T=1.0, q=4).decimate())
    with pytest.raises(ValueError, match="q must be a number of states of at least 2, got 1"):
        MultilevelStates((4, 2), 1)


def test_it_learns_a_lattice_whose_sum_is_known():
    run = fl.experiment("potts-coloured", L=6, T=1.0, steps=200, batch=200, hidden=16, device="cpu")
    run.run()
    found = run.evaluate(4000)
    assert float(found.ess) > 0.9
    assert abs(float(found.log_z) - run.log_z_exact) < 4 * float(found.log_z_error)
    assert found.attrs["verdict"].startswith("consistent")
