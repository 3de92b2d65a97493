"""Densities of Potts states: normalised, sampled as they say, trained."""

from __future__ import annotations

import pytest
import torch

import flowlab as fl
from flowlab.core import named_generator
from flowlab.densities.independent_potts import IndependentPotts
from flowlab.densities.potts_autoregressive import PottsAutoregressive
from flowlab.densities.potts_made import PottsMADE
from flowlab.exact.potts import potts_configurations
from flowlab.systems.potts import Potts

SHAPE = (2, 3)
DENSITIES = {
    "independent": lambda: IndependentPotts(SHAPE, 3, bias=0.4),
    "made": lambda: PottsMADE(SHAPE, 3, width=4),
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
