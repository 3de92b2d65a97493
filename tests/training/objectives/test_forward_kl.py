"""Maximum likelihood on samples: what it minimises, holds out, records and refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import flowlab as fl
from flowlab.core import named_generator
from flowlab.exact.enumeration import configurations, distribution
from flowlab.training.objectives.forward_kl import LOOKED_AT

SHAPE = (3,)


def glass(T: float = 1.0) -> fl.SpinGlass:
    return fl.SpinGlass([[0.0, 1.0, -0.4], [1.0, 0.0, 0.3], [-0.4, 0.3, 0.0]], T=T)


def samples(n: int, seed: int = 0) -> torch.Tensor:
    """Exact draws of the glass."""
    probability = distribution(glass()).exp()
    chosen = torch.multinomial(probability, n, replacement=True, generator=named_generator(seed, "samples"))
    return configurations(SHAPE)[chosen].float()


def test_on_spins_it_finds_the_distribution_itself():
    run = fl.Training(
        glass(), fl.MADE(SHAPE, hidden=12), fl.training.ForwardKL(samples(40_000)), steps=400, batch=1000,
        learning_rate={"base": 2e-2}, threads=1,
    )  # fmt: skip
    run.run(progress=False)
    x = configurations(SHAPE).float()
    with torch.no_grad():
        difference = run.density.log_prob(x).exp().double() - distribution(glass()).exp()
    assert difference.abs().max() < 0.01
    last = run.data.isel(step=slice(-50, None))
    kl = last.log_z_upper.mean() - fl.exact.log_z(glass())
    assert abs(float(kl)) < 4 * float(last.log_z_upper.std()) / math.sqrt(50) + 1e-3


def test_bounds_enclose_ln_z_of_the_spins_on_the_continuous_form():
    target = fl.ContinuousSpinGlass(glass())
    density = fl.Z2Symmetrized(fl.Pushforward(fl.flows.Linear(SHAPE), fl.Normal(SHAPE)))
    objective = fl.training.ForwardKL(samples(4000), look_every=1)
    objective.prepare(density, target, fresh=True)
    loss = objective.loss(density, target, 4000, generator=named_generator(0, "loss"))
    exact = fl.exact.log_z(glass())
    log_w = loss.log_weight - loss.draw.log_q
    lower, error = float(log_w.mean()) + target.log_z_offset, float(log_w.std()) / math.sqrt(4000)
    assert lower < exact - 4 * error and loss.metrics["log_z_upper"] > exact


def test_continuous_variables_are_drawn_afresh_for_every_batch():
    target = fl.ContinuousSpinGlass(glass())
    density = fl.Pushforward(fl.flows.Linear(SHAPE), fl.Normal(SHAPE))
    objective = fl.training.ForwardKL(torch.ones(10, 3), held_out=0.3)
    objective.prepare(density, target, fresh=False)
    generator = named_generator(0, "loss")
    first, second = (float(objective.loss(density, target, 50, generator=generator).loss) for _ in range(2))
    assert first != second


def test_the_density_takes_its_scales_from_the_samples_once():
    target = fl.ContinuousSpinGlass(glass())
    density = fl.Pushforward(fl.flows.Linear(SHAPE), fl.Normal(SHAPE))
    fl.training.ForwardKL(samples(4000)).prepare(density, target, fresh=False)
    assert torch.equal(density.flow.scale, torch.ones(3).double())
    fl.training.ForwardKL(samples(20_000)).prepare(density, target, fresh=True)
    expected = (1 + (torch.linalg.inv(target.shifted_couplings)).diagonal()).sqrt()
    torch.testing.assert_close(density.flow.scale, expected, rtol=0.03, atol=0)


def test_looks_now_and_then_at_the_model_and_at_what_is_held_out():
    run = fl.Training(
        glass(), fl.MADE(SHAPE, hidden=12), fl.training.ForwardKL(samples(100), look_every=3), steps=7, batch=20,
        learning_rate={"base": 1e-2}, threads=1,
    )  # fmt: skip
    data = run.run(progress=False)
    looked = [1, 4, 7]
    for name in ("ess", "log_z_bound", "held_out_loss"):
        assert list(data.step[np.isfinite(data[name])]) == looked, name
    assert np.isfinite(data.log_z_upper).all()


def test_stops_when_the_held_out_loss_rises():
    few = samples(40)
    run = fl.Training(
        glass(), fl.MADE(SHAPE, hidden=300), fl.training.ForwardKL(few, held_out=0.5, look_every=1), steps=3000,
        batch=20, learning_rate={"base": 5e-2}, schedule="constant", patience=40, threads=1,
    )  # fmt: skip
    run.run(progress=False)
    assert run.state == "finished" and run.step < 3000


def test_a_function_gives_the_samples_when_training_starts():
    asked: list[str] = []

    def sampler(report):
        report("sampling")
        asked.append("once")
        return samples(100)

    run = fl.Training(
        glass(), fl.MADE(SHAPE, hidden=3), fl.training.ForwardKL(sampler), steps=3, batch=5,
        learning_rate={"base": 1e-2},
    )  # fmt: skip
    assert asked == []
    run.run(progress=False)
    assert asked == ["once"] and run.activity == ""


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"held_out": 0.0}, r"held_out must lie in \(0, 1\)"),
        ({"look_every": 0}, "look_every must be at least 1"),
    ],
)
def test_refuses(given, message):
    with pytest.raises(ValueError, match=message):
        fl.training.ForwardKL(torch.ones(10, 3), **given)


def test_refuses_samples_that_are_none_of_the_system():
    for wrong, message in (
        (torch.zeros(10, 3), "spins must be -1 or"),
        (torch.ones(10, 4), "configurations must have"),
    ):
        with pytest.raises(ValueError, match=message):
            fl.training.ForwardKL(wrong).prepare(fl.MADE(SHAPE), glass(), fresh=True)
    with pytest.raises(ValueError, match="leave fewer than 2"):
        fl.training.ForwardKL(torch.ones(5, 3)).prepare(fl.MADE(SHAPE), glass(), fresh=True)
    assert LOOKED_AT >= 1000
