"""A proposal that misses half of the target: its own weights look perfect, a reference shows it."""

from __future__ import annotations

import numpy as np
import pytest

from flowlab.estimators import effective_mode_dropping, ess, forward_check, log_z_from_target, support_threshold


def samples(states, n, seed, of):
    x = states.draw(n, np.random.default_rng(seed), of=of)
    return states.log_weight[x], states.log_q[x]


@pytest.mark.parametrize("reference", ["exact", "samples"])
def test_half_of_the_target_is_missing(half_missing, reference):
    log_weight, log_q = samples(half_missing, 5000, 1, "q")
    target = samples(half_missing, 5000, 2, "p")
    known = {"log_z_exact": half_missing.log_z} if reference == "exact" else {"target_samples": target}
    found = effective_mode_dropping(log_weight, log_q, **known)
    assert ess(log_weight - log_q).value > 0.999
    assert found.value == pytest.approx(0.5, abs=4 * found.error + 1e-9)
    assert found.error < 0.03
    # It is the target's mass on the support of q.
    inside = np.mean(target[1] >= found.threshold)
    assert found.value == pytest.approx(inside, abs=4 * np.hypot(found.error, 0.5 / np.sqrt(5000)))


@pytest.mark.parametrize("reference", ["exact", "samples"])
def test_nothing_is_missing_and_the_errors_cover_it(states, reference):
    pulls = []
    for seed in range(300):
        log_weight, log_q = samples(states, 800, 2 * seed, "q")
        target = samples(states, 800, 2 * seed + 1, "p")
        known = {"log_z_exact": states.log_z} if reference == "exact" else {"target_samples": target}
        found = effective_mode_dropping(log_weight, log_q, **known)
        assert 0 <= found.value <= 1
        pulls.append((found.estimate - 1) / found.error)
    assert abs(np.mean(pulls)) < 0.25
    assert 0.85 < np.std(pulls) < 1.15


def test_without_a_reference_it_is_nan_with_the_reason(states):
    found = effective_mode_dropping(*samples(states, 100, 1, "q"))
    assert np.isnan(found.value)
    assert np.isnan(found.error)
    assert found.reference == "none"
    assert "no exact ln Z and no samples of the target" in found.reason


def test_the_draws_of_q_are_no_reference(states):
    drawn = samples(states, 100, 1, "q")
    with pytest.raises(ValueError, match="got the draws of q themselves"):
        effective_mode_dropping(*drawn, target_samples=drawn)


def test_a_q_without_any_overlap():
    found = effective_mode_dropping(np.zeros(10), np.full(10, -1.0), target_samples=(np.zeros(5), np.full(5, -np.inf)))
    assert found.value == 0.0
    assert np.isnan(found.error)
    assert "q gives no probability" in found.reason


def test_the_threshold_restricts_q_to_its_support(states):
    log_weight, log_q = samples(states, 20_000, 3, "q")
    order = np.argsort(states.log_q)
    inside = order[5:]  # leave the five least likely states out
    found = effective_mode_dropping(
        log_weight, log_q, log_z_exact=states.log_z, threshold=float(states.log_q[inside[0]])
    )
    exact = states.p[inside].sum() / states.q[inside].sum()
    assert abs(exact - 1) > 10 * found.error  # else the test could not tell
    assert found.estimate == pytest.approx(exact, abs=4 * found.error)


def test_the_default_threshold_falls_as_samples_are_added():
    log_q = -np.random.default_rng(4).exponential(size=10_000)
    assert support_threshold(log_q) == log_q.min() < support_threshold(log_q[:100])
    assert np.sum(log_q < support_threshold(log_q, outside=7)) == 7


def test_what_one_lucky_draw_reached_belongs_to_no_support():
    """One of 1000 draws lies in a mode of weight 1/2 that q hardly covers: the weights alone would say w̄ = 4."""
    log_q = np.concatenate([np.full(999, np.log(0.5)), [-8.0]])
    found = effective_mode_dropping(np.zeros(1000), log_q, log_z_exact=np.log(4))
    assert found.value == pytest.approx(0.5) and found.threshold == pytest.approx(np.log(0.5))
    assert np.exp(-log_q).mean() / 4 > 1


def test_log_z_from_the_target(half_missing, states):
    for case in (states, half_missing):
        found = log_z_from_target(*samples(case, 5000, 5, "p"))
        assert found.value == pytest.approx(case.log_z, abs=4 * found.error)
        assert 0 < found.error < 0.05


def test_forward_check_against_sums_over_states(states):
    rng = np.random.default_rng(6)
    kl = float(states.p @ (np.log(states.p) - states.log_q))
    exact = {"log_z": states.log_z, "log_z_upper": states.log_z + kl, "kl": kl, "ess": states.ess}
    pulls = {name: [] for name in exact}
    for _ in range(300):
        x = states.draw(8000, rng, of="p")
        found = forward_check(states.log_weight[x], states.log_q[x])
        for name, value in exact.items():
            estimate = getattr(found, name)
            pulls[name].append((estimate.value - value) / estimate.error)
    for name, values in pulls.items():
        assert abs(np.mean(values)) < 0.25, name
        assert 0.85 < np.std(values) < 1.15, name


def test_forward_check_sees_what_the_weights_of_q_hide(half_missing):
    log_weight, log_q = samples(half_missing, 2000, 7, "q")
    found = forward_check(*samples(half_missing, 2000, 8, "p"))
    assert ess(log_weight - log_q).value > 0.999
    assert found.ess.value < 1e-20
    assert found.kl.value == pytest.approx(30, rel=0.1)


def test_forward_check_of_a_perfect_and_of_an_impossible_q(states):
    perfect = forward_check(states.log_weight, states.log_weight - states.log_z)
    assert perfect.kl.value == pytest.approx(0, abs=1e-12)
    assert perfect.ess.value == pytest.approx(1)
    impossible = forward_check([0.0, 0.0, 0.0], [-1.0, -1.0, -np.inf])
    assert impossible.ess.value == 0
    assert impossible.kl.value == impossible.log_z_upper.value == np.inf
    assert np.isfinite(impossible.log_z.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.0, np.nan], [0.0, 0.0]), "got 1 NaN"),
        (([0.0, 0.0], [0.0, np.nan]), "got 1 NaN"),
        (([0.0, -np.inf], [0.0, 0.0]), "must be finite"),
        (([0.0, 0.0], [0.0, 0.0, 0.0]), "one shape"),
    ],
)
def test_target_samples_that_make_no_sense_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        forward_check(*arguments)


def test_a_threshold_above_all_samples_is_refused():
    with pytest.raises(ValueError, match="leaves 0 of 3 samples"):
        effective_mode_dropping(np.zeros(3), np.full(3, -1.0), log_z_exact=0.0, threshold=0.0)


def test_the_divergence_of_an_excellent_q_is_not_biased():
    """It needs no cut at 0: by Jensen's inequality no sample brings it below."""
    log_q = np.log([0.1, 0.9])
    exact, found = float(np.array([0.2, 0.8]) @ (np.log([0.2, 0.8]) - log_q)), []
    rng = np.random.default_rng(1)
    for _ in range(200):
        x = rng.choice(2, 30, p=[0.2, 0.8])
        found.append(forward_check(np.log([0.2, 0.8])[x], log_q[x]).kl.value)
    assert abs(np.mean(found) - exact) < 4 * np.std(found) / np.sqrt(200) + 0.01
