"""Learning rates, clipping, the ramp of the temperature, plateaus."""

from __future__ import annotations

import copy
import math
import sys

import numpy as np
import pytest
import torch
from torch import nn

from flowlab.training.optimisation import Optimisation, has_plateaued, inverse_temperature_ramp, learning_rate_factor


def two_roles(**options: object) -> tuple[nn.Parameter, nn.Parameter, Optimisation]:
    a, b = nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(2))
    rates = {"base": 0.1, "flow": 0.001, "unused": 1.0}
    return a, b, Optimisation({"base": [a], "flow": [b], "empty": []}, rates, **options)


@pytest.mark.parametrize(
    ("schedule", "halfway"),
    [("constant", 1.0), ("cosine", 0.01 + 0.99 / 2), ("exponential", 0.1)],
)
def test_schedules(schedule, halfway):
    assert learning_rate_factor(schedule, 0.0) == pytest.approx(1.0)
    assert learning_rate_factor(schedule, 0.5) == pytest.approx(halfway)
    assert learning_rate_factor(schedule, 1.0) == pytest.approx(1.0 if schedule == "constant" else 0.01)
    assert learning_rate_factor(schedule, 0.2, warmup=0.2) == pytest.approx(1.0)
    assert learning_rate_factor(schedule, 0.1, warmup=0.2) == pytest.approx(0.5, abs=0.01)
    assert 0 < learning_rate_factor(schedule, 0.0, warmup=0.2) < 0.01


@pytest.mark.parametrize("restarts", [1, 3])
def test_restarts_repeat_the_schedule_over_equal_parts(restarts):
    parts = restarts + 1
    once = [learning_rate_factor("cosine", t / 10) for t in range(10)]
    again = [
        learning_rate_factor("cosine", (part + t / 10) / parts, restarts=restarts)
        for part in range(parts)
        for t in range(10)
    ]
    assert again == pytest.approx(once * parts)
    assert learning_rate_factor("cosine", 1.0, restarts=restarts) == pytest.approx(0.01)


def test_weight_decay_shrinks_what_has_no_gradient():
    a, _, optimisation = two_roles(schedule="constant", weight_decay=0.5)
    with torch.no_grad():
        a.fill_(1.0)
    optimisation.step([0.0 * a.sum()], 0.0)
    torch.testing.assert_close(a.detach(), torch.full((3,), 1 - 0.1 * 0.5))


def test_parts_of_a_batch_follow_the_gradient_of_the_whole():
    a, b, whole = two_roles()
    c, d, parts = two_roles()
    whole.step([(a - 1).square().sum() + (b - 2).square().sum()], 0.0)
    parts.step(((c - 1).square().sum() / 2 + (d - 2).square().sum() / 2 for _ in range(2)), 0.0)
    torch.testing.assert_close(a, c)
    torch.testing.assert_close(b, d)


def test_ramp_rises_to_one_and_stays():
    values = [inverse_temperature_ramp(p, 0.5) for p in np.linspace(0, 1, 21)]
    assert values[0] == pytest.approx(0.2) and values[10:] == [1.0] * 11
    assert (np.diff(values[:11]) > 0).all()
    assert inverse_temperature_ramp(0.0, 0.0) == 1.0


def test_each_role_has_its_own_rate():
    a, b, optimisation = two_roles(schedule="constant")
    norm, rate = optimisation.step([(3 * a).sum() + 4 * b[0]], 0.0)
    assert rate == 0.1 and norm == pytest.approx(math.sqrt(27 + 16))
    torch.testing.assert_close(a.detach(), torch.full((3,), -0.1))  # the first step of Adam is the rate itself
    torch.testing.assert_close(b.detach(), torch.tensor([-0.001, 0.0]))


def test_clipping_is_by_role_and_the_norm_is_that_before():
    a, b, optimisation = two_roles(clip=1.0)
    norm, _ = optimisation.step([100 * a[0] + 0.5 * b[0]], 0.0)
    assert norm == pytest.approx(math.hypot(100, 0.5))
    assert float(a.grad.norm()) == pytest.approx(1.0, rel=1e-4) and float(b.grad.norm()) == 0.5


def test_a_gradient_that_is_not_finite_moves_nothing():
    a, b, optimisation = two_roles()
    norm, _ = optimisation.step([math.nan * a.sum() + b.sum()], 0.0)
    assert math.isnan(norm) and not a.any() and not b.any()


def test_state_goes_on_where_it_was():
    a, b, optimisation = two_roles()
    c, d, other = two_roles()
    for progress in (0.0, 0.3):
        optimisation.step([(a - 1).square().sum() + (b - 2).square().sum()], progress)
    with torch.no_grad():
        c.copy_(a)
        d.copy_(b)
    other.load_state_dict(copy.deepcopy(optimisation.state_dict()))
    optimisation.step([(a - 1).square().sum() + (b - 2).square().sum()], 0.6)
    other.step([(c - 1).square().sum() + (d - 2).square().sum()], 0.6)
    assert torch.equal(a, c) and torch.equal(b, d)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schedule": "linear"}, "schedule must be one of constant, cosine, exponential, got 'linear'"),
        ({"clip": 0.0}, "clip must be positive, got 0.0"),
        ({"clip": math.nan}, "clip must be positive, got nan"),
        ({"learning_rate": {"base": 0.1}}, "learning_rate has none for flow, got rates for base"),
        (
            {"learning_rate": {"base": 0.1, "flow": -1}},
            "learning_rate must be positive, .*, got -1 for flow",
        ),
    ],
)
def test_refused(change, message):
    groups = {role: [nn.Parameter(torch.zeros(1))] for role in ("base", "flow")}
    with pytest.raises(ValueError, match=message):
        Optimisation(groups, **{"learning_rate": {"base": 0.1, "flow": 0.1}} | change)


def test_plateau_is_judged_by_the_error():
    noise = np.random.default_rng(0).normal(size=400)
    rising = np.linspace(0, 8, 400) + noise
    flat = np.r_[np.linspace(-50, 0, 200), np.zeros(200)] + noise
    assert not has_plateaued(rising, 200)
    assert has_plateaued(flat, 100)
    assert not has_plateaued(flat[:300], 100)
    assert not has_plateaued(np.zeros(150), 100)


def test_a_step_needs_no_compiler_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its import takes longer than all else that a first step needs; and the step is that of AdamW."""
    weights = [nn.Parameter(torch.ones(3)) for _ in range(2)]
    theirs = torch.optim.AdamW([weights[1]], lr=0.1, weight_decay=0.5, fused=True)
    for _ in range(3):
        theirs.zero_grad()
        (weights[1] ** 2).sum().backward()
        theirs.step()
    monkeypatch.setitem(sys.modules, "torch._dynamo", None)
    ours = Optimisation({"base": [weights[0]]}, 0.1, schedule="constant", weight_decay=0.5)
    for _ in range(3):
        ours.step([(weights[0] ** 2).sum()], 0.5)
    assert torch.equal(*weights)
    ours.load_state_dict(ours.state_dict())
