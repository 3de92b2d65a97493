"""Tempering that goes on beside a training: at equilibrium, held-out replicas apart, resumed bit for bit."""

import numpy as np
import pytest
import torch

import flowlab as fl
from flowlab.mcmc import ParallelTempering
from flowlab.training import FreshForwardKL

KEYS = dict(N=8, T=0.8, temperatures="0.8", ladder="0.8,1.6", replicas=4, samples=160, steps=12, batch=20, online=True)


def test_resumed_it_gives_the_same_numbers(tmp_path):
    whole = fl.experiment("sk-forward", **KEYS)
    whole.run(progress=False)
    half = fl.experiment("sk-forward", out=tmp_path / "run", **KEYS)
    half.run(5, progress=False)
    again = fl.load(tmp_path / "run")
    again.run(progress=False)
    np.testing.assert_array_equal(again.data.loss, whole.data.loss)
    np.testing.assert_array_equal(again.data.held_out_loss, whole.data.held_out_loss)
    for name, tensor in whole.objective.state_dict().items():
        assert torch.equal(tensor, again.objective.state_dict()[name]), name
    assert int(whole.objective.steps[0, 0]) == 4 * (10 + 200 + 12)
    assert whole.comparison.is_ready is False  # the chains of an evaluation are others, and run when it is asked for


def test_the_pool_is_at_equilibrium_and_renewed():
    glass = fl.SpinGlass.sherrington_kirkpatrick(6, T=1.0, seed=3)
    chain = ParallelTempering(glass, [1.0, 2.0, np.inf], replicas=20)
    objective = FreshForwardKL(chain, 1.0, held_out=5, pool=50, burn_in=50, sweeps=2)
    density = fl.IndependentSpins((6,))
    generator = torch.Generator().manual_seed(0)
    objective.prepare(density, glass, fresh=True)
    first, rows = objective.drawn, []
    for _ in range(300):
        objective.loss(density, glass, 10, generator=generator)
        rows.append(objective.drawn)
    assert objective._train.shape == (50 * 15, 6)
    held = {tuple(row) for row in objective._kept.tolist()}
    assert len(held) > 1 and torch.equal(objective._train.reshape(50, 15, 6), objective.drawn[:, :15])
    assert (rows[48] == first).all((1, 2)).sum() < 10  # after as many steps nothing is as it was
    energy = -glass.log_weight(torch.cat([rows[k] for k in (99, 199, 299)]).flatten(0, 1).double())
    by_replica = energy.reshape(-1, 20).mean(0)
    every = 2.0 * torch.tensor([[k >> i & 1 for i in range(6)] for k in range(64)]).double() - 1
    log_weight = glass.log_weight(every)
    known = -(torch.softmax(log_weight, 0) * log_weight).sum()
    z = (by_replica.mean() - known) / (by_replica.std() / 20**0.5)
    assert abs(float(z)) < 4


def test_what_leaves_nothing_is_refused():
    chain = ParallelTempering(fl.Ising((2, 2), T=2.0), [2.0, 4.0], replicas=3)
    with pytest.raises(ValueError, match=r"T must be one of the chain's temperatures \[2.0, 4.0\], got 3"):
        FreshForwardKL(chain, 3.0)
    with pytest.raises(ValueError, match="held_out must be at least 1 and leave one of 3 replicas, got 3"):
        FreshForwardKL(chain, 2.0, held_out=3)
