"""A training that starts from the weights of another."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from flowlab.core import Density
from flowlab.training.experiment import Experiment
from flowlab.training.registry import LITTLE, neighbour


def warm_started(run: Experiment, weights: Density, changes: Mapping[str, Any]) -> Any:
    """The training of the study of ``run`` with some keys changed, from its ``weights``; see :meth:`.Training.at`."""
    other: Any = neighbour(run, changes, copied=1.0)
    copied = take_over(other.density, weights)
    keys = ", ".join(f"{key}={value}" for key, value in changes.items())
    if not copied:
        raise ValueError(f"no weights of this run fit one with {keys}: begin that one anew, it cannot start from these")
    if copied < 1:
        other = neighbour(run, changes, copied=copied)
        take_over(other.density, weights)
    if copied < LITTLE:
        warnings.warn(
            f"only {100 * copied:.2g} % of the weights with {keys} are taken over: the run begins as from the start",
            RuntimeWarning,
            stacklevel=3,
        )
    return other


def take_over(density: Density, weights: Density) -> float:
    """Warm-start ``density`` from ``weights``; returns the fraction of its parameters copied, 1 where it has none.

    >>> from flowlab.densities import MADE
    >>> take_over(MADE((4, 4)), MADE((4, 4))), take_over(MADE((4, 4)), MADE((2, 2)))
    (1.0, 0.0)
    """
    names = set(density.warm_start(weights))
    found = {id(p): p.numel() for name, p in density.named_parameters(remove_duplicate=False) if name in names}
    total = sum(p.numel() for p in density.parameters())
    return sum(found.values()) / total if total else 1.0
