"""Gradients of the variational free energy against the enumerated one."""

from __future__ import annotations

import copy

import pytest
import torch

import flowlab as fl
from flowlab.core import named_generator
from flowlab.densities import Normal
from flowlab.exact.enumeration import configurations
from flowlab.flows.real.affine import complementary_masks
from flowlab.systems.phi4 import Phi4
from flowlab.training.objectives.reverse_kl import Objective, PathGradient, ReverseKL, SiteBaseline, together
from tests.laws.registry import shaken

SHAPE = (2, 2)
BATCH, BATCHES = 20, 600


def problem() -> tuple[fl.Density, fl.System]:
    return shaken(fl.MADE(SHAPE, hidden=4), 0.4), fl.Ising(SHAPE, T=3.0, h=0.4)


def exact_gradient(density: fl.Density, target: fl.System) -> torch.Tensor:
    """The gradient of Σ_x q(x) (ln q(x) - log_weight(x)) over all configurations."""
    x = configurations(SHAPE, 0, 2**4).float()
    log_q = density.log_prob(x)
    loss = (log_q.exp() * (log_q - target.log_weight(x))).sum()
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(density.parameters()))])


def gradients(objective: fl.ReverseKL, density: fl.Density, target: fl.System) -> torch.Tensor:
    """(BATCHES, parameters) independent estimates."""
    generator = named_generator(0, "gradients")
    rows = []
    for _ in range(BATCHES):
        value = objective.loss(density, target, BATCH, generator=generator).value
        rows.append(torch.cat([g.flatten() for g in torch.autograd.grad(value, list(density.parameters()))]))
    return torch.stack(rows)


def objective(baseline: str) -> fl.ReverseKL:
    made = fl.ReverseKL(baseline, n_sites=4, decay=0.9)
    made.average.fill_(-0.7)
    if made.site_baseline is not None:
        shaken(made.site_baseline, 0.3)
    return made


@pytest.mark.parametrize("baseline", ["leave_one_out", "running", "learned"])
def test_score_gradient_is_unbiased(baseline):
    density, target = problem()
    exact = exact_gradient(density, target)
    found = gradients(objective(baseline), density, target)
    error = found.std(0) / BATCHES**0.5
    moved = error > 0
    assert (exact[~moved] == 0).all() and moved.sum() > 20
    z = (found.mean(0) - exact)[moved] / error[moved]
    assert z.abs().max() < 4
    assert (exact[moved] / error[moved]).abs().max() > 10  # the test sees the gradient that it checks


@pytest.mark.parametrize("baseline", ["leave_one_out", "running"])
def test_baseline_lowers_the_variance(baseline):
    density, target = problem()
    without = fl.ReverseKL("running", decay=0.0)
    without._level = lambda R: torch.zeros(())
    bare = gradients(without, density, target).var(0).sum()
    assert gradients(objective(baseline), density, target).var(0).sum() < 0.5 * bare


def test_learned_baseline_learns_and_lowers_the_misfit():
    """Of R = -Σ_k z_k + const, what the sites before k contribute: 0 + 1 + 2 + 3 of 4 x 4 parts."""
    objective, rates = fl.ReverseKL("learned", n_sites=4), {"base": 1e-9, "baseline": 0.05}
    density, target = fl.IndependentSpins(SHAPE), fl.Ising(SHAPE, T=1e3, h=1e3)
    run = fl.Training(target, density, objective, steps=150, batch=100, learning_rate=rates, schedule="constant")
    misfit = run.run(progress=False).baseline_misfit.values[-50:]
    error = misfit.std() / len(misfit) ** 0.5
    assert abs(misfit.mean() - 4 * (1 - 6 / 16)) < 4 * error < 0.5


def test_site_baseline_depends_on_earlier_sites_only():
    baseline = shaken(SiteBaseline(5))
    z = torch.where(torch.rand(1, 5, generator=named_generator(0)) < 0.5, -1.0, 1.0)
    jacobian = torch.autograd.functional.jacobian(baseline, z)[0, :, 0]
    assert (jacobian.triu() == 0).all()
    assert (jacobian.tril(-1)[1:].abs().sum(1) > 0).all()


def test_mask_gradient_comes_through_the_energy_alone():
    flow = fl.XorCoupling(SHAPE, parity=None, start="random", generator=named_generator(0))
    density, target = fl.Pushforward(flow, fl.IndependentSpins(SHAPE, bias=0.5)), fl.Ising(SHAPE, T=3.0)
    parameters = list(flow.parameters())
    draw = density.draw(100, generator=named_generator(1))
    assert draw.x.requires_grad and draw.score.requires_grad and not draw.log_q.requires_grad
    unused = torch.autograd.grad(draw.score.sum(), parameters, allow_unused=True)
    assert all(gradient is None for gradient in unused)
    expected = torch.autograd.grad(-target.log_weight(draw.x).mean(), parameters)
    value = fl.ReverseKL().loss(density, target, 100, generator=named_generator(1)).value
    torch.testing.assert_close(torch.autograd.grad(value, parameters), expected)
    assert any(gradient.abs().max() > 0 for gradient in expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"baseline": "none"}, "baseline must be 'leave_one_out', 'running' or 'learned', got 'none'"),
        ({"baseline": "learned"}, "needs n_sites"),
        ({"baseline": "running", "decay": 1.0}, r"decay must lie in \[0, 1\), got 1.0"),
    ],
)
def test_refused(options, message):
    with pytest.raises(ValueError, match=message):
        fl.ReverseKL(**options)


def test_learned_baseline_needs_an_autoregressive_base():
    density = fl.Pushforward(fl.Composed([]), fl.Pushforward(fl.Composed([]), fl.MADE(SHAPE)))
    with pytest.raises(TypeError, match="needs an autoregressive base, got Pushforward"):
        fl.ReverseKL("learned", n_sites=4).loss(density, fl.Ising(SHAPE, 2.0), 10, generator=named_generator(0))


def shaken_affine(seed: int = 0) -> fl.Pushforward:
    masks = complementary_masks((4,), 2, generator=named_generator(seed, "masks"))
    flow = fl.Composed(
        [fl.AffineCoupling(mask, generator=named_generator(seed, "flow", i)) for i, mask in enumerate(masks)]
    )
    return shaken(fl.Pushforward(flow, Normal((4,))), 0.2).double()


def gradient(objective: Objective, density: fl.Density, target: fl.System, n: int, seed: int) -> torch.Tensor:
    density.zero_grad()
    objective.loss(density, target, n, generator=torch.Generator().manual_seed(seed)).value.backward()
    return torch.cat([p.grad.flatten() for p in density.parameters()])


def test_path_gradient_has_the_mean_of_the_pathwise_gradient():
    density, target = shaken_affine(), Phi4((4,), kappa=0.2, lam=0.3)
    path, usual = (
        torch.stack([gradient(objective, density, target, 1000, seed) for seed in range(40)])
        for objective in (PathGradient(), ReverseKL())
    )
    difference = path.mean(0) - usual.mean(0)
    error = ((path - usual).std(0) / 40**0.5).clamp(min=1e-9)
    assert float((difference / error).abs().max()) < 4.5


def test_path_gradient_vanishes_where_the_density_is_exact():
    density = shaken_affine()

    class Exactly(Phi4):
        def log_weight(self, x):
            return exact.log_prob(x)

    exact = copy.deepcopy(density).requires_grad_(False)
    target = Exactly((4,), kappa=0.0, lam=1.0)
    assert float(gradient(PathGradient(), density, target, 50, 0).abs().max()) < 1e-10
    assert float(gradient(ReverseKL(), density, target, 50, 0).abs().max()) > 0.01


def test_path_gradient_refuses_discrete_choices():
    with pytest.raises(TypeError, match="real fields"):
        PathGradient().loss(fl.MADE((2, 2)), fl.Ising((2, 2), T=2.0), 10)


def test_parts_of_a_batch_together():
    density, target = shaken_affine(), Phi4((4,), kappa=0.2, lam=0.3)
    generator = torch.Generator().manual_seed(0)
    parts = [ReverseKL().loss(density, target, 10, generator=generator) for _ in range(2)]
    whole = together(parts)
    assert whole.draw.x.shape == (20, 4)
    torch.testing.assert_close(whole.loss, (whole.draw.log_q - whole.log_weight).mean())
