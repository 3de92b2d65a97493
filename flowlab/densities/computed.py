"""A density whose weights are computed, wherever it is used."""

from __future__ import annotations

import copy
import threading
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.func import functional_call

from flowlab.core import Density, Draw, Flow, LayerState, System, Wrapper

Found = TypeVar("Found")


class Computed(Wrapper):
    """A density at weights that are functions of something else; all that it can do, it does at these.

    To write one: give ``weights``. Several threads may read it, one at a time.

    Args:
        density: what draws.
    """

    def __init__(self, density: Density) -> None:
        super().__init__(density)
        self.variables = density.variables
        self._lock = threading.RLock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._lock = threading.RLock()

    @abstractmethod
    def weights(self) -> dict[str, Tensor]:
        """Name -> value of the density's parameters, differentiable in what they are computed from."""

    def _applied(self, does: Callable[[Density], Found]) -> Found:
        """What a function makes of the density with its weights as they are computed now."""
        with self._lock:
            values = {f"density.{name}": value for name, value in self.weights().items()}
            for value in values.values():  # a part of a ParameterList copies what is none, and would lose its gradient
                value._is_param = True
            found: Found = functional_call(_Applied(self.density), values, (does,))
            return found

    def _copied(self, values: Mapping[str, Tensor]) -> Density:
        """The density with these tensors in place of its weights."""
        named = dict(self.density.named_parameters())
        memo: dict[int, Any] = {id(named[name]): value for name, value in values.items()}
        return copy.deepcopy(self.density, memo)

    @property
    def autoregressive(self) -> bool:  # type: ignore[override]
        return self.density.autoregressive

    @property
    def staged(self) -> bool:  # type: ignore[override]
        return self.density.staged

    @property
    def divisible(self) -> bool:  # type: ignore[override]
        return self.density.divisible

    def draw(self, n: int, *, generator: torch.Generator | None = None) -> Draw:
        return self._applied(lambda density: density.draw(n, generator=generator))

    def draw_slope(self, n: int, *, generator: torch.Generator | None = None) -> tuple[Draw, Tensor]:
        return self._applied(lambda density: density.draw_slope(n, generator=generator))

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            return self._applied(lambda density: density.sample(n, generator=generator))

    def log_prob(self, x: Tensor) -> Tensor:
        return self._applied(lambda density: density.log_prob(x))

    def log_prob_at(self, stage: int, x: Tensor) -> Tensor:
        return self._applied(lambda density: density.log_prob_at(stage, x))

    def log_conditionals(self, x: Tensor) -> Tensor:
        return self._applied(lambda density: density.log_conditionals(x))

    def latents_of(self, x: Tensor) -> Tensor:
        return self._applied(lambda density: density.latents_of(x))

    def stages(
        self,
        n: int | None = None,
        *,
        x: Tensor | None = None,
        z: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Iterator[LayerState]:
        with torch.no_grad():
            yield from self._applied(lambda density: list(density.stages(n, x=x, z=z, generator=generator)))

    def integration_error(
        self, n: int = 64, *, factor: int = 2, generator: torch.Generator | None = None
    ) -> dict[str, float]:
        return self._applied(lambda density: density.integration_error(n, factor=factor, generator=generator))

    def metrics(self) -> dict[str, float]:
        return self._applied(lambda density: density.metrics())

    @property
    def coarse_system(self) -> System | None:
        return self._applied(lambda density: density.coarse_system)

    @property
    def learned_couplings(self) -> dict[str, Tensor]:
        return self._applied(lambda density: dict(density.learned_couplings))

    @property
    def latent_density(self) -> Density:
        with self._lock:
            return self._copied(self.weights()).latent_density

    @property
    def flow_layers(self) -> list[Flow]:
        with self._lock:
            return self._copied(self.weights()).flow_layers

    def flip_action(self) -> Tensor | None:
        return self._applied(lambda density: density.flip_action())


class _Applied(nn.Module):
    """A function of a density as the call of a module, which is what can be evaluated at other weights."""

    def __init__(self, density: Density) -> None:
        super().__init__()
        self.density = density

    def forward(self, does: Callable[[Density], Found]) -> Found:
        return does(self.density)
