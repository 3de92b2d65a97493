"""Replica exchange of any system: local moves at many powers of its weight, which swap configurations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from flowlab.core import MarkovChain, System, named_generator
from flowlab.mcmc.hmc import HMC
from flowlab.mcmc.parallel_tempering import ladder
from flowlab.mcmc.tensor_chain import opened, per_chain, seeded

TARGET = 0.8
"""Acceptance that the trajectories of real fields are tuned to, at every power."""
SMALLEST_OF_FIELDS = 0.05
"""The smallest power of a weight of real fields, which at 0 could not be normalised."""


class ExchangeState(NamedTuple):
    """What the chains carry; n replicas, K powers, one replica's powers after the other.

    Attributes:
        configurations: (n · K, *shape) spins, states or fields.
        walkers: (n, K) int64, the number of the walker that is at each power.
        ends: (n, K) int64, that walker's last end: -1 the full weight, 1 the smallest power (and the full weight
            before), 0 none yet.
        round_trips: (n,) int64, how often a walker came back from the smallest power to the full weight.
        step_size: (K,) float64, of the leapfrog; spins have no use for it.
        steps: () int64, how many have been done.
        rng: uint8, the state of the chains' random generator.
    """

    configurations: Tensor
    walkers: Tensor
    ends: Tensor
    round_trips: Tensor
    step_size: Tensor
    steps: Tensor
    rng: Tensor


class ExchangeInfo(NamedTuple):
    """What one looks at after a step.

    Attributes:
        acceptance: (n · K,) of the local moves.
        energies: (n, K) -log_weight.
    """

    acceptance: Tensor
    energies: Tensor


class Exchange(MarkovChain[ExchangeState, ExchangeInfo]):
    """Replicas at the powers 1 = b_0 > b_1 > .. of one weight, exp(b log_weight(x)), which swap with their neighbours.

    A step is a sweep at every power, then the pairs (0, 1), (2, 3).. in even steps, (1, 2), (3, 4).. in odd ones, swap
    with probability min(1, exp[(b_k - b_k+1)(l_k+1 - l_k)]), l = log_weight. Spins and states are drawn site by site,
    each against one other value in proportion to the weights; real fields follow one trajectory of :class:`.HMC` with
    momenta of variance 1/b. It needs nothing but ``log_weight``, and N evaluations of it a sweep for spins.

    Args:
        system: of spins, states (with their number ``q``) or real fields.
        powers: from 1 down, above 0 for real fields; see :func:`powers`.
        steps: leapfrog steps in a trajectory, on average.

    Raises:
        ValueError: for powers that make no sense.

    Source: K. Hukushima, K. Nemoto 1996, cond-mat/9512035.

    >>> from flowlab.systems import Ising
    >>> chain = Exchange(Ising((2, 2), T=2.0), [1.0, 0.5, 0.0])
    >>> state, info = chain.step(chain.init(4, generator=torch.Generator().manual_seed(0)))
    >>> info.energies.shape
    torch.Size([4, 3])
    """

    state_type = ExchangeState

    def __init__(self, system: System, powers: Sequence[float], *, steps: int = 8) -> None:
        b = torch.tensor(list(powers), dtype=torch.float64)
        real = not system.variables.discrete
        if len(b) < 2 or b[0] != 1 or bool((b.diff() >= 0).any()) or bool(b[-1] <= 0 if real else b[-1] < 0):
            raise ValueError(
                f"powers must fall from 1, {'and be positive for fields' if real else 'to 0'}, got {powers}"
            )
        self.system, self.powers = system, b
        self._hmc = HMC(system, steps=steps, flips=False) if real else None
        self.tuning = 100 if real else 0

    def init(self, n: int, *, start: Tensor | None = None, generator: torch.Generator | None = None) -> ExchangeState:
        """n replicas from random configurations, or from ``start``, (n, *shape), the same at every power."""
        if n < 1:
            raise ValueError(f"the number of replicas must be at least 1, got {n}")
        own, K = seeded(generator), len(self.powers)
        walkers = torch.arange(K).expand(n, K).clone()
        x = self.system.variables.random((n * K, *self.system.shape), generator=own)
        if start is not None:
            x = start.double().repeat_interleave(K, 0)
        size = torch.full((K,), 0.5 * self.system.n_sites**-0.25, dtype=torch.float64)
        none = torch.zeros(n, K, dtype=torch.int64)
        return ExchangeState(x, walkers, none, none[:, 0].clone(), size, none.new_zeros(()), own.get_state())

    @torch.no_grad()
    def step(self, state: ExchangeState) -> tuple[ExchangeState, ExchangeInfo]:
        """One sweep or trajectory at every power, then swaps."""
        own, n, K = opened(state.rng), *state.walkers.shape
        b = self.powers.repeat(n)
        size = state.step_size
        if self._hmc is None:
            x, log_weight, acceptance = self._sweep(state.configurations, b, own)
        else:
            x, log_weight, acceptance = self._trajectory(state.configurations, b, size.repeat(n), own)
            if int(state.steps) < self.tuning:
                gain = (1 + int(state.steps) / 10) ** -0.75
                size = size * torch.exp(gain * (acceptance.reshape(n, K).mean(0) - TARGET))
        place = self._swaps(log_weight.reshape(n, K), int(state.steps) % 2, own)
        flat = (place + K * torch.arange(n)[:, None]).flatten()
        walkers, ends = state.walkers.gather(1, place), state.ends.gather(1, place)
        back = ends[:, 0] == 1
        ends[:, 0] = -1
        ends[:, -1] = torch.where(ends[:, -1] == -1, 1, ends[:, -1])
        new = ExchangeState(x[flat], walkers, ends, state.round_trips + back, size, state.steps + 1, own.get_state())
        return new, ExchangeInfo(acceptance, -log_weight[flat].reshape(n, K))

    def _sweep(self, x: Tensor, b: Tensor, own: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Every site of every configuration against one other value, in proportion to the weights."""
        flat = x.flatten(1).clone()
        log_weight, moved = self.system.log_weight(flat.reshape(x.shape)).double(), torch.zeros(len(x))
        for site in range(flat.shape[1]):
            old = flat[:, site]
            proposed = flat.clone()
            proposed[:, site] = self.system.variables.move(old, generator=own)
            other = self.system.log_weight(proposed.reshape(x.shape)).double()
            taken = torch.rand(len(x), dtype=torch.float64, generator=own) < torch.sigmoid(b * (other - log_weight))
            flat = torch.where(taken[:, None], proposed, flat)
            log_weight = torch.where(taken, other, log_weight)
            moved += taken
        return flat.reshape(x.shape), log_weight, moved / flat.shape[1]

    def _trajectory(self, x: Tensor, b: Tensor, size: Tensor, own: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        assert self._hmc is not None
        momenta = torch.randn(x.shape, dtype=x.dtype, generator=own) / per_chain(b.sqrt(), x)
        jitter = 0.8 + 0.4 * torch.rand(len(x), dtype=x.dtype, generator=own)
        mean = self._hmc.steps
        steps = int(torch.randint(-(-mean // 2), 3 * mean // 2 + 1, (), generator=own))
        proposed, last = self._hmc.trajectory(x, momenta, per_chain(size * jitter, x), steps)
        before, after = self.system.log_weight(x), self.system.log_weight(proposed)
        gain = after - before + 0.5 * (momenta.square() - last.square()).flatten(1).sum(1)
        acceptance = (b * gain).nan_to_num(nan=-torch.inf).exp().clamp(max=1.0)
        taken = torch.rand(len(x), dtype=x.dtype, generator=own) < acceptance
        return torch.where(per_chain(taken, x), proposed, x), torch.where(taken, after, before), acceptance

    def _swaps(self, log_weight: Tensor, parity: int, own: torch.Generator) -> Tensor:
        """(n, K): at each power the place where its new configuration is now."""
        n, K = log_weight.shape
        gain = (self.powers[:-1] - self.powers[1:]) * log_weight.diff(dim=1)
        swap = torch.rand(n, K - 1, dtype=torch.float64, generator=own).log() < gain
        swap[:, 1 - parity :: 2] = False
        step = torch.zeros(n, K, dtype=torch.int64)
        step[:, :-1] += swap.long()
        step[:, 1:] -= swap.long()
        return torch.arange(K) + step


def powers(system: System) -> tuple[float, ...]:
    """From 1 to 0 for spins and states, to 0.05 for real fields, close enough to swap.

    Those of spins are 1/T of :func:`.ladder`, with the width of ln weight that random configurations have; the action
    of fields has a width of about √(N/2) at every power, so that neighbours differ by 1.2 √(2/N) in ln b.

    >>> from flowlab.systems import Ising, Phi4
    >>> len(powers(Phi4((4, 4), kappa=0.2, lam=0.02))), powers(Phi4((4, 4), kappa=0.2, lam=0.02))[-1]
    (9, 0.05)
    >>> powers(Ising((4, 4), T=2.0))[-1]
    0.0
    """
    if not system.variables.discrete:
        count = max(2, math.ceil(-math.log(SMALLEST_OF_FIELDS) / (1.2 * math.sqrt(2 / system.n_sites))) + 1)
        return tuple(SMALLEST_OF_FIELDS ** (k / (count - 1)) for k in range(count))
    return tuple(1 / T for T in ladder([1.0], system.n_sites, scale=width_at_infinity(system)))


def width_at_infinity(system: System) -> float:
    """√(2/N) times the standard deviation of ln weight over random configurations; see :func:`.ladder` for its use."""
    x = system.variables.random((256, *system.shape), generator=named_generator(0, "width"))
    with torch.no_grad():
        width = float(system.log_weight(x).double().std())
    return max(width * math.sqrt(2 / system.n_sites), 1e-9)
