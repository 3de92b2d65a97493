"""The infinite lattice against 60-digit reference values, known constants and the limit of finite lattices."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from flowlab.exact import critical_temperature, kaufman, onsager

DATA = Path(__file__).parents[1] / "data"
EXACT = [
    case for case in json.loads((DATA / "public_ising_exact.json").read_text())["cases"] if case["L"] == "infinite"
]


@pytest.mark.parametrize("case", EXACT, ids=lambda case: f"beta{case['beta']}")
def test_reference(case: dict[str, float]) -> None:
    ising = onsager(case["beta"])
    assert ising.log_z == pytest.approx(case["lnZ_per_site"], rel=1e-13)
    assert ising.free_energy == pytest.approx(case["F_per_site"], rel=1e-13)
    assert ising.energy == pytest.approx(case["U_per_site"], rel=1e-13)
    # At 1e-11 from T_c the specific heat tells the decimal 0.4406867935 of the reference from the double nearest to it.
    assert ising.specific_heat == pytest.approx(case["C_per_site"], rel=1e-7 if case["beta"] == 0.4406867935 else 1e-13)


def test_specific_heat_keeps_its_digits_next_to_the_critical_point() -> None:
    # Onsager's formula with 50 digits at exactly these doubles.
    assert onsager(0.4406867935).specific_heat == pytest.approx(11.8257657762200107, rel=1e-14)
    assert onsager(1 / 2.269185314213022).specific_heat == pytest.approx(17.9110311972832508, rel=1e-13)


def test_all_reference_rows_are_there() -> None:
    assert len(EXACT) == 8


def test_critical_constants() -> None:
    T_c = critical_temperature()
    assert math.sinh(2 / T_c) == pytest.approx(1, rel=1e-15)
    assert critical_temperature(-2.0) == 2 * T_c
    ising = onsager(1 / T_c)
    catalan = 0.915965594177219015
    assert ising.log_z == pytest.approx(math.log(2) / 2 + 2 * catalan / math.pi, rel=1e-14)
    assert ising.energy == pytest.approx(-math.sqrt(2), rel=1e-11)
    assert ising.specific_heat > 15


@pytest.mark.parametrize("beta", [1e-3, 0.1, 0.38, 0.5, 1.0, 4.0])
def test_limit_of_large_lattices(beta: float) -> None:
    infinite, finite = onsager(beta), kaufman((512, 512), beta)
    degeneracy = math.log(2) / finite.n_sites if beta > 0.45 else 0.0
    assert infinite.log_z == pytest.approx(finite.log_z_per_site - degeneracy, rel=1e-14)
    assert infinite.energy == pytest.approx(finite.energy_per_site, rel=1e-10)
    assert infinite.specific_heat == pytest.approx(finite.specific_heat_per_site, rel=1e-6)


def test_magnetization() -> None:
    assert onsager(0.44).magnetization == 0
    assert onsager(0.5).magnetization == pytest.approx((1 - math.sinh(1) ** -4) ** 0.125, rel=1e-14)
    # M vanishes as |K - K_c|^(1/8)
    K_c = 1 / critical_temperature()
    ratio = onsager(K_c * (1 + 1e-8)).magnetization / onsager(K_c * (1 + 1e-6)).magnetization
    assert ratio == pytest.approx(0.01**0.125, rel=1e-5)
    assert onsager(1000.0).magnetization == 1


def test_both_signs_of_the_coupling() -> None:
    assert onsager(0.3, -1.5) == onsager(0.3, 1.5)
    assert onsager(0.3, 1.5).energy == pytest.approx(1.5 * onsager(0.45).energy, rel=1e-14)


@pytest.mark.parametrize(
    ("beta", "J", "message"),
    [
        (0.0, 1.0, "beta must be a positive number, got 0.0"),
        (math.inf, 1.0, "beta .* got inf"),
        (0.5, 0.0, "J must be a finite number other than 0, got 0.0"),
        (0.5, math.nan, "J .* got nan"),
    ],
)
def test_bad_input(beta: float, J: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        onsager(beta, J)
