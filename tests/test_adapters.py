"""Models of other libraries: their ln q, our generators, trained as any other."""

from __future__ import annotations

import pytest
import torch

import flowlab as fl

zuko = pytest.importorskip("zuko")


@pytest.fixture(params=["NSF", "MAF", "NICE"])
def pair(request: pytest.FixtureRequest) -> tuple[torch.nn.Module, fl.Density]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        flow = getattr(zuko.flows, request.param)(features=8, transforms=2, hidden_features=(16,))
        for parameter in flow.parameters():
            parameter.data += 0.1 * torch.randn(parameter.shape)
    return flow, fl.adapters.zuko_flow(flow, (4, 2))


def test_ln_q_is_that_of_zuko_and_draws_are_repeated(pair: tuple[torch.nn.Module, fl.Density]) -> None:
    flow, q = pair
    x, log_q = q.sample(50, generator=torch.Generator().manual_seed(3))
    again, _ = q.sample(50, generator=torch.Generator().manual_seed(3))
    assert torch.equal(x, again) and x.shape == (50, 4, 2)
    torch.testing.assert_close(log_q, flow().log_prob(x.flatten(1)), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(q.log_prob(x), log_q, atol=1e-4, rtol=1e-4)


def test_it_trains_on_a_system() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        flow = zuko.flows.NICE(features=16, transforms=4, hidden_features=(32,))
    density = fl.adapters.zuko_flow(flow, (4, 4))
    system = fl.Phi4((4, 4), kappa=0.2, lam=0.5)
    run = fl.Training(system, density, fl.PathGradient(), steps=80, batch=100, learning_rate=1e-2)
    before = float(run.evaluate(1000).log_z_bound)
    run.run(progress=False)
    assert float(run.evaluate(1000).log_z_bound) > before + 1


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="features=9"):
        fl.adapters.zuko_flow(zuko.flows.NICE(features=16), (3, 3))
    with pytest.raises(ValueError, match="without context"):
        fl.adapters.zuko_flow(zuko.flows.NSF(features=4, context=2), (2, 2))
    loc, scale = torch.zeros(4), torch.full((4,), 2.0)
    base = zuko.lazy.UnconditionalDistribution(zuko.distributions.DiagNormal, loc, scale, buffer=True)
    with pytest.raises(ValueError, match="standard normal"):
        fl.adapters.zuko_flow(zuko.lazy.Flow(zuko.flows.NICE(features=4).transform, base), (2, 2))
    with pytest.raises(ValueError, match="zuko"):
        fl.adapters.zuko_flow(torch.nn.Linear(4, 4), (2, 2))
