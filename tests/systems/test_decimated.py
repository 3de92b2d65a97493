"""Decimation: the same ln Z, the joint density both ways round, exact draws, and the table of the phi^4 site."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import integrate, special, stats
from torch import Tensor

from flowlab.core import System, named_generator
from flowlab.exact import configurations, log_z
from flowlab.exact.potts import potts_configurations
from flowlab.systems.decimated import Decimated, NearestNeighbour, even_sites, odd_neighbours, odd_sites
from flowlab.systems.free_field import FreeField
from flowlab.systems.ising import Ising
from flowlab.systems.lattice import checkerboard
from flowlab.systems.phi4 import Phi4
from flowlab.systems.potts import Potts
from flowlab.systems.site_table import site_table
from flowlab.systems.spin_glass import SpinGlass
from flowlab.systems.triangular import TriangularIsing

SYSTEMS: dict[str, NearestNeighbour] = {
    "ising": Ising((4, 6), T=2.3),
    "ising in a field": Ising((2, 4), T=1.7, h=0.3),
    "antiferromagnet": Ising((4, 2), T=2.0, J=-1.0),
    "potts": Potts((4, 6), T=0.9),
    "potts of five states on two sites a side": Potts((4, 2), T=1.3, q=5, J=-0.7),
    "phi4 in 1d": Phi4((6,), 0.3, 0.5),
    "phi4 on two sites": Phi4((2,), 0.3, 0.5),
    "phi4": Phi4((4, 6), 0.25, 0.02),
    "phi4 with its constant": Phi4.from_beta((2, 4), 0.6, 0.5),
    "phi4 with two wells": Phi4((4, 4), 0.2, 20.0),
    "phi4 with negative hopping": Phi4((4, 2), -0.3, 1.2),
    "phi4 in 3d": Phi4((4, 2, 6), 0.15, 1.0),
    "phi4 without its quartic term": Phi4((4, 4), 0.2, 0.0),
    "free field": FreeField((4, 2), 0.7),
    "free field in 3d": FreeField((2, 4, 2), 1.3),
}
# every kind of well: Gaussian, nearly so, flat at the bottom, two wells, two spins
LAMS = [0.0, 1e-6, 0.02, 0.45, 0.5, 0.55, 1.0, 3.0, 50.0, 1e4]


def even_sample(decimated: Decimated, n: int = 30, dtype: torch.dtype = torch.float64) -> Tensor:
    x = 1.3 * torch.randn(n, *decimated.shape, generator=named_generator(0, "even"), dtype=dtype)
    if decimated.domain == "potts":
        return decimated.variables.random(x.shape, generator=named_generator(0, "even")).to(dtype)
    return x.sign() if decimated.domain == "spin" else x


def site(t: float, lam: float) -> tuple[float, float, float, float]:
    """ln z, <φ>, the variance and <2φ² - φ⁴> by trapezoids over 4,001 points; t >= 0."""
    a = 1 - 2 * lam
    roots = np.roots([4 * lam, 0, 2 * a, -t]) if lam else np.array([t / 2])
    peak = max(np.real(roots[np.abs(np.imag(roots)) < 1e-6]))
    curvature = a + 6 * lam * peak**2
    reach = min(
        math.sqrt(45 / curvature) if curvature > 1e-12 else math.inf, (45 / lam) ** 0.25 if lam > 0 else math.inf
    )
    # as far below 0 as above, where the other sign has a weight
    low = peak - 2.1 * reach if peak > 2.1 * reach and t * peak > 25 else -peak - 1.1 * reach
    phi = np.linspace(low, peak + 1.1 * reach, 4001)
    exponent = t * phi - a * phi**2 - lam * phi**4
    weight = np.exp(exponent - exponent.max())
    total = weight.sum()
    mean = (weight * phi).sum() / total
    variance = (weight * (phi - mean) ** 2).sum() / total
    slope = (weight * (2 * phi**2 - phi**4)).sum() / total
    return exponent.max() + math.log(total * (phi[1] - phi[0])), mean, variance, slope


# --- the table of one phi^4 site ---


@pytest.mark.parametrize("lam", LAMS)
def test_site_against_quadrature(lam: float) -> None:
    fields = np.concatenate([[0.0, 1e-7, 1e-3], np.linspace(0.1, 9.9, 33), np.geomspace(10, 1e4, 20)])
    t = torch.from_numpy(fields)
    exact = np.array([site(field, lam) for field in fields]).T
    table = site_table(lam)
    found = [table.log_z(t), table.mean(t), table.variance(t), table.derivative(t, 0, in_lam=True)]
    for name, here, there, tolerance in zip(
        ("ln z", "mean", "variance", "slope in lam"), found, exact, (1e-11, 3e-10, 1e-7, 1e-9), strict=True
    ):
        scale = (0.01 if name == "variance" else 1) + np.abs(there)
        assert np.abs((here.numpy() - there) / scale).max() < tolerance, name
    torch.testing.assert_close(table.log_z(-t), table.log_z(t), rtol=0, atol=0)
    torch.testing.assert_close(table.mean(-t), -table.mean(t), rtol=0, atol=0)


@pytest.mark.parametrize(("lam", "t"), [(0.5, 0.7), (1.3, 2.0), (0.1, 5.0), (6.0, 0.2)])
def test_site_against_scipy(lam: float, t: float) -> None:
    def weight(phi: float) -> float:
        return math.exp(t * phi - (1 - 2 * lam) * phi**2 - lam * phi**4)

    total = integrate.quad(weight, -np.inf, np.inf, epsabs=0, epsrel=1e-11, limit=200)[0]
    found = site_table(lam).log_z(torch.tensor(t, dtype=torch.float64))
    assert float(found) == pytest.approx(math.log(total), abs=1e-9)


def test_site_in_closed_form() -> None:
    t = torch.tensor([0.0, 0.3, 8.0, 500.0, 1e5], dtype=torch.float64)
    torch.testing.assert_close(site_table(0.0).log_z(t), math.log(math.pi) / 2 + t**2 / 4, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(site_table(0.0).mean(t), t / 2, rtol=1e-10, atol=1e-10)
    # ∫ exp(-φ⁴/2) dφ = 2^(1/4) Γ(1/4) / 2
    at_zero = float(site_table(0.5).log_z(t[:1]))
    assert at_zero == pytest.approx(math.log(2**0.25 * special.gamma(0.25) / 2), abs=1e-12)
    # λ → ∞: a spin ±1
    spin = site_table(1e7)
    difference = spin.log_z(t[:3]) - spin.log_z(t[:1])
    torch.testing.assert_close(difference, t[:3].cosh().log(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("lam", [0.0, 0.02, 0.5, 2.0, 1e3])
def test_site_beyond_the_table_goes_on_as_a_power(lam: float) -> None:
    t = torch.tensor([2.15e15, 2.16e15, 1e16, -1e17], dtype=torch.float64)
    table, size = site_table(lam), t.abs()
    if lam == 0:
        log_z, mean = size**2 / 4, t / 2
    else:
        a, phi = 1 - 2 * lam, (size / (4 * lam)) ** (1 / 3)
        for _ in range(5):
            phi = phi - (4 * lam * phi**3 + 2 * a * phi - size) / (12 * lam * phi**2 + 2 * a)
        log_z, mean = size * phi - a * phi**2 - lam * phi**4, phi * t.sign()
    torch.testing.assert_close(table.log_z(t), log_z, rtol=1e-7, atol=0)
    torch.testing.assert_close(table.mean(t), mean, rtol=1e-7, atol=0)


@pytest.mark.parametrize("lam", [0.0, 0.3, 1.5])
def test_value_mean_and_variance_are_one_function(lam: float) -> None:
    t = torch.tensor([-40.0, -2.2, -0.3, 0.0, 0.013, 1.7, 6.0, 300.0], dtype=torch.float64, requires_grad=True)
    coupling = torch.tensor(max(lam, 0.01), dtype=torch.float64, requires_grad=True)
    table = site_table(lam)
    assert torch.autograd.gradcheck(table.log_z, (t,))
    assert torch.autograd.gradcheck(table.mean, (t,))
    assert torch.autograd.gradgradcheck(table.log_z, (t,))
    (mean,) = torch.autograd.grad(table.log_z(t).sum(), t)
    assert torch.equal(mean, table.mean(t))
    small = t.detach()[1:-1]
    assert torch.autograd.gradcheck(lambda lam: site_table(float(lam.detach())).log_z(small, lam), (coupling,))


def test_gradients_in_lam_and_then_in_the_field_are_those_of_finite_differences() -> None:
    lam = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)

    def slope(t: Tensor) -> Tensor:
        squared = site_table(0.5).log_z(t, lam).square().sum()
        return torch.autograd.grad(squared, lam, create_graph=True)[0]

    t = torch.tensor([0.7, -2.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(slope, (t,), atol=1e-6, rtol=1e-5)
    assert torch.autograd.grad(slope(t), lam)[0].isnan()  # there is none; zero would be wrong


@pytest.mark.parametrize("lam", LAMS)
def test_single_precision_and_far_fields(lam: float) -> None:
    t = torch.cat((torch.linspace(-30, 30, 2001), torch.tensor([1e4, -1e4, 1e6]))).requires_grad_()
    table = site_table(lam)
    value = table.log_z(t)
    (gradient,) = torch.autograd.grad(value.sum(), t)
    assert value.dtype == gradient.dtype == torch.float32
    assert bool(value.isfinite().all()) and bool(gradient.isfinite().all())
    exact = t.detach().double()
    torch.testing.assert_close(value.double(), table.log_z(exact), rtol=6e-8, atol=1e-30)
    torch.testing.assert_close(gradient.double(), table.mean(exact), rtol=6e-8, atol=1e-30)
    assert bool(table.log_z(torch.tensor([math.nan, 0.0])).isnan()[0])


@pytest.mark.parametrize("lam", [0.0, 0.02, 0.5, 1.0, 4.0, 200.0])
@pytest.mark.parametrize("field", [0.0, -0.6, 2.5, 1e3, -1e8])
def test_sites_follow_their_distribution(lam: float, field: float) -> None:
    n, table = 4000, site_table(lam)
    t = torch.full((n,), field, dtype=torch.float64)
    phi = table.draw(t, generator=named_generator(5, "draw", field)).numpy()
    mean, variance = float(table.mean(t)[0]), float(table.variance(t)[0])
    # by trapezoids over 12 standard deviations, in φ less its mean, where far fields keep their digits
    offset = np.linspace(-12, 12, 20_001) * math.sqrt(variance)
    a, slope = 1 - 2 * lam, field - 2 * mean * (1 - 2 * lam) - 4 * lam * mean**3
    quadratic = a + 6 * lam * mean**2
    exponent = offset * (slope - offset * (quadratic + offset * lam * (4 * mean + offset)))
    cdf = integrate.cumulative_trapezoid(np.exp(exponent - exponent.max()), offset, initial=0)
    assert stats.kstest(phi - mean, lambda x: np.interp(x, offset, cdf / cdf[-1])).pvalue > 1e-4
    assert abs(phi.mean() - mean) < 4 * math.sqrt(variance / n)


def test_draws_follow_from_the_generator_and_need_finite_fields() -> None:
    table, t = site_table(0.7), torch.linspace(-9, 9, 500)
    first, again = (table.draw(t, generator=named_generator(3, "draw")) for _ in range(2))
    assert torch.equal(first, again) and first.dtype == torch.float32
    assert table.draw(t[:0].reshape(0, 4)).shape == (0, 4)
    for bad in (math.nan, math.inf, 1e16):
        with pytest.raises(ValueError, match=r"fields of at most 2e\+15, got"):
            table.draw(torch.tensor([0.0, bad], dtype=torch.float64))


# --- the lattice ---


@pytest.mark.parametrize("shape", [(4, 6), (2, 2), (2, 8)])
def test_even_sites_are_the_checkerboard(shape: tuple[int, int]) -> None:
    assert even_sites(shape).tolist() == checkerboard(shape).flatten().nonzero()[:, 0].tolist()
    assert odd_sites(shape).tolist() == (~checkerboard(shape)).flatten().nonzero()[:, 0].tolist()
    decimated = Ising(shape, T=1.0).decimate()
    raster = torch.arange(math.prod(shape), dtype=torch.float64).reshape(1, *shape)
    for y, k in np.ndindex(*decimated.shape):
        assert decimated.reduce(raster)[0, y, k] == y * shape[1] + 2 * k + y % 2


@pytest.mark.parametrize("shape", [(6,), (2,), (4, 6), (2, 2), (4, 2), (2, 4, 6), (4, 4, 2)])
def test_neighbours_of_odd_sites(shape: tuple[int, ...]) -> None:
    decimated = Phi4(shape, 0.05, 0.1).decimate()
    x = even_sample(decimated, 5)
    gathered = x.flatten(1)[:, odd_neighbours(shape)].sum(-1)
    torch.testing.assert_close(decimated.neighbour_sum(x).flatten(1), gathered)
    # on the whole lattice with the odd sites at 0
    whole = torch.zeros(5, math.prod(shape), dtype=torch.float64)
    whole[:, even_sites(shape)] = x.flatten(1)
    whole = whole.reshape(5, *shape)
    rolled = sum(whole.roll(step, side) for side in range(1, whole.ndim) for step in (1, -1))
    torch.testing.assert_close(gathered, rolled.flatten(1)[:, odd_sites(shape)])


@pytest.mark.parametrize("name", SYSTEMS)
def test_joint_density_both_ways_round(name: str) -> None:
    """ln w(even) + ln p(odd | even) = ln w(whole), at any even sites."""
    system = SYSTEMS[name]
    decimated = system.decimate()
    x = even_sample(decimated)
    whole, log_p = decimated.restore(x, generator=named_generator(0, "restore"))
    assert whole.shape == (30, *system.shape) and log_p.shape == (30,)
    torch.testing.assert_close(decimated.log_weight(x) + log_p, system.log_weight(whole), rtol=1e-12, atol=1e-11)
    assert torch.equal(decimated.reduce(whole), x)
    system.check_configurations(whole)
    decimated.check_configurations(x)
    single = x.float()
    whole, log_p = decimated.restore(single, generator=named_generator(0, "restore"))
    assert whole.dtype == log_p.dtype == torch.float32
    torch.testing.assert_close(decimated.log_weight(single) + log_p, system.log_weight(whole), rtol=2e-6, atol=2e-5)


@pytest.mark.parametrize("h", [0.0, 0.3])
def test_log_z_of_ising_by_enumeration(h: float) -> None:
    system = Ising((4, 4), T=2.2, h=h)
    decimated = system.decimate()
    exact = float(torch.logsumexp(system.log_weight(configurations((4, 4))), 0))
    assert float(torch.logsumexp(decimated.log_weight(configurations((4, 2))), 0)) == pytest.approx(exact, abs=1e-10)
    assert decimated.log_z_offset == 0.0
    assert log_z(decimated) == pytest.approx(exact, abs=1e-10)


def test_log_z_of_potts_by_enumeration() -> None:
    system = Potts((2, 4), T=0.9)
    decimated = system.decimate()
    exact = float(torch.logsumexp(system.log_weight(potts_configurations((2, 4), 3)), 0))
    assert float(torch.logsumexp(decimated.log_weight(potts_configurations((2, 2), 3)), 0)) == pytest.approx(exact)
    assert log_z(decimated) == pytest.approx(exact, abs=1e-10)
    with pytest.raises(ValueError, match="needs a periodic lattice, got Potts 4 × 4, q = 3, T = 1, cylinder"):
        Potts((4, 4), T=1.0, boundary="cylinder").decimate()


@pytest.mark.parametrize(
    ("system", "points"),
    [
        (Phi4((2, 2), 0.15, 0.5), 31),
        (Phi4.from_beta((4,), 0.6, 1.0), 31),
        (Phi4((2, 2), -0.1, 0.02), 25),
        (Phi4((2,), 0.3, 2.0), 49),
    ],
)
def test_log_z_of_phi4_by_quadrature(system: Phi4, points: int) -> None:
    """Trapezoids over all sites and over the even sites alone."""
    reach = 6.0 if float(system.couplings["lam"]) < 0.1 else 3.0
    phi = torch.linspace(-reach, reach, points, dtype=torch.float64)

    def integral(target: System) -> float:
        grid = torch.cartesian_prod(*[phi] * target.n_sites).reshape(-1, *target.shape)
        return float(torch.logsumexp(target.log_weight(grid), 0) + target.n_sites * (phi[1] - phi[0]).log())

    assert integral(system.decimate()) == pytest.approx(integral(system), abs=1e-8)


def test_restored_spins_follow_the_boltzmann_distribution() -> None:
    system = Ising((2, 4), T=3.0, h=0.2)
    decimated, n = system.decimate(), 20_000
    x = even_sample(decimated, 1)
    spins, log_p = decimated.restore(x.expand(n, 2, 2), generator=named_generator(1, "restore"))
    every = configurations((2, 4))
    every = every[(decimated.reduce(every) == x).flatten(1).all(1)]
    p = torch.softmax(system.log_weight(every), 0)
    for one, share in zip(every, p, strict=True):
        found = (spins == one).flatten(1).all(1)
        assert abs(float(found.double().mean() - share)) < 4 * math.sqrt(float(share * (1 - share)) / n)
        torch.testing.assert_close(log_p[found].exp(), share.expand(int(found.sum())))


@pytest.mark.parametrize("name", ["ising in a field", "phi4", "phi4 with its constant", "phi4 in 3d"])
def test_gradients(name: str) -> None:
    system = SYSTEMS[name]
    decimated, names = system.decimate(), list(system.couplings)
    x = even_sample(decimated, 2).requires_grad_()
    values = [value.clone().requires_grad_() for value in system.couplings.values()]

    def log_weight(x: Tensor, *values: Tensor) -> Tensor:
        return decimated.at(**dict(zip(names, values, strict=True))).log_weight(x)

    def log_p(x: Tensor) -> Tensor:
        return decimated.restore(x, generator=named_generator(2, "restore"))[1]

    assert torch.autograd.gradcheck(log_weight, (x, *values))
    if system.domain == "spin":  # real odd sites move with the even ones
        assert torch.autograd.gradcheck(log_p, (x,))


def test_at_moves_the_parent_too_and_leaves_the_original() -> None:
    for system, couplings in [(Ising((4, 4), T=2.0), {"T": 3.1}), (Phi4((4, 4), 0.2, 0.5), {"kappa": 0.1, "lam": 2.0})]:
        decimated = system.decimate()
        x = even_sample(decimated)
        before, other = decimated.log_weight(x), decimated.at(**couplings)
        torch.testing.assert_close(other.log_weight(x), system.at(**couplings).decimate().log_weight(x))
        assert not torch.allclose(other.log_weight(x), before) and other.parent is not system
        assert all(float(other.couplings[k]) == float(other.parent.couplings[k]) == v for k, v in couplings.items())
        assert other._place.data_ptr() == decimated._place.data_ptr()
        assert torch.equal(decimated.log_weight(x), before) and decimated.parent is system
    with pytest.raises(ValueError, match="lam must be 0 or positive"):
        decimated.at(lam=-1.0)
    with pytest.raises(ValueError, match="has the couplings"):
        decimated.at(T=1.0)


def test_nouns() -> None:
    system = Phi4.from_beta((4, 4, 6), 0.3, 0.5)
    decimated = system.decimate()
    assert isinstance(decimated, Decimated) and decimated.parent is system
    assert (decimated.shape, decimated.dims, decimated.domain) == ((4, 4, 3), ("z", "y", "x"), "real")
    assert decimated.title == "φ⁴ 4 × 4 × 6, β = 0.3, λ = 0.5, even sites"
    assert decimated.flip_symmetric and not Ising((4, 4), T=1.0, h=0.1).decimate().flip_symmetric
    assert not decimated.state_dict() and not list(decimated.parameters())
    x = even_sample(decimated)
    observables = decimated.observables(x)
    torch.testing.assert_close(observables["even_magnetization"], x.mean((1, 2, 3)))
    torch.testing.assert_close(observables["even_squared"], x.square().mean((1, 2, 3)))
    with pytest.raises(ValueError, match=r"configurations must have shape \(n, 4, 4, 3\)"):
        decimated.check_configurations(torch.zeros(1, 4, 4, 6))
    moved = system.decimate().to(torch.float32)
    assert moved.parent.couplings["kappa"].dtype == torch.float32
    torch.testing.assert_close(moved.log_weight(x.float()), decimated.log_weight(x).float(), rtol=1e-5, atol=1e-4)


def test_what_cannot_be_decimated() -> None:
    with pytest.raises(ValueError, match=r"decimation needs even sides, .* got \(7, 8\)"):
        Ising((7, 8), T=1.0).decimate()
    with pytest.raises(ValueError, match=r"decimation needs even sides, .* got \(5,\)"):
        Phi4((5,), 0.1, 0.1).decimate()
    others: list[Any] = [SpinGlass.edwards_anderson((4, 4), T=1.0, seed=1), TriangularIsing((6, 6), T=1.0)]
    for other in others:
        with pytest.raises(TypeError, match=f"decimation needs .* got {type(other).__name__}"):
            Decimated(other)
