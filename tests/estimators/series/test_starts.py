"""Hot and cold starts: agreement, disagreement, and how often a comparison calls a false alarm."""

from __future__ import annotations

import numpy as np
import pytest

from flowlab.analysis.checks.comparison import compared, compared_weights, shares
from flowlab.estimators.series.starts import deviation, starts
from flowlab.estimators.weights.weights import Estimate


def ar1(rng: np.random.Generator, memory: float, steps: int, chains: int) -> np.ndarray:
    x = np.empty((steps, chains))
    x[0] = rng.standard_normal(chains)
    for t in range(1, steps):
        x[t] = memory * x[t - 1] + np.sqrt(1 - memory**2) * rng.standard_normal(chains)
    return x


def test_means_and_their_differences_cover_whatever_the_memory() -> None:
    rng = np.random.default_rng(0)
    found = [starts(ar1(rng, 0.8, 200, 16), 8) for _ in range(200)]
    within = np.mean([abs(one.value) < one.error for one in found])
    assert abs(within - 0.68) < 4 * np.sqrt(0.68 * 0.32 / 200)
    assert abs(np.std([one.z for one in found]) - 1) < 4 / np.sqrt(2 * 200)
    assert all(one.agree for one in found)


def test_chains_that_stay_where_they_began_are_seen_also_where_both_halves_have_one_mean() -> None:
    rng = np.random.default_rng(1)
    noise, sides = 0.1 * rng.standard_normal((100, 16)), np.tile([-1.0, 1.0], 8)
    stuck = starts(noise + sides, 8)
    assert abs(stuck.z) < 4 and stuck.r_hat > 5 and not stuck.agree
    drifting = starts(noise + np.where(np.arange(16) < 8, np.linspace(0.3, 0.1, 100)[:, None], 0.0), 8)
    assert not drifting.agree
    frozen = starts(np.repeat([[0.0, 1.0]], 50, axis=0).repeat(4, axis=1), 4)
    assert frozen.r_hat == np.inf and not frozen.agree
    assert starts(np.ones((50, 8)), 4).agree


def test_a_deviation_in_few_values_is_a_normal_one() -> None:
    rng = np.random.default_rng(2)
    z = []
    for _ in range(2000):
        x = rng.standard_normal(8)
        z.append(deviation(Estimate(x.mean(), x.std(ddof=1) / np.sqrt(8)), 8, Estimate(0.0, 0.0), 8))
    assert abs(np.std(z) - 1) < 0.08
    assert deviation(Estimate(1.0, 0.0), 4, Estimate(1.0, 0.0), 4) == 0.0
    assert deviation(Estimate(1.0, 0.0), 4, Estimate(2.0, 0.0), 4) == -np.inf


def test_weights_that_miss_a_part_of_the_target_disagree_with_chains() -> None:
    rng = np.random.default_rng(3)
    side = rng.choice([0.0, 1.0], (100, 16))  # the right half of the target is drawn once in a million
    q_right = 1e-6
    log_w_chains = np.where(side == 1, np.log(0.5 / q_right), np.log(0.5 / (1 - q_right)))
    log_w = np.full(1000, np.log(0.5 / (1 - q_right)))
    found = compared_weights(log_w, log_w_chains, 8)
    assert abs(found["log_z"].z) > 4 and abs(found["log_w"].z) > 4
    assert abs(found["log_z"].reference.value) < 4 * found["log_z"].reference.error
    assert abs(compared(np.zeros(1000), log_w, side, 8).z) > 4
    assert shares(np.zeros(1000), log_w, side).seldom.any()


def test_ln_z_from_draws_and_chains_needs_no_tails() -> None:
    """q twice as wide as the target: <1/w>_p has no variance, and its logarithm is off by many errors."""
    rng, z = np.random.default_rng(5), []
    for _ in range(100):
        x, y = rng.standard_normal((400, 4)), np.sqrt(0.5) * rng.standard_normal((40, 16, 4))
        log_w, along = ((2 * np.log(2 * np.pi) - (v**2).sum(-1) / 2) for v in (x, y))
        found = compared_weights(log_w, along, 8)["log_z"]
        z.append((found.reference.value - 2 * np.log(np.pi)) / found.reference.error)
    assert abs(np.mean(z)) < 0.5 and abs(np.std(z) - 1) < 0.3


def test_good_draws_are_rarely_called_bad() -> None:
    rng = np.random.default_rng(4)
    z, differ = [], 0
    for _ in range(200):
        x, along = rng.standard_normal(500), ar1(rng, 0.5, 60, 16)
        z.append(compared(x, np.zeros(500), along, 8).z)
        differ += shares(x, np.zeros(500), along).differs
    assert abs(np.std(z) - 1) < 0.2 and max(map(abs, z)) < 4.5 and differ <= 1


def test_series_need_chains_of_both_kinds() -> None:
    with pytest.raises(ValueError, match="2 chains of each start"):
        starts(np.zeros((10, 4)), 1)
    with pytest.raises(ValueError, match="finite"):
        starts(np.full((10, 4), np.nan), 2)
