"""A fixed linear map, from known or estimated covariances: what couplings need not learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Self

import torch
from torch import Tensor

from flowlab.core import Flow
from flowlab.core.arguments import checked

Estimate = Literal["scale", "covariance"]


class Linear(Flow):
    """x = U diag(σ) z with an orthogonal basis U and scales σ > 0, so unit latents get the covariance U σ² Uᵀ.

    Both directions cost one matrix product, ln|det dx/dz| = Σ ln σ. U and σ are buffers in double precision, not
    parameters; they are saved with a density since they may have been estimated, see ``fit``. Next to the samples,
    behind coupling layers, it lets these work on whitened fields, e.g. along the eigenvectors of the couplings J.

    Args:
        shape: sides of one configuration, N sites together.
        basis: (N, N), orthonormal columns U; None for the sites themselves.
        scale: (N,) positive standard deviations σ along the columns; None for ones.
        estimate: what ``fit`` takes from samples, "scale" (σ along the basis that is there) or "covariance" (both).

    Raises:
        ValueError: for a basis that is not orthogonal, scales that are not positive, or sizes that do not match.

    >>> flow = Linear((2,), scale=torch.tensor([3.0, 0.5]))
    >>> x, log_det = flow(torch.ones(1, 2))
    >>> x.tolist(), flow.inverse(x)[0].tolist()
    ([[3.0, 0.5]], [[1.0, 1.0]])
    """

    label = "linear"
    frame = True

    @checked
    def __init__(
        self,
        shape: Sequence[int],
        basis: Tensor | None = None,
        scale: Tensor | None = None,
        *,
        estimate: Estimate = "scale",
    ) -> None:
        super().__init__()
        if estimate not in ("scale", "covariance"):
            raise ValueError(f"estimate must be 'scale' or 'covariance', got {estimate!r}")
        self.shape, self.estimate = tuple(shape), estimate
        if not self.shape or min(self.shape) < 1:
            raise ValueError(f"shape must be positive sides, got {self.shape}")
        n_sites = torch.Size(self.shape).numel()
        one = torch.eye(n_sites, dtype=torch.float64)
        self.register_buffer("basis", one if basis is None else basis.detach().double().clone())
        self.register_buffer("scale", one.diagonal().clone() if scale is None else scale.detach().double().clone())
        square = self.basis.shape == one.shape
        if not square or not torch.allclose(self.basis.T @ self.basis, one.to(self.basis), atol=1e-4):
            raise ValueError(f"basis must be {n_sites} orthonormal columns, got shape {tuple(self.basis.shape)}")
        if self.scale.shape != (n_sites,) or not bool((self.scale > 0).all() and self.scale.isfinite().all()):
            raise ValueError(f"scale must be {n_sites} positive numbers, got shape {tuple(self.scale.shape)}")

    basis: Tensor
    scale: Tensor

    @classmethod
    @checked
    def from_covariance(cls, covariance: Tensor, shape: Sequence[int] | None = None) -> Self:
        """The map that gives unit latents this covariance (N, N), along its eigenvectors in ascending order.

        Raises:
            ValueError: for a matrix that is not symmetric and positive definite.
        """
        basis, scale = _principal_axes(covariance.detach().double())
        return cls(tuple(shape) if shape is not None else (len(scale),), basis, scale, estimate="covariance")

    def forward(self, z: Tensor, *, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        x = z.flatten(1) @ (self.basis * self.scale).to(z.dtype).T
        return x.view_as(z), self._log_det(z)

    def inverse(self, x: Tensor) -> tuple[Tensor, Tensor]:
        z = x.flatten(1) @ (self.basis / self.scale).to(x.dtype)
        return z.view_as(x), -self._log_det(x)

    def _log_det(self, x: Tensor) -> Tensor:
        return self.scale.log().sum().to(x.dtype).expand(len(x))

    def fit(self, x: Tensor) -> Tensor:
        """Take the scales (or basis and scales) from second moments about zero of samples of the target.

        Args:
            x: (n, *shape) samples as they reach this layer.

        Returns:
            The whitened samples (n, *shape).

        Raises:
            ValueError: for samples that do not vary along every direction, or too few for a covariance.
        """
        rows = x.detach().flatten(1).to(self.basis)
        if self.estimate == "covariance":
            basis, scale = _principal_axes(rows.T @ rows / len(rows), f"second moments of {len(rows)} samples")
            self.basis.copy_(basis)
        else:
            scale = (rows @ self.basis).square().mean(0).sqrt()
            if not bool((scale > 0).all() and scale.isfinite().all()):
                raise ValueError(f"samples must be finite and vary along every direction, got scales {scale.tolist()}")
        self.scale.copy_(scale)
        return self.inverse(x)[0]

    def pull_flip(self, action: Tensor) -> Tensor | None:
        return action if bool((action == -1).all()) else None

    def extra_repr(self) -> str:
        return f"shape={self.shape}, estimate={self.estimate}"


def _principal_axes(covariance: Tensor, name: str = "covariance") -> tuple[Tensor, Tensor]:
    """Eigenvectors in columns and standard deviations along them, ascending."""
    if covariance.ndim != 2 or not torch.allclose(covariance, covariance.T, rtol=1e-4, atol=1e-6):
        raise ValueError(f"{name} must be a symmetric matrix, got shape {tuple(covariance.shape)}")
    variance, basis = torch.linalg.eigh(covariance)
    if not bool(variance[0] > 1e-12 * variance[-1]):
        raise ValueError(f"{name} must be positive definite, got a smallest eigenvalue of {float(variance[0]):.3g}")
    return basis, variance.sqrt()
