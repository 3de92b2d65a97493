"""Flows one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

import torch
from torch import Tensor, nn

from flowlab.core import Flow


class Composed(Flow):
    """x = f_L(... f_1(z)): the layers in the order in which a latent meets them.

    ``len``, iteration and indexing give the layers, a slice gives a ``Composed`` that shares them.

    Args:
        layers: the flows, first the one next to the latent; none is the identity.

    >>> flow = Composed([])
    >>> flow(torch.ones(2, 4, 4))[0].shape, len(flow)
    (torch.Size([2, 4, 4]), 0)
    """

    def __init__(self, layers: Sequence[Flow]) -> None:
        super().__init__()
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
