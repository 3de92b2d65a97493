"""The fixed linear map: covariances, estimates, precision, what is saved, refusals."""

from __future__ import annotations

import pytest
import torch

from flowlab.core import named_generator
from flowlab.flows.composed import Composed
from flowlab.flows.real.affine import AffineCoupling
from flowlab.flows.real.linear import Linear

N = 6


def covariance() -> torch.Tensor:
    root = torch.randn(N, N, dtype=torch.float64, generator=named_generator(0, "root"))
    return root @ root.T + 0.1 * torch.eye(N)


def correlated(n: int) -> torch.Tensor:
    noise = torch.randn(n, N, dtype=torch.float64, generator=named_generator(0, "noise"))
    return noise @ torch.linalg.cholesky(covariance()).T


def matrix(flow: Linear) -> torch.Tensor:
    return flow(torch.eye(N, dtype=torch.float64).view(N, *flow.shape))[0].reshape(N, N).T


@pytest.mark.parametrize("shape", [(N,), (2, 3)])
def test_from_covariance_gives_it_to_unit_latents(shape):
    flow = Linear.from_covariance(covariance(), shape)
    M = matrix(flow)
    torch.testing.assert_close(M @ M.T, covariance())
    z = torch.randn(4, *shape, dtype=torch.float64, generator=named_generator(0))
    x, log_det = flow(z)
    torch.testing.assert_close(log_det, covariance().logdet().div(2).expand(4))
    back, log_det_back = flow.inverse(x)
    torch.testing.assert_close(back, z)
    assert torch.equal(log_det_back, -log_det)


def test_single_precision_inverts_over_a_large_range_of_scales():
    basis = torch.linalg.eigh(covariance())[1].float()
    flow = Linear((N,), basis, torch.logspace(-1, 2, N))
    z = torch.randn(100, N, generator=named_generator(0))
    x, _ = flow(z)
    assert x.dtype == torch.float32
    torch.testing.assert_close(flow.inverse(x)[0], z, rtol=0, atol=1e-3)


def test_fit_takes_scales_along_the_given_basis():
    basis = torch.linalg.eigh(covariance())[1]
    flow, n = Linear((N,), basis), 20_000
    z = flow.fit(correlated(n))
    exact = (basis.T @ covariance() @ basis).diagonal().sqrt()
    assert ((flow.scale - exact).abs() < 4 * exact / (2 * n) ** 0.5).all()
    assert torch.equal(flow.basis, basis)
    torch.testing.assert_close(z.square().mean(0), torch.ones(N, dtype=torch.float64))


def test_fit_takes_the_covariance():
    flow, x = Linear((2, 3), estimate="covariance"), correlated(20_000)
    z = flow.fit(x.view(-1, 2, 3)).flatten(1)
    torch.testing.assert_close(z.T @ z / len(z), torch.eye(N, dtype=torch.float64))
    M = matrix(flow)
    torch.testing.assert_close(M @ M.T, x.T @ x / len(x))


def test_composed_fits_from_the_physical_side_through_every_layer():
    coupling = AffineCoupling(torch.arange(N) < 3, generator=named_generator(1)).double()
    with torch.no_grad():
        coupling.network.biases[-1][1] = 0.5
    inner, outer, x = Linear((N,)), Linear((N,), estimate="covariance"), correlated(500)
    z = Composed([inner, coupling, outer]).fit(x)
    assert not z.requires_grad
    torch.testing.assert_close(z.square().mean(0), torch.ones(N, dtype=torch.float64))
    reached = coupling.inverse(outer.inverse(x)[0])[0].square().mean(0).sqrt()
    torch.testing.assert_close(inner.scale, reached.detach())
    assert (inner.scale[:3] - 1).abs().min() > 0.05


def test_what_was_estimated_is_saved_but_not_trained():
    flow = Linear.from_covariance(covariance())
    assert not list(flow.parameters())
    fresh = Linear((N,))
    fresh.load_state_dict(flow.state_dict())
    assert torch.equal(matrix(fresh), matrix(flow))


def test_only_the_global_flip_is_pulled_through():
    flow, up = Linear.from_covariance(covariance()), torch.ones(N)
    assert torch.equal(flow.pull_flip(-up), -up)
    assert flow.pull_flip(torch.where(torch.arange(N) < 3, -up, up)) is None


def test_refusals():
    with pytest.raises(ValueError, match="6 orthonormal columns"):
        Linear((N,), torch.ones(N, N))
    with pytest.raises(ValueError, match=r"6 orthonormal columns, got shape \(5, 5\)"):
        Linear((N,), torch.eye(5))
    with pytest.raises(ValueError, match="6 positive numbers"):
        Linear((N,), scale=torch.arange(6.0))
    with pytest.raises(ValueError, match="must be 'scale' or 'covariance', got 'mean'"):
        Linear((N,), estimate="mean")
    with pytest.raises(ValueError, match="symmetric matrix"):
        Linear.from_covariance(covariance().triu())
    with pytest.raises(ValueError, match="covariance must be positive definite"):
        Linear.from_covariance(torch.ones(N, N))
    with pytest.raises(ValueError, match="second moments of 3 samples must be positive definite"):
        Linear((N,), estimate="covariance").fit(correlated(3))
    with pytest.raises(ValueError, match="vary along every direction"):
        Linear((N,)).fit(torch.zeros(10, N))
