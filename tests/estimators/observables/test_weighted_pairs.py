"""All pairs of weighted configurations: against sums over pairs written out, their bias, and what is not known."""

from __future__ import annotations

import numpy as np
import pytest

from flowlab.estimators.observables import weighted_pairs as module
from flowlab.estimators.observables.overlaps import overlap_distribution
from flowlab.estimators.observables.weighted_pairs import expected_squares, weighted_pairs, widening


def tilted(n: int, N: int = 16, m: float = 0.2, seed: int = 0):
    rng = np.random.default_rng(seed)
    s = rng.choice([-1.0, 1.0], size=(n, N)).astype(np.float32)
    log_w = np.arctanh(m) * s.sum(1)
    return s, np.exp(log_w - log_w.max()), rng


def by_hand(s, w):
    """P(q) of all pairs, and of all pairs without one configuration after the other."""
    q, n = np.rint((s @ s.T + s.shape[1]) / 2).astype(int), len(w)

    def histogram(left):
        pair = np.outer(w, w) * left[:, None] * left * (1 - np.eye(n))
        return np.bincount(q.ravel(), pair.ravel(), s.shape[1] + 1) / pair.sum()

    every = np.ones(n)
    return histogram(every), np.mean([histogram(every - np.eye(n)[i]) for i in range(n)], axis=0)


def test_all_pairs_with_the_bias_taken_away_as_by_the_jackknife():
    s, w, rng = tilted(60)
    whole, without = by_hand(s, w)
    expected = np.maximum(60 * whole - 59 * without, 0)
    found = weighted_pairs(s, w, rng)
    assert found.n_pairs == 60 * 59 // 2
    assert found.probability == pytest.approx(expected / expected.sum(), abs=1e-12)
    assert np.abs(found.influence.sum(0)).max() < 1e-12  # what all move together is nothing


def test_chunks_and_pieces_change_little(monkeypatch):
    s, w, rng = tilted(900)
    whole = weighted_pairs(s, w, rng)
    monkeypatch.setattr(module, "PIECE", 7)
    assert weighted_pairs(s, w, rng).probability == pytest.approx(whole.probability, abs=1e-12)
    monkeypatch.setattr(module, "CHUNK", 300)
    parts = weighted_pairs(s, w, rng)
    assert parts.n_pairs == 3 * 300 * 299 // 2
    assert parts.probability == pytest.approx(whole.probability, abs=0.01)


def test_errors_are_half_of_those_of_pairs_within_groups():
    """All pairs were looked at: 40 groups of 12 know <q²> no better than 0.002 here."""
    s, w, rng = tilted(500)
    found = overlap_distribution(s, log_w=np.log(w), rng=rng)
    assert found.n_pairs == 500 * 499 // 2
    assert 0.0009 < found.mean_q2.error < 0.0017  # over 250 seeds it scatters by 0.00114


def test_the_noise_of_pairs_is_taken_away_from_both_of_a_pair():
    """At h = 0 no configuration moves <q> by itself: all of its variance, 2/(N n²), is noise of pairs."""
    errors = []
    for seed in range(20):
        s, _, rng = tilted(200, m=0.0, seed=seed)
        found = overlap_distribution(s, log_w=np.zeros(200), rng=rng)
        errors.append(found.mean_q.error / found.factor / (2 / 16 / 200**2) ** 0.5)
    assert 0.9 < np.sqrt(np.mean(np.square(errors))) < 1.12  # taken away once it is 1.22


def test_squares_expected_of_log_normal_weights_scatter_less_than_those_drawn():
    drawn, expected, rng = [], [], np.random.default_rng(3)
    for _ in range(200):
        x = rng.normal(size=500)
        w, g = np.exp(x), 1 - x
        drawn.append((w * g) @ (w * g) / w.sum() ** 2)
        expected.append(expected_squares(w, w * g) / w.sum() ** 2)
    truth = np.e * (1 + 1) / 500  # <w² g²> / (n <w>²): x is normal about 2 under w²
    assert np.mean(expected) == pytest.approx(truth, rel=0.1)
    assert np.std(expected) < 0.6 * np.std(drawn)


def test_widening_knows_what_a_sum_of_squares_does_not():
    equal = widening(np.ones(10_000), np.tile([-1.0, 1.0], 5000))
    assert 1 < equal < 1.01
    heavy = np.tile([-1.0, 1.0], 5000)
    heavy[:2] = [-200, 200]
    assert widening(np.ones(10_000), heavy) > 1.2
    assert np.isnan(widening(np.ones(90), np.ones(90)))
    assert widening(np.ones(200), np.zeros(200)) == 1
