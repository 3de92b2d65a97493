"""Estimators of fields on the free field, whose two-point function is known, and on a chain with known memory."""

from __future__ import annotations

import numpy as np
import pytest

from flowlab.estimators.observables.correlation_length import correlation_length
from flowlab.estimators.observables.fields import (
    equation_of_motion,
    field_observables,
    function_of_means,
    momentum_two_point,
    time_slices,
    two_point,
)

MASS = 0.6


def propagator(shape):
    """G̃(q) of the free field."""
    squared = np.zeros(())
    for side in shape:
        squared = np.add.outer(squared, 4 * np.sin(np.pi * np.arange(side) / side) ** 2)
    return 1 / (MASS**2 + squared)


def draws(shape, n, rng, memory=0.0):
    """(n, *shape) exact free fields, of which each remembers the one before with weight ``memory``."""
    sides = tuple(range(1, len(shape) + 1))
    noise = rng.standard_normal((n, *shape))
    for t in range(1, n if memory else 0):
        noise[t] = memory * noise[t - 1] + np.sqrt(1 - memory**2) * noise[t]
    return np.fft.ifftn(np.fft.fftn(noise, axes=sides) * np.sqrt(propagator(shape)), axes=sides).real


def exact_slices(shape):
    q = 4 * np.sin(np.pi * np.arange(max(shape)) / max(shape)) ** 2
    return np.fft.ifft(1 / (MASS**2 + q)).real[: max(shape) // 2 + 1]


@pytest.mark.parametrize("shape", [(8,), (6, 6), (4, 6), (5, 5), (2, 4, 4)], ids=str)
def test_two_point_functions_of_the_free_field(shape):
    x = draws(shape, 8000, np.random.default_rng(1))
    for found, exact in (
        (two_point(x), np.fft.ifftn(propagator(shape)).real),
        (momentum_two_point(x), propagator(shape)),
        (time_slices(x), exact_slices(shape)),
    ):
        assert found.value.shape == found.error.shape == exact.shape
        pulls = (found.value - exact) / found.error
        assert np.abs(pulls).max() < 4.5
        assert (found.error < 0.1 * exact.max()).all()


def test_two_point_by_plain_loops():
    x = np.random.default_rng(2).standard_normal((3, 2, 5))
    exact = [[np.mean(x * np.roll(x, (-dy, -dx), (1, 2))) for dx in range(5)] for dy in range(2)]
    np.testing.assert_allclose(two_point(x).value, exact)
    slices = [np.sum([np.mean(x * np.roll(x, (-dy, -dx), (1, 2))) for dy in range(2)]) for dx in range(3)]
    np.testing.assert_allclose(time_slices(x).value, slices)


def test_weights_bring_back_the_target():
    """Fields drawn 1.3 times too wide, with the ratio of the two densities as weights."""
    shape, scale = (4,), 1.3
    x = scale * draws(shape, 60_000, np.random.default_rng(3))
    modes = np.abs(np.fft.fft(x, axis=1)) ** 2 / 4
    log_w = -0.5 * (1 - 1 / scale**2) * (modes / propagator(shape)).sum(1)
    for found, exact in (
        (two_point(x, log_w=log_w), np.fft.ifft(propagator(shape)).real),
        (time_slices(x, log_w=log_w), exact_slices(shape)),
        (time_slices(x, log_w=log_w, errors="bootstrap"), exact_slices(shape)),
    ):
        assert (np.abs(found.value - exact) < 4 * found.error).all()
    assert (np.abs(time_slices(x).value - exact_slices(shape)) > 10 * time_slices(x).error).all()


def test_the_kinds_of_errors_agree_on_independent_samples():
    x = draws((6, 6), 4000, np.random.default_rng(4))
    kinds = [time_slices(x, errors=errors).error for errors in ("independent", "gamma", "bootstrap")]
    for error in kinds[1:]:
        np.testing.assert_allclose(error, kinds[0], rtol=0.35)


def test_a_chain_is_given_its_memory():
    rho = 0.9
    x = draws((4,), 40_000, np.random.default_rng(5), memory=rho)
    naive = momentum_two_point(x).error[0]
    known = naive_error(x) * np.sqrt((1 + rho**2) / (1 - rho**2))  # φ² of an autoregressive chain forgets with ρ²
    for errors in ("gamma", "bootstrap"):
        found = momentum_two_point(x, errors=errors)
        assert found.error[0] == pytest.approx(known, rel=0.25)
        assert (np.abs(found.value - propagator((4,))) < 4 * found.error).all()
    assert naive > naive_error(x)  # a hundred blocks see some of it


def naive_error(x):
    zero = x.sum(1) ** 2 / x.shape[1]
    return zero.std() / np.sqrt(len(zero))


@pytest.mark.parametrize("errors", ["independent", "gamma", "bootstrap"])
@pytest.mark.parametrize("L", [12, 9])
def test_correlation_lengths_of_the_free_field(L, errors):
    found = correlation_length(draws((L, L), 6000, np.random.default_rng(6)), errors=errors)
    pole = 1 / (2 * np.arcsinh(MASS / 2))  # of the exponential decay; the second moment's is 1/m
    for value, error, exact in ((*found.second_moment, 1 / MASS), (*found.cosh_ratio, pole), (*found.cosh_fit, pole)):
        assert abs(value - exact) < 4 * error
        assert 0 < error < 0.15 * exact
    t = slice(0, 2)
    assert (np.abs(found.inverse.value[t] - 1 / pole) < 4 * found.inverse.error[t]).all()
    assert found.inverse.value.shape == (L // 2,)


def test_correlation_length_is_exact_on_an_exact_two_point_function():
    """One field whose power spectrum is the propagator."""
    for L in (8, 7):
        one = np.fft.ifft(np.sqrt(L * propagator((L,)))).real
        found = correlation_length(np.stack([one, one]))
        pole = 1 / (2 * np.arcsinh(MASS / 2))
        assert found.second_moment.value == pytest.approx(1 / MASS, rel=1e-9)
        assert found.cosh_fit.value == pytest.approx(pole, rel=1e-5)
        np.testing.assert_allclose(found.inverse.value, 1 / pole, rtol=1e-8)


def test_a_side_of_two_has_a_second_moment_and_no_fit():
    found = correlation_length(draws((2, 2), 4000, np.random.default_rng(9)))
    assert abs(found.second_moment.value - 1 / MASS) < 4 * found.second_moment.error
    assert np.isnan(found.cosh_fit.value)


def test_field_observables_cover_the_free_field():
    shape, rng, pulls = (6, 6), np.random.default_rng(7), []
    chi = 1 / MASS**2
    for _ in range(150):
        x = draws(shape, 2000, rng)
        power = np.abs(np.fft.fft2(x)) ** 2 / 36
        columns = {"magnetization": x.mean((1, 2)), "structure_factor_1": (power[:, 0, 1] + power[:, 1, 0]) / 2}
        found = field_observables(columns, n_sites=36, side=6)
        exact = {"susceptibility": chi, "binder": 0.0, "correlation_length": 1 / MASS}
        exact |= {"abs_magnetization": np.sqrt(2 * chi / 36 / np.pi), "susceptibility_connected": chi * (1 - 2 / np.pi)}
        pulls.append([(found[name].value - value) / found[name].error for name, value in exact.items()])
    assert (np.abs(np.mean(pulls, axis=0)) < 0.35).all()
    assert (np.abs(np.std(pulls, axis=0) - 1) < 0.2).all()


def test_no_correlation_length_without_a_fall():
    columns = {"magnetization": np.array([0.1, -0.1]), "structure_factor_1": np.array([2.0, 2.0])}
    assert np.isnan(field_observables(columns, n_sites=16, side=4)["correlation_length"]).all()
    assert "correlation_length" not in field_observables(columns, n_sites=16)
    assert "correlation_length" not in field_observables({"magnetization": [1, 2]}, n_sites=16, side=4)


def test_equation_of_motion():
    shape, rng = (4, 4), np.random.default_rng(8)
    x = draws(shape, 4000, rng)
    gradient = MASS**2 * x + sum(2 * x - np.roll(x, 1, axis) - np.roll(x, -1, axis) for axis in (1, 2))
    found = equation_of_motion(x * gradient)
    assert abs(found.value - 1) < 4 * found.error < 0.1
    assert equation_of_motion((x * gradient).mean((1, 2))) == pytest.approx(found)
    wrong = equation_of_motion(1.1 * x * gradient)
    assert abs(wrong.value - 1) > 8 * wrong.error


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: two_point(np.ones(4)), r"fields must have shape \(n, \*shape\) with n >= 2, got \(4,\)"),
        (lambda: two_point(np.ones((1, 4))), "n >= 2"),
        (lambda: two_point(np.full((3, 4), np.nan)), "samples must be finite, got 12"),
        (lambda: two_point(np.ones((3, 4)), log_w=np.zeros(2)), r"log_w must have shape \(3,\)"),
        (lambda: two_point(np.ones((3, 4)), log_w=np.zeros(3), errors="gamma"), "weighted samples are no chain"),
        (lambda: two_point(np.ones((3, 4)), errors="naive"), "errors must be 'independent', 'gamma' or 'bootstrap'"),
        (lambda: function_of_means(np.ones(3), np.array), "at least 2 samples of shape"),
        (lambda: correlation_length(np.ones((3, 8)), first=4), "first must be between 1 and 3"),
        (lambda: correlation_length(np.ones((3, 2)), first=2), "first must be between 1 and 1 for L = 2"),
    ],
)
def test_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
