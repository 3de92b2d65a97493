"""Parallel tempering (replica exchange) of spins with pair couplings and fields."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from flowlab.core import MarkovChain, System, named_generator
from flowlab.extras import told
from flowlab.mcmc.kernels.graphs import FloatArray, IntArray, spin_graph, spread, stacked

PILOT, ROUNDS = 300, 8
"""Steps over which an adapted ladder counts swaps, after as many before, and how often it is set at most."""
LEAST, AIM = 0.2, 0.4
"""Acceptance of swaps that it puts up with, and that it is set for."""


def ladder(temperatures: Sequence[float], system: System | int, *, scale: float | None = None) -> tuple[float, ...]:
    """The temperatures given, exactly, with others between them and on to infinity, close enough to swap.

    Neighbours differ by at most 1.2 √(2/N) in x, where x = b up to b = scale/T = 1 and 1 + ln b beyond: the width of
    the energy is √(N/2) scale at infinite temperature and falls with T below b = 1, so that at least 0.3 to 0.4 of the
    swaps are accepted in a glass. Couplings and temperatures in other units give the same ladder in these.

    Args:
        temperatures: at least one, positive; any order.
        system: whose couplings say the scale; or its number of sites N.
        scale: √(Σ_j J_ij² + 2 h_i²) of a typical site, where a number of sites is given: 1 by default.

    Returns:
        Temperatures that increase; the last is infinite.

    Raises:
        ValueError: for no temperature, T <= 0, an N or scale that is not positive, or a system and a scale.
        TypeError: for a system without known pair couplings.

    >>> len(ladder([0.2, 2.5], 64)), [round(T, 2) for T in ladder([0.5, 2.5], 8)]
    (14, [0.5, 0.77, 1.2, 2.5, inf])
    >>> from flowlab.systems import Ising
    >>> [round(T, 2) for T in ladder([2.0, 4.0], Ising((4, 4), T=1.0))]
    [2.0, 2.67, 4.0, 8.0, inf]
    >>> [round(T, 2) for T in ladder([20.0, 40.0], Ising((4, 4), T=1.0, J=10.0))]
    [20.0, 26.67, 40.0, 80.0, inf]
    """
    given = sorted({float(T) for T in temperatures} | {math.inf})
    if len(given) < 2 or not all(T > 0 for T in given):
        raise ValueError(f"temperatures must be positive, at least one of them finite, got {list(temperatures)}")
    if isinstance(system, System):
        if scale is not None:
            raise ValueError(f"the couplings of a system say the scale: give a number of sites with scale={scale}")
        n_sites, scale = system.n_sites, spread(spin_graph(system))
    else:
        n_sites, scale = system, 1.0 if scale is None else scale
    if n_sites < 1 or not scale > 0:
        raise ValueError(f"the number of sites and scale must be positive, got {n_sites} and {scale}")
    spacing = 1.2 * math.sqrt(2 / n_sites)
    found = []
    for cold, hot in itertools.pairwise(given):
        x_cold, x_hot = _evenly(scale / cold), _evenly(scale / hot)
        parts = max(1, math.ceil((x_cold - x_hot) / spacing - 1e-9))
        x = [x_cold + (x_hot - x_cold) * part / parts for part in range(1, parts)]
        found += [cold, *(scale / (value if value < 1 else math.exp(value - 1)) for value in x)]
    return (*found, given[-1])


def adapted_ladder(
    system: System, temperatures: Sequence[float], *, replicas: int = 4, seed: int = 0, clusters: bool = False
) -> tuple[float, ...]:
    """The temperatures given, exactly, with others between them and on to infinity, where short chains want them.

    Chains count the swaps that they accept, r, between neighbours; erfc⁻¹(r) is about proportional to the distance in
    the inverse temperature, and the temperatures between given ones are set evenly in it, as many as it takes for
    two fifths of the swaps to be accepted. This is done again until no pair accepts less than a fifth, eight times at
    most; the ladder then stays as it is.

    Args:
        system: whose couplings begin with :func:`ladder`.
        temperatures: at least one, positive; any order.
        replicas, clusters: of the chains, see :class:`ParallelTempering`.
        seed: of the chains.

    Raises:
        ValueError, TypeError: as of :func:`ladder`.

    >>> from flowlab.systems import Ising
    >>> adapted_ladder(Ising((4, 4), T=1.0), [2.0, 4.0])[0]
    2.0
    """
    from scipy.special import erfcinv  # slow to import

    given = sorted({float(T) for T in temperatures} | {math.inf})
    found = ladder(given, system)
    for k in range(ROUNDS):
        chain = ParallelTempering(system, found, replicas=replicas, clusters=clusters)
        state, _, _ = chain.run(chain.init(generator=named_generator(seed, "adapted ladder", k)), PILOT)
        before = state.accepted.sum((0, 1))
        state, _, _ = chain.run(state, PILOT)
        rate = (state.accepted.sum((0, 1)) - before) / (state.steps.size * PILOT / 2)
        if k and rate.min() >= LEAST:
            break
        way = np.append(0.0, np.cumsum(erfcinv(np.clip(rate, 1e-3, 0.999))))
        places, beta = [found.index(T) for T in given], 1 / np.array(found)
        new = [given[0]]
        for (a, b), hot in zip(itertools.pairwise(places), given[1:], strict=True):
            parts = max(1, math.ceil((way[b] - way[a]) / erfcinv(AIM)))
            between = np.interp(np.linspace(way[a], way[b], parts + 1)[1:-1], way, beta)
            new += [*(float(1 / value) for value in between), hot]
        found = tuple(new)
    return found


def _evenly(b: float) -> float:
    return b if b < 1 else 1 + math.log(b)


class TemperingState(NamedTuple):
    """What the chain carries, as numpy arrays; D systems, R replicas, K temperatures, N sites.

    Attributes:
        spins: (D, R, K, N) int8, the configuration at each temperature.
        energies: (D, R, K) float64, E.
        fields: (D, R, K, N) float32, Σ_j J_ij s_j + h_i in the chain's ``unit``.
        walkers: (D, R, K) int16, the number of the walker that is at each temperature.
        ends: (D, R, K) int8, that walker's last end: -1 cold, 1 hot (and cold before), 0 none yet.
        round_trips: (D, R) int64, how often a walker came back from the hot end to the cold one.
        accepted: (D, R, K - 1) int64, accepted swaps of each pair; one is tried every second step.
        rng: (D, R, K, 4) int64, the random words of each slot.
        steps: (D, R) int64, steps so far.
        lowest: (D, R) float64, the lowest energy after any step so far, in that unit; infinite before the first.
        found: (D, R, N) int8, the configuration that had it.

    Where clusters are exchanged, R counts both sets of each replica, one after the other.
    """

    spins: NDArray[np.int8]
    energies: FloatArray
    fields: NDArray[np.float32]
    walkers: NDArray[np.int16]
    ends: NDArray[np.int8]
    round_trips: IntArray
    accepted: IntArray
    rng: IntArray
    steps: IntArray
    lowest: FloatArray
    found: NDArray[np.int8]


class TemperingInfo(NamedTuple):
    """What one looks at after a step.

    Attributes:
        energies: (D, R, K) E.
        tried: (K - 1,) whether the pair k, k + 1 tried to swap in this step.
        swapped: (D, R, K - 1) whether it did.
        walkers: (D, R, K) the walker at each temperature.
        round_trips: (D, R) round trips so far.
    """

    energies: FloatArray
    tried: NDArray[np.bool_]
    swapped: NDArray[np.bool_]
    walkers: NDArray[np.int16]
    round_trips: IntArray


class ParallelTempering(MarkovChain[TemperingState, TemperingInfo]):
    """Replica exchange: heat-bath sweeps at every temperature, then neighbouring temperatures swap configurations.

    One step is ``sweeps`` sweeps over all sites in order, then pairs (0, 1), (2, 3).. in even steps, (1, 2), (3, 4)..
    in odd ones, swap with probability min(1, exp[(β_k - β_k+1)(E_k - E_k+1)]). Each of the D·R sets is independent.
    Local fields are float32 in units of the couplings' :func:`.spread`, ``unit``, computed afresh every 64 steps;
    rounding stays about 1e-6 in the energy per site, and other units of J and T change nothing. The first use compiles
    for a few seconds.

    Args:
        system: a system of ±1 spins with pair couplings, see :func:`spin_graph`, or D of them with the same shape;
            their own temperatures do not matter.
        temperatures: K of them, increasing, positive; the last may be infinite. See :func:`ladder`.
        replicas: R independent sets of each system; two or more are needed for overlaps.
        sweeps: sweeps in a step.
        clusters: isoenergetic cluster moves, for sparse couplings at low temperatures: every replica has a second set
            beside it, and after each step's sweeps the two exchange, at every finite temperature, a cluster of sites
            at which they are opposite, which leaves the sum of their energies as it is. What is recorded is the first
            set: replicas stay independent, at twice the cost.
        threads: threads over the sets; results do not depend on it.

    Raises:
        TypeError: for a system without known pair couplings.
        ValueError: for temperatures, replicas, sweeps or shapes that make no sense.

    Source: K. Hukushima, K. Nemoto 1996, cond-mat/9512035; for clusters J. Houdayer 2001, cond-mat/0101116, and Z. Zhu,
    A. J. Ochoa, H. G. Katzgraber 2015, arXiv:1501.05630.

    >>> from flowlab.systems import Ising
    >>> chain = ParallelTempering(Ising((4, 4), T=1.0), [1.0, 2.0, math.inf], replicas=2)
    >>> state, info = chain.step(chain.init(generator=torch.Generator().manual_seed(0)))
    >>> info.energies.shape
    (1, 2, 3)
    >>> state, energies, spins = chain.run(state, 100, every=2, keep=[0])
    >>> energies.shape, spins.shape
    ((50, 1, 2, 3), (50, 1, 2, 1, 16))
    """

    def __init__(
        self,
        system: System | Sequence[System],
        temperatures: Sequence[float],
        *,
        replicas: int = 4,
        sweeps: int = 1,
        threads: int = 1,
        clusters: bool = False,
    ) -> None:
        systems = [system] if isinstance(system, System) else list(system)
        if not systems:
            raise ValueError("parallel tempering needs at least one system, got none")
        graphs = [spin_graph(one) for one in systems]
        shapes = sorted({tuple(one.shape) for one in systems})
        if len(shapes) > 1:
            raise ValueError(f"all systems must have the same shape, got {shapes}")
        for name, value in (("replicas", replicas), ("sweeps", sweeps), ("threads", threads)):
            if int(value) != value or value < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, got {value}")
        self.system, self.systems, self.temperatures = systems[0], systems, _checked(temperatures)
        self.replicas, self.sweeps, self.threads = int(replicas), int(sweeps), int(threads)
        self.clusters = bool(clusters)
        self.unit = spread(*graphs)
        self._betas = np.array([self.unit / T for T in self.temperatures])
        self._graph = stacked(graphs, self.unit)

    @property
    def n_sites(self) -> int:
        """N."""
        return self.systems[0].n_sites

    @property
    def _sets(self) -> int:
        return 2 if self.clusters else 1

    def by_replica(self, array: NDArray[Any]) -> NDArray[Any]:
        """(D, R, ...) of what is recorded, from an array of a state, which has second sets besides."""
        return array[:, :: self._sets]

    def init(self, n: int | None = None, *, generator: torch.Generator | None = None) -> TemperingState:
        """Random spins at every temperature, for n replicas (default: ``replicas``) of each system."""
        R = self.replicas if n is None else n
        if R < 1:
            raise ValueError(f"replicas must be at least 1, got {R}")
        seed = int(torch.randint(2**63 - 1, (), generator=generator))
        rng = np.random.default_rng(seed)
        sets = (len(self.systems), R * self._sets)
        slots = (*sets, len(self.temperatures))
        walkers = np.broadcast_to(np.arange(slots[2], dtype=np.int16), slots).copy()
        return TemperingState(
            spins=rng.integers(0, 2, (*slots, self.n_sites), dtype=np.int8) * np.int8(2) - np.int8(1),
            energies=np.zeros(slots),
            fields=np.zeros((*slots, self.n_sites), dtype=np.float32),
            walkers=walkers,
            ends=np.zeros(slots, dtype=np.int8),
            round_trips=np.zeros(sets, dtype=np.int64),
            accepted=np.zeros((*sets, slots[2] - 1), dtype=np.int64),
            rng=rng.integers(0, 2**64, (*slots, 4), dtype=np.uint64).view(np.int64),
            steps=np.zeros(sets, dtype=np.int64),
            lowest=np.full(sets, math.inf),
            found=np.ones((*sets, self.n_sites), dtype=np.int8),
        )

    def step(self, state: TemperingState) -> tuple[TemperingState, TemperingInfo]:
        """One step; for many of them :meth:`run` is far quicker."""
        new = self.run(state, 1)[0]
        tried = np.arange(len(self.temperatures) - 1) % 2 == int(state.steps.flat[0]) % 2
        swapped = new.accepted > state.accepted
        own = self.by_replica
        return new, TemperingInfo(
            own(new.energies), tried, own(swapped), own(new.walkers), own(new.round_trips)
        )  # fmt: skip

    def run(  # type: ignore[override]  # a replica holds a configuration at every temperature
        self, state: TemperingState, steps: int, *, every: int = 1, keep: Sequence[int] = ()
    ) -> tuple[TemperingState, FloatArray, NDArray[np.int8]]:
        """Many steps, recorded whenever the steps since :meth:`init` are a multiple of ``every``.

        Args:
            state: where to start; it is not changed.
            steps: how many.
            every: steps between two records.
            keep: the temperatures, by their place in ``temperatures``, whose spins are recorded.

        Returns:
            The new state, energies E (records, D, R, K), and spins (records, D, R, len(keep), N) int8 of ±1.
        """
        K = len(self.temperatures)
        if steps < 0 or every < 1 or not all(-K <= k < K for k in keep):
            raise ValueError(
                f"expected steps >= 0, every >= 1 and places in keep below {K}, got {steps}, {every} and {list(keep)}"
            )
        with told():
            from flowlab.mcmc.kernels.tempering import advance

        new = TemperingState._make(np.array(array, order="C") for array in self._checked_state(state))
        D, R = new.steps.shape
        start = int(new.steps.flat[0])
        flat = [array.reshape(D * R, *array.shape[2:]) for array in new._replace(rng=new.rng.view(np.uint64))]
        R //= self._sets
        records = (start + steps) // every - start // every
        energies = np.empty((records, D * R, K))
        spins = np.empty((records, D * R, len(keep), self.n_sites), dtype=np.int8)
        new.energies[:] /= self.unit
        places = np.array([k % K for k in keep], dtype=np.int64)

        def part(first: int, last: int) -> None:
            advance(
                first, last, steps, self.sweeps, every, places, self._betas, self._graph, tuple(flat), self._sets,
                energies, spins,
            )  # fmt: skip

        threads = min(self.threads, D * R)
        if threads == 1:
            part(0, D * R)
        else:
            bounds = [D * R * thread // threads for thread in range(threads + 1)]
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(part, bounds, bounds[1:]))
        new.energies[:] *= self.unit
        energies *= self.unit
        return new, energies.reshape(records, D, R, K), spins.reshape(records, D, R, len(keep), self.n_sites)

    def state_dict(self, state: TemperingState) -> dict[str, NDArray[Any]]:
        """The arrays of a state by name, as a safetensors file holds them."""
        return state._asdict() | {"unit": np.array(self.unit)}

    def load_state_dict(self, arrays: Mapping[str, Any]) -> TemperingState:
        """The state again, from arrays or tensors by name.

        Raises:
            ValueError: for missing arrays, or a state of another chain.
        """
        missing = sorted(set(TemperingState._fields) - set(arrays) - {"lowest", "found"})
        if missing:
            raise ValueError(f"a state of parallel tempering needs {missing} too")
        if "found" not in arrays:  # of an earlier version
            energies = np.asarray(arrays["energies"]) / self.unit
            arrays = dict(arrays) | _lowest_now(energies, np.asarray(arrays["spins"]))
        state = TemperingState(**{name: np.asarray(arrays[name]) for name in TemperingState._fields})
        units = np.float32(float(arrays.get("unit", 1.0)) / self.unit)  # once fields were in the units of J
        return self._checked_state(state._replace(fields=state.fields * units))

    def _checked_state(self, state: TemperingState) -> TemperingState:
        if state.spins.shape[1] % self._sets:
            raise ValueError(f"clusters need two sets a replica, got {state.spins.shape[1]} sets")
        expected = (len(self.systems), state.spins.shape[1], len(self.temperatures), self.n_sites)
        if state.spins.shape != expected:
            raise ValueError(f"this chain needs spins of shape (D, R, K, N) = {expected}, got {state.spins.shape}")
        return state


def _lowest_now(energies: FloatArray, spins: NDArray[np.int8]) -> dict[str, NDArray[Any]]:
    """What a state has of lowest energy, (D, R), and that configuration, (D, R, N)."""
    k = energies.argmin(2)[:, :, None]
    lowest = np.take_along_axis(energies, k, 2)[:, :, 0]
    return {"lowest": lowest, "found": np.take_along_axis(spins, k[..., None], 2)[:, :, 0]}


def _checked(temperatures: Sequence[float]) -> tuple[float, ...]:
    values = tuple(float(T) for T in temperatures)
    if len(values) < 2:
        raise ValueError(f"parallel tempering needs at least 2 temperatures, got {len(values)}")
    if not all(T > 0 for T in values):
        raise ValueError(f"temperatures must be positive, got {list(values)}")
    if not all(cold < hot for cold, hot in itertools.pairwise(values)):
        raise ValueError(f"temperatures must increase, got {list(values)}")
    return values
