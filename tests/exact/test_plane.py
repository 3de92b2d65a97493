"""Transfer matrices of planes with any bonds, against enumeration and the exact ln Z of a public instance."""

import json
from pathlib import Path

import numpy as np
import pytest

import flowlab as fl
from flowlab.exact import enumerate_log_z, enumerate_potts_log_z, kaufman, log_z, plane_log_z

DATA = Path(__file__).parents[1] / "data"


@pytest.mark.parametrize("boundary", ["periodic", "open", "cylinder"])
@pytest.mark.parametrize("shape", [(2, 2), (3, 4), (5, 3)])
def test_is_the_sum_over_all_configurations(boundary, shape):
    for system in (
        fl.SpinGlass.edwards_anderson(shape, T=0.4, seed=2, boundary=boundary),
        fl.SpinGlass.uniform(shape, T=1.5, J=-1.0, h=0.7, boundary=boundary),
    ):
        assert plane_log_z(system.plane()) == pytest.approx(enumerate_log_z(system), abs=1e-11)


@pytest.mark.parametrize("boundary", ["periodic", "open", "cylinder"])
def test_potts_states(boundary):
    system = fl.Potts((4, 3), T=0.8, q=3, J=-0.7, boundary=boundary)
    exact = enumerate_potts_log_z(system)
    assert plane_log_z(system.plane()) == pytest.approx(exact, abs=1e-11)
    assert log_z(system) == pytest.approx(exact, abs=1e-9)


def test_a_torus_is_kaufmans():
    assert plane_log_z(fl.SpinGlass.uniform((12, 6), 2.2, boundary="periodic").plane()) == pytest.approx(
        kaufman((12, 6), 1 / 2.2).log_z, abs=1e-10
    )


def test_the_public_glass_of_10_x_10():
    known = json.loads((DATA / "public_ea2d_file.json").read_text())
    rows = [line.split() for line in (DATA / known["file"]).read_text().splitlines() if not line.startswith("#")]
    J = np.zeros((100, 100))
    for i, j, value in (row for row in rows if len(row) == 3):
        J[int(i), int(j)] = J[int(j), int(i)] = float(value)
    case = known["cases"][1]
    assert log_z(fl.SpinGlass(J, case["T"], shape=(10, 10))) == pytest.approx(case["lnZ"], abs=1e-9)


def test_what_is_too_wide_or_too_cold_has_none():
    wide = fl.SpinGlass.edwards_anderson((24, 24), T=1.0, boundary="open")
    assert log_z(wide) is None
    with pytest.raises(ValueError, match="at most 1048576 numbers"):
        plane_log_z(wide.plane())
    cold = fl.SpinGlass.edwards_anderson((6, 6), T=0.005, boundary="open")
    assert log_z(cold) is None
    with pytest.raises(ArithmeticError):
        plane_log_z(cold.plane())
