"""IR matching: its gradients against Gaussians, the watch over the integration, evaluation with a known coarse ln Z."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from flowlab import exact
from flowlab.analysis.evaluation import evaluate
from flowlab.core import named_generator
from flowlab.core.flow import integrators
from flowlab.densities import MADE, CoarseFields, Normal, Pushforward, Upscaled
from flowlab.densities.refined.coarse_chain import CoarseHMC, CoarseLangevin
from flowlab.exact.interpolated import KnownLogZ
from flowlab.flows.continuous.continuous import ContinuousFlow, refined
from flowlab.systems import Ising, Phi4
from flowlab.training import IntegrationCheck, Stage, Training
from flowlab.training.objectives.ir_matching import IRMatching, coarse_gradient, draw_path, jittered
from flowlab.training.objectives.reverse_kl import PathGradient
from flowlab.training.objectives.uv_matching import UVMatching
from tests.laws.registry import shaken
from tests.training.gaussian_fields import gaussian, precision

COARSE, FINE = Phi4((2, 2), 0.1, 0.0), Phi4((4, 4), 0.12, 0.0)
SIGMA = 0.6


def generator(name="ir matching"):
    return named_generator(0, name)


def free(sampler=gaussian, learned=("kappa",), **options):
    coarse = CoarseFields(COARSE, sampler, learned=learned, **options)
    return Upscaled(coarse, (4, 4), ContinuousFlow((4, 4), kernel=3, steps=3), sigma=SIGMA).double()


def slope_of_divergence(kappa_c=0.1, h=1e-4):
    """d KL / d kappa_c of the untrained density, two Gaussians."""
    eye = torch.eye(16, dtype=torch.float64).view(16, 4, 4)
    up = torch.eye(4, dtype=torch.float64).view(4, 2, 2).repeat_interleave(2, 1).repeat_interleave(2, 2).flatten(1)
    blocks = up.T @ up / 4  # (16, 16) the projector on block averages

    def divergence(kappa):
        covariance = up.T @ torch.linalg.inv(precision(COARSE.at(kappa=kappa))) @ up
        covariance = covariance + SIGMA**2 * (eye.flatten(1) - blocks)
        return float(0.5 * ((precision(FINE) @ covariance).trace() - torch.logdet(covariance)))

    return (divergence(kappa_c + h) - divergence(kappa_c - h)) / (2 * h)


def slopes(objective, build, batches, n):
    found = []
    for i in range(batches):
        q = build()
        objective.loss(q, FINE, n, generator=named_generator(i, "batch")).value.backward()
        found.append(float(q.coarse.couplings["kappa"].grad))
    return np.mean(found), np.std(found, ddof=1) / math.sqrt(batches)


def test_score_gradient_of_the_coarse_coupling():
    def detached(system, n, generator):
        return gaussian(system, n, generator).detach()

    mean, error = slopes(IRMatching(), lambda: free(detached), 10, 400)
    assert abs(mean - slope_of_divergence()) < 4 * error and 0 < 5 * error < abs(mean)


def test_pathwise_gradient_of_the_coarse_coupling():
    mean, error = slopes(IRMatching("pathwise"), free, 10, 400)
    assert abs(mean - slope_of_divergence()) < 4 * error and 0 < 5 * error < abs(mean)


def test_pathwise_gradient_through_langevin():
    """The bias of the dynamics is of the order of its step, 2 %."""

    def build():
        return free(CoarseLangevin(COARSE, chains=200, step_size=0.02, thermalise=50, steps=150))

    mean, error = slopes(IRMatching("pathwise"), build, 8, 200)
    expected = slope_of_divergence()
    assert abs(mean - expected) < 4 * error + 0.04 * abs(expected) and 4 * error < abs(mean)


def test_gradient_of_the_coarse_partition_sum():
    system = Phi4((2, 2), torch.tensor(0.2, dtype=torch.float64, requires_grad=True), 0.1)
    with torch.no_grad():
        fields = CoarseHMC(system, chains=4000)(system, 4000, generator())
    coarse_gradient(system, fields).backward()
    above, below = (exact.phi4_log_z(Phi4((2, 2), 0.2 + h, 0.1)).value for h in (1e-4, -1e-4))
    hopping = -(system.at(kappa=1.2).action(fields) - system.at(kappa=0.2).action(fields)).detach()
    error = float(hopping.std()) / math.sqrt(4000)
    assert abs(-float(system.couplings["kappa"].grad) - (above - below) / 2e-4) < 4 * error
    assert not coarse_gradient(system, fields).item()


@pytest.mark.parametrize("levels", [1, 2])
def test_path_gradient_is_that_at_fixed_log_prob(levels):
    """Against ln q once more at the drawn fields, with its parameters held."""
    q = Upscaled(Normal((2, 2)), (4, 4), sigma=SIGMA)
    q = shaken(Upscaled(q, (8, 8), sigma=SIGMA) if levels == 2 else q, 0.02).double()
    target = Phi4(q.shape, 0.2, 0.05)
    with refined(q, 4):
        gradients = []
        for objective in (IRMatching(jitter=0), PathGradient()):
            q.zero_grad()
            found = objective.loss(q, target, 30, generator=generator())
            found.value.backward()
            gradients.append({name: p.grad.clone() for name, p in q.named_parameters()})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], rtol=1e-4, atol=1e-4)


def test_slope_of_log_q():
    flow = Pushforward(ContinuousFlow((4, 4), block=1, kernel=None, steps=24), Normal((4, 4)))
    stack = Upscaled(Upscaled(free(learned=()).coarse, (4, 4), sigma=SIGMA), (8, 8), sigma=SIGMA)
    for q in (shaken(flow, 0.02).double(), shaken(stack, 0.02).double()):
        with refined(q, 3):
            draw, slope = draw_path(q, 5, generator())
            x = draw.x.detach().requires_grad_()
            log_q = q.log_prob(x)
            torch.testing.assert_close(draw.log_q.detach(), log_q.detach(), atol=2e-5, rtol=0)
            torch.testing.assert_close(slope, torch.autograd.grad(log_q.sum(), x)[0], atol=1e-4, rtol=0)


@pytest.mark.parametrize(("chains", "kept"), [(8, True), (16, False)])
def test_chains_are_handed_on_whole(chains, kept):
    source, target = (CoarseFields(COARSE, CoarseHMC(COARSE, chains=n), learned=["kappa"]) for n in (8, chains))
    source.draw(8, generator=generator())
    target.warm_start(source)
    assert bool(target.sampler.done[0]) is kept and bool(target.sampler.fields.any()) is kept
    x = target.draw(chains, generator=generator()).x
    assert 0.2 < float(x.square().mean()) < 1 and len(x.unique(dim=0)) == chains


def test_steps_vary_and_come_back():
    q = free()
    seen = set()
    for i in range(20):
        with jittered(q, 2, named_generator(i, "jitter")):
            seen.add(q.flow.steps)
    assert seen == {1, 2, 3, 4, 5} and q.flow.steps == 3


def test_log_z_between_points():
    cases = [("kappa", 0.2731, 0.02), ("lam", 0.2, 0.0213), ("lam", 0.3, 0.0081), ("kappa", 0.249, 0.0)]
    for name, kappa, lam in cases:
        system = Phi4((2, 2), kappa, lam)
        assert KnownLogZ([name])(system) == pytest.approx(exact.log_z(system), abs=1e-6)
    both = Phi4((4,), 0.2613, 0.0213)
    assert KnownLogZ(["kappa", "lam"])(both) == exact.log_z(both)
    assert KnownLogZ([])(system) == exact.log_z(system)
    assert KnownLogZ(["kappa"])(Phi4((12, 12), 0.25, 0.02)) is None


def small(steps=8, kind=Training, solver="rk4", objective=None, check_every=50, largest_error=0.05, **options):
    how = {"batch": 8, "learning_rate": {"base": 1e-2, "flow": 1e-2, "couplings": 1e-3}}
    coarse = CoarseFields(Phi4((2,), 0.3, 0.02), CoarseHMC(Phi4((2,), 0.3, 0.02), chains=8), learned=["kappa"])
    q = Upscaled(coarse, (4,), ContinuousFlow((4,), kernel=3, steps=4, solver=solver), sigma=SIGMA)
    integration = IntegrationCheck(check_every, largest_error)
    return kind(
        Phi4((4,), 0.3, 0.02), q, objective or IRMatching(), steps=steps, integration=integration, **how, **options
    )


def test_a_bad_integration_rolls_back():
    run = small(check_every=2)
    run.run(2, progress=False)
    good = {name: value.clone() for name, value in run.density.state_dict().items()}
    run.integration.largest_error = 1e-12
    run.run(2, progress=False)
    data = run.data
    np.testing.assert_array_equal(np.isnan(data.integration_error), [True, False, True, False])
    np.testing.assert_array_equal(data.rolled_back, [0, 0, 0, 1])
    for name, value in run.density.state_dict().items():
        torch.testing.assert_close(value, good[name], rtol=0, atol=0)
    assert integrators(run.density)[0].steps == 5
    run.run(1, progress=False)
    assert float(run.data.learning_rate[-1]) < 0.5 * 1e-2
    assert np.isnan(run.data.log_z_bound).all() and np.isfinite(run.data.log_z_ratio_bound).all()


@pytest.mark.parametrize(("check_every", "before"), [(2, 0), (1, 0), (1, 2)])
def test_a_bad_integration_at_first_rolls_back_to_the_beginning(check_every, before):
    run = small(check_every=check_every, stages=[small(before, Stage, check_every=1)] if before else [])
    run.run(before, progress=False)
    start = (run.before[0] if before else run).density.flow.weight.detach().clone()
    run.integration.largest_error = 1e-14
    run.run(check_every, progress=False)
    assert float(run.data.rolled_back[-1]) == 1
    torch.testing.assert_close(run.density.flow.weight, start, rtol=0, atol=0)
    assert start.any() == bool(before)


@pytest.mark.parametrize("at", [3, 5])
def test_resumed_is_uninterrupted_after_rolling_back(tmp_path, at):
    def build():
        return small(check_every=2, largest_error=1e-12 if at == 5 else 0.05, stages=[small(4, Stage, check_every=2)])

    whole = build().run(progress=False).drop_vars("wall_time")
    run = build()
    run.attach(tmp_path / "run")
    run.run(at + 2, progress=False)
    run.save()
    again = build()
    again.restore(tmp_path / "run")
    again.run(progress=False)
    assert again.data.drop_vars("wall_time").identical(whole)
    assert (float(whole.rolled_back[-1]) > 0) == (at == 5)


@pytest.mark.parametrize("known", [True, False])
def test_evaluation_over_a_chain(known):
    """Two by two to four by four: ln Z with the coarse one, within its error, which allows for the chains."""
    coarse, fine = Phi4((2, 2), 0.15, 0.1), Phi4((4, 4), 0.15, 0.1)
    fields = CoarseFields(coarse, CoarseHMC(coarse, chains=8), log_z=exact.log_z(coarse) if known else None)
    q = Upscaled(fields, (4, 4), ContinuousFlow((4, 4), kernel=3), sigma=0.75)
    found = evaluate(q, fine, 4000, generator(), {})
    assert found.sizes == {} and found.attrs["n"] == 4000 and 0.4 < float(found.tau_int_draws) < 1
    log_z, expected = (
        ("log_z", exact.log_z(fine)) if known else ("log_z_ratio", exact.log_z(fine) - exact.log_z(coarse))
    )
    assert abs(float(found[log_z]) - expected) < 4 * float(found[f"{log_z}_error"]) < 0.3
    assert float(found.ess) > 0.1
    if not known:
        assert np.isnan(found.log_z) and np.isnan(found.log_z_bound) and np.isnan(found.emdm)
        assert found.log_z.attrs["reason"] == "ln Z of the coarse lattice is not known"


def test_a_slow_chain_makes_errors_larger():
    def sluggish(system, n, generator):
        """Fields of which three quarters stay."""
        fresh = gaussian(system, n, generator)
        kept = sluggish.last if sluggish.last is not None and len(sluggish.last) == n else fresh
        stay = torch.rand(n, 1, 1, generator=generator) < 0.75
        sluggish.last = torch.where(stay, kept, fresh)
        return sluggish.last

    sluggish.last = None
    fine = Phi4((4, 4), 0.12, 0.0)
    slow = evaluate(free(sluggish, ()), fine, 4000, generator(), {})
    quick = evaluate(free(gaussian, ()), fine, 4000, generator(), {})
    assert float(slow.tau_int_draws) > 1.5 > float(quick.tau_int_draws)
    assert float(slow.phi_squared_error) > 1.5 * float(quick.phi_squared_error)
    assert "each chain gives" not in quick.warnings and "each chain gives 20 draws, only" in slow.warnings


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: IRMatching("adjoint"), ValueError, "'score' or 'pathwise', got 'adjoint'"),
        (lambda: IRMatching(jitter=-1), ValueError, "jitter must be 0 steps or more, got -1"),
        (lambda: IRMatching().loss(MADE((4, 4)), Ising((4, 4), T=2.0), 4), TypeError, "got MADE"),
        (
            lambda: IRMatching("pathwise").loss(Normal((4, 4)), FINE, 4),
            TypeError,
            "Upscaled densities over CoarseFields",
        ),
        (
            lambda: IRMatching("pathwise").loss(free(CoarseHMC(COARSE, chains=4)), FINE, 4, generator=generator()),
            TypeError,
            "use CoarseLangevin, or 'score'",
        ),
        (
            lambda: CoarseLangevin(Phi4((2, 2), 0.1, 0.5), chains=4, step_size=2.0)(COARSE.at(lam=0.5), 4, generator()),
            FloatingPointError,
            "use a smaller step_size, e.g. 0.2",
        ),
        (lambda: CoarseHMC(COARSE, chains=0), ValueError, "chains must be at least 1, got 0"),
        (lambda: CoarseLangevin(COARSE, steps=0), ValueError, "steps must be at least 1, got 0"),
        (lambda: small(check_every=0), ValueError, "must be positive, got 0"),
        (lambda: small(accumulate=2), ValueError, "as many chains as are drawn at once, batch / accumulate = 4, got 8"),
        (lambda: small(solver="dopri5"), ValueError, "give the flow solver='rk4', got 'dopri5'"),
        (
            lambda: small(solver="dopri5", objective=UVMatching(Phi4((4,), 0.3, 0.02))),
            ValueError,
            "give the flow solver='rk4', got 'dopri5'",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
