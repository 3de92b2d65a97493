"""Power laws from noisy points: errors that cover, and fits that refuse."""

import math

import numpy as np
import pytest

from flowlab.estimators.information.power_law import log_slope, power_law


@pytest.mark.parametrize("plateau", [False, True])
def test_errors_cover(plateau):
    rng, x, pulls = np.random.default_rng(0), np.arange(1, 33), []
    error = np.full(32, 0.02)
    for _ in range(60):
        y = 0.5 * plateau + 2.0 * x**-1.75 + rng.normal(size=32) * error
        found = power_law(x, y, error, plateau=plateau)
        pulls.append((found.exponent.value - 1.75) / found.exponent.error)
        assert found.chi2_per_point < 2.5
    assert abs(np.mean(pulls)) < 0.4
    assert 0.75 < np.std(pulls) < 1.25


def test_what_is_no_power_law_says_so():
    x = np.arange(1, 20)
    found = power_law(x, np.sin(x), np.full(19, 0.01))
    assert found.chi2_per_point > 100
    assert found.exponent.error > 0.1


def test_negative_amplitude_and_points_of_either_sign():
    x, rng = np.arange(1, 9), np.random.default_rng(1)
    found = power_law(x, -0.3 * x**-1.5 + 0.01 * rng.normal(size=8), np.full(8, 0.01))
    assert found.amplitude.value == pytest.approx(-0.3, abs=4 * found.amplitude.error)
    assert found.exponent.value == pytest.approx(1.5, abs=4 * found.exponent.error)


@pytest.mark.parametrize(("x", "y"), [([1, 2], [1, 0.5]), ([1, 2, 3], [0, 0, 0])])
def test_nothing_to_fit_gives_nan(x, y):
    assert np.isnan(power_law(x, y, np.full(len(x), 0.1)).exponent.value)


@pytest.mark.parametrize(
    ("x", "y", "error", "message"),
    [
        ([1, 2], [1], [1], r"one shape \(n,\), got \(2,\), \(1,\) and \(1,\)"),
        ([0, 1], [1, 1], [1, 1], "x must be positive and errors not negative"),
    ],
)
def test_refused(x, y, error, message):
    with pytest.raises(ValueError, match=message):
        power_law(x, y, error)


def test_a_slope_from_two_points_has_the_error_of_its_points():
    z = log_slope(np.array([1.0, 2.0]), np.array([1.0, 8.0]), np.array([0.1, 0.8]))
    assert z.value == pytest.approx(3.0) and z.error == pytest.approx(math.sqrt(2) * 0.1 / math.log(2))
    assert math.isnan(log_slope(np.ones(1), np.ones(1), np.ones(1)).value)


def test_points_without_a_value_or_an_error_are_no_reason_to_fail():
    k = np.arange(1.0, 20.0)
    y, error = 2 * k**-0.75, np.full(19, 0.01)
    whole = power_law(k, y, error)
    y[[3, 7]], error[7], error[9] = np.nan, np.nan, np.nan
    assert power_law(k, y, error).exponent.value == pytest.approx(whole.exponent.value, abs=1e-6)
    assert np.isnan(power_law(k, np.full(19, np.nan), error).exponent.value)


def test_an_exponent_that_the_points_do_not_determine_is_nan():
    x, rng = np.arange(1.0, 6.0), np.random.default_rng(0)
    y = np.where(x == 1, -0.2, 0.0) + 0.001 * rng.normal(size=5)  # all of the change in the first layer
    found = power_law(x, y, np.full(5, 0.001))
    assert np.isnan([*found.exponent, *found.amplitude, found.chi2_per_point]).all()
    fair = power_law(x, 0.2 / x + 0.001 * rng.normal(size=5), np.full(5, 0.001))
    assert abs(fair.exponent.value - 1) < 4 * fair.exponent.error
