"""Evaluations integrate continuous flows as finely as it takes, all parts of them, and say where that is not enough."""

from __future__ import annotations

import pytest
import torch

from flowlab.analysis.evaluation import evaluate, sample
from flowlab.analysis.integration import IntegrationWarning, integration_error, precise
from flowlab.core import Density, named_generator
from flowlab.densities import Normal, Pushforward, Upscaled, Z2Symmetrized
from flowlab.flows import Composed
from flowlab.flows.continuous.continuous import ContinuousFlow, refined
from flowlab.systems import Phi4
from flowlab.training import ReverseKL, Training
from tests.laws.registry import shaken

TARGET = Phi4((4, 4), 0.15, 0.1)


def generator(name="integration"):
    return named_generator(0, name)


def upscaled(scale=0.05, steps=4, **options):
    flow = ContinuousFlow((4, 4), kernel=3, steps=steps, **options)
    return shaken(Upscaled(Normal((2, 2)), (4, 4), flow, sigma=0.6), scale)


def test_evaluation_refines_the_integration():
    q = upscaled()
    assert integration_error(q, 20, generator())["round_trip"] > 1e-6
    with precise(q, generator()) as found:
        assert q.flow.steps == found["integration_steps"] > 4
    assert q.flow.steps == 4 and found["round_trip_error"] < 1e-6 and found["log_det_closure"] < 5e-5
    with precise(Normal((2, 2)), generator()) as nothing:
        assert nothing == {}


def test_the_forward_check_and_samples_are_as_fine(monkeypatch):
    q, seen = upscaled(), []
    monkeypatch.setattr(q, "log_prob", lambda x: (seen.append(q.flow.steps), Upscaled.log_prob(q, x))[1])
    x, _ = q.sample(10, generator=generator())
    found = evaluate(q, TARGET, 50, generator(), {}, reference=x)
    assert set(seen) == {int(found.integration_steps)} and seen[0] > 4
    drawn = sample(q, TARGET, 5, generator(), {})
    with refined(q, 16), torch.no_grad():
        log_q = q.log_prob(torch.tensor(drawn.configuration.values, dtype=torch.float32)).numpy()
    assert abs(drawn.log_q.values - log_q).max() < 1e-4


class Foreign(Density):
    """A wrapper that knows nothing of what it wraps but draw and log_prob."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.shape = inner, inner.shape

    def draw(self, n, *, generator=None):
        return self.inner.draw(n, generator=generator)

    def log_prob(self, x):
        return self.inner.log_prob(x)


@pytest.mark.parametrize("wrap", [lambda q: Pushforward(Composed([]), q), Z2Symmetrized, Foreign])
@pytest.mark.parametrize(
    "inner", [upscaled, lambda: Pushforward(shaken(ContinuousFlow((4, 4), block=1, steps=4), 0.05), Normal((4, 4)))]
)
def test_flows_inside_any_wrapper_are_integrated_until_they_close(wrap, inner):
    run = Training(TARGET, wrap(inner()), ReverseKL(), steps=1, batch=10, learning_rate={"base": 1e-4, "flow": 1e-4})
    run.run(progress=False)
    found = run.evaluate(50)
    assert float(found.integration_steps) > 4 and 0 < float(found.log_det_closure) < 5e-5
    assert ("round_trip_error" in found) is (wrap is not Foreign)
    assert float(run.sample(20).log_q.std()) > 0


def test_what_does_not_close_is_told():
    q = upscaled(scale=0.25, steps=1)
    with pytest.warns(IntegrationWarning, match=r"at the finest integration: .* a site there and back \(bound 1e-06\)"):
        found = evaluate(q, TARGET, 50, generator(), {})
    assert float(found.round_trip_error) > 1e-6 and "bound 1e-06" in found.warnings


@pytest.mark.parametrize("solver", ["dopri5", "dopri8"])
def test_adaptive_solvers_are_refined_in_double_precision(solver, monkeypatch):
    q, calls = upscaled(solver=solver), []
    velocity = q.flow.kernel.velocity

    def counted(kernel, *arguments):
        calls.append(arguments[0].dtype)
        return velocity(*arguments)

    monkeypatch.setattr(type(q.flow.kernel), "velocity", counted)
    found = evaluate(q, TARGET, 50, generator(), {})
    assert float(found.round_trip_error) < 1e-6 and float(found.log_det_closure) < 5e-5
    assert "integration_steps" not in found
    assert set(calls) == {torch.float64} and len(calls) < 1000
    assert q.sample(2, generator=generator())[0].dtype == torch.float32
    with refined(q, 1000):
        q.flow(torch.ones(1, 4, 4))[0].sum().backward()
    assert len(calls) < 2000
