"""A target and a proposal on a few states, where every expectation is a finite sum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest


@dataclass(frozen=True)
class FewStates:
    """log_weight and log_q of each state; q is normalised, the target is not."""

    log_weight: np.ndarray
    log_q: np.ndarray

    @property
    def log_w(self) -> np.ndarray:
        return self.log_weight - self.log_q

    @property
    def log_z(self) -> float:
        return float(np.log(np.exp(self.log_weight).sum()))

    @property
    def p(self) -> np.ndarray:
        return np.exp(self.log_weight - self.log_z)

    @property
    def q(self) -> np.ndarray:
        return np.exp(self.log_q)

    @property
    def ess(self) -> float:
        return float(1 / (self.p**2 / self.q).sum())

    def draw(self, n: int, rng: np.random.Generator, *, of: str = "q") -> np.ndarray:
        """(n,) state numbers drawn from q or from p."""
        return rng.choice(len(self.q), size=n, p=self.q if of == "q" else self.p)


@pytest.fixture
def states() -> FewStates:
    rng = np.random.default_rng(11)
    raw = 0.7 * rng.standard_normal(8)
    return FewStates(3.0 + rng.standard_normal(8), raw - np.log(np.exp(raw).sum()))


@pytest.fixture
def half_missing() -> FewStates:
    """A proposal that follows the target on its first four states and all but never draws the other four."""
    log_weight = np.array([0.0, 0.1, -0.2, 0.3] * 2)
    log_q = log_weight + np.where(np.arange(8) < 4, 0.0, -60.0)
    return FewStates(log_weight, log_q - np.log(np.exp(log_q).sum()))
