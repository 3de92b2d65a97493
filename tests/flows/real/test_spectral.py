"""The spectral layer against exact free fields, on whole lattices and on their even sublattice."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import flowlab as fl
from flowlab.core import named_generator
from flowlab.flows.real.coupling import lattice_coordinates
from flowlab.flows.real.spectral import SpectralScaling
from tests.laws.registry import shaken


def precision(sides: tuple[int, ...], mass: float) -> np.ndarray:
    """(N, N): the matrix of S = ½ φ K φ, bond by bond."""
    numbers = np.arange(math.prod(sides)).reshape(sides)
    k = mass**2 * np.eye(numbers.size)
    for axis in range(len(sides)):
        for a, b in zip(numbers.ravel(), np.roll(numbers, -1, axis).ravel(), strict=True):
            k[a, a] += 1
            k[b, b] += 1
            k[a, b] -= 1
            k[b, a] -= 1
    return k


@pytest.mark.parametrize("mass", [0.2, 1.3])
@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize(
    ("shape", "staggered"),
    [
        *[(shape, False) for shape in ((5,), (6,), (4, 4), (5, 3), (6, 4), (4, 2, 3))],
        *[(shape, True) for shape in ((4,), (5,), (4, 2), (6, 3), (6, 4), (4, 4, 2), (2, 4, 3))],
    ],
)
def test_exact_free_field_at_the_start(shape, staggered, symmetric, mass):
    """ln q is that of the Gaussian itself, odd sites integrated out: acceptance 1, and ln Z exact."""
    sides, sites = lattice_coordinates(shape, staggered=staggered)
    even = np.ravel_multi_index(sites.numpy().T, sides)
    covariance = np.linalg.inv(precision(sides, mass))[np.ix_(even, even)]
    exact = torch.distributions.MultivariateNormal(
        torch.zeros(len(even), dtype=torch.float64), torch.from_numpy(covariance)
    )
    flow = SpectralScaling(shape, mass, staggered=staggered, symmetric=symmetric).double()
    density = fl.Pushforward(flow, fl.Normal(shape).double())
    x, log_q = density.sample(20, generator=named_generator(0, "free"))
    torch.testing.assert_close(exact.log_prob(x.flatten(1)), log_q, rtol=0, atol=1e-5)
    x = torch.randn(20, *shape, dtype=torch.float64, generator=named_generator(1, "free"))
    torch.testing.assert_close(exact.log_prob(x.flatten(1)), density.log_prob(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("shape", "staggered"), [((4, 4), False), ((3, 4), False), ((5,), False), ((4, 3), True)])
@pytest.mark.parametrize("symmetric", [False, True])
def test_a_learned_spectrum(shape, staggered, symmetric):
    """Log-det of the Jacobian, inverse, oddness, invariance under translations, a gradient for every mode."""
    flow = shaken(SpectralScaling(shape, staggered=staggered, symmetric=symmetric), 0.5).double()
    z = torch.randn(6, *shape, dtype=torch.float64, generator=named_generator(2))
    x, log_det = flow(z)
    back, log_det_back = flow.inverse(x)
    torch.testing.assert_close(back, z, rtol=0, atol=1e-10)
    assert torch.equal(log_det_back, -log_det)
    n = z[0].numel()
    matrix = torch.autograd.functional.jacobian(lambda one: flow(one[None])[0][0], z[0]).reshape(n, n)
    torch.testing.assert_close(matrix.slogdet().logabsdet, log_det[0])
    torch.testing.assert_close(matrix, matrix.T)
    assert torch.equal(flow(-z)[0], -x)
    assert torch.equal(flow.pull_flip(-torch.ones(shape)), -torch.ones(shape))
    eigenvalues = torch.linalg.eigvalsh(matrix).square()
    spectrum = flow.spectrum.flatten().sort().values
    torch.testing.assert_close(eigenvalues, spectrum[::2] if staggered else spectrum)
    sides, sites = lattice_coordinates(shape, staggered=staggered)
    step = torch.tensor([1, 1][: len(sides)])
    order = {tuple(site): i for i, site in enumerate(sites.tolist())}
    to = torch.tensor([order[tuple(site)] for site in ((sites + step) % torch.tensor(sides)).tolist()])
    torch.testing.assert_close(matrix[to][:, to], matrix)
    (x.pow(4).sum() - log_det.sum()).backward()
    assert (flow.log_amplitude.grad.abs() > 0).all()


def test_modes_are_tied_as_the_lattice_is():
    assert len(SpectralScaling((4, 4)).log_amplitude) == 6
    assert len(SpectralScaling((4, 4), symmetric=False).log_amplitude) == 10
    assert len(SpectralScaling((4, 6)).log_amplitude) == 12
    free = SpectralScaling((4, 4), symmetric=False)
    with torch.no_grad():
        free.log_amplitude.copy_(torch.arange(10.0))
    spectrum = free.spectrum
    assert torch.equal(spectrum, spectrum.flip(0, 1).roll((1, 1), (0, 1)))
    assert not torch.equal(spectrum, spectrum.T)


def test_single_precision_round_trip():
    flow = shaken(SpectralScaling((16, 8), 0.3, staggered=True), 0.2)
    z = torch.randn(50, 16, 8, generator=named_generator(4))
    with torch.no_grad():
        back = flow.inverse(flow(z)[0])[0]
    assert back.dtype == torch.float32 and (back - z).abs().max() < 1e-5


@pytest.mark.parametrize("mass", [0.0, -1.0, math.nan])
def test_refused_masses(mass):
    with pytest.raises(ValueError, match=r"mass must be (positive|a finite number), got"):
        SpectralScaling((4, 4), mass)


def test_refused_shapes():
    with pytest.raises(ValueError, match=r"even ones before the last for a staggered array, got \(3, 2\)"):
        SpectralScaling((3, 2), staggered=True)
    with pytest.raises(ValueError, match="shape must be positive sides"):
        SpectralScaling(())
    with pytest.raises(ValueError, match=r"expected fields of shape \(n, 4, 4\), got \(1, 4, 2\)"):
        SpectralScaling((4, 4))(torch.zeros(1, 4, 2))
