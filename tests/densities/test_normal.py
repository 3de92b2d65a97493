"""The Gaussian prior, and symmetrised flows over it: pathwise gradients, normalisation, stages, fits."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from flowlab.core import Draw, named_generator
from flowlab.densities.autoregressive.independent import IndependentSpins
from flowlab.densities.normal import Normal
from flowlab.densities.pushforward import Pushforward
from flowlab.densities.z2 import Z2Symmetrized
from flowlab.flows.composed import Composed
from flowlab.flows.discrete.xor import XorCoupling
from flowlab.flows.real.affine import AffineCoupling, complementary_masks
from flowlab.flows.real.linear import Linear
from tests.laws.registry import shaken


def flow(shape: tuple[int, ...] = (4,), layers: int = 3, linear: bool = True) -> Composed:
    generator = named_generator(4, "couplings")
    masks = complementary_masks(shape, layers, generator=generator)
    couplings = [AffineCoupling(mask, hidden=6, layers=2, generator=generator) for mask in masks]
    n = math.prod(shape)
    root = torch.randn(n, n, dtype=torch.float64, generator=generator)
    fixed = [Linear.from_covariance(root @ root.T / n + torch.eye(n), shape)] if linear else []
    return shaken(Composed([*couplings, *fixed]), 0.4)


def symmetrised(shape: tuple[int, ...] = (4,), **options: object) -> Z2Symmetrized:
    return Z2Symmetrized(Pushforward(flow(shape, **options), Normal(shape))).double()


def test_prior():
    for dtype in (torch.float32, torch.float64):
        z, log_q, score = Normal((3, 5)).to(dtype).draw(4000, generator=named_generator(0))
        assert z.shape == (4000, 3, 5) and z.dtype == log_q.dtype == dtype and not score.any()
        expected = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum((1, 2))
        torch.testing.assert_close(log_q, expected.to(dtype))
        assert abs(float(z.mean())) < 4 / z.numel() ** 0.5
        assert abs(float(z.var()) - 1) < 4 * (2 / z.numel()) ** 0.5
    assert not Normal((3,)).state_dict() and torch.equal(Normal((3,)).flip_action(), -torch.ones(3))


def test_draw_agrees_with_log_prob_and_is_symmetric():
    q = symmetrised((2, 2))
    x, log_q, score = q.draw(200, generator=named_generator(1))
    torch.testing.assert_close(q.log_prob(x), log_q)
    torch.testing.assert_close(q.log_prob(-x), log_q)
    assert not score.any() and x.requires_grad
    p = q.density.log_prob(x)
    assert (p - q.density.log_prob(-x)).abs().mean() > 0.3


def test_normalised_on_a_grid():
    q = symmetrised((2,), layers=2)
    axis = torch.linspace(-20, 20, 401, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        total = q.log_prob(grid).exp().sum() * (axis[1] - axis[0]) ** 2
    assert float(total) == pytest.approx(1.0, abs=1e-4)


def reverse_kl(q: Z2Symmetrized) -> Tensor:
    draw = q.draw(30, generator=named_generator(5))
    log_weight = (draw.x[:, :1] * draw.x[:, 1:]).sum(1).tanh() - 0.1 * draw.x.pow(4).sum(1)
    return (draw.log_q - log_weight).mean()


def test_reverse_kl_gradient_is_that_of_finite_differences():
    q = symmetrised()
    reverse_kl(q).backward()
    for name, parameter in q.named_parameters():
        direction = torch.randn(parameter.shape, dtype=parameter.dtype, generator=named_generator(6, name))
        assert parameter.grad is not None
        along = float((parameter.grad * direction).sum())
        with torch.no_grad():
            parameter.add_(1e-5 * direction)
            up = float(reverse_kl(q))
            parameter.sub_(2e-5 * direction)
            down = float(reverse_kl(q))
            parameter.add_(1e-5 * direction)
        assert along == pytest.approx((up - down) / 2e-5, rel=1e-5, abs=1e-7), name


def test_stages_show_every_layer_in_front_of_the_fixed_map():
    q = symmetrised()
    couplings, fixed = list(q.density.flow)[:-1], q.density.flow[-1]
    states = list(q.density.stages(50, generator=named_generator(2)))
    assert [state.name for state in states] == ["latent", "linear", "affine 1", "affine 2", "affine 3"]
    assert [state.time for state in states] == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    z = states[0].x
    for i, state in enumerate(states[1:]):
        after = Composed([*couplings[:i], fixed])
        torch.testing.assert_close(state.x, after(z)[0].detach())
        torch.testing.assert_close(state.log_q, Pushforward(after, Normal((4,))).log_prob(state.x).detach())
        torch.testing.assert_close(q.density.log_prob_at(i + 1, state.x).detach(), state.log_q)
    torch.testing.assert_close(states[-1].log_q, q.density.log_prob(states[-1].x).detach())


def test_stages_without_a_fixed_map():
    q = symmetrised((2, 2), linear=False)
    states = list(q.stages(20, generator=named_generator(2)))
    assert [state.name for state in states] == ["latent", "affine 1", "affine 2", "affine 3"]
    torch.testing.assert_close(states[-1].log_q, q.log_prob(states[-1].x).detach())


def test_symmetrised_stages_share_one_bit_and_are_symmetric_at_every_layer():
    q = symmetrised()
    states, n = list(q.stages(4000, generator=named_generator(3))), 4000
    signs = []
    for i, (own, state) in enumerate(zip(q.density.stages(n, generator=named_generator(3)), states, strict=True)):
        sign = (state.x / own.x).round()
        assert torch.equal(own.x * sign, state.x) and torch.equal(sign, sign[:, :1].expand_as(sign))
        signs.append(sign[:, 0])
        one, other = (q.density.log_prob_at(i, side).detach() for side in (state.x, -state.x))
        torch.testing.assert_close(state.log_q, torch.logaddexp(one, other) - math.log(2))
    assert all(torch.equal(sign, signs[0]) for sign in signs)
    assert abs(float(signs[0].mean())) < 4 / n**0.5
    torch.testing.assert_close(states[-1].log_q, q.log_prob(states[-1].x).detach())


def test_given_samples_and_latents_keep_their_sign():
    q = symmetrised()
    x, _ = q.sample(30, generator=named_generator(2))
    forth = list(q.stages(x=x))
    back = list(q.stages(z=forth[0].x))
    torch.testing.assert_close(forth[-1].x, x)
    for one, other in zip(forth, back, strict=True):
        torch.testing.assert_close(one.x, other.x)
        torch.testing.assert_close(one.log_q, other.log_q)
    with pytest.raises(ValueError, match="exactly one of n, x, z"):
        list(q.stages(3, x=x))


def test_symmetrised_stages_of_spins():
    layers = [XorCoupling((4, 2), reads, parity=None, start="random") for reads in ("even", "odd")]
    q = Z2Symmetrized(Pushforward(shaken(Composed(layers)), IndependentSpins((4, 2), bias=0.4)))
    states = list(q.stages(100, generator=named_generator(3)))
    assert [state.name for state in states] == ["latent", "xor 1", "xor 2"]
    torch.testing.assert_close(states[-1].log_q, q.log_prob(states[-1].x).detach())
    for i, state in enumerate(states):
        one, other = (q.density.log_prob_at(i, side).detach() for side in (state.x, -state.x))
        torch.testing.assert_close(state.log_q, torch.logaddexp(one, other) - math.log(2))


def test_fit_reaches_the_flow_with_both_signs():
    shift = torch.tensor([2.0, -1.0, 0.5, 0.0], dtype=torch.float64)
    x = shift + torch.randn(500, 4, dtype=torch.float64, generator=named_generator(0))
    q = Z2Symmetrized(Pushforward(Composed([Linear((4,), estimate="covariance")]), Normal((4,)))).double()
    q.fit(x)
    z = q.density.flow.inverse(torch.cat([x, -x]))[0]
    torch.testing.assert_close(z.T @ z / len(z), torch.eye(4, dtype=torch.float64))
    unfit = Normal((4,))
    unfit.fit(x)
    assert isinstance(unfit.draw(2, generator=named_generator(0)), Draw)
