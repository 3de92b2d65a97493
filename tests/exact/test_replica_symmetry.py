"""The replica-symmetric solution against what was published of it, and against its own thermodynamics."""

import math

import numpy as np
import pytest

from flowlab.exact import almeida_thouless, replica_symmetric, replica_symmetric_free_energy


def test_published_limits_at_zero_temperature():
    cold = replica_symmetric(0.01)  # Sherrington and Kirkpatrick 1975: e = -√(2/π), s = -1/(2π)
    assert abs(cold.energy + math.sqrt(2 / math.pi)) < 1e-3
    extrapolated = 2 * cold.entropy - replica_symmetric(0.02).entropy  # it is linear in T there
    assert abs(extrapolated + 1 / (2 * math.pi)) < 1e-3
    assert "replica symmetry is broken" in cold.note and "negative" in cold.note


def test_above_the_transition_it_is_known():
    for T in (1.0, 1.3, 4.0):
        found = replica_symmetric(T)
        assert found.free_energy == pytest.approx(-1 / (4 * T) - T * math.log(2), abs=1e-12)
        assert found.energy == pytest.approx(-1 / (2 * T), abs=1e-12) and found.note == ""
    assert replica_symmetric(2.0).free_energy == pytest.approx(replica_symmetric_free_energy(1, 2.0))
    assert replica_symmetric(1.25).susceptibility == pytest.approx(1 / (1 - 0.8**2))


@pytest.mark.parametrize(("T", "h"), [(0.3, 0.0), (0.7, 0.2), (1.5, 1.0), (0.2, 1.5)])
def test_derivatives_of_the_free_energy_are_the_other_numbers(T, h):
    found, d = replica_symmetric(T, h), 1e-4
    f = np.array([[replica_symmetric(T + a * d, h + b * d).free_energy for b in (-1, 1)] for a in (-1, 1)])
    assert found.entropy == pytest.approx(-(f[1] - f[0]).mean() / (2 * d), abs=1e-6)
    assert found.magnetization == pytest.approx(-(f[:, 1] - f[:, 0]).mean() / (2 * d), abs=1e-6)
    mirrored = replica_symmetric(T, -h)
    assert mirrored.free_energy == pytest.approx(found.free_energy) and mirrored.magnetization < 1e-12


def test_the_line_of_almeida_and_thouless():
    h = 0.02  # h² = (4/3)(1 - T)³ near T_c, and T = (4/3) exp(-h²/2) / √(2π) where it is cold (their eq. 24 and 26)
    assert 1 - almeida_thouless(h) == pytest.approx((3 * h**2 / 4) ** (1 / 3), rel=0.06)
    assert almeida_thouless(2.4) == pytest.approx(4 / 3 * math.exp(-(2.4**2) / 2) / math.sqrt(2 * math.pi), rel=0.06)
    assert replica_symmetric(almeida_thouless(0.5) + 1e-3, 0.5).note == ""
    assert replica_symmetric(almeida_thouless(0.5) - 1e-3, 0.5).note != ""
    assert almeida_thouless(-0.5) == almeida_thouless(0.5)


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match=r"T must be at least 0\.01, got 0"):
        replica_symmetric(0.0)
    with pytest.raises(ValueError, match=r"h must be at most 2\.5, got inf"):
        almeida_thouless(math.inf)
