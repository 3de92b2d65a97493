"""Lattice phi^4: its action by plain loops, its three ways to say the couplings, gradients, scaling."""

from __future__ import annotations

import math

import pytest
import torch

from flowlab.core import named_generator
from flowlab.systems.phi4 import Phi4

SHAPES = [(5,), (2,), (4, 4), (2, 3), (3, 2, 4)]


def fields(shape, n=4):
    return torch.randn(n, *shape, generator=named_generator(0, "phi4"), dtype=torch.float64)


def bonds_and_sites(x, lam):
    """Σ_x Σ_μ φ_x φ_{x+μ} and Σ_x V(φ_x), by plain loops."""
    shape = x.shape[1:]
    bonds, sites = torch.zeros(len(x), dtype=x.dtype), torch.zeros(len(x), dtype=x.dtype)
    for site in torch.cartesian_prod(*(torch.arange(side) for side in shape)).reshape(-1, len(shape)).tolist():
        here = x[(slice(None), *site)]
        sites += (1 - 2 * lam) * here**2 + lam * here**4
        for axis in range(len(shape)):
            ahead = [(c + (axis == i)) % shape[i] for i, c in enumerate(site)]
            bonds += here * x[(slice(None), *ahead)]
    return bonds, sites


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_action_by_loops(shape):
    phi4, x = Phi4(shape, kappa=0.13, lam=0.7), fields(shape)
    bonds, sites = bonds_and_sites(x, 0.7)
    torch.testing.assert_close(phi4.action(x), sites - 0.26 * bonds)
    torch.testing.assert_close(phi4.log_weight(x), 0.26 * bonds - sites)
    torch.testing.assert_close(phi4.on_site(x).flatten(1).sum(1), sites)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_both_conventions_differ_by_a_constant(shape):
    x = fields(shape)
    beta, kappa = Phi4.from_beta(shape, 0.6, 0.5), Phi4(shape, 0.3, 0.5)
    torch.testing.assert_close(beta.action(x), kappa.action(x) + 0.5 * math.prod(shape))
    bonds, _ = bonds_and_sites(x, 0.0)
    square = x.flatten(1).square()
    torch.testing.assert_close(beta.action(x), (square + 0.5 * (square - 1) ** 2).sum(1) - 0.6 * bonds)
    assert float(kappa.constant) == 0 and float(beta.constant) == 0.5 * math.prod(shape)
    assert float(beta.at(lam=0.2).constant) == pytest.approx(0.2 * math.prod(shape))


@pytest.mark.parametrize(("m0_squared", "g0"), [(-4.0, 24.0), (1.0, 6.0), (-1.5, 0.3), (0.0, 100.0), (2.0, 0.0)])
@pytest.mark.parametrize("shape", [(5,), (4, 4), (2, 2, 3)], ids=str)
def test_from_mass_is_the_standard_action(shape, m0_squared, g0):
    phi4, x = Phi4.from_mass(shape, m0_squared, g0), fields(shape)
    beta, lam = 2 * float(phi4.couplings["kappa"]), float(phi4.couplings["lam"])
    assert len(shape) + m0_squared / 2 == pytest.approx((1 - 2 * lam) / beta)  # A7 of arXiv:2105.12481, there d = 2
    assert g0 / 24 == pytest.approx(lam / beta**2)
    y = math.sqrt(beta) * x
    slopes = sum((y.roll(-1, axis) - y).square() for axis in range(1, y.ndim))
    standard = (0.5 * slopes + 0.5 * m0_squared * y**2 + g0 / 24 * y**4).flatten(1).sum(1)
    torch.testing.assert_close(phi4.action(x), standard + lam * phi4.n_sites)


def test_a_side_of_two_has_two_bonds():
    x = torch.tensor([[1.0, 2.0]], dtype=torch.float64)
    assert float(Phi4((2,), kappa=0.25, lam=0.0).action(x)) == 5 - 2 * 0.25 * (1 * 2 + 2 * 1)


def test_scaling_of_the_field():
    x = fields((3, 4))
    phi4 = Phi4((3, 4), kappa=0.2, lam=0.3)
    for s in (0.5, 2.0):  # S(sφ) = s² (quadratic part) + s⁴ (quartic part)
        quartic = 0.3 * x.flatten(1).pow(4).sum(1)
        quadratic = phi4.action(x) - quartic
        torch.testing.assert_close(phi4.action(s * x), s**2 * quadratic + s**4 * quartic)


def test_gradients():
    kappa, lam = (torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (0.2, 0.3))
    x = fields((3, 4), 2).requires_grad_()
    for make in (Phi4, lambda *args: Phi4.from_beta(args[0], 2 * args[1], args[2])):
        assert torch.autograd.gradcheck(lambda k, l, y, make=make: make((3, 4), k, l).log_weight(y), (kappa, lam, x))
    (force,) = torch.autograd.grad(Phi4((3, 4), kappa, lam).log_weight(x).sum(), x)
    torch.testing.assert_close(Phi4((3, 4), 0.2, 0.3).force(x.detach()), force)


def test_observables():
    phi4, x = Phi4.from_beta((4, 4), 0.5, 0.5), fields((4, 4))
    found = phi4.observables(x)
    torch.testing.assert_close(found["action_per_site"], phi4.action(x) / 16)
    torch.testing.assert_close(found["magnetization"], x.mean((1, 2)))
    torch.testing.assert_close(found["phi_squared"], x.square().mean((1, 2)))
    power = torch.fft.fft2(x).abs().square() / 16
    torch.testing.assert_close(found["structure_factor_1"], (power[:, 0, 1] + power[:, 1, 0]) / 2)
    assert all(value.shape == (4,) for value in found.values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lam": -0.1}, "lam must be 0 or positive, got -0.1"),
        ({"lam": 0.0, "kappa": 0.25}, r"free and needs \|kappa\| < 1/4 to be stable, got 0.25"),
        ({"kappa": math.nan}, "kappa must be a finite number, got nan"),
        ({"shape": (4, 1)}, "shape must be one, two or three sides of at least 2"),
        ({"shape": (2, 2, 2, 2)}, "shape must be one, two or three sides of at least 2"),
    ],
)
def test_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Phi4(**{"shape": (4, 4), "kappa": 0.2, "lam": 0.5} | options)


@pytest.mark.parametrize(("m0_squared", "g0"), [(-1.0, 0.0), (0.0, 0.0), (1.0, -0.1)])
def test_masses_without_a_weight_are_refused(m0_squared, g0):
    with pytest.raises(ValueError, match="g0 must be positive, or zero with a positive m0²"):
        Phi4.from_mass((4, 4), m0_squared, g0)


def test_at_checks_the_couplings():
    with pytest.raises(ValueError, match="lam must be 0 or positive"):
        Phi4((4, 4), 0.2, 0.5).at(lam=-1.0)
