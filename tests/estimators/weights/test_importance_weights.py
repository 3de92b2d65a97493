"""Importance weights against sums over a few states."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from flowlab.estimators import Estimate, ess, log_z, log_z_bound, reweighted


def pulls(estimate: Callable[[], Estimate], exact: float, repeats: int = 400) -> np.ndarray:
    """(estimate - exact) / error over repeats: mean 0 and standard deviation 1 if the errors are right."""
    found = np.array([estimate() for _ in range(repeats)])
    return (found[:, 0] - exact) / found[:, 1]


@pytest.mark.parametrize("name", ["log_z", "log_z_bound", "ess", "reweighted"])
def test_errors_cover_the_exact_value(states, name):
    rng = np.random.default_rng(1)
    f = np.cos(np.arange(8.0))
    kl = float((states.q * (states.log_q - np.log(states.p))).sum())
    exact = {
        "log_z": states.log_z,
        "log_z_bound": states.log_z - kl,
        "ess": states.ess,
        "reweighted": float(states.p @ f),
    }

    def once() -> Estimate:
        x = states.draw(1000, rng)
        log_w = states.log_w[x]
        return {
            "log_z": lambda: log_z(log_w),
            "log_z_bound": lambda: log_z_bound(log_w),
            "ess": lambda: ess(log_w),
            "reweighted": lambda: reweighted(f[x], log_w=log_w),
        }[name]()

    found = pulls(once, exact[name])
    assert abs(found.mean()) < 0.25
    assert 0.85 < found.std() < 1.15


def test_the_bound_lies_below_log_z(states):
    log_w = states.log_w[states.draw(2000, np.random.default_rng(2))]
    assert log_z_bound(log_w).value < log_z(log_w).value


@pytest.mark.parametrize("shift", [-3000.0, 3000.0])
def test_huge_log_weights_do_not_overflow(states, shift):
    log_w = states.log_w[states.draw(500, np.random.default_rng(3))]
    assert log_z(log_w + shift).value == pytest.approx(log_z(log_w).value + shift, abs=1e-9)
    assert ess(log_w + shift) == pytest.approx(ess(log_w), rel=1e-9)
    assert reweighted(log_w, log_w=log_w + shift) == pytest.approx(reweighted(log_w, log_w=log_w), rel=1e-9)


def test_zero_weights_count_as_samples_of_weight_zero():
    log_w = np.array([0.0, 0.0, -np.inf, -np.inf])
    assert log_z(log_w).value == pytest.approx(np.log(0.5))
    assert ess(log_w).value == pytest.approx(0.5)
    assert reweighted([1.0, 3.0, 50.0, 70.0], log_w=log_w).value == pytest.approx(2.0)
    assert log_z_bound(log_w).value == -np.inf
    assert np.isnan(log_z_bound(log_w).error)


def test_columns_are_reweighted_as_if_one_by_one(states):
    rng = np.random.default_rng(4)
    log_w, f = states.log_w[states.draw(300, rng)], rng.standard_normal((300, 3))
    value, error = reweighted(f, log_w=log_w)
    one_by_one = [reweighted(column, log_w=log_w) for column in f.T]
    np.testing.assert_allclose(value, [one.value for one in one_by_one], rtol=1e-12)
    np.testing.assert_allclose(error, [one.error for one in one_by_one], rtol=1e-12)


def test_equal_weights_give_the_plain_mean_and_its_standard_error():
    f = np.random.default_rng(5).standard_normal(200)
    value, error = reweighted(f, log_w=np.full(200, -7.0))
    assert value == pytest.approx(f.mean())
    assert error == pytest.approx(f.std(ddof=1) / np.sqrt(200))


@pytest.mark.parametrize(
    ("log_w", "message"),
    [
        ([0.0, np.nan, np.nan], "got 2 NaN of 3"),
        ([0.0, np.inf], "q gives no probability"),
        ([-np.inf, -np.inf], "all 2 weights are zero"),
        ([0.0], "at least 2"),
        ([[0.0, 1.0]], "one axis"),
    ],
)
@pytest.mark.parametrize(
    "estimator", [log_z, log_z_bound, ess, lambda log_w: reweighted(np.zeros_like(log_w), log_w=log_w)]
)
def test_weights_that_make_no_sense_are_refused(estimator, log_w, message):
    with pytest.raises(ValueError, match=message):
        estimator(log_w)


@pytest.mark.parametrize(("f", "message"), [([1.0, 2.0, 3.0], "as log_w has 2"), ([1.0, np.nan], "got 1 NaN")])
def test_observables_that_do_not_fit_are_refused(f, message):
    with pytest.raises(ValueError, match=message):
        reweighted(f, log_w=[0.0, 0.0])


def test_weights_are_given_by_name_so_that_no_swap_passes():
    log_w, f = np.random.default_rng(1).normal(size=(2, 100))
    for call in (lambda: reweighted(log_w, f), lambda: reweighted(f, log_w), lambda: reweighted(f)):
        with pytest.raises(TypeError, match=r"reweighted\(f, log_w=\.\.\.\) takes the weights by name"):
            call()
    with pytest.raises(ValueError, match="shape"):
        reweighted(f[:50], log_w=log_w)


def test_one_weight_that_counts_has_no_error():
    log_w = np.r_[np.zeros(999), 60.0]
    f = np.random.default_rng(1).normal(size=1000)
    assert np.isnan([reweighted(f, log_w=log_w).error, log_z(log_w).error, ess(log_w).error]).all()
