"""Flows one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, overload

import torch
from torch import Tensor, nn

from flowlab.core import Flow
from flowlab.core.arguments import checked


class Composed(Flow):
    """x = f_L(... f_1(z)): the layers in the order in which a latent meets them.

    ``len``, iteration and indexing give the layers, a slice gives a ``Composed`` that shares them.

    Args:
        layers: the flows, first the one next to the latent; none is the identity.

    >>> flow = Composed([])
    >>> flow(torch.ones(2, 4, 4))[0].shape, len(flow)
    (torch.Size([2, 4, 4]), 0)
    """

    @checked
    def __init__(self, layers: Sequence[Flow]) -> None:
        super().__init__()
        shapes = {shape for layer in layers if (shape := shape_of(layer)) is not None}
        if len(shapes) > 1:
            raise ValueError(f"layers must have one shape, got {', '.join(map(str, sorted(shapes)))}")
        self.layers = nn.ModuleList(layers)

    def forward(self, z: Tensor, *, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        log_det = z.new_zeros(z.shape[0])
        for layer in self:
            z, change = layer(z, generator=generator)
            log_det = log_det + change
        return z, log_det

    def inverse(self, x: Tensor) -> tuple[Tensor, Tensor]:
        log_det = x.new_zeros(x.shape[0])
        for layer in reversed(list(self)):
            x, change = layer.inverse(x)
            log_det = log_det + change
        return x, log_det

    def pull_flip(self, action: Tensor) -> Tensor | None:
        pulled: Tensor | None = action
        for layer in reversed(list(self)):
            pulled = None if pulled is None else layer.pull_flip(pulled)
        return pulled

    def fit(self, x: Tensor) -> Tensor:
        for layer in reversed(list(self)):
            x = layer.fit(x)
        return x

    def anneal(self, progress: float) -> None:
        for layer in self:
            layer.anneal(progress)

    def sequence(self) -> list[Flow]:
        return list(self)

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Flow]:
        for layer in self.layers:
            assert isinstance(layer, Flow)
            yield layer

    @overload
    def __getitem__(self, item: int) -> Flow: ...
    @overload
    def __getitem__(self, item: slice) -> Composed: ...
    def __getitem__(self, item: int | slice) -> Flow:
        layers = list(self)
        return Composed(layers[item]) if isinstance(item, slice) else layers[item]


def shape_of(flow: Flow) -> tuple[int, ...] | None:
    """Sides of the configurations that a flow takes, None where any will do.

    >>> shape_of(Composed([])) is None
    True
    """
    if isinstance(flow, Composed):
        return next((sides for layer in flow if (sides := shape_of(layer)) is not None), None)
    shape: Any = getattr(flow, "shape", None)
    return None if shape is None else tuple(shape)
