"""Densities of Potts states: normalised, sampled as they say, trained."""

from __future__ import annotations

import pytest
import torch

import flowlab as fl
from flowlab.core import named_generator
from flowlab.densities.autoregressive.independent import IndependentPotts
from flowlab.densities.autoregressive.potts_autoregressive import PottsAutoregressive
from flowlab.densities.autoregressive.potts_made import PottsMADE
from flowlab.densities.permutation_symmetrized import PermutationSymmetrized
from flowlab.exact.potts import potts_configurations
from flowlab.flows import PermutationCoupling
from flowlab.systems.potts import Potts

SHAPE = (2, 3)
DENSITIES = {
    "independent": lambda: IndependentPotts(SHAPE, 3, bias=0.4),
    "made": lambda: PottsMADE(SHAPE, 3, width=4),
    "symmetrised made": lambda: PermutationSymmetrized(PottsMADE(SHAPE, 3, width=4)),
    "symmetrised by shifts": lambda: PermutationSymmetrized(IndependentPotts(SHAPE, 3, bias=0.4), "cyclic"),
}


@pytest.fixture(params=DENSITIES)
def density(request):
    density, generator = DENSITIES[request.param]().double(), named_generator(2, "shaken")
    with torch.no_grad():
        for parameter in density.parameters():
            parameter.add_(0.5 * torch.randn(parameter.shape, generator=generator))
    return density


def test_normalised(density):
    assert abs(float(density.log_prob(potts_configurations(SHAPE, 3)).detach().logsumexp(0))) < 1e-12


def test_draws_follow_log_prob(density):
    n = 20_000
    draw = density.draw(n, generator=named_generator(0))
    torch.testing.assert_close(draw.log_q, density.log_prob(draw.x).detach())
    assert draw.score.requires_grad and not draw.log_q.requires_grad
    p = density.log_prob(potts_configurations(SHAPE, 3)).detach().exp()
    counts = torch.bincount(draw.x.flatten(1).long() @ 3 ** torch.arange(6), minlength=3**6)
    likely = p * n > 5
    chi2 = ((counts - n * p).square() / (n * p))[likely].sum()
    assert abs(float(chi2) - int(likely.sum())) < 4 * (2 * int(likely.sum())) ** 0.5


def shaken(density):
    generator = named_generator(2, "shaken")
    with torch.no_grad():
        for parameter in density.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return density


@pytest.mark.parametrize(("group", "q", "size"), [("all", 3, 6), ("cyclic", 3, 3), (None, 6, 6)])
def test_permutations_of_the_states_leave_the_symmetrised_density_alone(group, q, size):
    density = shaken(PermutationSymmetrized(IndependentPotts(SHAPE, q, bias=2.0), group).double())
    assert len(density.permutations) == size
    x, log_q = density.sample(50, generator=named_generator(1))
    for permutation in density.permutations:
        with torch.no_grad():
            torch.testing.assert_close(density.log_prob(permutation[x.long()].double()), log_q, atol=1e-10, rtol=0)


def test_one_likelihood_on_every_path_of_a_symmetrised_flow():
    even = (2, 4)
    flow = PermutationCoupling(even, q=3, start="random")
    density = shaken(PermutationSymmetrized(fl.Pushforward(flow, PottsMADE(even, 3, width=4))).double())
    with torch.no_grad():
        silent = density.draw(40, generator=named_generator(0))
        last = list(density.stages(40, generator=named_generator(0)))[-1]
    draw = density.draw(40, generator=named_generator(0))
    assert torch.equal(draw.x, silent.x) and draw.score.requires_grad and draw.x.requires_grad
    for x, log_q in (draw[:2], silent[:2], density.sample(40, generator=named_generator(0)), (last.x, last.log_q)):
        with torch.no_grad():
            torch.testing.assert_close(log_q.detach(), density.log_prob(x.detach()), atol=1e-10, rtol=0)
    torch.testing.assert_close(draw.score.detach(), draw.log_q)
    loaded = PermutationSymmetrized(fl.Pushforward(PermutationCoupling(even, q=3), PottsMADE(even, 3, width=4)))
    loaded.double().load_state_dict(density.state_dict())
    with torch.no_grad():
        assert torch.equal(loaded.log_prob(silent.x), density.log_prob(silent.x))


def test_every_ordered_state_is_drawn_where_the_density_itself_keeps_one():
    one = PottsMADE(SHAPE, 3, width=4)
    with torch.no_grad():
        one.output.bias.view(-1, 3)[:, 0] += 4.0
    x, _ = PermutationSymmetrized(one).sample(3000, generator=named_generator(0))
    shares = Potts(SHAPE, T=0.7).variables.sectors(x).mean(0)
    assert bool(((shares - 1 / 3).abs() < 0.04).all())


def test_a_target_whose_states_differ_is_refused_by_measurement():
    class InField(Potts):
        def log_weight(self, x):
            return super().log_weight(x) + 0.5 * (x == 1).flatten(1).sum(1)

    symmetric = PermutationSymmetrized(PottsMADE(SHAPE, 3))
    symmetric.bind(Potts(SHAPE, T=0.7))
    with pytest.raises(ValueError, match=r"permutation \[1, 2, 0\] of its states changes log_weight by up to"):
        symmetric.bind(InField(SHAPE, T=0.7))
    with pytest.raises(ValueError, match="does not say its number of states: give q"):
        PermutationSymmetrized(fl.Normal(SHAPE))


def test_made_chooses_as_the_network_says():
    made = DENSITIES["made"]().double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=named_generator(3), dtype=torch.float64))
    u = torch.rand(200, 6, generator=named_generator(4), dtype=torch.float64)
    with torch.no_grad():
        assert torch.equal(made.choose(u), PottsAutoregressive.choose(made, u))


def test_made_sees_only_the_sites_before():
    made, x = DENSITIES["made"]().double(), potts_configurations(SHAPE, 3)[::7].flatten(1)
    for site in range(6):
        other = x.clone()
        other[:, site] = (other[:, site] + 1) % 3
        same = (made.logits(other) == made.logits(x)).all(-1).all(0)
        assert same[: site + 1].all() and not same[site + 1 :].any()


def test_training_reaches_the_exact_answer():
    system, made = Potts(SHAPE, T=1.5), PottsMADE(SHAPE, 3)
    optimiser, generator = torch.optim.Adam(made.parameters(), lr=2e-2), named_generator(0, "train")
    for _ in range(150):
        optimiser.zero_grad()
        fl.ReverseKL().loss(made, system, 300, generator=generator).value.backward()
        optimiser.step()
    x, log_q = made.sample(5000, generator=generator)
    bound = fl.estimators.log_z_bound((system.log_weight(x) - log_q).double().numpy())
    gap = fl.exact.log_z(system) - bound.value
    assert -4 * bound.error < gap < 0.02 + 4 * bound.error


def test_refused():
    with pytest.raises(ValueError, match="q must be a number of states of at least 2, got 1"):
        IndependentPotts(SHAPE, 1)
    with pytest.raises(ValueError, match="width must be at least 1"):
        PottsMADE(SHAPE, width=0)
    density = IndependentPotts(SHAPE, 3)
    with pytest.raises(ValueError, match=r"with q = 3 cannot fit Potts 2 × 3, q = 4, T = 1"):
        density.bind(Potts(SHAPE, 1.0, q=4))
    with pytest.raises(ValueError, match=r"with q = 3 cannot fit Ising 2 × 3, T = 1"):
        density.bind(fl.Ising(SHAPE, 1.0))
    with pytest.raises(ValueError, match=r"states must be 0, \.\.\., 2, got -1\.0"):
        density.log_prob(-torch.ones(1, *SHAPE))
    with pytest.raises(ValueError, match=r"configurations must have shape \(n, 2, 3\), got \(1, 3, 2\)"):
        density.log_prob(torch.ones(1, 3, 2))
