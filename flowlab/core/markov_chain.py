"""Batched Markov chains: what is carried apart from what is looked at."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

import torch

State = TypeVar("State")
Info = TypeVar("Info")


class MarkovChain(ABC, Generic[State, Info]):
    """A transition kernel for a batch of chains.

    State is what the next step needs, its own serialisable random state included; Info is what a person looks at.
    """

    @abstractmethod
    def init(self, n: int, *, generator: torch.Generator | None = None) -> State:
        """Start n chains."""

    @abstractmethod
    def step(self, state: State) -> tuple[State, Info]:
        """One transition of every chain; never changes ``state`` in place."""
