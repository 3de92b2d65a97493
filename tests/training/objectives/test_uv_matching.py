"""UV matching: the gradient in fine couplings against Gaussians, kept fields, scans, and a target that moves."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from flowlab.core import named_generator
from flowlab.densities import CoarseFields, Upscaled
from flowlab.densities.refined.coarse_chain import CoarseHMC
from flowlab.flows.continuous.continuous import ContinuousFlow
from flowlab.systems import Phi4
from flowlab.training import IntegrationCheck, Stage, Training
from flowlab.training.objectives.uv_matching import UVMatching, best_couplings, ess_against
from tests.training.gaussian_fields import gaussian, precision

COARSE, FINE, SIGMA = Phi4((2,), 0.2, 0.0), Phi4((4,), 0.2, 0.0), 0.6


def generator(name="uv matching"):
    return named_generator(0, name)


def upscaled():
    return Upscaled(CoarseFields(COARSE, gaussian), (4,), ContinuousFlow((4,), kernel=3, steps=3), sigma=SIGMA).double()


def test_gradient_of_the_fine_coupling():
    """E_q[∂S] - <∂S>, of two Gaussians."""
    up = torch.eye(2, dtype=torch.float64).repeat_interleave(2, 1)
    drawn = up.T @ torch.linalg.inv(precision(COARSE)) @ up + SIGMA**2 * (torch.eye(4) - up.T @ up / 2)
    change = 0.5 * (precision(FINE.at(kappa=0.3)) - precision(FINE)) / 0.1
    expected = float((change @ (drawn - torch.linalg.inv(precision(FINE)))).trace())
    objective = UVMatching(FINE, samples=4000)
    objective.loss(upscaled(), FINE, 4000, generator=generator()).value.backward()
    hopping = 0.5 * torch.einsum("ni,ij,nj->n", objective.kept, change, objective.kept)
    error = math.sqrt(2) * float(2 * hopping.std()) / math.sqrt(4000)
    assert abs(float(objective.couplings["kappa"].grad) - expected) < 4 * error < 0.4 * abs(expected)


def test_kept_fields_are_reweighted_until_they_are_too_far():
    objective, q = UVMatching(FINE, samples=500, lowest_ess=0.7), upscaled()
    seen = []
    for kappa in (0.2, 0.21, 0.22, 0.35):
        with torch.no_grad():
            objective.couplings["kappa"].fill_(kappa)
        metrics = objective.loss(q, FINE, 10, generator=generator()).metrics
        seen.append((metrics["resampled"], metrics["reweighting_ess"]))
    assert [resampled for resampled, _ in seen] == [1, 1, 1, 2]
    assert 1 == seen[0][1] > seen[1][1] > seen[2][1] > 0.7 and seen[3][1] == 1


def test_reweighted_means_are_those_at_the_new_coupling():
    objective = UVMatching(FINE, samples=4000, lowest_ess=0.2)
    objective._weights(FINE, generator())
    moved = FINE.at(kappa=0.25)
    weights, ess = objective._weights(moved, generator())
    action = moved.action(objective.kept)
    error = float(action.std()) / math.sqrt(4000 * ess)
    assert 0.2 < ess < 1 and abs(float(weights @ action) - 2) < 4 * error  # <S> = N/2 for a Gaussian


def test_a_scan_finds_the_couplings_of_the_draws():
    at, rough = Phi4((4,), 0.23, 0.0), Phi4((4,), 0.2, 0.0)
    x = gaussian(at, 2000, generator())
    log_q = at.log_weight(x)
    assert best_couplings(rough, x, log_q, ["kappa"])["kappa"] == pytest.approx(0.23, abs=1e-4)
    quartic = log_q - 0.012 * (x.pow(4) - 2 * x.square()).sum(1)
    found = best_couplings(at.at(lam=0.01), x, quartic, ["lam"])
    assert found.keys() == {"lam"} and found["lam"] == pytest.approx(0.012, abs=1e-4)
    ess = ess_against(rough, x, log_q, "kappa", torch.tensor([0.2, 0.23]))
    w = (rough.log_weight(x) - log_q).exp()
    assert float(ess[0]) == pytest.approx(float(w.mean() ** 2 / w.square().mean())) and float(ess[1]) == pytest.approx(
        1
    )


def training(method="gradient", side=4, kind=Training, steps=4, **more):
    fine = Phi4((side,), 0.3, 0.05)
    coarse = Phi4((2,), 0.3, 0.05)
    q = CoarseFields(coarse, CoarseHMC(coarse, chains=8), log_z=0.0)
    for L in (4, 8)[: side // 4]:
        q = Upscaled(q, (L,), ContinuousFlow((L,), kernel=3, steps=3), sigma=SIGMA)
    return kind(
        fine, q, UVMatching(fine, method=method, samples=32, every=2), steps=steps, batch=8,
        learning_rate={"base": 1e-2, "flow": 1e-2, "couplings": 1e-2}, integration=IntegrationCheck(2), **more,
    )  # fmt: skip


def test_the_target_has_the_learned_coupling():
    run = training()
    run.run(progress=False)
    kappa = float(run.objective.couplings["kappa"].detach())
    assert kappa != 0.3 and run.data.attrs["kappa"] == kappa
    assert float(run.system.couplings["kappa"]) == kappa == float(run.target.couplings["kappa"])
    found = run.evaluate(40)
    assert found.attrs["kappa"] == kappa and np.isnan(found.log_z_exact)


@pytest.mark.parametrize("at", [2, 5])
def test_interrupted_is_uninterrupted(tmp_path, at):
    def build():
        return training("scan", 8, stages=[training(kind=Stage)])

    whole = build().run(progress=False).drop_vars("wall_time")
    run = build()
    run.attach(tmp_path / "run")
    run.run(at, progress=False)
    run.save()
    again = build()
    again.restore(tmp_path / "run")
    again.run(progress=False)
    assert again.data.drop_vars("wall_time").identical(whole)
    assert len(set(whole.trained_kappa.values.tolist())) == 6  # four of the gradient, two scans


def test_a_coupling_that_leaves_the_stable_region_says_what_to_do():
    objective = UVMatching(FINE, samples=10)
    with torch.no_grad():
        objective.couplings["kappa"].fill_(0.5)
    with pytest.raises(FloatingPointError, match=r"1/2 to be stable, got 0\.5; use a smaller learning rate"):
        objective.loss(upscaled(), FINE, 4, generator=generator())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: UVMatching(FINE, ["beta"]), r"couplings \['kappa', 'lam'\], got \['beta'\]"),
        (lambda: UVMatching(FINE, []), r"got \[\]"),
        (lambda: UVMatching(FINE, method="guess"), "'gradient' or 'scan', got 'guess'"),
        (lambda: UVMatching(FINE, lowest_ess=1.5), "between 0 and 1"),
    ],
)
def test_what_makes_no_sense_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
