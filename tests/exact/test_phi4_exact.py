"""ln Z of phi^4 by the transfer matrix: against reference values, quadrature, a closed form, and its own error."""

from __future__ import annotations

import itertools
import json
import math
import time
from pathlib import Path

import numpy as np
import pytest
from scipy import integrate

from flowlab.exact import log_z
from flowlab.exact.phi4 import phi4_log_z
from flowlab.systems.free_field import FreeField
from flowlab.systems.phi4 import Phi4

CASES = json.loads((Path(__file__).parents[1] / "data" / "public_phi4_lnz.json").read_text())["cases"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"L={case['L']} beta={case['beta']}")
def test_reference(case):
    L, lam = case["L"], case["lam"]
    phi4 = Phi4.from_beta((L, L), case["beta"], lam)
    value, error = phi4_log_z(phi4, tolerance=1e-6, max_states=6**8)
    assert abs(value - case["lnZ"]) < max(1e-6, case["lnZ_err"])
    assert abs(value - case["lnZ"]) < case["lnZ_err"] + error
    assert error < (1e-6 if L < 8 else 5e-4)
    assert log_z(phi4) == value
    kappa = log_z(Phi4((L, L), case["beta"] / 2, lam))
    assert kappa == pytest.approx(log_z(phi4) + lam * L**2, abs=1e-10)
    if L == 4:
        assert phi4_log_z(phi4).value == pytest.approx(case["lnZ"], abs=4 * case["lnZ_err"])


@pytest.mark.parametrize(("kappa", "lam"), [(0.25, 0.5), (-0.3, 0.1), (0.0, 2.0), (0.4, 0.02)])
def test_two_sites_by_quadrature(kappa, lam):
    def weight(b: float, a: float) -> float:
        return math.exp(4 * kappa * a * b - sum((1 - 2 * lam) * x**2 + lam * x**4 for x in (a, b)))

    expected = math.log(integrate.dblquad(weight, -6, 6, -6, 6, epsabs=0, epsrel=1e-10)[0])
    found = phi4_log_z(Phi4((2,), kappa, lam))
    assert found.value == pytest.approx(expected, abs=1e-8)
    assert abs(found.value - expected) < found.error + 1e-9


def on_a_fine_grid(L: int, kappa: float, lam: float, reach: float, n: int = 700) -> float:
    """ln Z of a chain by the transfer matrix on evenly spaced fields."""
    x = np.linspace(-reach, reach, n)
    potential = (1 - 2 * lam) * x**2 + lam * x**4
    log_K = 2 * kappa * np.outer(x, x) - (potential[:, None] + potential) / 2 + math.log(x[1] - x[0])
    values = np.linalg.eigvalsh(np.exp(log_K - log_K.max()))
    return L * log_K.max() + math.log((values**L).sum())


@pytest.mark.parametrize(
    ("L", "kappa", "lam", "reach"), [(4, 0.51, 1e-4, 60), (8, 0.6, 1e-3, 30), (4, 0.53, 1e-4, 50), (4, 0.45, 1e-6, 40)]
)
def test_the_error_holds_for_broad_fields(L, kappa, lam, reach):
    value, error = phi4_log_z(Phi4((L,), kappa, lam))
    assert abs(value - on_a_fine_grid(L, kappa, lam, reach)) < 1.1 * error


def test_no_answer_where_no_number_of_nodes_is_enough():
    broad = Phi4((4, 4), 0.5, 1e-6)
    assert phi4_log_z(broad, max_states=6**4).error > 1
    assert log_z(broad) is None


def brute_force(phi4: Phi4, n: int = 24) -> float:
    """ln Z of four sites by a plain sum over Gauss-Hermite nodes."""
    x, w = np.polynomial.hermite.hermgauss(n)
    w = w * np.exp(x**2)
    kappa, lam = (float(phi4.couplings[name]) for name in ("kappa", "lam"))
    sites = np.arange(4).reshape(phi4.shape)
    S = np.zeros((n,) * 4)
    W = np.ones((n,) * 4)
    for i in range(4):
        along = x.reshape([n if j == i else 1 for j in range(4)])
        S = S + (1 - 2 * lam) * along**2 + lam * along**4
        W = W * w.reshape([n if j == i else 1 for j in range(4)])
    for axis in range(len(phi4.shape)):
        for a, b in zip(sites.ravel(), np.roll(sites, -1, axis).ravel(), strict=True):
            one, two = (x.reshape([n if j == i else 1 for j in range(4)]) for i in (a, b))
            S = S - 2 * kappa * one * two
    return float(np.log((W * np.exp(-S)).sum()))


@pytest.mark.parametrize("shape", [(4,), (2, 2)], ids=str)
def test_four_sites_by_quadrature(shape):
    phi4 = Phi4(shape, 0.11, 0.2)
    assert phi4_log_z(phi4).value == pytest.approx(brute_force(phi4, 40), abs=1e-7)


def test_turning_the_lattice_and_the_sign_of_kappa():
    values = [phi4_log_z(Phi4(shape, 0.2, 0.3), tolerance=1e-6).value for shape in itertools.permutations((2, 3, 4))]
    assert np.ptp(values) < 1e-12
    assert phi4_log_z(Phi4((4, 4), -0.2, 0.3)) == phi4_log_z(Phi4((4, 4), 0.2, 0.3))
    assert phi4_log_z(Phi4((3, 4), -0.2, 0.3)).value < phi4_log_z(Phi4((3, 4), 0.2, 0.3)).value - 0.01


def test_a_long_chain_grows_by_the_leading_eigenvalue():
    a, b, c = (phi4_log_z(Phi4((n,), 0.4, 0.5)).value for n in (100, 200, 300))
    assert c - b == pytest.approx(b - a, abs=1e-8)


def test_weak_coupling_and_the_free_field():
    for shape in ((64, 64), (5, 7), (2, 4), (9,), (4, 4, 6)):
        kappa, d = 0.9 / (2 * len(shape)), len(shape)
        mass = math.sqrt(1 / kappa - 2 * d)  # φ = Φ / √(2κ)
        scaled = 0.5 * math.prod(shape) * math.log(2 * kappa)
        assert log_z(Phi4(shape, kappa, 0.0)) == pytest.approx(log_z(FreeField(shape, mass)) - scaled, rel=1e-12)
    step = 1e-5  # d ln Z / d lam = -Σ <φ⁴ - 2φ²> with <φ⁴> = 3 <φ²>² of the free field
    free = Phi4((4, 4), 0.2, 0.0)
    inverse = 2 - 0.8 * np.add.outer(*(np.cos(np.pi * np.arange(4) / 2),) * 2)
    square = float((1 / inverse).mean())
    slope = (phi4_log_z(free.at(lam=step)).value - phi4_log_z(free).value) / step
    assert slope == pytest.approx(-16 * (3 * square**2 - 2 * square), rel=5e-3)


@pytest.mark.parametrize(("kappa", "lam", "best"), [(0.28, 0.02, 20.5360864302), (0.4, 0.5, 29.6562739953)])
def test_the_error_covers_what_more_nodes_change(kappa, lam, best):
    """``best`` is of 14 nodes."""
    for n in (6, 8):
        found = phi4_log_z(Phi4((5, 5), kappa, lam), max_states=n**5)
        assert abs(found.value - best) < found.error
        assert found.error < (0.1 if n == 6 else 1e-3)


def test_log_z_is_quick_or_none():
    assert log_z(Phi4((9, 9), 0.25, 0.5)) is None
    assert log_z(Phi4((6, 6), 1.0, 0.02)) is None  # frozen: six nodes do not do
    assert log_z(Phi4((4, 4, 4), 0.1, 0.5)) is None
    assert log_z(Phi4((1000,), 0.25, 0.5)) is not None
    start = time.process_time()
    assert log_z(Phi4((6, 6), 0.26, 0.5)) is not None
    once = time.process_time() - start
    assert log_z(Phi4.from_beta((6, 6), 0.52, 0.5)) is not None  # the couplings of before
    assert time.process_time() - start - once < 0.1 * once < 0.5


def test_refused():
    with pytest.raises(ValueError, match=r"transfer matrix of \(12, 12\) acts on 12 sites, and 6 nodes"):
        phi4_log_z(Phi4((12, 12), 0.25, 0.5))
    with pytest.raises(ValueError, match="tolerance must be positive, got 0"):
        phi4_log_z(Phi4((4, 4), 0.25, 0.5), tolerance=0)
