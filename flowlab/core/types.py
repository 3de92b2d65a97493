"""What densities and chains hand out: draws, the state after a layer, what a chain is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Generic, Literal, NamedTuple, TypeVar

import torch
from torch import Tensor

from flowlab.core.made import Made

Report = Callable[[str], None]
"""Told in words what goes on before the first step."""


def silent(what: str) -> None:
    """A report to nobody."""


class Draw(NamedTuple):
    """Configurations drawn from a density, with what an objective needs to differentiate.

    All three have the same values with gradients and without them (``torch.no_grad``). The likelihood is ``log_q``,
    always; ``score`` is there for its gradient, and a wrapper that changes q changes both.

    Attributes:
        x: (n, *shape) configurations; may carry a pathwise or a straight-through gradient.
        log_q: (n,) ln q(x) of exactly these x, as ``log_prob`` has it, with the pathwise gradient only.
        score: (n,) ln p of the discrete choices that led to x, for score-function gradients: the value of ``log_q``
            where these choices are all there is to x, zeros where there was none, else neither.
    """

    x: Tensor
    log_q: Tensor
    score: Tensor


LayerKind = Literal["flow", "level", "time"]


class LayerState(NamedTuple):
    """The configurations as they stand after one layer.

    Attributes:
        name: what a person calls the layer, e.g. ``"latent"`` or ``"xor 2"``.
        kind: ``"flow"`` (a layer of a flow), ``"level"`` (a scale) or ``"time"`` (a point of an ODE).
        time: position from 0 (latent) to 1 (sample).
        x: (n, *shape) configurations after the layer.
        log_q: (n,) ln of the density of x after this layer.
    """

    name: str
    kind: LayerKind
    time: float
    x: Tensor
    log_q: Tensor


State = TypeVar("State")
Info = TypeVar("Info")


class MarkovChain(Made, ABC, Generic[State, Info]):
    """A transition kernel for a batch of chains.

    State is what the next step needs, its own serialisable random state included; Info is what a person looks at.
    """

    @abstractmethod
    def init(self, n: int, *, generator: torch.Generator | None = None) -> State:
        """Start n chains."""

    @abstractmethod
    def step(self, state: State) -> tuple[State, Info]:
        """One transition of every chain; never changes ``state`` in place."""
