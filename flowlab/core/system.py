"""The target of a sampler: an unnormalised density over lattice configurations."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

Domain = Literal["spin", "potts", "real"]


class System(nn.Module, ABC):
    """A target p(x) ∝ exp(log_weight(x)); it holds couplings and geometry and trains nothing.

    To write one: set ``shape``, ``dims``, ``domain`` and ``couplings``, and give ``log_weight`` and
    ``observables``. Couplings are 0-d tensors, live outside ``state_dict`` and may require a gradient.

    Attributes:
        shape: sides of one configuration, e.g. ``(8, 8)``.
        dims: a name for each side, e.g. ``("y", "x")``.
        domain: ``"spin"`` (±1), ``"potts"`` or ``"real"``.
        couplings: name -> 0-d tensor, e.g. ``{"T": ..., "J": ..., "h": ...}``.
    """

    shape: tuple[int, ...]
    dims: tuple[str, ...]
    domain: Domain
    couplings: dict[str, Tensor]

    @property
    def n_sites(self) -> int:
        """Number of sites N."""
        return math.prod(self.shape)

    @property
    def title(self) -> str:
        """What a person calls it, couplings included; used in Datasets and figures."""
        return repr(self)

    @property
    def flip_symmetric(self) -> bool:
        """Whether log_weight(-x) = log_weight(x) for every x."""
        return False

    @abstractmethod
    def log_weight(self, x: Tensor) -> Tensor:
        """(n, *shape) -> (n,): -E/T for spins, -S for fields; differentiable in x."""

    @abstractmethod
    def observables(self, x: Tensor) -> dict[str, Tensor]:
        """(n, *shape) -> name -> (n,), per site where intensive."""

    def at(self, **couplings: float | Tensor) -> Self:
        """The same system with other couplings: cheap, shares every buffer; tensors keep their gradient.

        Raises:
            ValueError: for a coupling that this system does not have, or a value it cannot have.
        """
        unknown = sorted(set(couplings) - set(self.couplings))
        if unknown:
            raise ValueError(f"{type(self).__name__} has the couplings {sorted(self.couplings)}, got {unknown}")
        other = copy.copy(self)
        for name in ("_parameters", "_buffers", "_modules"):  # a shallow copy shares them: moving it would move self
            other.__dict__[name] = self.__dict__[name].copy()
        other.couplings = self.couplings | {name: as_coupling(value) for name, value in couplings.items()}
        other.check_couplings()
        return other

    def check_couplings(self) -> None:
        """Raise ValueError where a coupling has a value that makes no sense; called by ``at``."""
        for name, value in self.couplings.items():
            number = float(value.detach())
            if not math.isfinite(number):
                raise ValueError(f"{name} must be a finite number, got {number}")
            if name == "T" and number <= 0:
                raise ValueError(f"T must be positive, got {number}")

    def check_batch(self, x: Tensor) -> None:
        """Raise ValueError where the shape of x is not (n, *shape)."""
        if x.ndim != len(self.shape) + 1 or tuple(x.shape[1:]) != tuple(self.shape):
            raise ValueError(
                f"configurations must have shape (n, {', '.join(map(str, self.shape))}), got {tuple(x.shape)}"
            )

    def check_configurations(self, x: Tensor) -> None:
        """Raise ValueError where x is not a batch of configurations of this system."""
        self.check_batch(x)
        if self.domain == "spin" and not bool((x.detach().abs() == 1).all()):
            bad = x.detach()[x.detach().abs() != 1].flatten()[0].item()
            raise ValueError(f"spins must be -1 or +1, got {bad}")

    def extra_repr(self) -> str:
        values = ", ".join(f"{name}={float(value.detach()):g}" for name, value in self.couplings.items())
        return f"shape={self.shape}, {values}"

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        self.couplings = {name: fn(value) for name, value in self.couplings.items()}
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]


def as_coupling(value: float | Tensor) -> Tensor:
    """A coupling as a 0-d tensor: numbers become float64, tensors stay what they are (with their gradient)."""
    tensor = value if isinstance(value, Tensor) else torch.tensor(float(value), dtype=torch.float64)
    if tensor.ndim != 0:
        raise ValueError(f"a coupling must be one number, got a tensor of shape {tuple(tensor.shape)}")
    return tensor
