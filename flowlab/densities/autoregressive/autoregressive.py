"""Spins drawn one site after the other, each from its distribution given the sites before."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from flowlab.core import Density, Draw, Spins
from flowlab.core.generators import everyone, own
from flowlab.nn.windows import at_once
from flowlab.systems import orders

Order = orders.Order

SAMPLES_AT_ONCE = 4096
"""Larger draws are split, so that working memory stays bounded, and in cache on small lattices."""


class Autoregressive(Density):
    """q(x) = Π_i q(x_i | x_0 ... x_{i-1}) for spins x_i = ±1, sites in a fixed order.

    To write one: give ``logits``, so that logit i depends on the sites before i alone; ``flatten_sites`` brings a
    configuration into the order. Override ``choose`` where sampling can be faster than one evaluation of the network
    per site.

    Args:
        shape: sides of one configuration, e.g. ``(8, 8)`` or ``(64,)``; N sites in all.
        order: of the sites, "raster", "checkerboard", "hierarchical" or "hilbert", or every site's number in raster
            order, once; see :func:`flowlab.systems.orders.site_order`.

    Raises:
        ValueError: for sides that are not positive, an unknown order, or one that this shape does not have.
    """

    variables = Spins()
    autoregressive = divisible = True

    def __init__(self, shape: Sequence[int], order: Order = "raster") -> None:
        super().__init__()
        self.shape = shape if isinstance(shape, tuple) else tuple(shape)
        if not self.shape or any(side < 1 for side in self.shape):
            raise ValueError(f"shape must be positive sides, got {shape}")
        sites = orders.site_order(self.shape, order)
        self.register_buffer("sites", sites, persistent=False)
        self.register_buffer("places", sites.argsort(), persistent=False)

    sites: Tensor
    places: Tensor

    @abstractmethod
    def logits(self, x: Tensor) -> Tensor:
        """(n, *shape) spins -> (n, N) in the order of sites: ln q(x_i = +1 | x_<i) - ln q(x_i = -1 | x_<i)."""

    def log_conditionals(self, x: Tensor) -> Tensor:
        """(n, *shape) spins -> (n, N): ln q(x_i | x_<i), in nats, in the order of sites.

        Raises:
            ValueError: for a wrong shape, or spins that are not ±1; on a GPU, which is not waited for, those are NaN.
        """
        spins = self.flatten_sites(x)
        wrong = spins.detach().abs() != 1
        if spins.device.type != "cpu":
            return functional.logsigmoid(spins * self.logits(x)).masked_fill(wrong, torch.nan)
        if bool(wrong.any()):
            raise ValueError(f"spins must be -1 or +1, got {spins.detach()[wrong][0].item()}")
        return functional.logsigmoid(spins * self.logits(x))

    def log_prob(self, x: Tensor) -> Tensor:
        """(n, *shape) spins -> (n,): ln q(x) = Σ_i ln q(x_i | x_<i), exact."""
        return self.log_conditionals(x).sum(-1)

    def draw(self, n: int, *, generator: torch.Generator | None = None) -> Draw:
        """n configurations; ``score`` is ln q with its gradient, ``log_q`` the same number without.

        Without gradients (``torch.no_grad``) the network is not evaluated again: ln q is what sampling computed.
        """
        if n < 1:
            raise ValueError(f"n must be at least 1, got {n}")
        like = next(self.parameters())
        sizes = (everyone(n), self.n_sites)
        u = own(torch.rand(sizes, generator=generator, dtype=like.dtype, device=like.device))
        x, log_q = self._chosen(u)
        if not torch.is_grad_enabled():
            return Draw(x, log_q, log_q)
        score = self.log_prob(x)
        return Draw(x, score.detach(), score)

    def from_uniforms(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """The configurations that given uniform numbers choose: x_i = +1 where u_i <= q(x_i = +1 | x_<i).

        u = 0 is read as a quarter of the machine epsilon, half the spacing of uniform numbers: rare spins then do not
        appear more often than ln q says.

        Args:
            u: (n, N) numbers in [0, 1), in the order of sites, in the parameters' dtype.

        Returns:
            x, (n, *shape) spins, and ln q(x), (n,), both without gradients.

        Raises:
            ValueError: for a wrong shape or numbers outside [0, 1).
        """
        if u.ndim != 2 or u.shape[0] < 1 or u.shape[1] != self.n_sites:
            raise ValueError(f"uniforms must have shape (n, {self.n_sites}), n at least 1, got {tuple(u.shape)}")
        low, high = (float(bound) for bound in u.aminmax())
        if not (low >= 0 and high < 1):
            raise ValueError(f"uniforms must lie in [0, 1), got values from {low} to {high}")
        return self._chosen(u)

    @torch.no_grad()
    def _chosen(self, u: Tensor) -> tuple[Tensor, Tensor]:
        samples, log_q = [], []
        for part in u.split(at_once(SAMPLES_AT_ONCE, u.device)):
            x, logits = self.choose(torch.logit(part.clamp(min=torch.finfo(u.dtype).eps / 4)))
            samples.append(self.unflatten_sites(x))
            log_q.append(functional.logsigmoid(x * logits).sum(-1))
        return torch.cat(samples), torch.cat(log_q)

    def choose(self, thresholds: Tensor) -> tuple[Tensor, Tensor]:
        """Site by site x_i = +1 where logit_i >= threshold_i, else -1; here by one evaluation of the network per site.

        Args:
            thresholds: (n, N) finite log-odds, ln u - ln(1-u) of uniform numbers.

        Returns:
            x and its logits, both (n, N).
        """
        x, chosen = torch.ones_like(thresholds), torch.empty_like(thresholds)
        for site in range(self.n_sites):
            chosen[:, site] = self.logits(self.unflatten_sites(x))[:, site]
            x[:, site] = torch.where(chosen[:, site] >= thresholds[:, site], 1.0, -1.0)
        return x, chosen

    @property
    def site_order(self) -> Tensor | None:
        return self.sites

    @property
    def n_sites(self) -> int:
        """Number of sites N."""
        return int(torch.Size(self.shape).numel())

    def flatten_sites(self, x: Tensor) -> Tensor:
        """(n, *shape) -> (n, N) in the order of sites and the parameters' dtype; ValueError for another shape."""
        if x.ndim != len(self.shape) + 1 or tuple(x.shape[1:]) != tuple(self.shape):
            expected = ", ".join(map(str, self.shape))
            raise ValueError(f"configurations must have shape (n, {expected}), got {tuple(x.shape)}")
        return x.flatten(1).index_select(1, self.sites).to(next(self.parameters()).dtype)

    def unflatten_sites(self, x: Tensor) -> Tensor:
        """(n, N) in the order of sites -> (n, *shape)."""
        return x.index_select(1, self.places).reshape(-1, *self.shape)
