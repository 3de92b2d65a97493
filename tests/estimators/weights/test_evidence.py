"""What speaks for and against an evaluation, and how it is put into one word."""

from __future__ import annotations

import numpy as np
import pytest

from flowlab import estimators
from flowlab.estimators import Estimate, Evidence, LowESSWarning, UntrustedWarning, verdict, weights_problem
from flowlab.estimators.weights.evidence import (
    exact_evidence,
    identity_evidence,
    repeat_evidence,
    share_evidence,
    target_sample_evidence,
    vanishing_evidence,
    weight_evidence,
)

FOR, AGAINST = Evidence("this agrees", independent=True), Evidence("that differs", fails=True)


def test_one_word_and_why():
    assert verdict([FOR]).text == "consistent: this agrees" and verdict([FOR]).warning is None
    assert verdict([Evidence("the weights are fine")]).text.startswith("not checked: nothing independent")
    assert verdict([]).text.startswith("not checked: ")
    both = verdict([FOR, AGAINST])
    assert both.text == "not to be trusted: that differs" and both.against == ("that differs",)
    assert both.reasons == ("that differs", "this agrees")


def test_what_is_not_flagged_lies_low_where_flags_take_the_largest_weights_and_the_verdict_says_so():
    """Pareto weights, 1/k = 2.2: errors of all sets hold the truth, but flags take those that drew a large weight."""
    rng, pulls, flagged, cautious = np.random.default_rng(0), [], [], []
    for _ in range(400):
        log_w = rng.exponential(size=2000) / 2.2
        found, (evidence,) = estimators.log_z(log_w), weight_evidence(log_w)
        pulls.append((found.value - np.log(2.2 / 1.2)) / found.error)
        flagged.append(evidence.fails)
        cautious.append("rather too low" in verdict([FOR, evidence]).text)
    z, kept = np.array(pulls), ~np.array(flagged)
    assert 0.2 < kept.mean() < 0.9 and np.nanmean(np.abs(z) < 1) > 0.63
    assert np.mean(z[kept]) < np.nanmean(z) - 0.1 and np.mean(np.array(cautious)[kept]) > 0.5
    assert not any(weight_evidence(0.5 * rng.normal(size=2000))[0].caution for _ in range(50))


def test_one_reason_gives_its_own_warning_and_several_the_common_one():
    low = Evidence("few", fails=True, warning=LowESSWarning)
    assert verdict([low]).warning is LowESSWarning
    assert verdict([low, AGAINST]).warning is UntrustedWarning


@pytest.mark.parametrize(
    ("log_z", "error", "fails"), [(9.0, 0.1, True), (9.7, 0.1, False), (10.0, 0.0, False), (9.99, 0.0, True)]
)
def test_an_exact_value_within_four_errors_and_what_n_draws_can_see(log_z, error, fails):
    found = exact_evidence(Estimate(log_z, error), Estimate(8.0, 0.1), 10.0, 1000)
    assert [one.fails for one in found] == [fails] and found[0].independent


def test_a_bound_above_the_exact_value_says_that_ln_q_is_wrong():
    assert (
        "ln q is not that of the draws"
        in exact_evidence(Estimate(10, 0.3), Estimate(10.5, 0.1), 10.0, 1000)[-1].sentence
    )


def test_a_share_that_the_weights_restore_is_no_failure():
    rng = np.random.default_rng(0)
    up = (rng.random(4000) < 0.8).astype(float)
    weights = np.where(up > 0, np.log(0.5 / 0.8), np.log(0.5 / 0.2))
    restored = share_evidence("M > 0", up, 0.5, weights)
    assert restored is not None and not restored.fails and "make up for it" in restored.sentence
    assert share_evidence("M > 0", up, 0.5, np.zeros(4000)).fails
    one = np.where(np.arange(4000) == 0, 0.0, -50.0)
    assert "reweighted it is not known, and" in share_evidence("M > 0", up, 0.5, one).sentence
    assert share_evidence("M > 0", (rng.random(4000) < 0.5).astype(float), 0.5, np.zeros(4000)) is None


def test_a_share_of_one_state_in_five_is_judged_by_its_own_value():
    rng = np.random.default_rng(1)
    assert share_evidence("state 0", (rng.random(4000) < 0.2).astype(float), 0.2, np.zeros(4000)) is None
    assert share_evidence("state 0", (rng.random(4000) < 0.004).astype(float), 0.2, np.zeros(4000)).fails


def test_identities_and_means_that_vanish():
    assert identity_evidence("x", Estimate(0.0, 0.0), 0.0, warning=UntrustedWarning).fails is False
    assert identity_evidence("x", Estimate(0.5, 0.0), 0.0, warning=UntrustedWarning).fails
    values = np.random.default_rng(2).normal(size=(4000, 5))
    assert not vanishing_evidence("translations", values, np.zeros(4000)).fails
    values[:, 2] += 0.2
    assert vanishing_evidence("translations", values, np.zeros(4000)).fails
    assert not vanishing_evidence("translations", values, np.zeros(4000), stretch=4.0).fails
    assert vanishing_evidence("translations", np.zeros((10, 1)), np.zeros(10)) is None


def test_samples_of_the_target_see_what_is_missing_unless_they_are_too_few():
    log_w, covered, missed = np.zeros(1000), np.full(500, 0.0), np.full(500, 30.0)
    half = target_sample_evidence(log_w + np.log(0.5), np.concatenate([covered, missed]) + np.log(0.5), np.zeros(1000))[
        0
    ]
    assert half.fails and "cover 50 % of the target" in half.sentence
    assert not target_sample_evidence(log_w, np.zeros(1000), np.zeros(1000))[0].fails
    heavy = np.random.default_rng(3).normal(scale=6, size=1000)
    assert not target_sample_evidence(log_w, heavy, np.zeros(1000))[0].independent


def test_an_ess_that_a_few_weights_decide_is_told():
    """Of weights with a tail k = 0.6, whose second moment does not exist, where k̂ alone lets them pass."""
    rng, told, missed = np.random.default_rng(0), 0, 0
    for _ in range(20):
        log_w = rng.exponential(0.6, 5000)
        if not weights_problem(log_w):
            (found,) = weight_evidence(log_w)
            told, missed = told + found.fails, missed + (not found.fails)
            assert not found.fails or ("the ESS is 0." in found.sentence and found.warning is LowESSWarning)
    assert told > 2 * missed > 0 or (told and not missed)
    fair = [weight_evidence(rng.normal(0, 1.0, 5000))[0].fails for _ in range(20)]
    assert not any(fair)


def test_sets_of_draws_that_happen_to_look_good_are_not_believed():
    """Log-normal weights of width 1.8 have an ESS of .04: what misses the largest of them looks twice as good."""
    rng = np.random.default_rng(4)
    sets = [1.8 * rng.normal(size=1000) for _ in range(100)]
    assert all(weight_evidence(log_w)[0].fails for log_w in sets)
    assert sum(weights_problem(log_w) == "" for log_w in sets) > 5  # which have no other sign
    assert not any(weight_evidence(0.8 * rng.normal(size=1000))[0].fails for _ in range(100))
    left = -np.abs(3 * rng.normal(size=1000))  # weights that are hardly needed
    assert not weight_evidence(np.where(rng.random(1000) < 0.3, left, 0.0))[0].fails


def test_nine_draws_of_ten_that_differ_are_too_few():
    assert repeat_evidence([np.r_[np.arange(18.0), 0, 1]])[0].fails
    assert repeat_evidence([np.r_[np.arange(19.0), 0]]) == []
