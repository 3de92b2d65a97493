"""A PixelCNN of real fields: causal convolutions give every site a mixture of normal densities."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from flowlab.core import Density, Draw, Reals, System, named_generator
from flowlab.core.arguments import checked
from flowlab.core.symmetry import cannot_fit
from flowlab.densities.multilevel.reals import Mixtures, OddEvenNetwork
from flowlab.nn.causal_network import CausalNetwork
from flowlab.systems.lattice import plane

SAMPLES_IN_CACHE = 256
"""How many samples are drawn together without gradients: their units fit into a processor's cache."""


class FieldPixelCNN(Density):
    """q(φ) = Π_i Σ_h π_h N(φ_i | μ_h, σ_h), the fields φ_i in raster order and each mixture a function of those before.

    What :class:`.PixelCNN` is for spins (Wu, Wang and Zhang 2019, arXiv:1809.10606), for fields with the mixtures of
    Singha et al. 2025 (arXiv:2503.08918, appendix H.4): π, μ and σ come from the units of the last convolution by a
    small network, the same at every site. All of it is exactly symmetric under a flip, q(-φ) = q(φ). Sampling computes
    every unit once, at its site; a warm start takes over every weight on a lattice of any size.

    Draws have the gradient of φ at fixed values of the conditional distribution functions, ``log_prob`` is
    differentiable in φ.

    Args:
        shape: two sides of at least 2.
        channels, layers, kernel, residual: of the convolutions, see :class:`flowlab.nn.causal_network.CausalNetwork`.
        components: normal densities in a mixture.
        generator: draws the initial weights; None takes a fixed seed.

    Raises:
        ValueError: for sides, channels, layers, kernels or components that are not as above.

    >>> q = FieldPixelCNN((4, 4), channels=8, layers=2, kernel=(5, 3))
    >>> x, log_q = q.sample(10, generator=torch.Generator().manual_seed(0))
    >>> x.shape, bool(torch.allclose(log_q, q.log_prob(x), atol=1e-4)), bool(torch.allclose(log_q, q.log_prob(-x)))
    (torch.Size([10, 4, 4]), True, True)
    """

    variables = Reals()

    @checked
    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        channels: int = 32,
        layers: int = 6,
        kernel: int | Sequence[int] = 13,
        residual: bool = True,
        components: int = 3,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.shape, self.mixtures = plane(shape), Mixtures(components)
        generator = named_generator(0, "field pixelcnn") if generator is None else generator
        self.network = CausalNetwork(
            channels=channels, layers=layers, kernel=kernel, residual=residual, odd=True, generator=generator
        )
        self.numbers = OddEvenNetwork(
            channels,
            hidden=(channels, channels),
            odd=self.mixtures.odd,
            constants=self.mixtures.constants,
            generator=generator,
        )

    def draw(self, n: int, *, generator: torch.Generator | None = None) -> Draw:
        """n configurations and their ln q, both with the gradient of the fields at fixed distribution functions."""
        if n < 1:
            raise ValueError(f"n must be at least 1, got {n}")
        sizes = [n]
        if not torch.is_grad_enabled():
            sizes = [min(SAMPLES_IN_CACHE, n - first) for first in range(0, n, SAMPLES_IN_CACHE)]
        parts = [self._draw(size, generator) for size in sizes]
        x, log_q = (torch.cat(both) for both in zip(*parts, strict=True))
        return Draw(x, log_q, torch.zeros_like(log_q))

    def _draw(self, n: int, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        found = []

        def choose(site: int, h: Tensor) -> Tensor:
            x, log_q = self.mixtures.draw(self.numbers.at_once(h), generator)
            found.append(log_q)
            return x

        x = self.network.in_raster(choose, self.shape, self.numbers.constants.new_zeros(n))
        return x.permute(2, 0, 1), torch.stack(found).sum(0)

    def log_prob(self, x: Tensor) -> Tensor:
        if tuple(x.shape[1:]) != self.shape:
            height, width = self.shape
            raise ValueError(f"configurations must have shape (n, {height}, {width}), got {tuple(x.shape)}")
        x = x.to(self.numbers.constants.dtype)
        h = self.network(x).transpose(0, 1).flatten(1)
        log_q = self.mixtures.log_prob(self.numbers.at_once(h), x.flatten())
        return log_q.view(len(x), -1).sum(1)

    def flip_action(self) -> Tensor:
        return -torch.ones(self.shape, device=self.numbers.constants.device)

    def bind(self, target: System) -> None:
        """Check the target.

        Raises:
            ValueError: for a target of another shape, of other variables, or one that is not symmetric under a flip.
        """
        super().bind(target)
        if not target.flip_symmetric:
            raise ValueError(f"a flip-symmetric density {cannot_fit(target)}")
