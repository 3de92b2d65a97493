"""Replica exchange and Potts clusters against sums over all configurations, and an integral over two wells."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from flowlab.core import System
from flowlab.mcmc.exchange import Exchange, powers
from flowlab.mcmc.potts_clusters import PottsClusters
from flowlab.systems import Ising, Potts


class TwoWells(System):
    """Sites in a double well whose right side is lower by ``tilt``; the barrier is far above both."""

    def __init__(self, sites: int = 2, depth: float = 8.0, tilt: float = 0.5) -> None:
        super().__init__()
        self.shape, self.dims, self.domain, self.couplings = (sites,), ("site",), "real", {}
        self.depth, self.tilt = depth, tilt

    def log_weight(self, x):
        return -(self.depth * (x**2 - 1) ** 2 - self.tilt * x).sum(1) - self.depth * (x - x.roll(1, 1)).square().sum(1)

    def observables(self, x):
        return {"action_per_site": -self.log_weight(x) / self.n_sites}


def states_of(q: int, values, n: int = 4) -> torch.Tensor:
    return torch.tensor(list(itertools.product(values[:q], repeat=n)), dtype=torch.float64).reshape(-1, 2, 2)


def mean_of_chain(chain, look, n: int, steps: int, seed: int = 0) -> tuple[float, float]:
    state, rows = chain.init(n, generator=torch.Generator().manual_seed(seed)), []
    for step in range(steps):
        state, _ = chain.step(state)
        if step >= steps // 5:
            rows.append(look(state).double())
    means = torch.stack(rows).mean(0)
    return float(means.mean()), float(means.std() / math.sqrt(len(means)))


def exact_mean(system, configurations, f) -> float:
    w = system.log_weight(configurations).double().softmax(0)
    return float((w * f(configurations)).sum())


@pytest.mark.parametrize(
    ("system", "values"),
    [
        (Potts((2, 2), T=0.8, J=-1.0), [0.0, 1.0, 2.0]),
        (Ising((2, 2), T=1.5, h=0.3), [-1.0, 1.0]),
    ],
)
def test_exchange_of_spins_and_states_has_the_exact_energy(system, values) -> None:
    chain = Exchange(system, powers(system))
    K = len(chain.powers)
    mean, error = mean_of_chain(chain, lambda s: system.energy(s.configurations[::K]), n=40, steps=150)
    exact = exact_mean(system, states_of(len(values), values), system.energy)
    assert abs(mean - exact) < 4 * error < 0.4


def test_potts_clusters_have_the_exact_energy() -> None:
    system = Potts((2, 2), T=0.9)
    mean, error = mean_of_chain(PottsClusters(system), lambda s: system.energy(s.configurations), n=64, steps=150)
    assert abs(mean - exact_mean(system, states_of(3, [0.0, 1.0, 2.0]), system.energy)) < 4 * error < 0.4


def test_exchange_of_fields_weighs_two_wells_that_one_chain_never_leaves() -> None:
    system = TwoWells()
    grid = torch.linspace(-2, 2, 201, dtype=torch.float64)
    pairs = torch.cartesian_prod(grid, grid)
    right = exact_mean(system, pairs, lambda x: (x.mean(1) > 0).double())
    chain = Exchange(system, powers(system))
    K = len(chain.powers)
    mean, error = mean_of_chain(chain, lambda s: (s.configurations[::K].mean(1) > 0).double(), n=32, steps=300)
    assert abs(mean - right) < 4 * error < 0.2


def test_walkers_go_round_and_powers_must_fall() -> None:
    system = Ising((2, 2), T=2.0)
    chain = Exchange(system, powers(system))
    state = chain.init(4, generator=torch.Generator().manual_seed(0))
    for _ in range(100):
        state, _ = chain.step(state)
    assert bool((state.round_trips > 2).all())
    assert np.array_equal(np.sort(state.walkers.numpy(), 1), np.tile(np.arange(len(chain.powers)), (4, 1)))
    with pytest.raises(ValueError, match="powers must fall from 1"):
        Exchange(system, [0.5, 1.0])
    with pytest.raises(ValueError, match="be positive for fields"):
        Exchange(TwoWells(), [1.0, 0.0])
