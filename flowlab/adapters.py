"""Models of other libraries as densities of flowlab."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from flowlab.core import Flow
from flowlab.densities import Normal, Pushforward

__all__ = ["ZukoTransform", "zuko_flow"]


class ZukoTransform(Flow):
    """The transformation of a flow of zuko as a map from latents to fields; see :func:`zuko_flow`.

    Args:
        flow: of zuko, without context.
        shape: of one configuration.
    """

    label = "zuko"

    def __init__(self, flow: nn.Module, shape: Sequence[int]) -> None:
        super().__init__()
        self.flow, self.shape = flow, tuple(shape)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        x, log_det = self._transform().inv.call_and_ladj(z.flatten(1))
        return x.reshape(-1, *self.shape), log_det

    def inverse(self, x: Tensor) -> tuple[Tensor, Tensor]:
        z, log_det = self._transform().call_and_ladj(x.flatten(1))
        return z.reshape(-1, *self.shape), log_det

    def _transform(self) -> Any:
        """From fields to latents, as zuko has it."""
        return self.flow().transform


def zuko_flow(flow: nn.Module, shape: Sequence[int]) -> Pushforward:
    """A flow of zuko as a density of real fields, to be trained, evaluated and looked at as any other.

    ln q is zuko's; random numbers come from flowlab's generators. Symmetries are those that the flow has, mostly none.

    Args:
        flow: e.g. ``zuko.flows.NSF(features=64)``, over a standard normal base and without context.
        shape: of one configuration; its sites, row by row, are the features.

    Raises:
        ValueError: for another number of features, another base, or a flow that needs a context.

    Source: zuko, https://zuko.readthedocs.io (Rozet et al. 2022).

    >>> import zuko
    >>> q = zuko_flow(zuko.flows.NICE(features=16, transforms=2), (4, 4))
    >>> x, log_q = q.sample(5, generator=torch.Generator().manual_seed(0))
    >>> x.shape, bool(torch.allclose(log_q, q.log_prob(x), atol=1e-4))
    (torch.Size([5, 4, 4]), True)
    """
    shape, base = tuple(shape), _base(flow)
    sites = torch.Size(shape).numel()
    if base.event_shape != (sites,):
        raise ValueError(f"flow must have features={sites}, the sites of shape {shape}, got {tuple(base.event_shape)}")
    z = torch.stack([torch.zeros(sites), torch.linspace(-2, 2, sites)]).to(next(flow.parameters()))
    standard = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(1)
    if not torch.allclose(base.log_prob(z).to(standard), standard, rtol=1e-4):
        raise ValueError("flow must have a standard normal base")
    return Pushforward(ZukoTransform(flow, shape), Normal(shape))


def _base(flow: nn.Module) -> Any:
    """The base of a flow, which is called without context."""
    try:
        made = flow()
        with torch.no_grad():
            made.log_prob(torch.zeros(2, *made.base.event_shape).to(next(flow.parameters())))
    except (TypeError, RuntimeError, AttributeError) as error:
        raise ValueError(f"flow must be one of zuko without context: {error}") from error
    return made.base
