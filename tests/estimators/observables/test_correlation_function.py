"""Two-point functions of known configurations, by brute force, and reweighted."""

from __future__ import annotations

import numpy as np
import pytest

from flowlab.estimators import correlation_function, reweighted


def brute_force(configurations):
    """(n, L/2 + 1) by shifting the lattice."""
    shape = configurations.shape[1:]
    distances = range(min(shape) // 2 + 1)
    return np.array(
        [
            [np.mean([np.mean(s * np.roll(s, -r, axis)) for axis in range(len(shape))]) for r in distances]
            for s in configurations
        ]
    )


def test_checkerboard_and_stripes():
    y, x = np.indices((6, 6))
    board, stripes, full = (-1.0) ** (x + y), (-1.0) ** x, np.ones((6, 6))
    assert correlation_function([board, board]).value == pytest.approx([1, -1, 1, -1])
    assert correlation_function([stripes, -stripes]).value == pytest.approx([1, 0, 1, 0])  # mean of -1 and +1
    assert correlation_function([full, -full]).value == pytest.approx([1, 1, 1, 1])
    assert correlation_function([full, -full]).error == pytest.approx([0, 0, 0, 0])


@pytest.mark.parametrize("shape", [(4, 4), (5, 5), (2, 2), (4, 6), (7,), (3, 4, 5)])
def test_against_brute_force(shape):
    fields = np.random.default_rng(1).standard_normal((5, *shape))
    each = brute_force(fields)
    found = correlation_function(fields, lattice_dims=len(shape))
    np.testing.assert_allclose(found.value, each.mean(0), atol=1e-12)
    np.testing.assert_allclose(found.error, each.std(0, ddof=1) / np.sqrt(5), atol=1e-12)


def test_reweighted():
    rng = np.random.default_rng(2)
    fields, log_w = rng.choice([-1.0, 1.0], (20, 4, 4)), rng.standard_normal(20)
    found = correlation_function(fields, log_w=log_w)
    expected = reweighted(brute_force(fields), log_w=log_w)
    np.testing.assert_allclose(found.value, expected.value, atol=1e-12)
    np.testing.assert_allclose(found.error, expected.error, atol=1e-12)


def test_leading_axes_are_kept():
    rng = np.random.default_rng(3)
    fields, log_w = rng.choice([-1.0, 1.0], (3, 10, 4, 6)), rng.standard_normal((3, 10))
    for weights in (None, log_w, log_w[0]):
        found = correlation_function(fields, log_w=weights)
        assert found.value.shape == found.error.shape == (3, 3)
        for layer in range(3):
            one = weights if weights is None or weights.ndim == 1 else weights[layer]
            np.testing.assert_allclose(found.value[layer], correlation_function(fields[layer], log_w=one).value)


def test_sites_not_yet_drawn_are_left_out():
    fields = np.random.default_rng(4).choice([-1.0, 1.0], (2, 50, 8, 8))
    fields[0, :, 1::2] = np.nan
    fields[0, :, :, 1::2] = np.nan
    found = correlation_function(fields)
    assert np.isnan(found.value[0, 1::2]).all()
    np.testing.assert_allclose(found.value[0, ::2], correlation_function(fields[0, :, ::2, ::2]).value)
    np.testing.assert_allclose(found.error[0, ::2], correlation_function(fields[0, :, ::2, ::2]).error)
    np.testing.assert_allclose(found.value[1], correlation_function(fields[1]).value)


@pytest.mark.parametrize(
    ("shape", "log_w", "message"),
    [
        ((4, 4), None, "must have shape"),
        ((1, 4, 4), None, "at least 2 samples"),
        ((3, 4, 4), np.zeros(2), "log_w must"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(shape, log_w, message):
    with pytest.raises(ValueError, match=message):
        correlation_function(np.ones(shape), log_w=log_w)
