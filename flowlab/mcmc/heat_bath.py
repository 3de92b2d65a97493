"""Markov chains of the Ising model: what they share, and the local ones, heat bath and Metropolis."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from flowlab.core import MarkovChain, Spins, System
from flowlab.extras import told
from flowlab.systems import Ising
from flowlab.systems.lattice import bipartite, neighbours

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

PROPOSED = 0.9
"""Probability that Metropolis proposes a flip; with 1 it would not be ergodic."""


class IsingState(NamedTuple):
    """What n chains carry, as numpy arrays.

    Attributes:
        configurations: (n, *shape) int8 of ±1.
        rng: (n, 4) int64, the random words of each chain.
    """

    configurations: NDArray[np.int8]
    rng: IntArray


class IsingInfo(NamedTuple):
    """What one looks at after a sweep of n chains.

    Attributes:
        energy_per_site: (n,) E/N in units of J.
        magnetization: (n,) Σs/N.
        flipped: (n,) spins flipped, once for every flip.
        clusters: (n,) clusters grown; 0 for local chains.
    """

    energy_per_site: FloatArray
    magnetization: FloatArray
    flipped: IntArray
    clusters: IntArray


class IsingChain(MarkovChain[IsingState, IsingInfo]):
    """n independent chains of one Ising system; a step is a sweep, about N spins looked at.

    Every chain has its own random numbers: results do not depend on ``threads``, nor on the other chains. The first
    use compiles for a few seconds.

    Args:
        system: an :class:`flowlab.systems.Ising`.
        threads: threads over the chains.

    Raises:
        TypeError: for another system.
        ValueError: for a number of threads below 1, or a system that the chain cannot sample.
    """

    system: Ising
    state_type = IsingState
    kind: int
    clusters: int = 0

    def __init__(self, system: Ising, *, threads: int = 1) -> None:
        if int(threads) != threads or threads < 1:
            raise ValueError(f"threads must be a whole number of at least 1, got {threads}")
        self.check(system)
        self.system, self.threads = system, int(threads)

    @classmethod
    def check(cls, system: System) -> None:
        """Raise TypeError or ValueError where this kind of chain cannot sample the system."""
        if not system.hypercubic or system.variables != Spins():
            raise TypeError(f"{cls.__name__} needs an Ising system, got {type(system).__name__}")

    @classmethod
    @abstractmethod
    def thresholds(cls, system: Ising, beta: float) -> NDArray[np.uint64]:
        """(3, 4d + 1) integers that random words are compared with at the inverse temperature beta; see the kernels."""

    def init(
        self, n: int, *, start: ArrayLike | torch.Tensor | None = None, generator: torch.Generator | None = None
    ) -> IsingState:
        """n chains from random spins, or from ``start``, (n, *shape) of ±1.

        Raises:
            ValueError: for n < 1, or a start that is no batch of n configurations.

        >>> HeatBath(Ising((4, 4), T=2.0)).init(3).configurations.shape
        (3, 4, 4)
        """
        if n < 1:
            raise ValueError(f"the number of chains must be at least 1, got {n}")
        seed = int(torch.randint(2**63 - 1, (), generator=generator))
        rng = np.random.default_rng(seed)
        spins = rng.integers(0, 2, (n, *self.system.shape), dtype=np.int8) * np.int8(2) - np.int8(1)
        if start is not None:
            given = torch.as_tensor(start)
            self.system.check_configurations(given)
            if len(given) != n:
                raise ValueError(f"start must hold {n} configurations, one a chain, got {len(given)}")
            spins = given.detach().cpu().numpy().astype(np.int8)
        return IsingState(spins, rng.integers(0, 2**64, (n, 4), dtype=np.uint64).view(np.int64))

    def step(self, state: IsingState) -> tuple[IsingState, IsingInfo]:
        """One sweep of every chain; for many of them :meth:`run` is far quicker."""
        new, info = self._advance(state, 1)
        return new, IsingInfo(*(values[0] for values in info))

    def run(self, state: IsingState, sweeps: int) -> tuple[IsingState, dict[str, FloatArray]]:
        """Many sweeps, measured after every one.

        Args:
            state: where to start; it is not changed.
            sweeps: how many.

        Returns:
            The new state, and ``energy_per_site`` (units of J) and ``magnetization``, both (sweeps, n).

        Raises:
            ValueError: for a negative number of sweeps, or a state of another shape.
        """
        new, info = self._advance(state, sweeps)
        return new, {"energy_per_site": info.energy_per_site, "magnetization": info.magnetization}

    def _advance(self, state: IsingState, sweeps: int) -> tuple[IsingState, IsingInfo]:
        if sweeps < 0:
            raise ValueError(f"the number of sweeps must not be negative, got {sweeps}")
        with told():
            from flowlab.mcmc.kernels.ising import advance

        J, h, beta = numbers(self.system)
        self._checked_state(state)
        new = IsingState(state.configurations.copy(order="C"), state.rng.copy(order="C"))
        n, N = len(new.rng), self.system.n_sites
        found = np.empty((4, sweeps, n), dtype=np.int64)
        table = neighbours(self.system.shape).numpy().astype(np.uint32)
        thresholds, sign = self.thresholds(self.system, beta), 1 if J >= 0 else -1
        spins, words = new.configurations, new.rng.view(np.uint64)

        def part(first: int, last: int) -> None:
            advance(first, last, self.kind, table, thresholds, sign, self.clusters, spins, words, found)

        in_parts(part, n, self.threads)
        return new, IsingInfo(-(J * found[0] + h * found[1]) / N, found[1] / N, found[2], found[3])

    def load_state_dict(self, arrays: Mapping[str, Any]) -> IsingState:
        """The state again, from arrays or tensors by name.

        Raises:
            ValueError: for missing arrays, or a state of another shape.
        """
        missing = sorted(set(IsingState._fields) - set(arrays))
        if missing:
            raise ValueError(f"a state of {type(self).__name__} needs {missing} too")
        return self._checked_state(IsingState(*(np.asarray(arrays[name]) for name in IsingState._fields)))

    def _checked_state(self, state: IsingState) -> IsingState:
        n, shape = len(state.rng), tuple(self.system.shape)
        if state.configurations.shape != (n, *shape) or state.rng.shape != (n, 4):
            sides = ", ".join(map(str, shape))
            raise ValueError(
                f"this chain needs configurations of shape (n, {sides}) and rng of shape (n, 4), "
                f"got {state.configurations.shape} and {state.rng.shape}"
            )
        return state


class HeatBath(IsingChain):
    """Heat bath on a checkerboard: all even sites, then all odd ones, are drawn anew given their neighbours.

    p(s_x = 1 | rest) = 1 / (1 + exp[-2β (J Σ_y s_y + h)]), for J and h of either sign. All sides must be even.

    Args:
        system: an :class:`flowlab.systems.Ising`.
        threads: see :class:`IsingChain`.

    Raises:
        TypeError, ValueError: for another system, or an odd side.

    >>> chain = HeatBath(Ising((8, 8), T=3.0, h=0.1))
    >>> state, info = chain.step(chain.init(2, generator=torch.Generator().manual_seed(0)))
    >>> state.configurations.shape, info.energy_per_site.shape
    ((2, 8, 8), (2,))
    >>> state, seen = chain.run(state, 100)
    >>> seen["magnetization"].shape
    (100, 2)
    """

    kind = 0

    @classmethod
    def check(cls, system: System) -> None:
        super().check(system)
        bipartite(system.shape)

    @classmethod
    def thresholds(cls, system: Ising, beta: float) -> NDArray[np.uint64]:
        J, h, _ = numbers(system)
        most = 2 * len(system.shape)
        table = np.zeros((3, 2 * most + 1), dtype=np.uint64)
        for s in (-1, 1):
            for around in range(-most, most + 1, 2):
                p = cls._flip_probability(2 * beta * s * (J * around + h))
                table[1 + s, most + around] = min(int(p * 2.0**64), 2**64 - 1)
        return table

    @staticmethod
    def _flip_probability(x: float) -> float:
        """The probability of a flip that lowers the log weight by x."""
        return math.exp(-x) / (1 + math.exp(-x)) if x > 0 else 1 / (1 + math.exp(x))


class Metropolis(HeatBath):
    """Metropolis on a checkerboard: a flip is proposed with probability 0.9, accepted with min(1, exp[-β ΔE]).

    To propose every flip would be to make certain all those with ΔE <= 0: from thin stripes or a chessboard, a sweep of
    the ferromagnet would then lead to a few states only, for ever. See :class:`HeatBath` for the arguments.

    Source: N. Metropolis, A. Rosenbluth, M. Rosenbluth, A. Teller, E. Teller 1953.

    >>> chain = Metropolis(Ising((4, 4), T=2.0, J=-1.0))
    >>> bool((chain.step(chain.init(5))[1].flipped <= 16).all())
    True
    """

    @staticmethod
    def _flip_probability(x: float) -> float:
        return PROPOSED * (math.exp(-x) if x > 0 else 1.0)


def numbers(system: Ising) -> tuple[float, float, float]:
    """J, h and 1/T of an Ising system as plain numbers.

    >>> numbers(Ising((4, 4), T=2.0, h=0.5))
    (1.0, 0.5, 0.5)
    """
    J, h, T = (float(system.couplings[name].detach()) for name in ("J", "h", "T"))
    return J, h, 1 / T


def in_parts(work: Callable[[int, int], None], n: int, threads: int) -> None:
    """``work(first, last)`` for parts of 0 .. n, each in a thread of its own."""
    threads = min(threads, n)
    if threads == 1:
        work(0, n)
        return
    bounds = [n * thread // threads for thread in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, bounds, bounds[1:]))
