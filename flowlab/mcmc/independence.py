"""Metropolis chains whose proposals are independent draws of a density."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flowlab.core import Density, MarkovChain, System
from flowlab.core.system import measured
from flowlab.core.types import Series
from flowlab.mcmc.tensor_chain import opened, per_chain, seeded


class IndependenceState(NamedTuple):
    """What the chains carry.

    Attributes:
        configurations: (n, *shape) spins or fields of the physical system.
        log_w: (n,) float64, log_weight - ln q of them.
        run_lengths: (n,) int64, proposals rejected since the last one accepted.
        rng: uint8, the state of the chains' random generator.
    """

    configurations: Tensor
    log_w: Tensor
    run_lengths: Tensor
    rng: Tensor


class IndependenceInfo(NamedTuple):
    """What one looks at after a step.

    Attributes:
        accepted: (n,) whether the proposal was accepted.
        acceptance: (n,) with which probability, min(1, w' / w).
    """

    accepted: Tensor
    acceptance: Tensor


class IndependenceMetropolis(MarkovChain[IndependenceState, IndependenceInfo]):
    """Proposals from q, accepted with probability min(1, w'/w), w = exp(log_weight - ln q), for n chains at once.

    Exact whatever q is, as long as it leaves nothing out; a configuration that q draws too rarely is held for long.
    Proposals do not depend on the chains, so :meth:`run` draws them many at a time.

    Args:
        density: q, whose draws are independent.
        target: what it was made for: the system, or a Representation of it. The chain is one of the physical system:
            proposals are restored, with the same weights.
        batch: proposals drawn at a time by :meth:`run`.

    Raises:
        ValueError: for a density of another shape, or whose draws depend on each other.

    Source: M. S. Albergo, G. Kanwar, P. E. Shanahan 2019, arXiv:1904.12072.

    >>> from flowlab.systems import Phi4
    >>> class Gaussian(Density):
    ...     shape = (2, 2)
    ...     def draw(self, n, *, generator=None):
    ...         from flowlab.core import Draw
    ...         x = torch.randn(n, 2, 2, generator=generator)
    ...         return Draw(x, self.log_prob(x), torch.zeros(n))
    ...     def log_prob(self, x):
    ...         return -0.5 * x.square().sum((1, 2))
    >>> chain = IndependenceMetropolis(Gaussian(), Phi4((2, 2), kappa=0.1, lam=0.1))
    >>> state, found = chain.run(chain.init(4, generator=torch.Generator().manual_seed(0)), 50)
    >>> found["accepted"].shape
    (50, 4)
    """

    state_type = IndependenceState

    def __init__(self, density: Density, target: System, *, batch: int = 1000) -> None:
        if not density.iid:
            raise ValueError(f"proposals must be independent, and the draws of {type(density).__name__} are not")
        if batch < 1:
            raise ValueError(f"batch must be at least 1, got {batch}")
        density.bind(target)
        self.density, self.target, self.batch = density, target, int(batch)
        self.system = target.physical

    def init(self, n: int, *, generator: torch.Generator | None = None) -> IndependenceState:
        """n chains that start at draws of q."""
        if n < 1:
            raise ValueError(f"the number of chains must be at least 1, got {n}")
        own = seeded(generator, self.device)
        x, log_w = self.propose(n, own)
        return IndependenceState(x, log_w, torch.zeros(n, dtype=torch.int64, device=x.device), own.get_state())

    @property
    def device(self) -> torch.device:
        """Where the density draws, and the chains are."""
        tensors = itertools.chain(self.density.parameters(), self.density.buffers())
        return next((tensor.device for tensor in tensors), torch.device("cpu"))

    @torch.no_grad()
    def propose(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """n configurations of the system drawn from q, and their log_w, (n,) float64.

        Raises:
            FloatingPointError: where one of the weights is NaN or infinite.
        """
        x, log_q = self.density.sample(n, generator=generator)
        log_w = (self.target.log_weight(x) - log_q).double()
        if bool((log_w.isnan() | (log_w == torch.inf)).any()):
            raise FloatingPointError(f"log_weight - ln q is NaN or +inf for a draw of {type(self.density).__name__}")
        return self.target.restore(x, generator=generator)[0], log_w

    @torch.no_grad()
    def log_w(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """(n, *shape) configurations of the system -> (n,) float64 log_weight - ln q."""
        x = self.target.reduce(x, generator=generator)
        return (self.target.log_weight(x) - self.density.log_prob(x)).double()

    def step(self, state: IndependenceState) -> tuple[IndependenceState, IndependenceInfo]:
        """One proposal for every chain."""
        own, n = opened(state.rng, self.device), len(state.log_w)
        x, log_w = self.propose(n, own)
        acceptance, accepted, lengths = _decide(state, log_w[None], own)
        taken = torch.from_numpy(accepted[0]).to(x.device)
        new = IndependenceState(
            torch.where(per_chain(taken, x), x, state.configurations),
            torch.where(taken, log_w, state.log_w),
            torch.from_numpy(lengths).to(x.device),
            own.get_state(),
        )
        return new, IndependenceInfo(taken, torch.from_numpy(acceptance[0]).to(x.device))

    def run(self, state: IndependenceState, sweeps: int) -> tuple[IndependenceState, Series]:
        """``sweeps`` proposals for every chain; how many are drawn at a time changes which, not their distribution.

        Returns:
            The new state, and name -> (sweeps, n): ``acceptance``, ``accepted`` (0 or 1) and all that :func:`.measured`
            finds.
        """
        if sweeps < 1:
            raise ValueError(f"sweeps must be at least 1, got {sweeps}")
        parts: list[dict[str, Any]] = []
        at_once = max(1, self.batch // len(state.log_w))
        for first in range(0, sweeps, at_once):
            state, found = self._advance(state, min(at_once, sweeps - first))
            parts.append(found)
        return state, {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _advance(self, state: IndependenceState, steps: int) -> tuple[IndependenceState, Series]:
        own, n = opened(state.rng, self.device), len(state.log_w)
        x, log_w = self.propose(steps * n, own)
        acceptance, accepted, lengths = _decide(state, log_w.reshape(steps, n), own)
        taken = torch.from_numpy(accepted.reshape(-1)).to(x.device)
        # what the chains pass through, each configuration once: where they start, then what is accepted, in order
        passed, levels = torch.cat([state.configurations, x[taken]]), torch.cat([state.log_w, log_w[taken]])
        place = np.tile(np.arange(n), (steps + 1, 1))
        place[1:][accepted] = n + np.arange(accepted.sum())
        newest = np.maximum.accumulate(np.where(accepted, np.arange(1, steps + 1)[:, None], 0))
        place = place[newest, np.arange(n)]
        values = measured(self.system, passed)
        series = {name: value.double().cpu().numpy()[place] for name, value in values.items()}
        last = torch.from_numpy(place[-1]).to(x.device)
        new = IndependenceState(passed[last], levels[last], torch.from_numpy(lengths).to(x.device), own.get_state())
        return new, {"acceptance": acceptance, "accepted": accepted.astype(np.float64)} | series


def _decide(
    state: IndependenceState, log_w: Tensor, own: torch.Generator
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64]]:
    """Acceptance and accepted, (steps, n), of proposals (steps, n) made one row after the other, and run lengths."""
    proposed = log_w.cpu().numpy()
    log_u = torch.rand(proposed.shape, dtype=torch.float64, generator=own, device=own.device).log_().cpu().numpy()
    level, lengths = state.log_w.cpu().numpy(), state.run_lengths.cpu().numpy()
    acceptance, accepted = np.empty(proposed.shape), np.empty(proposed.shape, dtype=np.bool_)
    for step, row in enumerate(proposed):
        gain = np.where(np.isneginf(level), 0.0, row - np.where(np.isneginf(level), 0.0, level))
        acceptance[step] = np.exp(np.minimum(gain, 0.0))
        accepted[step] = log_u[step] < gain
        level = np.where(accepted[step], row, level)
        lengths = np.where(accepted[step], 0, lengths + 1)
    return acceptance, accepted, lengths
