"""The free field: its action by plain loops, exact draws against the propagator, ln Z by determinants."""

from __future__ import annotations

import math

import pytest
import torch

from flowlab import exact
from flowlab.core import named_generator
from flowlab.systems.free_field import FreeField
from flowlab.systems.lattice import structure_factor_1

SHAPES = [(5,), (2,), (4, 4), (2, 3), (3, 2, 4)]


def precision(free: FreeField) -> torch.Tensor:
    """The matrix A of S = ½ φ·Aφ, from the action alone."""
    x = torch.zeros(1, *free.shape, dtype=torch.float64, requires_grad=True)
    return torch.autograd.functional.hessian(lambda y: free.action(y).sum(), x).reshape(free.n_sites, -1)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_action_by_loops(shape):
    free, x = FreeField(shape, 0.7), torch.randn(3, *shape, generator=named_generator(0, "free"), dtype=torch.float64)
    expected = torch.zeros(3, dtype=torch.float64)
    for site in torch.cartesian_prod(*(torch.arange(side) for side in shape)).reshape(-1, len(shape)).tolist():
        here = x[(slice(None), *site)]
        expected += 0.5 * 0.49 * here**2
        for axis in range(len(shape)):
            ahead = [(c + (axis == i)) % s for i, (c, s) in enumerate(zip(site, shape, strict=True))]
            expected += 0.5 * (x[(slice(None), *ahead)] - here) ** 2
    torch.testing.assert_close(free.action(x), expected)
    torch.testing.assert_close(free.log_weight(x), -expected)
    torch.testing.assert_close(free.observables(x)["action_per_site"], expected / free.n_sites)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_propagator_and_log_z_are_those_of_the_matrix(shape):
    free = FreeField(shape, 0.7)
    A = precision(free)
    torch.testing.assert_close(free.propagator().flatten(), A.inverse()[0])
    log_z = 0.5 * (free.n_sites * math.log(2 * math.pi) - float(A.logdet()))
    assert exact.log_z(free) == pytest.approx(log_z, abs=1e-11)


@pytest.mark.parametrize("shape", [(6,), (4, 6), (5, 5), (2, 3, 4)], ids=str)
def test_exact_draws(shape):
    free, n = FreeField(shape, 0.5), 20_000
    x = free.sample(n, generator=named_generator(1, "free"), dtype=torch.float64)
    power = torch.fft.fftn(x, dim=tuple(range(1, x.ndim))).abs().square() / free.n_sites
    pulls = (power.mean(0) / free.momentum_propagator() - 1) / (power.std(0) / power.mean(0) / math.sqrt(n))
    assert pulls.abs().max() < 4.5
    # S is half a chi-squared of N degrees of freedom, whose mean and variance are N/2
    S = free.action(x)
    assert abs(float(S.mean()) - free.n_sites / 2) < 4 * math.sqrt(free.n_sites / 2 / n)
    assert abs(float(x.mean())) < 4 * float(free.momentum_propagator().flatten()[0] / free.n_sites / n) ** 0.5


def test_draws_are_reproducible_and_of_the_dtype_asked_for():
    free = FreeField((4, 6), 0.5)
    a, b = (free.sample(2, generator=named_generator(2, "free")) for _ in range(2))
    assert torch.equal(a, b) and a.dtype == torch.float32 and a.shape == (2, 4, 6)
    assert free.sample(2, generator=named_generator(2, "free"), dtype=torch.float64).dtype == torch.float64


def test_gradient_in_the_mass():
    mass = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    x = torch.ones(2, 4, 4, dtype=torch.float64)
    FreeField((4, 4), mass).log_weight(x).sum().backward()
    assert float(mass.grad) == pytest.approx(-0.5 * 16 * 2)
    assert torch.autograd.gradcheck(lambda m: FreeField((3, 4), m).propagator(), (mass,))


def test_structure_factor_is_that_of_the_longest_axes():
    x = torch.randn(5, 4, 4, 2, generator=named_generator(3, "free"), dtype=torch.float64)
    power = torch.fft.fftn(x, dim=(1, 2, 3)).abs().square() / 32
    torch.testing.assert_close(structure_factor_1(x), (power[:, 1, 0, 0] + power[:, 0, 1, 0]) / 2)


@pytest.mark.parametrize("mass", [0.0, -0.3, math.inf, math.nan])
def test_a_mass_without_a_weight_is_refused(mass):
    with pytest.raises(ValueError, match="mass must be"):
        FreeField((4, 4), mass)
    with pytest.raises(ValueError, match="mass must be"):
        FreeField((4, 4), 1.0).at(mass=mass)


@pytest.mark.parametrize("shape", [(), (1,), (4, 1), (2, 2, 2, 2), (2.5,)], ids=str)
def test_what_is_no_lattice_is_refused(shape):
    with pytest.raises(ValueError, match=r"shape must be (one, two or three sides|a sequence of whole)"):
        FreeField(shape, 1.0)
