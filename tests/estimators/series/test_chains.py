"""The Gamma method over many chains: against pyerrors, exact memories and exact functions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from flowlab.estimators.series import gamma
from flowlab.estimators.series.chains import chain_agreement, chain_mean, chain_observables


def autoregressive(steps, chains, rho, seed=0):
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((steps, chains)) * math.sqrt(1 - rho**2)
    x = np.empty((steps, chains))
    x[0] = rng.standard_normal(chains)
    for step in range(1, steps):
        x[step] = rho * x[step - 1] + noise[step]
    return x


@pytest.mark.parametrize("rho", [0.0, 0.6, 0.9])
def test_one_chain_is_what_pyerrors_finds(rho):
    series = autoregressive(2000, 1, rho)[:, 0]
    here, there, time = chain_mean(series), gamma.mean(series), gamma.tau_int(series)
    assert here.value == pytest.approx(there.value)
    assert here.error == pytest.approx(there.error, rel=1e-2)
    assert here.tau_int == pytest.approx(time.value, rel=1e-2)
    assert here.tau_int_error == pytest.approx(time.error, rel=0.1)


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_many_short_chains_know_the_memory(rho):
    found = chain_mean(autoregressive(100, 400, rho))
    exact = (1 + rho) / (1 - rho) / 2
    assert abs(found.tau_int - exact) < 4 * found.tau_int_error + 0.02 * exact
    assert abs(found.value) < 4 * found.error
    assert found.error == pytest.approx(math.sqrt(2 * exact / 40_000), rel=0.1)


def test_functions_of_means_have_the_spread_of_repetitions():
    names = ("susceptibility_connected", "binder", "correlation_length", "specific_heat", "susceptibility")
    found = []
    for seed in range(40):
        m, e = autoregressive(60, 20, 0.7, seed) / 4, autoregressive(60, 20, 0.5, 100 + seed)
        first = 0.2 + 0.1 * autoregressive(60, 20, 0.6, 200 + seed) + 0.2 * m**2
        series = {"magnetization": m, "energy_per_site": e, "structure_factor_1": first}
        found.append(chain_observables(series, n_sites=16, side=4, T=2.0))
    for name in names:
        values, errors = ([getattr(one[name], part) for one in found] for part in ("value", "error"))
        assert np.mean(errors) == pytest.approx(np.std(values, ddof=1), rel=0.4), name
    exact = {"susceptibility": 1.0, "susceptibility_connected": 1 - 2 / math.pi, "binder": 0.0, "specific_heat": 4.0}
    for name, value in exact.items():
        mean = np.mean([one[name].value for one in found])
        assert abs(mean - value) < 4 * np.mean([one[name].error for one in found]) / math.sqrt(40) + 0.01, name


def test_short_constant_and_broken_series():
    assert math.isnan(chain_mean([1.0, 2.0, 3.0]).error) and chain_mean([1.0, 2.0, 3.0]).value == 2
    constant = chain_mean(np.full((10, 3), 0.1))
    assert constant.error == 0 and math.isnan(constant.tau_int)
    zero = chain_observables({"magnetization": np.zeros((10, 2))}, n_sites=4)
    assert math.isnan(zero["binder"].value)
    unphysical = {"magnetization": autoregressive(20, 2, 0.1) / 100, "structure_factor_1": np.ones((20, 2))}
    assert math.isnan(chain_observables(unphysical, n_sites=4, side=2)["correlation_length"].value)
    with pytest.raises(ValueError, match="must be finite, got 1 values"):
        chain_mean([1.0, np.nan])
    with pytest.raises(ValueError, match="must have shape"):
        chain_mean(np.ones((2, 2, 2)))


def test_chains_that_disagree_are_seen():
    x = autoregressive(300, 16, 0.5)
    assert chain_agreement(x).value < 1 + 4 * chain_agreement(x).error
    stuck = x.copy()
    stuck[:, 3] += 2.0
    assert chain_agreement(stuck).value > 1 + 5 * chain_agreement(stuck).error
    assert math.isnan(chain_agreement(x[:, :1]).value)


def test_the_correlation_length_is_the_second_moment_one():
    m, first = autoregressive(60, 20, 0.5), 1 + 0.1 * autoregressive(60, 20, 0.5, seed=1)
    found = chain_observables({"magnetization": m, "structure_factor_1": first}, n_sites=16, side=8)
    ratio = 16 * (m**2).mean() / first.mean()
    expected = math.sqrt(ratio - 1) / (2 * math.sin(math.pi / 8))
    assert found["correlation_length"].value == pytest.approx(expected, rel=1e-12)


def test_where_the_field_is_ordered_the_correlation_length_is_the_connected_one():
    m, first = 1 + 0.2 * autoregressive(60, 20, 0.5), 0.1 + 0.01 * autoregressive(60, 20, 0.5, seed=1)
    found = chain_observables({"magnetization": m, "structure_factor_1": first}, n_sites=16, side=8)
    ratio = 16 * np.abs(m).var() / first.mean()
    assert math.isnan(found["correlation_length"].value)
    expected = math.sqrt(ratio - 1) / (2 * math.sin(math.pi / 8))
    assert found["correlation_length_connected"].value == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("chains", [10, 100])
def test_chains_of_twenty_autocorrelation_times_have_errors_that_cover(chains):
    """What a run asks of several chains that have forgotten how they began; tau is 4.5."""
    means = [chain_mean(autoregressive(130, chains, 0.8, seed)[40:]) for seed in range(200)]
    pulls = np.abs([found.value / found.error for found in means])
    assert abs((pulls < 1).mean() - 0.683) < 3 * math.sqrt(0.683 * 0.317 / 200)
    assert abs((pulls < 1.96).mean() - 0.95) < 3 * math.sqrt(0.95 * 0.05 / 200)
