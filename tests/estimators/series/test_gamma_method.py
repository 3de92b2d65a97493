"""The Gamma method on a chain whose autocorrelation is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter

from flowlab.estimators import mean, tau_int


def autoregressive(n, rho, rng):
    """x_t = ρ x_{t-1} + noise, from its equilibrium: ρ(t) = ρ^t and τ = (1 + ρ) / (2 (1 - ρ))."""
    noise = rng.standard_normal(n)
    noise[0] /= np.sqrt(1 - rho**2)
    return lfilter([1.0], [1.0, -rho], noise)


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_tau_int_of_an_autoregressive_chain(rho):
    found = tau_int(autoregressive(100_000, rho, np.random.default_rng(1)))
    exact = 0.5 * (1 + rho) / (1 - rho)
    assert found.value == pytest.approx(exact, abs=4 * found.error)
    assert 0 < found.error < 0.1 * exact


def test_error_of_the_mean_covers_zero():
    rng = np.random.default_rng(2)
    found = np.array([mean(autoregressive(4000, 0.7, rng)) for _ in range(300)])
    pulls = found[:, 0] / found[:, 1]
    assert abs(pulls.mean()) < 0.25
    assert 0.85 < pulls.std() < 1.15


def test_both_ignore_shift_and_scale():
    x = autoregressive(2000, 0.5, np.random.default_rng(3))
    assert tau_int(5 - 1e-6 * x) == pytest.approx(tau_int(x), rel=1e-6)
    assert mean(100 * x) == pytest.approx(np.multiply(mean(x), 100), rel=1e-9)


@pytest.mark.parametrize("level", [0.0, 0.1, 1e9])
def test_a_constant_series_has_no_tau(level):
    series = np.full(100, level)
    assert np.isnan(tau_int(series)).all()
    assert mean(series) == (level, 0.0)


@pytest.mark.parametrize("n", [1, 2, 4])
def test_too_short_a_series_has_no_error(n):
    series = np.arange(float(n))
    assert np.isnan(tau_int(series)).all()
    assert mean(series).value == series.mean()
    assert np.isnan(mean(series).error)


@pytest.mark.parametrize("n", [5, 6, 7, 20])
def test_a_short_series_has_a_finite_error(n):
    series = np.random.default_rng(n).standard_normal(n)
    assert np.isfinite([*tau_int(series), *mean(series)]).all()


@pytest.mark.parametrize(("series", "message"), [([1.0, np.nan], "1 NaN"), ([[1.0]], "one axis"), ([], "one axis")])
def test_a_series_that_makes_no_sense_is_refused(series, message):
    for estimator in (tau_int, mean):
        with pytest.raises(ValueError, match=message):
            estimator(series)
