"""The hierarchical autoregressive network: its domains, its distribution, its levels."""

from __future__ import annotations

import math

import pytest
import torch

import flowlab as fl
from flowlab.core import named_generator
from flowlab.densities.multilevel.hierarchical import Hierarchical
from flowlab.exact.enumeration import configurations
from flowlab.systems.lattice import neighbours


def density(L: int = 4, **options: object) -> Hierarchical:
    """With weights far from those at the start."""
    q = Hierarchical((L, L), **{"width": 3} | options)
    generator = named_generator(0, "shaken")
    with torch.no_grad():
        for parameter in q.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return q.double()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("L", [2, 4, 8, 32])
def test_every_site_is_drawn_once_among_sites_that_are_known(L):
    q = Hierarchical((L, L), width=1)
    drawn = [torch.from_numpy(cross.sites).flatten() for cross in q.crosses] + [q.single]
    assert torch.equal(torch.cat(drawn).sort().values, torch.arange(L * L))
    known = torch.zeros(L * L, dtype=torch.bool)
    for cross in q.crosses:
        assert bool(known[torch.from_numpy(cross.known)].all())
        known[torch.from_numpy(cross.sites)] = True
    assert bool(known[q.around_single].all())


def test_a_domain_touches_no_site_but_those_its_network_sees():
    q = Hierarchical((16, 16), width=1)
    adjacent, singles = neighbours((16, 16)).numpy(), q.single.view(8, 8)
    for i, cross in enumerate(q.crosses[1:], 1):
        domains = len(cross.sites)
        step = 8 // math.isqrt(domains)
        inside = [later.sites.reshape(domains, -1) for later in q.crosses[i:]]
        for d, around in enumerate(cross.known):
            y, x = quadrant(d)
            own = singles[y * step : (y + 1) * step, x * step : (x + 1) * step]
            domain = {int(site) for rows in inside for site in rows[d]} | set(own.flatten().tolist())
            assert len(domain) == (2 * step - 1) ** 2
            assert {int(n) for site in domain for n in adjacent[site]} - domain == set(around.tolist())


def quadrant(d: int) -> tuple[int, int]:
    """Row and column of the d-th domain, numbered by quadrants within quadrants."""
    y = x = 0
    for bit in range(3):
        digit = d >> 2 * bit & 3
        y, x = y | digit >> 1 << bit, x | (digit & 1) << bit
    return y, x


def test_normalised_and_symmetric():
    q = density()
    x = configurations((4, 4), 0, 2**15).double()  # every one with the last spin the same
    with torch.no_grad():
        log_q = q.log_prob(x)
        torch.testing.assert_close(q.log_prob(-x[:99]), log_q[:99], rtol=0, atol=1e-10)
    assert abs(float(log_q.logsumexp(0)) + math.log(2)) < 1e-10
    assert bool((q.flip_action() == -1).all())


@pytest.mark.parametrize("L", [2, 4, 8])
def test_draws_know_their_probability(L):
    q = density(L)
    draw = q.draw(300, generator=generator())
    torch.testing.assert_close(draw.log_q, q.log_prob(draw.x), rtol=0, atol=1e-10)
    assert draw.score.requires_grad and not draw.log_q.requires_grad
    x, log_q = q.sample(1500, generator=generator())
    torch.testing.assert_close(log_q, q.log_prob(x).detach(), rtol=0, atol=1e-10)
    assert torch.equal(x[:300], q.sample(1500, generator=generator())[0][:300])


def test_frequencies_are_the_probabilities():
    q, n = density(2), 20_000
    x = configurations((2, 2), 0, 16).double()
    drawn = (q.sample(n, generator=generator(1))[0][:, None] == x).flatten(2).all(-1).sum(0)
    expected = n * q.log_prob(x).exp().detach()
    assert float(((drawn - expected).square() / expected).sum()) < 15 + 4 * math.sqrt(30)


def test_single_sites_are_exact():
    q, ising = density(8), fl.Ising((8, 8), T=2.0)
    q.bind(ising)
    x = q.sample(20, generator=generator())[0]
    flipped = x.clone()
    flipped[:, 3, 5] *= -1
    torch.testing.assert_close(
        (q.log_prob(flipped) - q.log_prob(x)).detach(), ising.log_weight(flipped) - ising.log_weight(x)
    )


def test_reverse_kl_reaches_every_weight():
    q = density(8)
    fl.ReverseKL().loss(q, fl.Ising((8, 8), T=2.0), 200, generator=generator()).value.backward()
    for network in q.networks.values():
        for layer in (network.first, network.output, network.skip):
            assert bool((layer.weight.grad[layer.mask == 0] == 0).all())
            seen = (layer.weight.grad[layer.mask == 1].abs() > 1e-12).double().mean()
            assert seen == 1 if network.known else seen > 0.7  # the first spin of all sees nothing


def test_starts_near_a_spin_in_the_field_of_its_neighbours():
    q = Hierarchical((8, 8), start=0.5)
    network = q.networks["torus 8"]
    assert network.skip.weight.detach()[1, :2].tolist() == [1.0, 0.0]
    assert float(network.skip.weight.detach()[7].sum()) == 2.0  # the end of the row has a neighbour on either side
    assert not network.skip.weight.detach()[network.skip.mask == 0].any()


def test_stages_fill_the_lattice_and_can_be_taken_up_again():
    q = density(8)
    stages = list(q.stages(5, generator=generator()))
    assert [stage.kind for stage in stages] == ["level"] * 4
    assert [int((~stage.x[0].isnan()).sum()) for stage in stages] == [15, 28, 48, 64]
    assert stages[0].time == 0 and stages[-1].time == 1
    last = stages[-1]
    torch.testing.assert_close(last.log_q, q.log_prob(last.x).detach(), rtol=0, atol=1e-10)
    for again in q.stages(x=last.x), q.stages(z=last.x):
        for stage, other in zip(stages, again, strict=True):
            torch.testing.assert_close(stage.x, other.x, equal_nan=True)
    completed = list(q.stages(z=stages[1].x, generator=generator(3)))
    torch.testing.assert_close(completed[1].x, stages[1].x, equal_nan=True)
    assert not torch.equal(completed[-1].x, last.x) and bool((completed[-1].x.abs() == 1).all())


def test_larger_lattices_take_over_the_networks_of_their_domains():
    small, large = density(8), Hierarchical((16, 16), width=3).double()
    copied = large.warm_start(small)
    assert {name.split(".")[1] for name in copied} == {"domain 7", "domain 3"}
    torch.testing.assert_close(large.networks["domain 7"].first.weight, small.networks["domain 7"].first.weight)


def test_binds_to_what_it_can_sample():
    q = Hierarchical((4, 4))
    q.bind(fl.Ising((4, 4), T=2.0))
    assert q.K == 0.5
    for target, message in (
        (fl.Ising((8, 8), T=2.0), r"density has shape \(4, 4\)"),
        (fl.Ising((4, 4), T=2.0, h=0.1), "that a field breaks"),
        (fl.Phi4((4, 4), 0.2, 0.5), "spins coupled to nearest neighbours"),
    ):
        with pytest.raises(ValueError, match=message):
            q.bind(target)


@pytest.mark.parametrize("shape", [(4, 8), (12, 12), (6, 6)])
def test_refuses_sides_that_cannot_be_halved(shape):
    with pytest.raises(ValueError, match="L = 2, 4, 8"):
        Hierarchical(shape)


def test_an_empty_batch_is_no_exception():
    log_q = Hierarchical((4, 4)).log_prob(torch.ones(0, 4, 4))
    log_q.sum().backward()
    assert log_q.shape == (0,)


def test_refuses():
    with pytest.raises(ValueError, match="width must be"):
        Hierarchical((4, 4), width=0)
    q = Hierarchical((4, 4))
    with pytest.raises(ValueError, match=r"shape \(n, 4, 4\), got \(2, 4, 2\)"):
        q.log_prob(torch.ones(2, 4, 2))
    with pytest.raises(ValueError, match=r"-1 or \+1, got 0"):
        q.log_prob(torch.zeros(2, 4, 4))
    with pytest.raises(ValueError, match=r"-1 or \+1, or NaN to be drawn, got 0.5"):
        list(q.stages(z=torch.full((2, 4, 4), 0.5)))
    with pytest.raises(ValueError, match="n must be at least 1"):
        q.draw(0)
