"""Observables of spins against sums over states, and their errors by coverage."""

from __future__ import annotations

import numpy as np
import pytest

from flowlab.estimators import magnetization_observables, spin_observables

ENERGY = np.array([-2.0, -1.0, -1.0, 0.0, 0.0, -0.5, -1.5, 1.0])
MAGNETIZATION = np.array([1.0, -0.5, 0.5, 0.25, -0.25, 0.0, -1.0, 0.1])
N, T = 16, 2.5


def exact_observables(p):
    def mean(f):
        return float(p @ f)

    m, e = MAGNETIZATION, ENERGY
    return {
        "energy_per_site": mean(e),
        "specific_heat": N * (mean(e**2) - mean(e) ** 2) / T**2,
        "abs_magnetization": mean(abs(m)),
        "susceptibility": N * mean(m**2),
        "susceptibility_connected": N * (mean(m**2) - mean(abs(m)) ** 2),
        "binder": 1 - mean(m**4) / (3 * mean(m**2) ** 2),
    }


def test_values_and_errors_cover_the_sums_over_states(states):
    rng = np.random.default_rng(1)
    exact = exact_observables(states.p)
    pulls = {name: [] for name in exact}
    for _ in range(400):
        x = states.draw(1500, rng)
        found = spin_observables(ENERGY[x], MAGNETIZATION[x], n_sites=N, T=T, log_w=states.log_w[x])
        assert set(found) == set(exact)
        for name, (value, error) in found.items():
            pulls[name].append((value - exact[name]) / error)
    for name, values in pulls.items():
        assert abs(np.mean(values)) < 0.25, name
        assert 0.85 < np.std(values) < 1.15, name


def test_binder_of_a_gaussian_is_zero_and_of_an_ordered_phase_two_thirds():
    rng = np.random.default_rng(2)
    gaussian = magnetization_observables(1e-3 * rng.standard_normal(50_000), n_sites=N)["binder"]
    assert gaussian.value == pytest.approx(0, abs=4 * gaussian.error)
    assert gaussian.error < 0.02
    ordered = magnetization_observables(rng.choice([-1.0, 1.0], 100), n_sites=N)
    assert ordered["binder"] == pytest.approx((2 / 3, 0))
    assert ordered["susceptibility_connected"] == pytest.approx((0, 0))


def test_no_magnetization_at_all():
    found = magnetization_observables(np.zeros(10), n_sites=N)
    assert np.isnan(found["binder"]).all()
    assert found["susceptibility"] == (0, 0)


def test_a_large_constant_energy_does_not_spoil_the_specific_heat():
    e = np.random.default_rng(3).standard_normal(1000)
    shifted = spin_observables(e + 1e7, e, n_sites=N, T=T)["specific_heat"]
    assert shifted.value == pytest.approx(N * e.var() / T**2, rel=1e-6)


def test_the_temperature_must_be_positive():
    with pytest.raises(ValueError, match="T must be positive, got 0"):
        spin_observables(np.zeros(4), np.zeros(4), n_sites=N, T=0)
