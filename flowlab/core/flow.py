"""Invertible maps between latent and physical configurations."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from flowlab.core.made import Made


class Flow(Made, nn.Module, ABC):
    """A bijection x = f(z), with its log-determinant.

    To write one: give ``forward`` and ``inverse``, exact inverses of each other, each returning the
    log-determinant of its own direction (zeros for maps of a discrete set). A flow that is relaxed for
    training (noise, temperature) is still the hard, exact bijection in the value it returns: only its
    gradient may be a surrogate.

    Attributes:
        label: what a person calls such a layer, e.g. ``"xor"``.
    """

    label: str = "flow"

    @abstractmethod
    def forward(self, z: Tensor, *, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Latent (n, *shape) -> physical (n, *shape) and ln|det dx/dz|, (n,).

        ``generator`` feeds the noise of a surrogate gradient where there is one; values never depend on it.
        """

    @abstractmethod
    def inverse(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Physical (n, *shape) -> latent (n, *shape) and ln|det dz/dx|, (n,)."""

    def pull_flip(self, action: Tensor) -> Tensor | None:
        """The flip of latents that this flow turns into the flip ``action`` of its outputs.

        Args:
            action: (*shape) of ±1; -1 marks the sites that the symmetry flips.

        Returns:
            The (*shape) action on latents with f(a z) = action f(z), or None where the flow has no such symmetry.
        """
        return None

    def fit(self, x: Tensor) -> Tensor:
        """Take up, before training, what is estimated from samples of the target; here that is nothing.

        Args:
            x: (n, *shape) samples as they reach this flow from the physical side.

        Returns:
            The latents of these samples (n, *shape), for the flow on the latent side of this one.
        """
        with torch.no_grad():
            return self.inverse(x)[0]

    def anneal(self, progress: float) -> None:
        """Set what is annealed over training (relaxation noise); progress runs from 0 to 1."""
