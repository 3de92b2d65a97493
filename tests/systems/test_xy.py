"""The XY model: energies by plain loops, vortices, and the stiffness against a twist as a second derivative."""

from __future__ import annotations

import math

import pytest
import torch

from flowlab.systems import XY


def angles(n: int, shape: tuple[int, int], seed: int = 0) -> torch.Tensor:
    return math.pi * (2 * torch.rand(n, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - 1)


@pytest.mark.parametrize("shape", [(2, 2), (2, 5), (3, 4)], ids=str)
@pytest.mark.parametrize("J", [1.0, -0.7])
def test_energy(shape, J):
    x, (n, m) = angles(7, shape), shape
    bonds = [
        sum(
            math.cos(c[i, j] - c[(i + 1) % n, j]) + math.cos(c[i, j] - c[i, (j + 1) % m])
            for i in range(n)
            for j in range(m)
        )
        for c in x
    ]
    expected = -J * torch.tensor(bonds, dtype=torch.float64)
    system = XY(shape, 1.7, J)
    torch.testing.assert_close(system.energy(x), expected)
    torch.testing.assert_close(system.energy(x + 2.1), expected)
    torch.testing.assert_close(system.log_weight(x), -expected / 1.7)


def test_a_vortex_and_its_opposite():
    y, x = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    pair = torch.atan2(y - 3.5, x - 1.5) - torch.atan2(y - 3.5, x - 5.5)
    found = XY((8, 8), 1.0).vortices(pair.double()[None])[0]
    assert found[3, 1] == 1 and found[3, 5] == -1 and found.abs().sum() == 2
    assert (XY((3, 5), 1.0).vortices(angles(50, (3, 5))).sum((1, 2)) == 0).all()


def test_helicity_modulus_is_the_curvature_of_the_free_energy_in_a_twist():
    """For two configurations as the whole ensemble, F(a) = -T ln Σ exp(-E(a)/T) with a on every bond along a side."""
    system, x = XY((3, 4), 0.8), angles(2, (3, 4), 3)
    a = torch.zeros((), dtype=torch.float64, requires_grad=True)
    curvatures, p = [], system.log_weight(x).softmax(0)
    for side in (1, 2):
        twisted = sum((x.roll(-1, s) - x + a * (s == side)).cos().sum((1, 2)) for s in (1, 2))
        free = -0.8 * (twisted / 0.8).logsumexp(0)
        (slope,) = torch.autograd.grad(free, a, create_graph=True)
        first = float((p * (x.roll(-1, side) - x).sin().sum((1, 2))).sum())  # 0 in an ensemble with mirror images
        curvatures.append((float(torch.autograd.grad(slope, a)[0]) - first**2 / 0.8) / 12)
    found = float((p * system.observables(x)["helicity_modulus"]).sum())
    assert found == pytest.approx(sum(curvatures) / 2)


def test_heat_bath_draws_the_angle_of_its_field():
    system = XY((4, 4), 1.0)
    t = torch.tensor([1.2, -0.9], dtype=torch.float64).expand(40_000, 2)
    drawn = system.draw_site(t, generator=torch.Generator().manual_seed(0))
    mean = torch.special.i1e(torch.tensor(1.5)) / torch.special.i0e(torch.tensor(1.5))
    along = torch.stack([drawn.cos(), drawn.sin()]).mean(1)
    torch.testing.assert_close(along, mean.double() * t[0] / 1.5, atol=0.015, rtol=0)
    assert drawn.min() >= -math.pi and drawn.max() < math.pi


@pytest.mark.parametrize(("options", "message"), [({"T": 0.0}, "T must be positive"), ({"J": math.nan}, "J must be")])
def test_refused(options, message):
    with pytest.raises(ValueError, match=message):
        XY((4, 4), **{"T": 1.0} | options)
