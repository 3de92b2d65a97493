"""The tail of importance weights: the shape of known tails, smoothing, and when the weights are not to be trusted."""

from __future__ import annotations

import math

import numpy as np
import pytest

from flowlab.estimators import ess, low_ess, pareto_k, pareto_smoothed, reweighted, weights_problem
from flowlab.estimators.weights.pareto import error_factor


@pytest.mark.parametrize("k", [-0.3, 0.2, 0.5, 0.9, 1.5])
def test_the_shape_of_known_tails(k):
    """u^-k is Pareto of shape k: its exceedances are generalised Pareto exactly."""
    rng = np.random.default_rng(1)
    found = [pareto_k(np.log((rng.uniform(size=4000) ** -k - 1) / k + 1)) for _ in range(30)]
    noise = (1 + max(k, 0)) / math.sqrt(3 * math.sqrt(4000))
    prior = 10 / (10 + 3 * math.sqrt(4000)) * (0.5 - k)
    assert np.mean(found) == pytest.approx(k + prior, abs=0.05)
    assert np.std(found) < 1.5 * noise


def test_what_has_no_tail_or_too_little_of_one():
    assert pareto_k(np.full(100, 3.0)) == -math.inf
    assert pareto_k(np.r_[np.zeros(500), np.ones(500)]) == -math.inf  # the largest weights are all equal
    assert math.isnan(pareto_k(np.arange(24.0)))
    assert math.isnan(pareto_k(np.r_[np.zeros(997), 1.0, 2.0, 3.0]))
    assert pareto_k(np.r_[np.arange(500.0) / 100, 6.0, 6.0, 6.0]) == -math.inf  # a largest state, seen three times
    assert pareto_k(np.r_[np.full(500, -np.inf), np.zeros(500)]) == -math.inf


def test_scale_and_order_do_not_matter():
    log_w = np.random.default_rng(2).normal(size=500)
    assert pareto_k(log_w + 700) == pytest.approx(pareto_k(log_w), rel=1e-9)
    assert pareto_k(np.sort(log_w)) == pytest.approx(pareto_k(log_w), rel=1e-9)


def test_smoothing_keeps_the_order_and_the_bulk_and_tames_the_largest():
    rng = np.random.default_rng(3)
    n, k, raw, smooth = 1000, 0.7, [], []
    for _ in range(200):
        log_w = k * rng.exponential(size=n)
        found = pareto_smoothed(log_w).log_w
        order = np.argsort(log_w)
        assert (np.diff(found[order]) >= 0).all() and found.max() <= log_w.max()
        assert (found[order[:-94]] == log_w[order[:-94]]).all()
        raw.append(np.exp(log_w).mean())
        smooth.append(np.exp(found).mean())
    exact = 1 / (1 - k)
    assert np.mean((np.array(smooth) - exact) ** 2) < np.mean((np.array(raw) - exact) ** 2)


@pytest.mark.parametrize(("width", "n"), [(3.03, 90), (2.2, 1000), (2.2, 200), (3.03, 10_000)])
def test_weights_of_a_tiny_ess_are_seen(width, n):
    """Log-normal weights of this width have ESS e^-width²: 1e-4 and 0.8 %, which the measured one cannot show."""
    rng = np.random.default_rng(4)
    measured, seen = [], []
    for _ in range(100):
        log_w = width * rng.normal(size=n)
        measured.append(ess(log_w).value)
        seen.append(bool(weights_problem(log_w)))
    assert np.mean(seen) > 0.97
    assert np.median(measured) > 2 * math.exp(-(width**2))


@pytest.mark.parametrize(("width", "n"), [(0.0, 10), (0.3, 30), (0.5, 100), (0.8, 1000), (1.0, 5000)])
def test_good_weights_are_not(width, n):
    rng = np.random.default_rng(5)
    assert np.mean([bool(weights_problem(width * rng.normal(size=n))) for _ in range(200)]) < 0.02


def test_few_heavy_weights_are_seen_beside_a_fine_ess():
    """One draw in 200 has a weight of Pareto's law with k = 1.2, the rest are even: ESS looks fine."""
    rng = np.random.default_rng(6)
    log_w = np.r_[0.01 * rng.normal(size=9950), np.log(0.5) + 1.2 * rng.exponential(size=50)]
    assert ess(log_w).value > 0.5
    assert "Pareto" in weights_problem(log_w)


def test_the_rule_in_numbers():
    assert low_ess(0.0099, 10_000) and not low_ess(0.0101, 10_000)
    assert low_ess(0.49, 100) and not low_ess(0.51, 100)


def test_weights_that_differ_by_the_rounding_of_single_precision_have_no_tail():
    """Heavy-tailed rounding of equal weights: errors were NaN, and an exact density not to be trusted."""
    log_w = 20 + 1e-6 * np.random.default_rng(0).standard_cauchy(2000).clip(-100, 100)
    assert pareto_k(log_w) == -np.inf and weights_problem(log_w) == ""
    assert reweighted(np.arange(2000.0), log_w=log_w).error > 0


def test_a_heavy_tail_of_nearly_equal_weights_decides_nothing():
    """k̂ is noisy: what counts is whether a weight that was not drawn yet would move means by more than their errors."""
    draws = [0.15 * np.random.default_rng(seed).standard_t(4, size=1000) for seed in range(300)]
    steep = [log_w for log_w in draws if pareto_k(log_w) > 0.67]
    assert len(steep) > 3 and sum(bool(weights_problem(log_w)) for log_w in steep) < len(steep) / 2
    assert "heavy" in weights_problem(0.8 * np.random.default_rng(0).exponential(size=2000))


def test_a_threshold_amid_a_heap_of_equal_weights_makes_no_heavy_tail():
    rng = np.random.default_rng(0)  # as of few configurations of spins, each with a weight of its own
    heap, rest = 1.2 + 0.01 * rng.random(500), 1.25 + 0.1 * rng.exponential(size=300)
    w = np.r_[1 + 0.05 * rng.random(39_200), heap, rest]
    assert pareto_k(np.log(w)) < 0.5 and not weights_problem(np.log(w))
    assert abs(error_factor(w / w.max()) - 1) < 0.1
    few = np.r_[np.ones(25), 2.0, 3.0, 4.0, 50.0, 400.0]  # too few for half of the tail
    assert np.isfinite(pareto_k(np.log(few)))
