"""One density for a range of couplings: what it is at each of them, and what it hands on."""

import copy
import threading

import numpy as np
import pytest
import torch
from torch import nn

import flowlab as fl
from flowlab.core.made import describe, make
from flowlab.densities import Conditional, Mixture
from flowlab.densities.mixture import best_shares
from flowlab.testing import check_density
from tests.laws.registry import OVER, SHAPE, shaken

BETAS = (0.35, 0.41, 0.55)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def ising(beta):
    return fl.Ising(SHAPE, 1 / beta)


def conditional(degree=3, **options):
    return shaken(Conditional(fl.Z2Symmetrized(fl.MADE(SHAPE)), OVER, degree, **options), 0.3)


def spins(n=6):
    return 2.0 * torch.randint(2, (n, *SHAPE), generator=generator(5)) - 1


def multilevel(degree=2):
    return shaken(Conditional(fl.Multilevel((8, 4), hidden=(4,)), OVER, degree), 0.2)


@pytest.mark.parametrize("beta", BETAS)
def test_at_a_coupling_it_is_a_density_like_any_other(beta):
    q = multilevel()
    q.bind(fl.Ising((8, 8), 2.5).decimate())
    fixed = q.at(beta=beta)
    assert type(fixed) is fl.Multilevel and pytest.approx(beta) == fixed.K
    check_density(fixed, fl.Spins(), shake=0)
    q.bind(fl.Ising((8, 8), 1 / beta).decimate())
    x, log_q = q.sample(20, generator=generator())
    again, same = fixed.sample(20, generator=generator())
    assert torch.equal(x, again) and torch.equal(log_q, same)
    torch.testing.assert_close(q.log_prob(-x), q.log_prob(x), atol=1e-5, rtol=0)


def test_weights_are_chebyshev_polynomials_of_the_coupling():
    q = Conditional(fl.IndependentSpins(SHAPE, bias=0.4), OVER, 2)
    start = q.at(beta=0.4).bias.detach()
    with torch.no_grad():
        next(iter(q.slopes.values()))[1] = 1.0
    for beta, t in ((0.35, -1.0), (0.4, -0.5), (0.55, 1.0)):
        torch.testing.assert_close(q.at(beta=beta).bias, start + 2 * t**2 - 1)


def test_the_gradient_reaches_weights_that_a_network_takes_in_parts():
    class Parts(fl.IndependentSpins):
        def __init__(self):
            super().__init__(SHAPE)
            self.more = nn.ParameterList([torch.ones(1), torch.ones(1)])

        def log_prob(self, x):
            return super().log_prob(x) * self.more[:1][0]

    q = Conditional(Parts(), OVER, 1)
    with pytest.raises(ValueError, match="non-leaf"):  # and is never lost without a word
        q.log_prob(spins())


def test_couplings_that_it_is_not_for_are_refused():
    q = conditional()
    with pytest.raises(ValueError, match=r"beta must lie in \[0.35, 0.55\], for which this density is, got 0.6"):
        q.bind(ising(0.6))
    with pytest.raises(ValueError, match="beta must lie in"):
        q.at(beta=0.1)
    with pytest.raises(ValueError, match="a function of beta, got h"):
        q.at(h=0.1)
    with pytest.raises(ValueError, match="has the couplings T, J, h, got kappa"):
        Conditional(fl.MADE(SHAPE), {"kappa": (0.1, 0.2)}).bind(ising(0.4))
    for over, degree in (({}, 4), ({"beta": (0.5, 0.4)}, 4), (OVER, 0)):
        with pytest.raises(ValueError, match=r"over must give|degree must be"):
            Conditional(fl.MADE(SHAPE), over, degree)


def test_a_mixture_has_the_logarithm_of_the_sum_of_its_parts():
    q, x = conditional(), spins()
    mixed = q.mixture({0.55: 0.8, 0.5: 0.2})
    parts = torch.stack([q.at(beta=beta).log_prob(x) + np.log(share) for beta, share in ((0.55, 0.8), (0.5, 0.2))])
    torch.testing.assert_close(mixed.log_prob(x), parts.logsumexp(0))
    check_density(mixed, fl.Spins())
    assert mixed.flip_action() is not None
    assert Mixture([fl.MADE(SHAPE), q.at(beta=0.4)], [1, 1]).flip_action() is None


def test_a_mixture_trains_with_the_gradient_of_its_parts():
    both = Mixture([shaken(fl.IndependentSpins(SHAPE)), fl.IndependentSpins(SHAPE, bias=1.0)], [0.7, 0.3]).double()
    target = fl.Ising(SHAPE, T=3.0)
    fl.ReverseKL().loss(both, target, 200_000, generator=generator()).value.backward()
    found = both.densities[0].bias.grad.clone()
    both.zero_grad()
    x = fl.exact.enumeration.configurations(SHAPE, 0, 2**8).double()
    log_q = both.log_prob(x)
    (log_q.exp() * (log_q - target.log_weight(x))).sum().backward()
    torch.testing.assert_close(found, both.densities[0].bias.grad, atol=0.03, rtol=0)


def test_the_proposal_bounds_weights_and_keeps_inside_of_the_interval():
    q = conditional(defence=0.2)
    assert len(q.proposal(ising(0.45)).densities) == 5 and len(q.proposal(ising(0.55)).densities) == 3
    assert q.proposal(ising(0.55)).shares[0] <= 0.8 + 1e-12
    x = spins()
    with torch.no_grad():
        far = q.at(beta=0.46).log_prob(x) + np.log(0.1)
        assert bool((q.proposal(ising(0.55)).log_prob(x) >= far - 1e-6).all())
    assert not isinstance(conditional(defence=0.0).proposal(ising(0.55)), Mixture)
    assert fl.MADE(SHAPE).proposal(ising(0.5)).shape == SHAPE


def test_best_shares_find_the_mixture_with_the_largest_ess():
    x = torch.cat([torch.randn(4000, generator=generator()) + centre for centre in (-2.0, 2.0)])
    log_q = torch.stack([-0.5 * (x - centre) ** 2 for centre in (-2.0, 2.0)])
    log_p = torch.logaddexp(np.log(0.3) + log_q[0], np.log(0.7) + log_q[1])
    assert best_shares(log_p, log_q, [0.5, 0.5], [0.0, 0.01]) == pytest.approx([0.3, 0.7], abs=0.01)
    assert best_shares(log_q[0], log_q, [0.5, 0.5], [0.0, 0.01]) == pytest.approx([0.99, 0.01], abs=1e-3)


def test_neighbours_have_the_share_that_they_are_needed_for():
    """Independent spins that are right in the middle and miss one sign at the cold end."""
    q = Conditional(fl.IndependentSpins(SHAPE), OVER, 1)
    q.bind(ising(0.45))
    free = fl.Ising(SHAPE, T=2.0, J=0.0)
    with torch.no_grad():
        q.slopes["base torch float32"][0] = 2.0  # a bias of 2 at the cold end, of -2 at the other
    assert q.proposal(free.at(T=1 / 0.45)).shares[0] == pytest.approx(0.98, abs=0.02)
    cold = q.proposal(free.at(T=1 / 0.55))
    assert cold.shares[0] < 0.5 and sum(cold.shares) == pytest.approx(1)
    again = q.proposal(free.at(T=1 / 0.55))
    assert again.shares == cold.shares


def test_warm_starts_from_a_density_another_degree_and_another_interval():
    plain, x = shaken(fl.Z2Symmetrized(fl.MADE(SHAPE))), spins()
    q = conditional()
    assert set(q.warm_start(plain)) == {name for name, _ in q.named_parameters()}
    for beta in BETAS:
        torch.testing.assert_close(q.at(beta=beta).log_prob(x), plain.log_prob(x))
    low = conditional(2)
    high = Conditional(fl.Z2Symmetrized(fl.MADE(SHAPE)), {"beta": (0.4, 0.5)}, 4)
    wide = Conditional(fl.Z2Symmetrized(fl.MADE(SHAPE)), {"T": (1 / 0.5, 1 / 0.4)}, 9)
    for other, atol in ((high, 1e-4), (copy.deepcopy(low), 1e-5)):
        other.warm_start(low)
        for beta in (0.41, 0.5):
            torch.testing.assert_close(
                other.at(beta=beta).log_prob(x), low.at(beta=beta).log_prob(x), atol=atol, rtol=0
            )
    assert wide.warm_start(low)  # of another coupling: as at the present one
    lower = Conditional(fl.Z2Symmetrized(fl.MADE(SHAPE)), OVER, 1)
    lower.warm_start(low)
    assert bool(lower.at(beta=0.4).log_prob(x).isfinite().all())


def test_a_larger_lattice_takes_over_every_order():
    small, large = multilevel(), Conditional(fl.Multilevel((16, 8), hidden=(4,)), OVER, 2)
    large.warm_start(small)
    expected = fl.Multilevel((16, 8), hidden=(4,))
    expected.warm_start(small.at(beta=0.5))
    for name, value in large.at(beta=0.5).state_dict().items():
        torch.testing.assert_close(value, expected.state_dict()[name])


def test_of_two_couplings_the_weights_are_products():
    q = shaken(Conditional(fl.MADE(SHAPE), OVER | {"h": (0.0, 0.2)}, 2))
    target = fl.Ising(SHAPE, 1 / 0.4, h=0.1)
    q.bind(target)
    torch.testing.assert_close(q.log_prob(spins()), q.at(beta=0.4, h=0.1).log_prob(spins()))
    assert len(q.orders) == 6 and len(q.proposal(target).densities) == 8
    assert isinstance(q.mixture({(0.4, 0.1): 1, (0.5, 0.0): 1}), Mixture)
    with pytest.raises(ValueError, match="a value for each of beta, h"):
        q.mixture({0.4: 1})


def test_it_is_made_again_from_its_description_and_copied():
    q = conditional()
    again = make(describe(q))
    again.load_state_dict(q.state_dict())
    for other in (again, copy.deepcopy(q)):
        torch.testing.assert_close(other.log_prob(spins()), q.log_prob(spins()))


def test_threads_that_read_do_not_disturb_each_other():
    q = conditional()
    expected, wrong = q.log_prob(spins()).detach(), []

    def read():
        for _ in range(20):
            if not torch.equal(q.log_prob(spins()).detach(), expected):
                wrong.append(1)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
