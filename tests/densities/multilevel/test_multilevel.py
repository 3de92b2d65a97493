"""Multilevel densities of spins."""

import itertools

import pytest
import torch
from torch import nn

import flowlab as fl
from flowlab.core import Draw
from flowlab.densities.multilevel import Multilevel
from flowlab.densities.multilevel.spin_levels import renormalised
from flowlab.densities.multilevel.spins import OddLogits
from flowlab.estimators.weights.weights import ess
from flowlab.exact.enumeration import configurations
from flowlab.systems.ising import Ising
from tests.laws.registry import shaken

KINDS = {
    "coloured": {},
    "coloured in one colour": {"colours": 1},
    "coloured in two colours": {"colours": 2, "hidden": (16, 8)},
    "autoregressive": {"kind": "autoregressive"},
    "transformers": {"network": "transformer", "colours": 2},
    "autoregressive transformers": {"kind": "autoregressive", "network": "transformer", "hidden": (8, 8), "heads": 1},
    "heat bath": {"kind": "heat_bath"},
}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(params=KINDS)
def options(request):
    return KINDS[request.param]


def all_of_4x4():
    return configurations((4, 2), 0, 2**8).double()


def test_normalised_over_all_configurations(options):
    q = shaken(Multilevel((4, 2), **options)).double()
    with torch.no_grad():
        assert abs(float(q.log_prob(all_of_4x4()).logsumexp(0))) < 1e-10


@pytest.mark.parametrize(("side", "more"), [(8, {}), (6, {"coarsest": 3}), (8, {"coarsest": 4}), (10, {"coarsest": 5})])
def test_draws_agree_with_log_prob_and_are_symmetric(options, side, more):
    if options.get("kind") == "heat_bath" and more.get("coarsest") == 5:
        with pytest.raises(ValueError, match="side 2, 3 or 4, got 5"):
            Multilevel((side, side // 2), **options, **more)
        return
    q = shaken(Multilevel((side, side // 2), **options, **more)).double()
    draw = q.draw(20, generator=generator())
    for log_q in (draw.score, q.log_prob(draw.x), q.log_prob(-draw.x)):
        torch.testing.assert_close(log_q, draw.log_q, atol=1e-10, rtol=0)
    assert draw.score.requires_grad and torch.equal(q.flip_action(), -torch.ones(q.shape))


def test_gradient_of_log_prob_is_the_score_of_a_draw(options):
    q = shaken(Multilevel((8, 4), **options)).double()
    draw = q.draw(30, generator=generator())
    weights = torch.linspace(-1, 1, 30, dtype=torch.float64)
    parameters = list(q.parameters())
    one = torch.autograd.grad((weights * draw.score).sum(), parameters)
    other = torch.autograd.grad((weights * q.log_prob(draw.x)).sum(), parameters)
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a, b)


def test_an_empty_batch_is_no_exception(options):
    q = Multilevel((8, 4), **options)
    log_q = q.log_prob(torch.ones(0, 8, 4))
    log_q.sum().backward()
    assert log_q.shape == (0,)


def test_levels_reassemble_the_configuration(options):
    q = shaken(Multilevel((8, 4), **options)).double()
    x, log_q = q.sample(5, generator=generator())
    stages = list(q.stages(x=x))
    assert [stage.name for stage in stages] == ["2 × 2", "2 × 2 and centres", "4 × 4", "4 × 4 and centres"]
    assert [int((~stage.x[0].isnan()).sum()) for stage in stages] == [4, 8, 16, 32]
    assert [stage.kind for stage in stages] == ["level"] * 4 and stages[-1].time == 1.0
    for before, after in itertools.pairwise(stages):
        known = ~before.x.isnan()
        assert torch.equal(before.x[known], after.x[known]) and bool((after.log_q <= before.log_q).all())
    assert torch.equal(stages[-1].x, x)
    torch.testing.assert_close(stages[-1].log_q, log_q, atol=1e-10, rtol=0)


def test_a_coarse_configuration_is_completed():
    q = shaken(Multilevel((8, 4)))
    coarse = next(iter(q.stages(3, generator=generator()))).x
    *_, last = q.stages(z=coarse, generator=generator(1))
    assert not last.x.isnan().any() and torch.equal(last.x[~coarse.isnan()], coarse[~coarse.isnan()])
    torch.testing.assert_close(last.log_q, q.log_prob(last.x).detach(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ["coloured", "heat_bath"])
def test_an_unknown_coarse_site_is_drawn_given_the_known_ones(kind):
    q = shaken(Multilevel((8, 4), kind))
    with torch.no_grad():
        every = configurations((2, 2), 0, 16)
        p = q.base.log_prob(every).exp()
    z = torch.full((4000, 8, 4), torch.nan)
    *_, last = q.stages(z=z, generator=generator())
    torch.testing.assert_close(last.log_q, q.log_prob(last.x).detach(), atol=1e-4, rtol=0)
    sites = q.order[:4]
    z.flatten(1)[:, sites[1:]] = torch.tensor([1.0, -1.0, 1.0])
    *_, given = q.stages(z=z, generator=generator(1))
    for x, allowed in ((last.x, p > 0), (given.x, (every.flatten(1)[:, 1:] == torch.tensor([1.0, -1.0, 1.0])).all(1))):
        coarse = x.flatten(1)[:, sites]
        found = (coarse[:, None] == every.flatten(1)).all(2).double().mean(0)
        expected = p * allowed / (p * allowed).sum()
        assert (found - expected).abs().max() < 4 * 0.5 / 4000**0.5
        assert not found[~allowed].any()


def test_an_outer_base_completes_the_coarsest_lattice_as_a_whole():
    q = Multilevel((8, 4), coarsest=4, base=fl.MADE((4, 4)))
    *_, last = q.stages(z=torch.full((3, 8, 4), torch.nan), generator=generator())
    torch.testing.assert_close(last.log_q, q.log_prob(last.x).detach(), atol=1e-5, rtol=0)
    some = last.x.clone()
    some[1, 0, 0] = torch.nan
    with pytest.raises(ValueError, match="MADE draws the 4 x 4 lattice as a whole"):
        list(q.stages(z=some))
    with pytest.raises(ValueError, match=r"-1 or \+1, or NaN to be drawn, got 0.5"):
        list(q.stages(z=torch.full((3, 8, 4), 0.5)))


def moved(x, steps):
    """Configurations moved by an even number of fine lattice spacings in both directions."""
    return x.roll((2 * steps, steps), (1, 2))


def test_heat_bath_is_invariant_under_translations_by_the_coarsest_spacing():
    q = Multilevel((8, 4), "heat_bath").double()
    x, log_q = q.sample(50, generator=generator())
    torch.testing.assert_close(q.log_prob(moved(x, 2)).detach(), log_q, atol=1e-10, rtol=0)
    assert (q.log_prob(moved(x, 1)) - log_q).abs().max() > 0.1


@pytest.mark.parametrize("colours", [1, 2])
def test_groups_are_invariant_under_translations_of_their_colouring(colours):
    q = shaken(Multilevel((16, 8), colours=colours)).double()
    x, _ = q.sample(20, generator=generator())
    last = q.evaluate_rows(q.rows(x)).log_q[-64:].sum(0)  # the centres of the last doubling
    shift = 1 if colours == 1 else 2
    torch.testing.assert_close(q.evaluate_rows(q.rows(moved(x, shift))).log_q[-64:].sum(0), last, atol=1e-10, rtol=0)


def test_last_colour_is_exact():
    target = Ising((8, 8), T=2.1).decimate()
    q = Multilevel((8, 4))
    q.bind(target)
    x, _ = q.double().sample(4, generator=generator())
    last = q.groups[-1].sites
    for site in last:
        other = x.clone()
        other.view(4, -1)[:, site] *= -1
        expected = target.log_weight(other) - target.log_weight(x)
        torch.testing.assert_close((q.log_prob(other) - q.log_prob(x)).detach(), expected, atol=1e-9, rtol=0)


@pytest.mark.parametrize(("side", "expected", "n"), [(4, 0.86, 20_000), (8, 0.51, 40_000), (16, 0.045, 60_000)])
def test_heat_bath_reaches_the_known_effective_sample_size(side, expected, n):
    """Within 10 %, and at 16 x 16 the error that so many samples leave: a tenth as well."""
    target = Ising((side, side), T=1 / 0.44).decimate()
    q = Multilevel((side, side // 2), "heat_bath")
    q.bind(target)
    x, log_q = q.sample(n, generator=generator(1))
    value, error = ess((target.log_weight(x) - log_q).double().numpy())
    assert error < 0.4 * expected  # where one more of the largest weights would count
    assert abs(value - expected) < 0.1 * expected + (2 * error if side == 16 else 0.0)


def test_couplings_are_renormalised_and_stay_out_of_the_state():
    q = Multilevel((8, 4), "heat_bath")
    q.bind(Ising((8, 8), T=2.0, J=1.2).decimate())
    assert float(q.base.K) == pytest.approx(renormalised(0.6, 4))
    assert float(q.conditionals["1 edge 0"].K) == pytest.approx(renormalised(0.6, 2))
    assert set(q.state_dict()) == {name for name, _ in q.named_parameters()}


def test_growth_hands_on_the_networks_from_the_finest_level():
    small, large = shaken(Multilevel((8, 4))), Multilevel((32, 16))
    copied = large.warm_start(small)
    mine, theirs = large.state_dict(), small.state_dict()
    assert sorted(copied) == sorted(mine)
    for name, source in {"0": "0", "1": "1", "2": "1", "3": "1"}.items():
        wanted = theirs[f"conditionals.{source} centre 0.skip"]
        assert torch.equal(mine[f"conditionals.{name} centre 0.skip"], wanted)
    assert torch.equal(mine["base.table"], theirs["base.table"])
    first = Multilevel((8, 4)).warm_start(shaken(Multilevel((4, 2))))
    assert "conditionals.1 centre 1.output" in first and "conditionals.1 edge 0.output" not in first
    with pytest.raises(ValueError, match="expected a side of 2, got 3"):
        large.warm_start(Multilevel((6, 3), coarsest=3))


def test_growth_from_renormalised_couplings_keeps_the_coarse_levels():
    small, large = shaken(Multilevel((8, 4))), Multilevel((32, 16))
    copied = large.warm_start(small, aligned="coarsest")
    mine, theirs = large.state_dict(), small.state_dict()
    assert sorted(copied) == sorted(mine)
    for group, origins in {
        "centre 0": {"0": "0", "1": "0", "2": "0", "3": "1"},
        "centre 3": {"1": "1", "2": "1", "3": "1"},  # the last group of level 0 is exact
        "edge 0": {"1": "1", "2": "1", "3": "1"},  # level 0 has no edges
    }.items():
        for level, origin in origins.items():
            source = theirs[f"conditionals.{origin} {group}.skip"]
            assert torch.equal(mine[f"conditionals.{level} {group}.skip"], source), (group, level)
    again = Multilevel((8, 4))
    again.warm_start(large, aligned="coarsest")
    assert torch.equal(again.state_dict()["conditionals.1 centre 0.skip"], mine["conditionals.3 centre 0.skip"])


def test_transformers_start_at_the_heat_bath_and_grow():
    small = Multilevel((8, 4), "autoregressive", network="transformer", start=0.4)
    for key, nearest in {"0 centre": [16, 18, 30, 32], "1 edge": [17, 23, 25, 31]}.items():  # in a window of 7 x 7
        expected = torch.zeros(49)
        expected[nearest] = 0.8
        assert torch.equal(small.conditionals[key].network.skip, expected)
    large = Multilevel((16, 8), "autoregressive", network="transformer")
    assert sorted(large.warm_start(small)) == sorted(large.state_dict())
    name = "network.attention.0"
    mine, theirs = large.state_dict(), small.state_dict()
    assert torch.equal(mine[f"conditionals.2 edge.{name}"], theirs[f"conditionals.1 edge.{name}"])


def test_an_outer_base_draws_the_coarsest_lattice():
    base = fl.Z2Symmetrized(fl.MADE((4, 4)))
    q = shaken(Multilevel((8, 4), coarsest=4, base=base)).double()
    draw = q.draw(10, generator=generator())
    torch.testing.assert_close(q.log_prob(draw.x), draw.log_q, atol=1e-10, rtol=0)
    assert Multilevel((8, 4), coarsest=4, base=fl.MADE((4, 4))).flip_action() is None
    with pytest.raises(ValueError, match=r"coarsest lattice's shape \(2, 2\), got \(4, 4\)"):
        Multilevel((8, 4), base=base)


def test_training_improves_it():
    target = Ising((4, 4), T=1 / 0.44).decimate()
    q = Multilevel((4, 2), hidden=(16,), start=0.0)
    q.bind(target)
    optimiser = torch.optim.Adam(q.parameters(), lr=0.03)
    stream, objective = generator(), fl.ReverseKL()
    for _ in range(80):
        optimiser.zero_grad()
        objective.loss(q, target, 150, generator=stream).value.backward()
        optimiser.step()
    x, log_q = q.sample(5000, generator=stream)
    assert float(ess((target.log_weight(x) - log_q).double().numpy()).value) > 0.9


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="kind must be one of coloured, autoregressive, heat_bath, got 'block'"):
        Multilevel((8, 4), "block")
    with pytest.raises(ValueError, match="network must be one of convolution, transformer, got 'mixer'"):
        Multilevel((8, 4), network="mixer")
    with pytest.raises(ValueError, match="a heat bath has no networks"):
        Multilevel((8, 4), "heat_bath", network="transformer")
    q = Multilevel((8, 4))
    with pytest.raises(ValueError, match="spins must be -1 or"):
        q.log_prob(torch.zeros(1, 8, 4))
    with pytest.raises(ValueError, match=r"shape \(n, 8, 4\), got \(1, 4, 8\)"):
        q.log_prob(torch.ones(1, 4, 8))
    for target in (Ising((8, 4), T=2.0), Ising((8, 8), T=2.0), fl.Phi4((8, 4), 0.2, 0.5)):
        with pytest.raises(ValueError, match=r"expected what .decimate\(\) makes of one, got (Ising|φ⁴) 8 × "):
            q.bind(target)
    with pytest.raises(ValueError, match="a density of spins cannot fit"):
        q.bind(fl.Phi4((8, 8), 0.2, 0.5).decimate())
    with pytest.raises(ValueError, match=r"density has shape \(8, 4\), target Decimated has \(16, 8\)"):
        q.bind(Ising((16, 16), T=2.0).decimate())
    with pytest.raises(ValueError, match="a field breaks"):
        q.bind(Ising((8, 8), T=2.0, h=0.1).decimate())
    with pytest.raises(ValueError, match="n must be at least 1"):
        q.draw(0)


def in_a_field(shape, **options):
    return shaken(Multilevel(shape, symmetric=False, **{"hidden": (8,)} | options), 0.4).double()


@pytest.mark.parametrize("more", [{}, {"colours": 1}, {"hidden": (8, 4)}])
def test_without_symmetry_it_is_normalised_and_its_draws_have_the_frequencies(more):
    q, n = in_a_field((4, 2), **more), 40_000
    with torch.no_grad():
        p = q.log_prob(all_of_4x4()).exp()
        x, log_q = q.sample(n, generator=generator(1))
        torch.testing.assert_close(q.log_prob(x), log_q, atol=1e-10, rtol=0)
    assert abs(float(p.sum()) - 1) < 1e-10 and q.flip_action() is None
    assert float((p - q.log_prob(-all_of_4x4()).exp().detach()).abs().max()) > 1e-3
    numbers = ((x.flatten(1) + 1) / 2 @ 2 ** torch.arange(8, dtype=torch.float64)).long()
    order = ((all_of_4x4().flatten(1) + 1) / 2 @ 2 ** torch.arange(8, dtype=torch.float64)).long()
    count = torch.bincount(numbers, minlength=256)[order]
    assert abs(float(((count - n * p) ** 2 / (n * p)).sum()) - 255) < 4 * (2 * 255) ** 0.5


def test_a_lattice_in_a_field_is_learned():
    run = fl.experiment("ising-coloured", L=8, T=2.4, h=0.1, steps=150, batch=200, hidden=16, device="cpu")
    run.run()
    found = run.evaluate(4000)
    assert float(found.ess) > 0.25 and found.attrs["verdict"].startswith("consistent")
    assert abs(float(found.log_z) - run.log_z_exact) < 4 * float(found.log_z_error)


def test_one_density_over_temperatures_and_fields():
    run = fl.experiment(
        "ising-coloured", L=4, over="beta:0.3:0.5,h:-0.2:0.2", degree=2, steps=120, batch=200, hidden=8, device="cpu"
    )
    run.run()
    for h in (-0.15, 0.0, 0.2):
        found = run.evaluate(2000, beta=0.45, h=h)
        assert abs(float(found.log_z - found.log_z_exact)) < 4 * float(found.log_z_error)
        assert float(found.ess) > 0.3


def test_a_field_is_refused_where_it_cannot_be():
    with pytest.raises(ValueError, match="flip-symmetric density"):
        Multilevel((4, 2)).bind(Ising((4, 4), T=2.0, h=0.1).decimate())
    with pytest.raises(ValueError, match="symmetric must be True for a heat bath"):
        Multilevel((4, 2), "heat_bath", symmetric=False)
    with pytest.raises(ValueError, match="h must be 0 but for the kind coloured"):
        fl.experiment("ising-rigcs", L=4, h=0.1)


class Deciding(fl.Density):
    """A coarsest lattice of signs that a weight decides, straight through."""

    def __init__(self, weight):
        super().__init__()
        self.shape, self.weight = (2, 2), nn.Parameter(weight)

    def draw(self, n, *, generator=None):
        x = (self.weight.sign() + (self.weight - self.weight.detach())).expand(n, 2, 2)
        return Draw(x, x.new_zeros(n), x.new_zeros(n))

    def log_prob(self, x):
        return torch.where((x == self.weight.sign()).flatten(1).all(1), 0.0, -torch.inf)


def test_gradients_by_formula_are_those_of_the_recorded_network():
    draw = torch.Generator().manual_seed(0)
    offsets = ((0, 1), (1, 0), (0, -1), (-1, 0), (1, 1))
    odd = OddLogits(offsets, hidden=(7,), start=0.3, generator=draw).double()
    windows = torch.randint(50, (40, 5), generator=draw)
    spins = torch.randn(50, 300, dtype=torch.float64, generator=draw).sign()
    above = torch.randn(40, 300, dtype=torch.float64, generator=draw)
    found, recorded = (
        torch.autograd.grad(odd(state, windows), list(odd.parameters()), above)
        for state in (spins, spins.clone().requires_grad_())  # a state with a gradient has the network recorded
    )
    for one, other in zip(found, recorded, strict=True):
        torch.testing.assert_close(one, other)
        assert float(one.abs().max()) > 1


@pytest.mark.parametrize("kind", ["coloured", "autoregressive"])
def test_a_gradient_straight_through_the_base_is_that_of_the_mean_over_finer_spins(kind):
    base = Deciding(torch.tensor([[0.3, -0.4], [0.2, 0.5]], dtype=torch.float64))
    density = fl.Multilevel((4, 2), kind, base=base, hidden=(8,)).double()
    target = fl.Ising((4, 4), T=1.7).decimate()
    draws = 4_000
    loss = fl.ReverseKL().loss(density, target, draws, generator=torch.Generator().manual_seed(0))
    loss.value.backward()

    coarse = base.weight.detach().sign().requires_grad_()
    finer = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=4)), dtype=torch.float64)
    state = torch.cat([coarse.reshape(4, 1).expand(4, 16), finer.T, torch.zeros(1, 16, dtype=torch.float64)])
    log_q = density.finer_log_q(state).sum(0)
    mean = (log_q.exp() * (log_q - target.log_weight(density.configurations(state)))).sum()
    (expected,) = torch.autograd.grad(mean, coarse)
    assert expected.abs().max() > 0.3
    torch.testing.assert_close(base.weight.grad, expected, atol=0.1, rtol=0)
