"""Potts enumeration and transfer matrices against each other, Kaufman and Wannier."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from flowlab.exact import enumerate_log_z, kaufman, log_z
from flowlab.exact.potts import enumerate_potts, enumerate_potts_log_z, potts_configurations
from flowlab.exact.transfer_matrix import transfer_log_z
from flowlab.systems.potts import Potts
from flowlab.systems.triangular import RESIDUAL_ENTROPY, TriangularIsing


@pytest.mark.parametrize("J", [1.0, -0.6])
def test_enumeration_is_the_sum_over_all_configurations(J):
    potts = Potts((2, 3), 0.9, q=3, J=J)
    x = torch.tensor(list(itertools.product(range(3), repeat=6)), dtype=torch.float64).reshape(-1, 2, 3)
    log_p = potts.log_weight(x).log_softmax(0)
    exact = enumerate_potts(potts)
    assert exact.log_z == pytest.approx(float(potts.log_weight(x).logsumexp(0)), rel=1e-13)
    assert exact.entropy == pytest.approx(float(-(log_p.exp() * log_p).sum()), rel=1e-12)
    for name, value in potts.observables(x).items():
        assert exact.mean[name] == pytest.approx(float(log_p.exp() @ value), rel=1e-12)


def test_order_of_configurations():
    x = potts_configurations((2, 2), 3)
    assert (x.flatten(1).long() @ 3 ** torch.arange(4)).tolist() == list(range(81))
    assert torch.equal(potts_configurations((2, 2), 3, 5, 9), x[5:9])
    with pytest.raises(ValueError, match=r"expected 0 <= start <= stop <= 81, got start=3, stop=82"):
        potts_configurations((2, 2), 3, 3, 82)


@pytest.mark.parametrize("shape", [(2, 2), (2, 3), (5, 2), (3, 3)], ids=str)
@pytest.mark.parametrize(("T", "J"), [(0.4, 1.0), (1.5, 1.0), (0.4, -1.0)])
def test_transfer_matrix_agrees_with_enumeration(shape, T, J):
    potts, triangular = Potts(shape, T, J=J), TriangularIsing(shape, T, J)
    assert transfer_log_z(potts) == pytest.approx(enumerate_potts_log_z(potts), rel=1e-12)
    assert transfer_log_z(triangular) == pytest.approx(enumerate_log_z(triangular), rel=1e-12)


def test_two_states_are_kaufmans():
    potts = Potts((6, 8), 1.3, q=2)
    assert log_z(potts) == pytest.approx(kaufman((6, 8), 0.5 / 1.3).log_z + 48 / 1.3, rel=1e-13)


def test_residual_entropy_of_the_triangular_antiferromagnet():
    """S/N at T -> 0 on long strips of width 6 and 9, whose leading correction is of order 1/width²."""
    T = 0.15
    narrow, wide = (log_z(TriangularIsing((L, 30 * L), T)) / (30 * L**2) - 1 / T for L in (6, 9))
    assert (81 * wide - 36 * narrow) / 45 == pytest.approx(RESIDUAL_ENTROPY, abs=5e-4)
    omega = (torch.arange(2000, dtype=torch.float64) + 0.5) / 2000 * math.pi / 3
    integral = float((2 * omega.cos()).log().mean()) * 2 / 3
    assert integral == pytest.approx(RESIDUAL_ENTROPY, abs=1e-7)


def test_log_z_says_none_where_it_is_too_large():
    assert log_z(Potts((6, 6), 1.0)) is not None
    assert log_z(Potts((7, 7), 1.0)) is None
    assert log_z(TriangularIsing((12, 12), 1.0)) is None
    assert log_z(TriangularIsing((3, 3), 1e-3)) == pytest.approx(9e3 + math.log(42), rel=1e-12)


def test_too_large_is_refused():
    with pytest.raises(ValueError, match=r"at most 16777216 configurations, got 3\^16 = 4.3e\+07"):
        enumerate_potts(Potts((4, 4), 1.0))
    with pytest.raises(ValueError, match=r"at most 2048 states of a row, got 3\^7 = 2187 for the shape \(7, 8\)"):
        transfer_log_z(Potts((7, 8), 1.0))
