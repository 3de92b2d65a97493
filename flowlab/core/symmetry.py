"""Symmetries of a target, measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Protocol

import torch
from torch import Tensor

from flowlab.core.generators import named_generator
from flowlab.core.variables import Variables

DRAWS = 8
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4}
"""Of ln weight, as a fraction of its size: rounding leaves far less."""


class Weighted(Protocol):
    """What a symmetry is measured on: a :class:`flowlab.core.System`."""

    @property
    def couplings(self) -> dict[str, Tensor]:
        """Couplings by name, 0-d."""

    def buffers(self) -> Iterator[Tensor]:
        """Its tables, if it has any."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one configuration."""

    @property
    def variables(self) -> Variables:
        """What stands at a site."""

    @property
    def flip_symmetric(self) -> bool:
        """What the system says of its own symmetry."""

    def log_weight(self, x: Tensor) -> Tensor:
        """(n, *shape) -> (n,)."""


def flips_measured(system: Weighted) -> bool:
    """Whether log_weight(-x) = log_weight(x) on a few random configurations, the same ones at every call.

    False for variables without a sign, and where no weight of them is a number.
    """
    return system.variables.signed and asymmetry(system, torch.neg) == 0.0


def symmetry_measured(system: Weighted) -> bool:
    """Whether log_weight keeps the global symmetry of its variables: signs flipped, states permuted, angles turned."""
    count = len(system.variables.images(probes(system)))
    return all(keeps(system, lambda x, i=i: system.variables.images(x)[i]) for i in range(count))  # type: ignore[misc]


def keeps(system: Weighted, image: Callable[[Tensor], Tensor]) -> bool:
    """Whether log_weight(image(x)) = log_weight(x) on random configurations, to rounding."""
    return asymmetry(system, image) == 0.0


def asymmetry(system: Weighted, image: Callable[[Tensor], Tensor]) -> float:
    """The largest \\|log_weight(image(x)) - log_weight(x)\\| on random configurations, 0 where it is rounding.

    NaN where no weight of them is a number.

    >>> from flowlab.systems import Ising
    >>> asymmetry(Ising((2, 2), T=1.0), torch.neg), asymmetry(Ising((2, 2), T=1.0, h=0.5), torch.neg) > 0
    (0.0, True)
    """
    for dtype, tolerance in TOLERANCE.items():
        x = probes(system).to(dtype)
        try:
            with torch.no_grad():
                there, back = system.log_weight(x).double(), system.log_weight(image(x)).double()
        except (RuntimeError, TypeError, ValueError, FloatingPointError):
            continue  # a system of single precision
        known = there.isfinite() & back.isfinite()
        if not bool(known.any()):
            continue
        differ = (there - back).abs()[known]
        return float(differ.max()) if bool((differ > tolerance * (there.abs()[known] + 1)).any()) else 0.0
    return math.nan


def probes(system: Weighted) -> Tensor:
    """(8, *shape) float64, random, the same ones at every call; see :meth:`.Variables.probes`."""
    device = next((table.device for table in system.buffers()), torch.device("cpu"))
    return system.variables.probes(DRAWS, tuple(system.shape), generator=named_generator(0, "probes")).to(device)


def check_symmetry(system: Weighted) -> None:
    """Raise ValueError where a system says that it is ``flip_symmetric`` and its weight is not."""
    if system.flip_symmetric and asymmetry(system, torch.neg) > 0:
        raise ValueError(
            f"flip_symmetric of {type(system).__name__} is True, but log_weight(-x) and log_weight(x) differ by up to "
            f"{asymmetry(system, torch.neg):.3g} on {DRAWS} random x: leave it out, and it is measured"
        )


def cannot_fit(system: Weighted) -> str:
    """Why a density that is even in x does not suit a target that is not ``flip_symmetric``, in words."""
    if flips_measured(system):
        return (
            f"cannot fit {system}: its flip_symmetric is False, although log_weight(-x) = log_weight(x) on {DRAWS} "
            "random x; where that holds for all x, leave flip_symmetric out, or return True"
        )
    if not system.variables.signed:
        return f"cannot fit {system}: {system.variables.name} have no sign"
    differ = asymmetry(system, torch.neg)
    return (
        f"cannot fit a target that a field breaks: {system}, whose log_weight(-x) and log_weight(x) differ by up to "
        f"{differ:.3g} on {DRAWS} random x (flip_symmetric)"
    )
