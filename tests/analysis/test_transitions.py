"""Peaks, crossings and exponents from curves, and their errors."""

import numpy as np
import pytest
import xarray as xr

from flowlab.analysis.transitions import estimate_from, finite_size_scaling, peak

CRITICAL, NU, GAMMA, BETA = 0.44, 1.0, 1.75, 0.125


def curve(L, noise=0.0, seed=0, blocks=20):
    """Scaling functions of a made-up model, whose replicas differ by jackknife's share of the noise."""
    rng, x = np.random.default_rng(seed), np.linspace(0.42, 0.46, 41)
    t = (x - CRITICAL) * L ** (1 / NU)
    values = {
        "binder": 0.6 + 0.05 * np.tanh(t),
        "susceptibility": L ** (GAMMA / NU) * np.exp(t),
        "abs_magnetization": L ** (-BETA / NU) * np.exp(0.3 * t),
    }
    data, each = {}, rng.normal(0, noise * np.sqrt(blocks), (blocks, 3))
    for i, (name, value) in enumerate(values.items()):
        shift = each[:, i]
        data[name] = ("beta", value * (1 + shift.mean()))
        data[f"{name}_replicas"] = (("replica", "beta"), value * (1 + (shift.sum() - shift[:, None]) / (blocks - 1)))
    return xr.Dataset(data, {"beta": x})


def test_exponents_of_scaling_functions_are_found():
    found = finite_size_scaling({L: curve(L) for L in (8, 16, 32)})
    assert found.L.values.tolist() == [8, 16] and found.larger.values.tolist() == [16, 32]
    np.testing.assert_allclose(found.crossing, CRITICAL, atol=1e-5)
    np.testing.assert_allclose(found.binder_crossing, 0.6, atol=1e-4)
    np.testing.assert_allclose(found.inverse_nu, 1 / NU, atol=5e-3)
    np.testing.assert_allclose(found.gamma_over_nu, GAMMA / NU, atol=1e-3)
    np.testing.assert_allclose(found.beta_over_nu, BETA / NU, atol=1e-3)


def test_errors_are_those_of_other_curves():
    noise = 2e-3
    found = [finite_size_scaling({8: curve(8, noise, k), 16: curve(16, noise, 1000 + k)}) for k in range(60)]
    for name in ("crossing", "gamma_over_nu", "beta_over_nu"):
        spread = np.std([float(one[name][0]) for one in found], ddof=1)
        assert np.mean([float(one[f"{name}_error"][0]) for one in found]) == pytest.approx(spread, rel=0.3), name


def test_a_peak_at_an_end_is_none():
    found = curve(8)
    place, height = peak(found, "susceptibility")
    assert np.isnan(place.value) and np.isnan(height.value)


def test_a_function_estimate_from_has_an_error_from_each():
    one, two = curve(8, 0.01, 1), curve(8, 0.01, 2)
    alone = estimate_from([one], ["binder"], lambda a: [a["binder"][0]])
    both = estimate_from([one, two], ["binder"], lambda a, b: [a["binder"][0] - b["binder"][0]])
    assert alone.error[0] < both.error[0] < 2 * alone.error[0]


def test_one_size_is_refused():
    with pytest.raises(ValueError, match="two sides or more along one coupling, got \\[8\\]"):
        finite_size_scaling({8: curve(8)})
