"""Runs that begin on small lattices: what the studies of growing samplers share."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flowlab.core import Density, System
from flowlab.core.generators import named_seed
from flowlab.densities import Conditional
from flowlab.studies.keys import NO_GROWTH, ONE_LEVEL, WARM, Defence, Degree, Over, doubled_side, intervals, over_idle
from flowlab.training import Objective, OverCouplings, Stage, Training
from flowlab.training.glasses import Annealing
from flowlab.training.optimisation import beta_ramp
from flowlab.training.staged import StartFrom, warm_start

OF_GROWTH = ("share", "shares", "lr_growth", "coupling")
"""Keys that say how a run grows."""
BETA = 0.44
"""Close to criticality: the inverse temperature of the published comparisons."""


def coarsest_side(L: int) -> int:
    """The odd part of L where it is at least 3, else 2.

    >>> coarsest_side(16), coarsest_side(12), coarsest_side(20)
    (2, 3, 5)
    """
    odd = L // (L & -L) if L > 0 else 0
    return odd if odd >= 3 else 2


def first_side(L: int, coarsest: int | None) -> int:
    """The side of the lattice that is drawn first, of which L is 2, 4, 8, ... times as much.

    Raises:
        ValueError: where it is not.
    """
    first = coarsest_side(L) if coarsest is None else coarsest
    doubled_side(L, first)
    return first


def grown_idle(keys: Mapping[str, Any], halves: int = 1) -> dict[str, str]:
    """The keys of levels, of growth and of ``over`` that have no effect with the others.

    The smallest side with something to learn is 2 · ``halves`` coarsest ones.
    """
    found = over_idle(keys)
    if keys["L"] == 2 * halves * (keys["coarsest"] or coarsest_side(keys["L"])):
        found |= dict.fromkeys(("grow", *OF_GROWTH), ONE_LEVEL)
    elif not keys["grow"]:
        found |= dict.fromkeys(OF_GROWTH, NO_GROWTH)
    elif keys["shares"] is not None:
        found["share"] = "beside shares"
    if keys.get("kind", "coloured") != "coloured":
        found |= dict.fromkeys(("colours", "window"), f"on the kind {keys['kind']}")
    return found | (dict.fromkeys(("anneal", "grow", *OF_GROWTH), WARM) if keys["warm"] else {})


def halvings(L: int, side: int) -> int:
    """How often L is halved to give the side.

    >>> halvings(32, 8)
    2
    """
    return (L // side).bit_length() - 1


@dataclass(frozen=True)
class Range:
    """What makes the density of a study one for a range of couplings, from its keys; nothing where ``over`` is None."""

    over: Over | None = None
    degree: Degree = 4
    defence: Defence = 0.01

    @property
    def names(self) -> tuple[str, ...]:
        """The couplings that change."""
        return () if self.over is None else tuple(intervals(self.over))

    def density(self, density: Density) -> Density:
        """The density, or one whose weights are polynomials in the couplings."""
        if self.over is None:
            return density
        return Conditional(density, intervals(self.over), self.degree, defence=self.defence)

    def objective(self, objective: Objective) -> Objective:
        """The objective, or its mean over the couplings."""
        return objective if self.over is None else OverCouplings(objective, intervals(self.over))

    def annealing(self, ramp: Annealing | None) -> Annealing | None:
        """The ramp, or none where all couplings are trained at once."""
        return ramp if self.over is None else None


def staged_training(
    L: int,
    first: int,
    target: Callable[[int], System],
    density: Callable[[int], Density],
    objective: Callable[[], Objective],
    *,
    grow: bool,
    share: float,
    steps: int,
    ramp: Callable[[System], Annealing | None],
    seed: int,
    threads: int,
    shares: str | None = None,
    lr_growth: float = 1.0,
    alone: Callable[[], tuple[System, Density]] | None = None,
    start_from: StartFrom = warm_start,
    couplings: Range = Range(),
    **training: Any,
) -> Training:
    """Trainings on first · 2, · 4, ... up to L as one run of ``steps`` steps.

    The first of them is annealed: ``ramp`` says how for its own target, whose couplings may differ from those of L.
    Where ``shares`` has one number more than there are lattices, the first is for ``alone``: the system of the coarsest
    lattice and what draws it. ``lr_growth`` is the factor on the learning rate at each doubling, below 1 where a
    stage that begins at the full rate would lose what the last one learned. ``start_from`` and ``training`` are as in
    :class:`flowlab.training.Training`, ``couplings`` the range of a density for several.
    """
    if not share > 0:
        raise ValueError(f"share must be positive, steps on each smaller lattice for one on the largest, got {share}")
    largest, whole = target(L), couplings.density(density(L))
    smaller = [first * 2**k for k in range(1, halvings(L, first))] if grow else []
    if steps <= len(smaller):
        raise ValueError(f"steps must be more than the {len(smaller)} smaller lattices trained before, got {steps}")
    parts = _parts(shares, [*smaller, L], first, alone) if shares and grow else [share] * len(smaller) + [1.0]
    counts = [max(1, int(steps * part / sum(parts))) for part in parts[:-1]]
    drawn = [(side, target(side), density(side)) for side in smaller]
    if alone is not None and len(parts) > len(smaller) + 1:
        drawn = [(first, *alone()), *drawn]
    smallest = len(drawn) - len(smaller)
    rate = training.pop("learning_rate")
    before = [
        Stage(
            small, couplings.density(draws), couplings.objective(objective()), steps=count,
            annealing=None if i else couplings.annealing(ramp(small)),
            learning_rate=rate * lr_growth ** max(0, i - smallest), seed=named_seed(seed, "stage", side), **training,
        )
        for i, ((side, small, draws), count) in enumerate(zip(drawn, counts, strict=True))
    ]  # fmt: skip
    return Training(
        largest, whole, couplings.objective(objective()), steps=steps - sum(counts),
        annealing=None if before else couplings.annealing(ramp(largest)),
        learning_rate=rate * lr_growth ** len(smaller), stages=before, start_from=start_from, seed=seed,
        threads=threads, **training,
    )  # fmt: skip


def beta_rises(warm: bool, anneal: float) -> Callable[[System], Annealing | None]:
    """What beta does over the first stage: it rises to that of its target; a warm start does not anneal."""
    return lambda system: None if warm else beta_ramp(float(system.couplings["T"]), anneal)


def _parts(shares: str, sides: Sequence[int], first: int, alone: object) -> list[float]:
    """The numbers of a comma-separated text, one for each side, and one before them for the coarsest lattice alone."""
    try:
        parts = [float(word) for word in shares.split(",")]
    except ValueError:
        parts = []
    most = len(sides) + (alone is not None)
    if not len(sides) <= len(parts) <= most or not all(0 < part < math.inf for part in parts):
        wanted = ", ".join(map(str, sides))
        more = f", or one more before them for L = {first} alone" * (alone is not None)
        raise ValueError(f"shares must be {len(sides)} positive numbers, for L = {wanted}{more}, got {shares!r}")
    return parts
