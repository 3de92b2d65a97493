"""Couplings as parameters: those that must be positive stay so, whatever an optimiser does."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from flowlab.core import System


class LearnedCouplings(nn.Module):
    """Some couplings of a system as parameters, by name.

    One that must be positive (:attr:`.System.positive`) is λ = exp(θ/λ₀), which begins at λ₀: there a step of θ moves
    it as far as a step of its own would, later by as large a fraction of it.

    Args:
        system: gives the values to begin at.
        names: of the couplings.

    Raises:
        ValueError: for a coupling that the system does not have, or one that must be positive and begins at 0.

    >>> from flowlab.systems.phi4 import Phi4
    >>> learned = LearnedCouplings(Phi4((4,), 0.3, 0.02), ["kappa", "lam"])
    >>> list(learned), round(float(learned["lam"].detach()), 6)
    (['kappa', 'lam'], 0.02)
    >>> with torch.no_grad():
    ...     for parameter in learned.parameters():
    ...         _ = parameter.sub_(0.1)
    >>> round(float(learned["kappa"].detach()), 6), round(float(learned["lam"].detach()), 6)
    (0.2, 0.000135)
    """

    def __init__(self, system: System, names: Sequence[str]) -> None:
        super().__init__()
        unknown = sorted(set(names) - set(system.couplings))
        if unknown:
            known = f"{type(system).__name__} has the couplings {sorted(system.couplings)}"
            raise ValueError(f"what is learned must be a coupling: {known}, got {unknown}")
        self._scales: dict[str, float | None] = {}
        for name in names:
            value = system.couplings[name].detach().clone()
            positive = name in system.positive
            if positive and not value > 0:
                raise ValueError(f"{name} must be positive to be learned, got {float(value):g}")
            self._scales[name] = float(value) if positive else None
            self.register_parameter(self._key(name), nn.Parameter(self._parameter(name, value)))

    def _key(self, name: str) -> str:
        return name if self._scales[name] is None else f"log_{name}"

    def _parameter(self, name: str, value: Tensor) -> Tensor:
        scale = self._scales[name]
        return value if scale is None else scale * value.log()

    def __getitem__(self, name: str) -> Tensor:
        parameter, scale = self.get_parameter(self._key(name)), self._scales[name]
        return parameter if scale is None else (parameter / scale).exp()

    def __iter__(self) -> Iterator[str]:
        return iter(self._scales)

    def __len__(self) -> int:
        return len(self._scales)

    def keys(self) -> list[str]:
        """Their names."""
        return list(self._scales)

    def set(self, name: str, value: float | Tensor) -> None:
        """Let a coupling have a value."""
        with torch.no_grad():
            parameter = self.get_parameter(self._key(name))
            parameter.copy_(self._parameter(name, torch.as_tensor(value, dtype=parameter.dtype)))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *more: Any) -> None:
        for name, scale in self._scales.items():  # once all were kept as they are
            if scale is not None and f"{prefix}{name}" in state_dict:
                value = state_dict.pop(f"{prefix}{name}").clamp(min=math.ulp(0.0) ** 0.5)
                state_dict[prefix + self._key(name)] = self._parameter(name, value)
        super()._load_from_state_dict(state_dict, prefix, *more)

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={float(self[name].detach()):g}" for name in self)
