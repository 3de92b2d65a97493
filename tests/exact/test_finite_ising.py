"""Kaufman's formula against 60-digit reference values, enumeration, Wolff Monte Carlo and the known limits."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from flowlab.exact import enumerate_spins, kaufman
from flowlab.systems import CRITICAL_TEMPERATURE, Ising

DATA = Path(__file__).parents[1] / "data"
EXACT = [
    case for case in json.loads((DATA / "public_ising_exact.json").read_text())["cases"] if case["L"] != "infinite"
]
WOLFF = json.loads((DATA / "public_ising_mc.json").read_text())["cases"]


def test_the_reference_is_complete() -> None:
    assert len(EXACT) == 64
    assert max(case["L"] for case in EXACT) == 128
    assert len(WOLFF) == 15


@pytest.mark.parametrize("case", EXACT, ids=lambda case: f"L{case['L']}-beta{case['beta']}")
def test_reference(case: dict[str, float]) -> None:
    L = int(case["L"])
    ising = kaufman((L, L), case["beta"])
    assert ising.log_z == pytest.approx(case["lnZ"], rel=1e-13)
    assert ising.log_z_per_site == pytest.approx(-case["beta"] * case["F_per_site"], rel=1e-13)
    assert ising.energy_per_site == pytest.approx(case["U_per_site"], rel=1e-13)
    assert ising.specific_heat_per_site == pytest.approx(case["C_per_site"], rel=1e-12)


@pytest.mark.parametrize("case", WOLFF, ids=lambda case: f"L{case['L']}-T{case['T']}")
def test_wolff(case: dict[str, float]) -> None:
    L = int(case["L"])
    energy = kaufman((L, L), 1 / case["T"]).energy_per_site
    assert energy == pytest.approx(case["E_per_site_exact"], abs=1e-7)
    assert abs(energy - case["E_per_site"]) < 4 * case["E_per_site_err"]


@pytest.mark.parametrize("J", [1.0, -1.0])
@pytest.mark.parametrize("beta", [0.02, 0.3, 1 / CRITICAL_TEMPERATURE, 0.5, 0.9])
@pytest.mark.parametrize(
    "shape", [(2, 2), (2, 3), (3, 2), (3, 3), (3, 4), (4, 3), (4, 4), (2, 5), (5, 2), (3, 5), (2, 6), (2, 7)], ids=str
)
def test_enumeration(shape: tuple[int, int], beta: float, J: float) -> None:
    if J < 0 and shape == (3, 5) and beta == 0.9:
        beta = 0.7  # colder, the products cancel
    formula, brute = kaufman(shape, beta, J), enumerate_spins(Ising(shape, T=1 / beta, J=J))
    assert formula.log_z == pytest.approx(brute.log_z, rel=1e-12)
    assert formula.energy_per_site == pytest.approx(brute.mean["energy_per_site"], rel=1e-11)
    assert formula.specific_heat == pytest.approx(brute.log_weight_variance, rel=1e-9)


def test_strength_of_the_coupling_scales() -> None:
    weak, strong = kaufman((4, 6), beta=0.8, J=0.5), kaufman((4, 6), beta=0.4)
    assert weak.log_z == strong.log_z
    assert weak.energy == pytest.approx(0.5 * strong.energy, rel=1e-14)
    assert weak.specific_heat == strong.specific_heat


@pytest.mark.parametrize("shape", [(4, 7), (5, 8), (3, 10)], ids=str)
@pytest.mark.parametrize("J", [1.0, -1.0])
def test_sides_may_be_exchanged(shape: tuple[int, int], J: float) -> None:
    one, other = kaufman(shape, 0.6, J), kaufman(shape[::-1], 0.6, J)
    assert one.log_z == pytest.approx(other.log_z, rel=1e-14)
    assert one.energy == pytest.approx(other.energy, rel=1e-13)
    assert one.specific_heat == pytest.approx(other.specific_heat, rel=1e-12)


@pytest.mark.parametrize("L", [8, 128, 256])
@pytest.mark.parametrize("T", [2.0, CRITICAL_TEMPERATURE, 2.5])
def test_energy_and_specific_heat_are_derivatives(L: int, T: float) -> None:
    beta, step = 1 / T, 1e-4
    below, here, above = (kaufman((L, L), beta + shift) for shift in (-step, 0.0, step))
    # Differences are good to step² times the next derivatives, which grow with L near T_c.
    assert here.energy == pytest.approx(-(above.log_z - below.log_z) / (2 * step), rel=1e-4)
    assert here.specific_heat == pytest.approx(-(beta**2) * (above.energy - below.energy) / (2 * step), rel=1e-3)


def test_at_the_critical_temperature_nothing_jumps() -> None:
    # The double nearest to K_c makes sinh 2K = 1 exactly, where |1 - sinh 2K| has a kink and γ_0 changes sign.
    K = 0.4406867935097715
    here, near = kaufman((16, 16), K), kaufman((16, 16), K + 1e-12)
    assert here.energy == pytest.approx(near.energy, rel=1e-10)
    assert here.specific_heat == pytest.approx(near.specific_heat, rel=1e-9)


@pytest.mark.parametrize("beta", [5.0, 50.0, 1e4])
def test_cold_ferromagnet_has_two_states(beta: float) -> None:
    ising = kaufman((64, 64), beta)
    assert ising.log_z == pytest.approx(2 * 64 * 64 * beta + math.log(2), rel=1e-15)
    assert ising.energy_per_site == pytest.approx(-2, rel=1e-14)
    assert 0 <= ising.specific_heat_per_site < 1e-13 * beta**2


@pytest.mark.parametrize(("n", "m"), [(3, 4), (5, 6), (21, 20)])
@pytest.mark.parametrize("beta", [12.0, 60.0])
def test_cold_frustrated_antiferromagnet(n: int, m: int, beta: float) -> None:
    # Each of the m rings of odd length n keeps one unsatisfied bond: in line, in one of n places, with two signs.
    ising = kaufman((n, m), beta, J=-1.0)
    assert ising.energy == pytest.approx(-2 * n * m + 2 * m, rel=1e-8)
    assert ising.log_z == pytest.approx(-beta * (-2 * n * m + 2 * m) + math.log(2 * n), abs=1e-8)


@pytest.mark.parametrize("J", [1.0, -1.0])
def test_hot_limit(J: float) -> None:
    ising = kaufman((6, 5), 1e-4, J)
    assert ising.log_z == pytest.approx(30 * math.log(2) + 30e-8, rel=1e-15)
    assert ising.energy_per_site == pytest.approx(-2e-4, rel=1e-6)
    assert ising.specific_heat_per_site == pytest.approx(2e-8, rel=1e-3)
    for free in (kaufman((6, 5), 0.0, J), kaufman((6, 5), 0.7, 0.0)):
        assert free.log_z == pytest.approx(30 * math.log(2), rel=1e-15)
        assert free[1:3] == (0.0, 0.0)


def test_works_where_gradients_are_off() -> None:
    with torch.no_grad():
        without_gradients = kaufman((4, 4), 0.5)
    with torch.inference_mode():
        inference = kaufman((4, 4), 0.5)
    assert without_gradients == inference == kaufman((4, 4), 0.5)


def test_refuses_what_would_cancel() -> None:
    with pytest.raises(ArithmeticError, match=r"two odd sides needs a higher temperature, got 15 x 15 sites at T"):
        kaufman((15, 15), 1.0, J=-1.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((1, 4), 0.5), r"two sides of at least 2, got \(1, 4\)"),
        (((4, 4, 4), 0.5), "two sides"),
        (((4, 4), -0.5), "beta must be a finite number, zero or more, got -0.5"),
        (((4, 4), math.nan), "beta .* got nan"),
        (((4, 4), math.inf), "beta .* got inf"),
        (((4, 4), 0.5, math.nan), "J must be a finite number, got nan"),
    ],
)
def test_bad_input(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kaufman(*arguments)  # type: ignore[arg-type]
