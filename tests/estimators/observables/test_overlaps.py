"""P(q) against enumeration: exact samples of small Sherrington-Kirkpatrick instances, and errors that cover."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from flowlab.estimators import LowESSWarning
from flowlab.estimators.observables.overlaps import (
    folded_histogram,
    overlap_distribution,
    overlaps,
    total_variation,
    total_variation_floor,
)
from flowlab.estimators.weights.mode_collapse import mode_collapse
from flowlab.estimators.weights.symmetry import site_magnetizations, symmetry_breaking

N = 10
CASES = json.loads((Path(__file__).parents[2] / "data" / "public_sk_exact.json").read_text())["cases"]
STATES = np.array(list(itertools.product((-1.0, 1.0), repeat=N)))


def glass(seed: int, T: float) -> SimpleNamespace:
    """The N = 10 instance: log_weight of all states, their p, the reference's numbers, and P(q) ascending."""
    J = np.zeros((N, N))
    J[np.triu_indices(N, 1)] = np.random.default_rng(seed).standard_normal(N * (N - 1) // 2) / np.sqrt(N)
    log_weight = np.einsum("si,ij,sj->s", STATES, J, STATES) / T
    (case,) = (c for c in CASES if (c["N"], c["seed"], c["T"]) == (N, seed, T))
    p = np.exp(log_weight - case["lnZ"])
    return SimpleNamespace(log_weight=log_weight, p=p, P=np.array(case["P_q_desc"])[::-1], **case)


def draw(p: np.ndarray, *shape: int, rng: np.random.Generator) -> np.ndarray:
    return STATES[rng.choice(len(p), p=p / p.sum(), size=shape)]


@pytest.mark.parametrize(("seed", "T"), [(0, 0.2), (1, 0.5), (2, 1.0), (3, 4.0)])
@pytest.mark.parametrize("shape", [(4000,), (3, 1500)])
def test_exact_samples_give_the_exact_distribution(seed, T, shape):
    exact, rng = glass(seed, T), np.random.default_rng(seed)
    found = overlap_distribution(draw(exact.p, *shape, rng=rng), rng=rng)
    q = found.q
    np.testing.assert_allclose(q, np.arange(-N, N + 1, 2) / N, atol=1e-15)
    assert found.probability.sum() == pytest.approx(1)
    assert (np.abs(found.probability - exact.P) < 4 * found.error + 1e-4).all()
    assert found.error.max() < 0.01
    for estimate, value in [
        (found.mean_q, 0.0),
        (found.mean_abs_q, exact.abs_q),
        (found.mean_q2, exact.q2),
        (found.mean_q4, exact.P @ q**4),
        (found.binder, 1.5 - 0.5 * (exact.P @ q**4) / exact.q2**2),
        (found.estimate(lambda p: p @ q**6), exact.P @ q**6),
    ]:
        assert estimate.value == pytest.approx(value, abs=4 * estimate.error)
        assert 0 < estimate.error < 0.05


@pytest.mark.parametrize("shape", [(300,), (3, 200), (30, 1), (1000, 2)])
def test_errors_cover(shape):
    exact, pulls = glass(1, 0.5), {"q": [], "q2": [], "P(q >= 0.4)": []}
    rng = np.random.default_rng(5)
    for _ in range(150):
        found = overlap_distribution(draw(exact.p, *shape, rng=rng), rng=rng)
        pulls["q"].append(found.mean_q.value / found.mean_q.error)
        pulls["q2"].append((found.mean_q2.value - exact.q2) / found.mean_q2.error)
        above = found.estimate(lambda p: p[..., -4:].sum(-1))
        pulls["P(q >= 0.4)"].append((above.value - exact.P[-4:].sum()) / above.error)
    widest = 1.6 if shape == (30, 1) else 1.3  # few blocks, and skewed: tails wider than a Gaussian's
    for name, values in pulls.items():
        assert abs(np.mean(values)) < 0.4, name
        assert 0.8 < np.std(values) < widest, name


def test_errors_cover_for_sets_that_are_correlated_in_time():
    exact, rng, pulls = glass(1, 0.5), np.random.default_rng(6), []
    for _ in range(100):
        slow = np.repeat(draw(exact.p, 3, 200, rng=rng), 5, axis=1)
        found = overlap_distribution(slow, rng=rng)
        pulls.append((found.mean_q2.value - exact.q2) / found.mean_q2.error)
    assert 0.8 < np.std(pulls) < 1.2


def test_one_sampler_against_another():
    exact, rng = glass(0, 0.5), np.random.default_rng(7)
    up = exact.p * (STATES[:, 0] > 0)
    m = STATES.T @ (up / up.sum())
    found = overlap_distribution(draw(up, 2000, rng=rng), draw(up, 3, 400, rng=rng), rng=rng)
    assert found.mean_q.value == pytest.approx(m @ m / N, abs=4 * found.mean_q.error)
    assert 0 < found.mean_q.error < 0.02
    single = overlap_distribution(STATES[:1], draw(exact.p, 50, rng=rng), rng=rng)
    assert single.n_pairs == 50 and np.isnan(single.mean_q2.error)


def test_weights_turn_a_hot_sampler_into_a_colder_one():
    hot, cold, rng = glass(0, 2.0), glass(0, 1.0), np.random.default_rng(8)
    x = rng.choice(len(hot.p), p=hot.p / hot.p.sum(), size=8000)
    found = overlap_distribution(STATES[x], log_w=(cold.log_weight - hot.log_weight)[x], rng=rng)
    assert found.mean_q2.value == pytest.approx(cold.q2, abs=4 * found.mean_q2.error)
    assert found.mean_q2.error < 0.01 < abs(cold.q2 - hot.q2)
    assert (np.abs(found.probability - cold.P) < 4 * found.error + 1e-4).all()
    assert found.ess == pytest.approx(1 / (cold.p**2 / hot.p).sum(), rel=0.1)
    with pytest.warns(LowESSWarning, match="worth 1 equal"):
        overlap_distribution(STATES[:200], log_w=np.r_[0.0, np.full(199, -30.0)], rng=rng)


@pytest.mark.parametrize("n_sites", [5, 6])
def test_folding(n_sites):
    p = np.random.default_rng(0).dirichlet(np.ones(n_sites + 1))
    q, folded = np.linspace(-1, 1, n_sites + 1), folded_histogram(p)
    found = overlap_distribution(np.ones((20, n_sites)), rng=np.random.default_rng(0))
    assert folded.sum() == pytest.approx(1)
    assert folded @ found.abs_q**2 == pytest.approx(p @ q**2)
    np.testing.assert_allclose(found.abs_q, np.arange(n_sites % 2, n_sites + 1, 2) / n_sites, atol=1e-15)
    np.testing.assert_allclose(found.probability_abs, found.abs_q == 1)


def test_peak_and_dip_of_valleys_of_known_size():
    rng, n_sites, q_ea = np.random.default_rng(9), 200, 0.64
    valley = np.where(rng.random((4000, n_sites)) < (1 + np.sqrt(q_ea)) / 2, 1, -1)
    found = overlap_distribution(valley * rng.choice([-1, 1], (4000, 1)), rng=rng)
    assert found.peak.value == pytest.approx(q_ea, abs=4 * found.peak.error + 0.002)
    assert 0 < found.peak.error < 0.01
    assert found.dip.value > 0.99 and found.binder.value > 0.95
    flat = overlap_distribution(rng.choice([-1, 1], (4000, n_sites)), rng=rng)
    assert flat.peak.value == 0 and flat.dip.value < 0.01
    assert flat.binder.value == pytest.approx(1 / n_sites, abs=4 * flat.binder.error)


def test_random_pairs():
    rng = np.random.default_rng(10)
    s = rng.choice([-1, 1], (2, 70))
    q = overlaps(s, pairs=5, rng=rng)
    np.testing.assert_allclose(q, s[0] @ s[1] / 70)
    sets = np.stack([np.ones((5, 70)), -np.ones((5, 70))])  # never two of one set
    np.testing.assert_array_equal(overlaps(sets, rng=rng), -np.ones(10))
    np.testing.assert_array_equal(overlaps(sets[0], sets[1], pairs=3, rng=rng), -np.ones(3))
    exact = glass(0, 0.5)
    q = overlaps(draw(exact.p, 20_000, rng=rng), rng=rng)
    assert np.mean(q**2) == pytest.approx(exact.q2, abs=0.02)


def test_total_variation_of_two_samples_of_one_distribution_is_its_floor():
    exact, rng, ratios = glass(2, 0.5), np.random.default_rng(11), []
    for _ in range(50):
        a, b = (overlap_distribution(draw(exact.p, 400, rng=rng), rng=rng) for _ in range(2))
        floor = total_variation_floor(a.error_abs, b.error_abs)
        ratios.append(total_variation(a.probability_abs, b.probability_abs) / floor)
    assert 0.85 < np.mean(ratios) < 1.15
    with pytest.raises(ValueError, match=r"one shape, got \(2,\) and \(3,\)"):
        total_variation([0.5, 0.5], [0.2, 0.3, 0.5])


def test_magnetizations_and_the_symmetry():
    exact, rng = glass(0, 0.5), np.random.default_rng(12)
    up = exact.p * (STATES[:, 0] > 0)
    for shape in [(2000,), (3, 600)]:
        value, error = site_magnetizations(draw(up, *shape, rng=rng))
        assert (np.abs(value - STATES.T @ (up / up.sum())) <= 4 * error).all()
        assert symmetry_breaking(draw(up, *shape, rng=rng)) > 6
    # One valley and its mirror image, many states, and none at all: z has one law for all of them.
    for p in (glass(3, 0.2).p, exact.p, np.ones(2**N)):
        z = [symmetry_breaking(draw(p, 200, rng=rng)) for _ in range(300)]
        assert np.mean(np.array(z) > 1.645) == pytest.approx(0.05, abs=4 * np.sqrt(0.05 * 0.95 / 300))
        assert max(z) < 4.5


def valleys(p: list[float], n: int, rng: np.random.Generator, flips: float = 0.5, n_sites: int = 64) -> np.ndarray:
    """Noisy copies of random patterns, drawn with probabilities p, each turned over with probability ``flips``."""
    patterns = np.random.default_rng(99).choice([-1, 1], (len(p), n_sites))
    s = patterns[rng.choice(len(p), p=p, size=n)] * np.where(rng.random((n, 1)) < flips, -1, 1)
    return s * np.where(rng.random((n, n_sites)) < 0.05, -1, 1)


def test_a_collapsed_sampler_is_caught_and_a_good_one_passes():
    rng = np.random.default_rng(13)
    true = [0.5, 0.3, 0.2]
    reference = valleys(true, 3000, rng).reshape(3, 1000, 64)
    one = mode_collapse(valleys([1.0], 1000, rng), reference, rng=rng)
    assert one.collapsed and one.valleys_lost and not one.sign_broken
    assert one.text.startswith("mode collapse: two samples of the model overlap by <q²> = 0.6")
    assert one.total_variation.value > 0.5 > 10 * one.total_variation_floor
    two = mode_collapse(valleys([0.6, 0.4], 1000, rng), reference, rng=rng)
    assert two.collapsed
    onesided = mode_collapse(valleys(true, 1000, rng, flips=0.1), reference, rng=rng)
    assert onesided.collapsed and onesided.sign_broken and not onesided.valleys_lost
    assert "onto one side" in onesided.text and onesided.symmetry_breaking > 10
    for n in (20, 100, 1000):
        for _ in range(20):
            good = mode_collapse(valleys(true, n, rng), reference, rng=rng)
            assert not good.collapsed and not good.other_states
    assert good.text.startswith("no collapse seen: ")


def test_what_is_no_collapse_has_another_name():
    rng = np.random.default_rng(14)
    reference = valleys([0.5, 0.5], 1000, rng)
    spread = mode_collapse(rng.choice([-1, 1], (1000, 64)), reference, rng=rng)
    assert not spread.collapsed and spread.total_variation.value > 0.5
    assert spread.text.startswith("no collapse seen, but ")
    elsewhere = mode_collapse(valleys([0.0, 0.0, 0.5, 0.5], 1000, rng), reference, rng=rng)
    assert not elsewhere.collapsed and elsewhere.other_states
    with pytest.raises(ValueError, match="model must hold configurations for 4 blocks"):
        mode_collapse(reference[:6], reference, rng=rng)


@pytest.mark.parametrize(
    ("s", "message"),
    [
        (np.ones((1, 4)), r"at least 2 configurations, got shape \(1, 4\)"),
        (np.ones((1, 9, 4)), r"at least 2 independent sets with samples in them, got shape \(1, 9, 4\)"),
        (np.ones(4), r"\(n, sites\) or \(sets, n, sites\), got \(4,\)"),
        (np.zeros((3, 4)), "spins of -1 and \\+1, got 12 other values of 12"),
        (np.full((3, 4), np.nan), "got 12 other values"),
    ],
)
def test_what_makes_no_overlap_is_refused(s, message):
    rng = np.random.default_rng(0)
    for estimator in (overlap_distribution, overlaps):
        with pytest.raises(ValueError, match=message):
            estimator(s, rng=rng)


def test_what_does_not_fit_is_refused():
    rng, s = np.random.default_rng(0), np.ones((6, 4))
    with pytest.raises(ValueError, match="same number of sites, got 4 and 5"):
        overlap_distribution(s, np.ones((6, 5)), rng=rng)
    with pytest.raises(ValueError, match="same number of sites, got 4 and 5"):
        overlaps(s, np.ones((6, 5)), rng=rng)
    with pytest.raises(ValueError, match="pairs must be at least 1, got 0"):
        overlaps(s, pairs=0, rng=rng)
    for log_w in (np.zeros(5), np.zeros((6, 1))):
        with pytest.raises(ValueError, match=r"log_w must be \(n,\)"):
            overlap_distribution(s, log_w=log_w, rng=rng)
    with pytest.raises(ValueError, match="at least 2 configurations"):
        site_magnetizations(np.ones((1, 4)))
