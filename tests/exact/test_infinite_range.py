"""The Sherrington-Kirkpatrick model against enumerated reference values, P(q) against pairs, F against instances."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from flowlab.exact import configurations, distribution, enumerate_log_z, enumerate_spins, log_z
from flowlab.exact.mean_field_theory import replica_symmetric_free_energy
from flowlab.exact.overlaps import overlap_distribution
from flowlab.systems import Ising
from flowlab.systems.hubbard_stratonovich import ContinuousSpinGlass
from flowlab.systems.spin_glass import SpinGlass

CASES = json.loads((Path(__file__).parents[1] / "data" / "public_sk_exact.json").read_text(encoding="utf-8"))["cases"]
QUICK = [case for case in CASES if case["N"] <= 16 or (case["seed"], case["T"]) == (1, 0.5)]  # one of N = 20
NAMES = [f"N={case['N']} seed={case['seed']} T={case['T']}" for case in QUICK]


@pytest.mark.parametrize("case", QUICK, ids=NAMES)
def test_against_reference(case: dict[str, Any]) -> None:
    n, T = case["N"], case["T"]
    glass = SpinGlass.sherrington_kirkpatrick(n, T=T, seed=case["seed"])
    exact = enumerate_spins(glass)
    assert exact.log_z == pytest.approx(case["lnZ"], rel=1e-11)
    assert -T * exact.log_weight_mean == pytest.approx(case["E"], rel=1e-10)
    assert exact.mean["energy_per_site"] == pytest.approx(case["E_per_site"], rel=1e-10)
    assert exact.log_weight_variance / n == pytest.approx(case["C_per_site"], rel=1e-9)
    ground = torch.tensor([case["ground_state"]], dtype=torch.float64)
    assert float(glass.energy(ground)) == pytest.approx(case["E0"], rel=1e-11)
    q, P = overlap_distribution(glass)
    np.testing.assert_allclose(P[::-1], case["P_q_desc"], rtol=1e-9, atol=1e-14)
    assert q @ (q * P) == pytest.approx(case["q2"], rel=1e-10)
    assert np.abs(q) @ P == pytest.approx(case["abs_q"], rel=1e-10)
    continuous = ContinuousSpinGlass(glass)
    assert log_z(continuous) == pytest.approx(case["lnZ_x"], rel=1e-10)
    assert continuous.shift == pytest.approx(case["Delta"], rel=1e-11)
    assert float((continuous.eigenvalues / T).log().sum()) == pytest.approx(case["logdet_beta_Jt"], rel=1e-9)
    assert 1 + T * float((1 / continuous.eigenvalues).mean()) == pytest.approx(case["x2_per_site"], rel=1e-10)


@pytest.mark.parametrize("system", [SpinGlass.sherrington_kirkpatrick(6, T=0.8, seed=2), Ising((2, 3), T=2.0, h=0.3)])
def test_overlap_distribution_is_a_sum_over_pairs(system: Any) -> None:
    p, s = distribution(system).exp().numpy(), configurations(system.shape).flatten(1).numpy()
    overlap = np.rint(s @ s.T).astype(int)  # N q
    q, P = overlap_distribution(system)
    expected = [(np.outer(p, p)[overlap == k]).sum() for k in range(-6, 7, 2)]
    np.testing.assert_allclose(P, expected, rtol=1e-12)
    np.testing.assert_allclose(q, np.arange(-6, 7, 2) / 6, rtol=1e-15)
    assert P.sum() == pytest.approx(1, rel=1e-14)


def test_hot_spins_are_independent() -> None:
    q, P = overlap_distribution(SpinGlass.sherrington_kirkpatrick(10, T=1e9))
    np.testing.assert_allclose(P, [math.comb(10, k) / 2**10 for k in range(11)], rtol=1e-6)
    assert q[0] == -1 and q[-1] == 1


def test_cold_spins_are_in_one_pair_of_states() -> None:
    _, P = overlap_distribution(SpinGlass.sherrington_kirkpatrick(10, T=1e-3))
    np.testing.assert_allclose(P, [0.5, *[0] * 9, 0.5], atol=1e-15)


def test_sixteen_sites_are_quick() -> None:
    glass = SpinGlass.sherrington_kirkpatrick(16, T=0.5)
    overlap_distribution(glass)
    start = time.process_time()
    overlap_distribution(glass)
    assert time.process_time() - start < 0.5


def test_overlap_distribution_of_too_much() -> None:
    with pytest.raises(ValueError, match="the exact overlap distribution needs at most 20 sites, got 21"):
        overlap_distribution(SpinGlass.sherrington_kirkpatrick(21, T=1.0))
    with pytest.raises(ValueError, match="enumeration needs at most 24 sites, got 25"):
        enumerate_log_z(SpinGlass.sherrington_kirkpatrick(25, T=1.0))
    with pytest.raises(ValueError, match="enumeration needs a system of spins"):
        overlap_distribution(ContinuousSpinGlass(SpinGlass.sherrington_kirkpatrick(8, T=1.0)))


def test_replica_symmetric_free_energy() -> None:
    """The mean over instances differs at high temperature by a known constant (Aizenman, Lebowitz, Ruelle 1987).

    <ln Z> = N (ln 2 + β²/4) - β²/4 - σ²/2, where σ² = -(ln(1 - β²) + β²)/2 is the variance of ln Z between instances.
    """
    n, T, instances = 12, 3.0, 400
    logs = [enumerate_log_z(SpinGlass.sherrington_kirkpatrick(n, T=T, seed=seed)) for seed in range(instances)]
    beta2 = 1 / T**2
    variance = -(math.log(1 - beta2) + beta2) / 2
    expected = -replica_symmetric_free_energy(n, T) / T - beta2 / 4 - variance / 2
    assert abs(np.mean(logs) - expected) < 4 * np.std(logs) / math.sqrt(instances)
    assert np.std(logs) / math.sqrt(instances) < 0.005  # resolves the constant, 0.03


@pytest.mark.parametrize("T", [1.0, 0.5, math.nan])
def test_replica_symmetry_breaks(T: float) -> None:
    with pytest.raises(ValueError, match=f"the replica-symmetric free energy holds above T_c = 1 only, got T = {T}"):
        replica_symmetric_free_energy(64, T)
    with pytest.raises(ValueError, match="n_sites must be at least 1, got 0"):
        replica_symmetric_free_energy(0, 2.0)
