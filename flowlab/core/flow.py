"""Invertible maps between latent and physical configurations."""

from __future__ import annotations

import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from flowlab.core.made import Made
from flowlab.core.types import LayerKind


class Flow(Made, nn.Module, ABC):
    """A bijection x = f(z), with its log-determinant.

    To write one: give ``forward`` and ``inverse``, exact inverses of each other, each returning the
    log-determinant of its own direction (zeros for maps of a discrete set). ``forward`` may take ``generator=`` or
    leave it out. A flow that is relaxed for training (noise, temperature) is still the hard, exact bijection in the
    value it returns: only its gradient may be a surrogate.

    Everything else has a default, and is worth giving only if the flow can do more: ``pull_flip`` for a symmetry,
    ``fit`` and ``anneal`` for training, ``sequence`` and ``pieces`` for pictures, ``integration_error``, ``push`` and
    ``reach`` for an integrator, ``decides`` and ``flip_logits`` for layers that flip spins.

    Attributes:
        label: what a person calls such a layer, e.g. ``"xor"``.
        layer_kind: ``"time"`` if its ``pieces`` are points of time, else ``"flow"``.
        frame: whether it is a fixed change of coordinates, such as a Fourier transform: as the last layer of a flow it
            is shown first, and the layers before it through it.
        integrates: whether it integrates a differential equation, with an error that falls with the number of steps. It
            then has ``steps`` and ``tolerance``, which may be changed at any time, and ``solver``, "rk4" if the steps
            are fixed.
        reach: how many sites away from a site its output depends on the input; None for the whole lattice.
    """

    label: str = "flow"
    layer_kind: LayerKind = "flow"
    frame: bool = False
    integrates: bool = False
    steps: int
    tolerance: float
    solver: str

    def __init_subclass__(cls, **options: Any) -> None:
        """Let every ``forward`` be called with a ``generator``, whether it takes one or not."""
        super().__init_subclass__(**options)
        forward = cls.__dict__.get("forward")
        if forward is not None and not takes(forward, "generator"):
            cls.forward = _without_generator(forward)  # type: ignore[method-assign]

    @abstractmethod
    def forward(self, z: Tensor, *, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Latent (n, *shape) -> physical (n, *shape) and ln|det dx/dz|, (n,).

        One's own may leave ``generator`` out: it feeds the noise of a surrogate gradient where there is one; values
        never depend on it.
        """

    @abstractmethod
    def inverse(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Physical (n, *shape) -> latent (n, *shape) and ln|det dz/dx|, (n,)."""

    def pull_flip(self, action: Tensor) -> Tensor | None:
        """The flip of latents that this flow turns into the flip ``action`` of its outputs.

        Args:
            action: (*shape) of ±1; -1 marks the sites that the symmetry flips.

        Returns:
            The (*shape) action on latents with f(a z) = action f(z), or None where the flow has no such symmetry.
        """
        return None

    def fit(self, x: Tensor) -> Tensor:
        """Take up, before training, what is estimated from samples of the target; here that is nothing.

        Args:
            x: (n, *shape) samples as they reach this flow from the physical side.

        Returns:
            The latents of these samples (n, *shape), for the flow on the latent side of this one.
        """
        with torch.no_grad():
            return self.inverse(x)[0]

    def anneal(self, progress: float) -> None:
        """Set what is annealed over training (relaxation noise); progress runs from 0 to 1."""

    def sequence(self) -> list[Flow]:
        """The layers that it is made of, in the order in which a latent meets them; by itself it is one layer."""
        return [self]

    def pieces(self, n: int = 4) -> list[Flow]:
        """The same flow as at most n flows one after the other, to be looked at in between."""
        return [self]

    def integration_error(self, z: Tensor, *, factor: int = 2) -> dict[str, float]:
        """How far the integration is from the solution at latents z (n, *shape); empty if it does not integrate.

        Root mean squares: ``round_trip`` of f⁻¹(f(z)) - z a site, ``closure`` of the sum of ln|det| there and back, and
        against ``factor`` times the steps ``field`` a site and ``log_det``.
        """
        return {}

    def push(self, z: Tensor, slope: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x, ln|det| as ``forward`` gives them, and ∂ln q/∂x, (n, *shape), from ``slope``, that at z.

        x has its gradient in the parameters and in z; the other two have none.

        Raises:
            TypeError: here; a flow that integrates with fixed steps can give it.
        """
        raise TypeError(f"{type(self).__name__} does not carry ∂ln q/∂x along: this needs a continuous flow")

    @property
    def reach(self) -> int | None:
        return None

    def decides(self) -> Tensor | None:
        """(*shape) booleans, True at the sites whose spins decide which of the others are flipped; None without such.

        A flow that has them gives ``flip_logits`` too.
        """
        return None

    def flip_logits(self, z: Tensor) -> Tensor:
        """(n, *shape) spins -> (n, *shape): a site is flipped where this is negative; 0 at the sites that decide."""
        raise TypeError(f"{type(self).__name__} flips no spins")


def integrators(module: nn.Module) -> list[Flow]:
    """The flows inside a module that integrate a differential equation, in a fixed order."""
    return [part for part in module.modules() if isinstance(part, Flow) and part.integrates]


def takes(function: Callable[..., Any], argument: str) -> bool:
    """Whether a function may be called with ``argument=...``.

    >>> takes(lambda z, *, generator=None: z, "generator"), takes(lambda z: z, "generator")
    (True, False)
    """
    parameters = inspect.signature(function).parameters
    return argument in parameters or any(each.kind is each.VAR_KEYWORD for each in parameters.values())


def _without_generator(forward: Callable[[Any, Tensor], tuple[Tensor, Tensor]]) -> Callable[..., tuple[Tensor, Tensor]]:
    @functools.wraps(forward)
    def called(self: Flow, z: Tensor, *, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        return forward(self, z)

    return called
