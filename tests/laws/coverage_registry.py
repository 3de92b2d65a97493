"""A registry of estimators with errors on synthetic data whose truth is known, to be repeated with fresh data.

Where an estimator cannot know its error it says so by NaN; a case says with ``unknown`` why, and with ``known`` how
often it must know.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Rng = np.random.Generator
Found = list[tuple[Any, Any]]  # (Estimate, truth): floats or arrays


@dataclass(frozen=True)
class Case:
    """One estimator on one kind of data.

    Attributes:
        name: of the estimators that it is about, with commas, and of the data after a colon.
        draw: fresh data in, what was found and the truth out.
        repeats: how many times.
        known: the smallest part of the errors that must not be NaN.
        unknown: why not all of them.
        wide: why errors may be larger than needed.
    """

    name: str
    draw: Callable[[Rng], Found]
    repeats: int = 200
    known: float = 1.0
    unknown: str = ""
    wide: str = ""

    @property
    def estimators(self) -> set[str]:
        return set(self.name.split(":")[0].split(", "))


CASES: list[Case] = []
TAILS = "the weights are worth too few draws to know"
SKEWED = "a weight that was not drawn yet is allowed for: the distribution is skewed, and 95 % are covered"


def case(name: str, **keys: Any) -> Callable[[Callable[[Rng], Found]], Callable[[Rng], Found]]:
    def kept(draw: Callable[[Rng], Found]) -> Callable[[Rng], Found]:
        CASES.append(Case(name, draw, **keys))
        return draw

    return kept


def covered(one: Case, seed: int = 0) -> tuple[float, float, float]:
    """The parts of (1, 1.96) errors that hold the truth, among all with an error, and the part that has one."""
    inside, known = [], []
    for repeat in range(one.repeats):
        found = one.draw(np.random.default_rng([seed, repeat]))
        value, error, truth = (np.concatenate([np.ravel(part) for part in parts]) for parts in _columns(found))
        has = np.isfinite(value) & np.isfinite(error)
        off = np.abs(value - truth)[has]
        known.append(has.mean())
        inside.append([(off <= k * error[has] + 1e-12 * np.abs(truth[has])).sum() / len(has) for k in (1, 1.96)])
    share = float(np.mean(known))
    within = np.mean(inside, axis=0) / max(share, 1e-12)
    return float(within[0]), float(within[1]), share


def _columns(found: Found) -> list[list[Any]]:
    values = [np.asarray(one[0], dtype=float) for one, _ in found]
    errors = [
        np.broadcast_to(np.asarray(one[1], dtype=float), v.shape) for (one, _), v in zip(found, values, strict=True)
    ]
    truths = [np.broadcast_to(np.asarray(t, dtype=float), v.shape) for (_, t), v in zip(found, values, strict=True)]
    return [values, errors, truths]
