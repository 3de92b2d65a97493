"""ln Z of planar spins, against sums over discrete angles and currents counted elsewhere."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from flowlab.exact import log_z
from flowlab.systems import XY

FOUR = json.loads((Path(__file__).parents[1] / "data" / "xy_4x4.json").read_text())


@pytest.mark.parametrize("K", [0.6, -0.8])
def test_small_tori_against_sums_over_angles(K):
    """A periodic function is integrated by equidistant points with an error that falls exponentially."""
    for (n, m), points in (((2, 2), 24), ((2, 3), 10)):
        angle = 2 * np.pi * np.arange(points) / points
        grid = np.stack(np.meshgrid(*[angle] * (n * m - 1), indexing="ij"), -1).reshape(-1, n * m - 1)
        x = np.concatenate([np.zeros((len(grid), 1)), grid], 1).reshape(-1, n, m)
        bonds = sum(np.cos(x - np.roll(x, -1, side)).sum((1, 2)) for side in (1, 2))
        expected = math.log(np.exp(K * bonds).mean()) + n * m * math.log(2 * math.pi)
        assert log_z(XY((n, m), 1 / abs(K), math.copysign(1, K))) == pytest.approx(expected, abs=1e-5)


def test_four_by_four_against_larger_currents():
    assert log_z(XY((4, 4), 0.8)) == pytest.approx(FOUR["0.8"]["log_z"], abs=1e-5)


def test_what_takes_large_currents_is_not_known():
    assert log_z(XY((4, 4), 0.5)) is None and log_z(XY((6, 8), 1.0)) is None
