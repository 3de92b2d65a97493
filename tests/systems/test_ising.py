"""The Ising model: energies by plain loops, couplings that change and carry gradients, errors in the user's words."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from flowlab.core import named_generator
from flowlab.systems import CRITICAL_TEMPERATURE, Ising


def spins(n: int, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return 2.0 * torch.randint(0, 2, (n, *shape), generator=named_generator(0, "spins")).to(dtype) - 1


def energy_by_loops(x: Tensor, J: float, h: float) -> float:
    n, m = x.shape
    total = 0.0
    for i in range(n):
        for j in range(m):
            here = float(x[i, j])
            total -= J * here * (float(x[(i + 1) % n, j]) + float(x[i, (j + 1) % m])) + h * here
    return total


@pytest.mark.parametrize("shape", [(2, 2), (2, 5), (3, 3), (4, 6)], ids=str)
@pytest.mark.parametrize(("J", "h"), [(1.0, 0.0), (-0.7, 0.0), (1.3, 0.4)])
def test_energy(shape: tuple[int, int], J: float, h: float) -> None:
    ising, x = Ising(shape, T=1.7, J=J, h=h), spins(9, *shape)
    expected = torch.tensor([energy_by_loops(one, J, h) for one in x], dtype=torch.float64)
    torch.testing.assert_close(ising.energy(x), expected)
    torch.testing.assert_close(ising.log_weight(x), -expected / 1.7)
    observables = ising.observables(x)
    torch.testing.assert_close(observables["energy_per_site"], expected / ising.n_sites)
    torch.testing.assert_close(observables["magnetization"], x.mean((1, 2)))


def test_a_pair_of_neighbours_on_a_side_of_two_has_two_bonds() -> None:
    up = torch.ones(1, 2, 2)
    assert float(Ising((2, 2), T=1.0).energy(up)) == -8
    one_down = up.clone()
    one_down[0, 0, 0] = -1
    assert float(Ising((2, 2), T=1.0).energy(one_down)) == 0


def test_flip_symmetry() -> None:
    x = spins(5, 3, 4)
    ising = Ising((3, 4), T=2.0)
    assert ising.flip_symmetric
    assert torch.equal(ising.log_weight(x), ising.log_weight(-x))
    in_field = ising.at(h=0.2)
    assert not in_field.flip_symmetric
    assert not torch.equal(in_field.log_weight(x), in_field.log_weight(-x))


def test_nouns() -> None:
    ising = Ising((4, 6), T=CRITICAL_TEMPERATURE)
    assert (ising.shape, ising.dims, ising.domain, ising.n_sites) == ((4, 6), ("y", "x"), "spin", 24)
    assert set(ising.couplings) == {"T", "J", "h"}
    assert not list(ising.parameters())
    assert not ising.state_dict()  # couplings live outside
    assert "T=2.26919" in repr(ising)
    assert math.sinh(2 / CRITICAL_TEMPERATURE) == pytest.approx(1, rel=1e-15)


def test_at() -> None:
    ising, x = Ising((3, 4), T=2.0), spins(5, 3, 4)
    other = ising.at(T=4.0, h=0.5)
    torch.testing.assert_close(other.log_weight(x), Ising((3, 4), T=4.0, h=0.5).log_weight(x))
    torch.testing.assert_close(ising.log_weight(x), Ising((3, 4), T=2.0).log_weight(x))  # unchanged
    assert float(other.couplings["J"]) == 1
    assert other.couplings is not ising.couplings


@pytest.mark.parametrize("name", ["T", "J", "h"])
def test_gradient_of_log_weight_reaches_the_couplings(name: str) -> None:
    values = {"T": 2.0, "J": 0.8, "h": 0.3}
    x = spins(6, 3, 4)
    coupling = torch.tensor(values[name], dtype=torch.float64, requires_grad=True)
    system = Ising((3, 4), **values).at(**{name: coupling})
    (gradient,) = torch.autograd.grad(system.log_weight(x).sum(), coupling)
    E, bonds, m = (energy.sum() for energy in _parts(x, values))
    expected = {"T": E / values["T"] ** 2, "J": bonds / values["T"], "h": m / values["T"]}[name]
    torch.testing.assert_close(gradient, expected)


def _parts(x: Tensor, values: dict[str, float]) -> tuple[Tensor, Tensor, Tensor]:
    bonds = (x * (x.roll(-1, 1) + x.roll(-1, 2))).sum((1, 2))
    m = x.sum((1, 2))
    return -values["J"] * bonds - values["h"] * m, bonds, m


def test_gradient_reaches_a_field_of_zero() -> None:
    h = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
    x = spins(6, 3, 4)
    (gradient,) = torch.autograd.grad(Ising((3, 4), T=2.0, h=h).log_weight(x).sum(), h)
    torch.testing.assert_close(gradient, x.sum() / 2)


def test_gradient_reaches_the_spins() -> None:
    x = spins(3, 3, 4).requires_grad_()
    (gradient,) = torch.autograd.grad(Ising((3, 4), T=2.0).log_weight(x).sum(), x)
    y = x.detach()
    torch.testing.assert_close(gradient, (y.roll(1, 1) + y.roll(-1, 1) + y.roll(1, 2) + y.roll(-1, 2)) / 2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_spins_keep_their_type(dtype: torch.dtype) -> None:
    x = spins(4, 4, 4, dtype=dtype)
    for h in (0.0, 0.5):
        ising = Ising((4, 4), T=2.0, h=h)
        assert ising.log_weight(x).dtype == dtype
        assert all(value.dtype == dtype for value in ising.observables(x).values())


def test_moves_with_its_couplings() -> None:
    moved = copy.deepcopy(Ising((4, 4), T=2.0)).to(torch.float32)
    assert {value.dtype for value in moved.couplings.values()} == {torch.float32}


@pytest.mark.parametrize("T", [0.0, -1.0])
def test_temperature_must_be_positive(T: float) -> None:
    with pytest.raises(ValueError, match=f"T must be positive, got {T}"):
        Ising((4, 4), T=T)
    with pytest.raises(ValueError, match=f"T must be positive, got {T}"):
        Ising((4, 4), T=1.0).at(T=T)


@pytest.mark.parametrize("name", ["T", "J", "h"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_couplings_must_be_finite(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} must be a finite number, got {value}"):
        Ising((4, 4), **({"T": 1.0} | {name: value}))
    with pytest.raises(ValueError, match=f"{name} must be a finite number, got {value}"):
        Ising((4, 4), T=1.0).at(**{name: value})


def test_couplings_must_exist_and_be_single_numbers() -> None:
    with pytest.raises(ValueError, match=r"Ising has the couplings \['J', 'T', 'h'\], got \['beta'\]"):
        Ising((4, 4), T=1.0).at(beta=0.5)
    with pytest.raises(ValueError, match=r"T must be one number, got a tensor of shape \(2,\)"):
        Ising((4, 4), T=torch.ones(2))


@pytest.mark.parametrize("shape", [(1, 4), (1,), (4, 4, 4, 4), (4, 2.5), (), "4"], ids=str)
def test_shape_must_be_a_lattice(shape: Any) -> None:
    wanted = "(one, two or three sides of at least 2|(a whole number or )?a sequence of whole numbers)"
    with pytest.raises((ValueError, TypeError), match=f"shape must be {wanted}, got"):
        Ising(shape, T=1.0)


def test_check_configurations() -> None:
    ising = Ising((3, 4), T=2.0)
    ising.check_configurations(spins(2, 3, 4))
    with pytest.raises(ValueError, match=r"configurations must have shape \(n, 3, 4\), got \(2, 4, 3\)"):
        ising.check_configurations(spins(2, 4, 3))
    with pytest.raises(ValueError, match=r"configurations must have shape \(n, 3, 4\), got \(3, 4\)"):
        ising.check_configurations(spins(1, 3, 4)[0])
    for bad in (0.0, 0.5, 2.0, math.nan):
        x = spins(2, 3, 4)
        x[1, 2, 3] = bad
        with pytest.raises(ValueError, match=f"spins must be -1 or \\+1, got {bad}"):
            ising.check_configurations(x)


def test_the_critical_temperature_is_that_without_field() -> None:
    assert Ising((4, 4), T=1.0, J=-2.0).critical_temperature == 2 * CRITICAL_TEMPERATURE
    assert Ising((4, 4), T=1.0, h=0.1).critical_temperature is None


def test_its_plane_has_the_weight_of_every_bond_and_site():
    system = Ising((3, 4), T=1.7, J=0.8, h=0.3)
    plane, x = system.plane(), torch.ones(1, 3, 4, dtype=torch.float64)
    x[0, 1, 2] = -1.0
    index = ((x[0] + 1) / 2).long()
    sites = plane.site.gather(-1, index[..., None]).sum()
    bonds = sum(
        table[i, j, index[i, j], index.roll(-1, axis)[i, j]]
        for axis, table in ((1, plane.right), (0, plane.down))
        for i in range(3)
        for j in range(4)
    )
    torch.testing.assert_close(sites + bonds, system.log_weight(x)[0])
