"""The same physics in other variables."""

from __future__ import annotations

from abc import abstractmethod
from typing import Self

import torch
from torch import Tensor

from flowlab.core.system import System


class Representation(System):
    """A system obtained from ``parent`` by an exact change or integration of variables.

    To write one: what a :class:`.System` needs, ``parent``, ``log_z_offset``, ``restore`` and ``reduce``; if the sites
    are some of the parent's, ``sublattice = True``, ``embed`` and ``physical_order``.

    Attributes:
        parent: the physical system.
        log_z_offset: ln Z_parent = ln Z_self + log_z_offset.
    """

    parent: System

    @property
    def physical(self) -> System:
        return self.parent

    @abstractmethod
    def restore(self, x: Tensor, *, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """(n, *self.shape) -> parent configurations (n, *parent.shape) and ln p(rest | x), (n,)."""

    @abstractmethod
    def reduce(self, s: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Parent configurations (n, *parent.shape) -> (n, *self.shape)."""

    def spelled(self, name: str, value: float) -> tuple[str, float]:
        return self.parent.spelled(name, value)

    def in_its_form(self, name: str, value: float) -> tuple[str, float]:
        return self.parent.in_its_form(name, value)

    def value_of(self, name: str) -> float:
        return self.parent.value_of(name)

    def at(self, **couplings: float | Tensor) -> Self:
        """The same representation, and the same parent, with other couplings; see :meth:`System.at`."""
        other = super().at(**couplings)
        shared = [name for name in couplings if name in self.parent.couplings]
        other.parent = self.parent.at(**{name: other.couplings[name] for name in shared})
        return other
