"""Single clusters: how many in a step, and how quickly they forget; the laws of all chains: test_heat_bath."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from flowlab.core import named_generator
from flowlab.estimators.series.gamma import tau_int
from flowlab.mcmc.heat_bath import HeatBath
from flowlab.mcmc.wolff import Wolff, clusters_per_sweep
from flowlab.systems import CRITICAL_TEMPERATURE, Ising


@pytest.mark.parametrize("T", [1.5, CRITICAL_TEMPERATURE, 2.6, 5.0, 1000.0])
@pytest.mark.parametrize("J", [1.0, -1.0])
def test_a_step_flips_about_as_many_spins_as_there_are(T, J):
    chain = Wolff(Ising((12, 12), T, J))
    state, _ = chain.run(chain.init(50, generator=named_generator(0, "wolff")), 20)
    flipped = chain.step(state)[1].flipped
    assert 0.7 < flipped.mean() / 144 < 1.6


def test_mean_cluster_size_is_n_times_the_mean_square_magnetization():
    chain = Wolff(Ising((8, 8), 2.5), clusters=4)
    state, _ = chain.run(chain.init(2000, generator=named_generator(0, "wolff")), 50)
    sizes, squares = [], []
    for _ in range(5):
        m = state.configurations.mean((1, 2))
        state, info = chain.step(state)
        sizes.append(info.flipped / 4)
        squares.append(64 * m**2)
        state, _ = chain.run(state, 10)
    difference = np.concatenate(sizes) - np.concatenate(squares)
    error = difference.std() / np.sqrt(difference.size)
    assert abs(difference.mean()) < 4 * error < 1.5


def test_clusters_are_counted_the_same_on_every_call_and_fall_with_temperature():
    counts = clusters_per_sweep(Ising((16, 16), 1.0), np.linspace(0, 1, 6))
    assert counts[0] == 256 and counts[-1] == 1 and (np.diff(counts) <= 0).all()
    assert np.array_equal(counts, clusters_per_sweep(Ising((16, 16), 3.0), np.linspace(0, 1, 6)))


def test_it_beats_the_heat_bath_at_criticality():
    times = []
    for kind in (HeatBath, Wolff):
        chain = kind(Ising((32, 32), CRITICAL_TEMPERATURE))
        state, _ = chain.run(chain.init(1, start=torch.ones(1, 32, 32), generator=named_generator(0, "tau")), 500)
        times.append(tau_int(np.abs(chain.run(state, 10_000)[1]["magnetization"][:, 0])).value)
    assert times[1] < 4 < 50 < times[0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Wolff(Ising((4, 4), 1.0, h=0.1)), "Wolff needs a system without magnetic field, got h = 0.1"),
        (lambda: Wolff(Ising((4, 3), 1.0, J=-1.0)), r"two even sides for a checkerboard, got \(4, 3\)"),
        (lambda: Wolff(Ising((4, 4), 1.0), clusters=0), "clusters must be a whole number of at least 1, got 0"),
    ],
)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
