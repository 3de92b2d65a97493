"""What a hand-built run on random couplings is given where nothing is said: what the studies of glasses use.

Without annealing, a density trained on its own draws settles in a few valleys of a glass, and neither its bound nor its
ESS shows it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from torch import Tensor

from flowlab.analysis.reference import Reference
from flowlab.core import Spins, System
from flowlab.storage.samples import Samples, content_name
from flowlab.training.objectives.reverse_kl import Objective
from flowlab.training.optimisation import beta_ramp

Auto = Literal["auto"]
Annealing = Callable[[float], dict[str, float | Tensor]]

ANNEAL = 0.7
"""Fraction of the run over which beta rises from beta / 5."""


def annealing_of(target: System, objective: Objective) -> Annealing | None:
    """A rise of beta where the couplings are random and the loss is made of the density's own draws; else none."""
    T = target.temperature
    if not target.disordered or T is None or not objective.own_draws:
        return None
    return beta_ramp(float(T.detach()), ANNEAL)


def comparison_of(target: System, seed: int) -> Reference | None:
    """Parallel tempering of a spin system with random pair couplings, run when an evaluation asks for it; else none."""
    system = target.physical
    if not system.disordered or system.temperature is None or system.variables != Spins():
        return None
    try:
        return Reference(system, [float(system.temperature.detach())], seed=seed)
    except TypeError:  # no pair couplings are known
        return None


def shelved(comparison: Reference | None, run: Path | None) -> None:
    """Have what tempering draws kept in the directory of a run, and found there or beside it instead of drawn again."""
    content = getattr(comparison, "content", None)
    if comparison is not None and run is not None and content is not None:
        comparison.shelf = Samples(run, content_name(comparison.system, content))
