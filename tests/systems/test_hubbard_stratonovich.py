"""The continuous spin glass: ln Z_x by quadrature, the joint density both ways round, exact samplers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from flowlab.core import named_generator
from flowlab.exact import configurations, distribution, log_z
from flowlab.systems import Ising
from flowlab.systems.hubbard_stratonovich import ContinuousSpinGlass
from flowlab.systems.spin_glass import SpinGlass

FIELDS = np.array([0.3, -0.8, 0.5, 0.1, -0.2, 0.9, 0.0, -0.4])


def small(n: int, T: float, fields: bool, seed: int = 1) -> SpinGlass:
    J = SpinGlass.sherrington_kirkpatrick(n, T=T, seed=seed).J
    return SpinGlass(J, T=T, h=FIELDS[:n] if fields else None)


GLASSES: dict[str, Callable[[], SpinGlass]] = {
    "dense": lambda: small(6, 0.7, False),
    "in fields": lambda: small(6, 0.7, True),
    "lattice": lambda: SpinGlass.edwards_anderson((2, 3), T=1.3, seed=4),
    "sparse lattice": lambda: SpinGlass.edwards_anderson((8, 8), T=1.3, seed=4),
}


def normal(n: int, *shape: int) -> Tensor:
    return torch.randn(n, *shape, generator=named_generator(0, "x"), dtype=torch.float64)


def log_p_of_x(continuous: ContinuousSpinGlass, x: Tensor, s: Tensor) -> Tensor:
    """ln p(x|s) by torch's multivariate normal."""
    precision = continuous.shifted_couplings / float(continuous.couplings["T"])
    return torch.distributions.MultivariateNormal(s.flatten(1), precision_matrix=precision).log_prob(x.flatten(1))


@pytest.mark.parametrize("fields", [False, True], ids=["", "in fields"])
@pytest.mark.parametrize(("n", "T"), [(2, 0.5), (2, 2.0), (3, 1.0), (3, 2.5)])
def test_log_z_by_quadrature(n: int, T: float, fields: bool) -> None:
    glass = small(n, T, fields)
    continuous = ContinuousSpinGlass(glass, epsilon=0.5)
    nodes = torch.linspace(-1, 1, 121, dtype=torch.float64)
    # trapezoids along the eigenvectors, out to nine widths beyond the outermost spins
    reach = math.sqrt(n) + 9 * (T / continuous.eigenvalues).sqrt()
    grid = torch.cartesian_prod(*(nodes * width for width in reach))
    log_cell = (reach * float(nodes[1] - nodes[0])).log().sum()
    integral = float(torch.logsumexp(continuous.log_weight(grid @ continuous.eigenvectors.T), 0) + log_cell)
    assert log_z(continuous) == pytest.approx(integral, abs=1e-10)
    assert log_z(glass) == pytest.approx(integral + continuous.log_z_offset, abs=1e-10)


@pytest.mark.parametrize("name", GLASSES)
def test_joint_density_both_ways_round(name: str) -> None:
    """ln p(x|s) + ln p(s) = ln p(s|x) + ln p(x), in unnormalised weights and log_z_offset."""
    glass = GLASSES[name]()
    continuous = ContinuousSpinGlass(glass)
    x = normal(40, *glass.shape)
    s, log_p_s = continuous.restore(x, generator=named_generator(0, "restore"))
    assert s.shape == x.shape and log_p_s.shape == (40,) and bool((s.abs() == 1).all())
    one_way = log_p_of_x(continuous, x, s) + glass.log_weight(s)
    other_way = log_p_s + continuous.log_weight(x) + continuous.log_z_offset
    torch.testing.assert_close(one_way, other_way, rtol=1e-11, atol=1e-9)


def test_restored_spins_follow_their_probabilities() -> None:
    continuous = ContinuousSpinGlass(small(3, 1.0, True))
    n, x = 40_000, normal(1, 3)
    s, log_p = continuous.restore(x.expand(n, 3), generator=named_generator(1, "restore"))
    every = configurations((3,))
    for one in every:
        found = (s == one).all(1)
        p = float(log_p[found][0].exp())
        assert abs(float(found.double().mean()) - p) < 4 * math.sqrt(p * (1 - p) / n)
    assert sum(float(log_p[(s == one).all(1)][0].exp()) for one in every) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("name", ["dense", "lattice"])
def test_reduced_fields_are_normal_around_the_spins(name: str) -> None:
    glass = GLASSES[name]()
    continuous = ContinuousSpinGlass(glass, epsilon=0.3)
    n, s = 40_000, configurations(glass.shape, 11, 12)
    x = continuous.reduce(s.expand(n, *glass.shape), generator=named_generator(0, "reduce"))
    assert x.shape == (n, *glass.shape)
    centred = (x - s).flatten(1)
    covariance = torch.linalg.inv(continuous.shifted_couplings) * float(glass.couplings["T"])
    assert bool((centred.mean(0).abs() < 4 * (covariance.diagonal() / n).sqrt()).all())
    products = centred[:, :, None] * centred[:, None, :]
    assert bool(((products.mean(0) - covariance).abs() < 4.5 * products.std(0) / math.sqrt(n)).all())


def test_reduce_then_restore_keeps_the_boltzmann_distribution() -> None:
    glass = small(5, 0.8, True)
    continuous, generator, n = ContinuousSpinGlass(glass), named_generator(3, "chain"), 60_000
    p = distribution(glass).exp()
    s = configurations((5,))[torch.multinomial(p, n, replacement=True, generator=generator)]
    x = continuous.reduce(s, generator=generator)
    again, _ = continuous.restore(x, generator=generator)
    number = (((again + 1) / 2).long() * 2 ** torch.arange(5)).sum(1)
    found = torch.bincount(number, minlength=32) / n
    assert bool(((found - p).abs() < 4 * (p * (1 - p) / n).sqrt()).all())
    x2 = continuous.observables(x)["x2_per_site"]
    exact = 1 + float(glass.couplings["T"] * (1 / continuous.eigenvalues).mean())
    assert abs(float(x2.mean()) - exact) < 4 * float(x2.std()) / math.sqrt(n)


def test_shift_and_eigenvalues() -> None:
    glass = GLASSES["dense"]()
    continuous = ContinuousSpinGlass(glass, epsilon=0.02)
    eigenvalues = np.linalg.eigvalsh(glass.J.numpy())
    assert continuous.shift == pytest.approx(0.02 - eigenvalues[0], rel=1e-12)
    assert float(continuous.eigenvalues[0]) == pytest.approx(0.02, rel=1e-10)
    assert continuous.convex_temperature == pytest.approx(eigenvalues[-1] + continuous.shift, rel=1e-12)
    rebuilt = continuous.eigenvectors * continuous.eigenvalues @ continuous.eigenvectors.T
    torch.testing.assert_close(rebuilt, glass.J + continuous.shift * torch.eye(6, dtype=torch.float64))


def test_convex_above_its_temperature_only() -> None:
    continuous = ContinuousSpinGlass(GLASSES["dense"]())

    def lowest(T: float) -> float:
        hot = continuous.at(T=T)
        at_zero = torch.zeros(6, dtype=torch.float64)
        points = [at_zero, *normal(20, 6)]
        hessians = [torch.autograd.functional.hessian(lambda x: hot.hamiltonian_density(x[None])[0], x) for x in points]
        return min(float(torch.linalg.eigvalsh(hessian)[0]) for hessian in hessians)

    assert lowest(continuous.convex_temperature * 1.01) > 0
    assert lowest(continuous.convex_temperature * 0.99) < 0


def test_hamiltonian_density_is_the_papers_formula() -> None:
    continuous, x = ContinuousSpinGlass(GLASSES["in fields"]()), normal(7, 6)
    T, Jt, h = 0.7, continuous.shifted_couplings, continuous.parent.h
    expected = 0.5 * ((x @ Jt) * x).sum(1) - T * (2 * torch.cosh((x @ Jt + h) / T)).log().sum(1)
    torch.testing.assert_close(continuous.hamiltonian_density(x), expected)
    torch.testing.assert_close(continuous.log_weight(x), -expected / T)
    torch.testing.assert_close(continuous.observables(x)["hamiltonian_density_per_site"], expected / 6)
    torch.testing.assert_close(continuous.observables(x)["x2_per_site"], (x**2).mean(1))


@pytest.mark.parametrize("name", ["in fields", "lattice"])
def test_gradients(name: str) -> None:
    continuous = ContinuousSpinGlass(GLASSES[name]())
    x = (10 * normal(3, *continuous.shape)).requires_grad_()
    assert torch.autograd.gradcheck(continuous.log_weight, (x,))
    T = torch.tensor(0.9, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda T: continuous.at(T=T).log_weight(x.detach()), (T,))


def test_far_out_nothing_overflows() -> None:
    continuous = ContinuousSpinGlass(small(6, 0.01, True))
    for dtype in (torch.float32, torch.float64):
        x = (1e3 * normal(5, 6)).to(dtype).requires_grad_()
        log_weight = continuous.log_weight(x)
        (gradient,) = torch.autograd.grad(log_weight.sum(), x)
        assert bool(log_weight.isfinite().all()) and bool(gradient.isfinite().all()) and log_weight.dtype == dtype
        s, log_p = continuous.restore(x.detach(), generator=named_generator(0, "far"))
        assert s.dtype == log_p.dtype == dtype and bool(log_p.isfinite().all())
        assert continuous.reduce(s, generator=named_generator(0, "far")).dtype == dtype


def test_at_moves_the_parent_too_and_leaves_the_original() -> None:
    glass = small(6, 0.7, True)
    continuous, x = ContinuousSpinGlass(glass), normal(4, 6)
    before = continuous.log_weight(x)
    other = continuous.at(T=1.9)
    assert float(other.parent.couplings["T"]) == 1.9 and other.parent is not glass
    assert other.eigenvectors.data_ptr() == continuous.eigenvectors.data_ptr()
    fresh = ContinuousSpinGlass(glass.at(T=1.9))
    torch.testing.assert_close(other.log_weight(x), fresh.log_weight(x))
    assert other.log_z_offset == fresh.log_z_offset != continuous.log_z_offset
    assert log_z(other) == pytest.approx(log_z(glass.at(T=1.9)) - other.log_z_offset, rel=1e-14)
    assert continuous.parent is glass and float(glass.couplings["T"]) == 0.7
    other.to(torch.float32)
    assert continuous.eigenvalues.dtype == glass.h.dtype == torch.float64
    assert torch.equal(continuous.log_weight(x), before)
    with pytest.raises(ValueError, match=r"T must be positive, got -1\.0"):
        continuous.at(T=-1.0)


def test_nouns() -> None:
    continuous = ContinuousSpinGlass(GLASSES["sparse lattice"]())
    assert (continuous.shape, continuous.dims, continuous.domain) == ((8, 8), ("y", "x"), "real")
    assert continuous.flip_symmetric and not ContinuousSpinGlass(small(4, 1.0, True)).flip_symmetric
    x = normal(5, 8, 8)
    torch.testing.assert_close(continuous.log_weight(x), continuous.log_weight(-x))
    assert not continuous.state_dict() and not list(continuous.parameters())
    assert continuous.title == "Edwards-Anderson 8 × 8, Gaussian couplings, instance 4, T = 1.3, continuous"


@pytest.mark.parametrize("epsilon", [0.0, -1.0, math.nan])
def test_epsilon_must_be_positive(epsilon: float) -> None:
    with pytest.raises(ValueError, match=f"epsilon must be (positive|a finite number), got {epsilon}"):
        ContinuousSpinGlass(small(3, 1.0, False), epsilon=epsilon)


def test_only_a_spin_glass_has_one() -> None:
    not_glass: Any = Ising((2, 2), T=1.0)
    with pytest.raises(TypeError, match="glass must be a SpinGlass, got Ising"):
        ContinuousSpinGlass(not_glass)
