"""Majority spins and overlaps."""

import numpy as np
import pytest

from flowlab.estimators.series.blocks import majority, overlap


def test_majority_keeps_straight_walls_and_removes_dust():
    s = np.ones((8, 8))
    s[:, 4:] = -1
    np.testing.assert_array_equal(majority(s, 3), s)
    dusty = s.copy()
    dusty[2, 1] = dusty[5, 6] = dusty[7, 2] = 0
    dusty = np.where(dusty == 0, -s, s)
    np.testing.assert_array_equal(majority(dusty, 3), s)
    np.testing.assert_array_equal(majority(dusty, 1), dusty)
    np.testing.assert_array_equal(majority(np.roll(dusty, (3, 5), (0, 1)), 3), np.roll(s, 5, 1))


def test_overlap_of_independent_spins_is_zero_within_its_error():
    a, b = np.random.default_rng(0).choice([-1.0, 1.0], size=(2, 500, 8, 8))
    found = overlap(a, b)
    assert abs(found.value) < 4 * found.error and found.error == pytest.approx(1 / np.sqrt(500 * 64), rel=0.15)


def test_refused():
    with pytest.raises(ValueError, match="side must be odd and at most that of the lattice, got 2"):
        majority(np.ones((4, 4)), 2)
    with pytest.raises(ValueError, match="a and b must have one shape"):
        overlap(np.ones((2, 4)), np.ones((2, 3)))
