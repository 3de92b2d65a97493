"""The inner loops of parallel tempering, compiled by numba; imported only when a chain is used.

They are compiled anew by every process, since numba keeps machine code on disk as pickles only. Every slot, one
temperature of one set, has its own random numbers, so that no result depends on the number of threads: xoshiro256++
(D. Blackman, S. Vigna 2021, arXiv:1805.01407), four 64-bit words a slot.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba import uint64

REFRESH = 64
"""Steps after which local fields are computed afresh, counted from the start of the chain."""

Compile = Callable[[Callable[..., Any]], Callable[..., Any]]


def _compiled(**options: Any) -> Compile:
    return numba.njit(nogil=True, error_model="numpy", **options)  # type: ignore[no-any-return]


@_compiled()
def _rotated(x: Any, k: int) -> Any:
    return (x << uint64(k)) | (x >> uint64(64 - k))


@_compiled()
def _number(a: Any, d: Any) -> Any:
    """A number in (0, 1) from the first and last word."""
    return ((_rotated(a + d, 23) + a) >> uint64(11)) * 2.0**-53 + 2.0**-54


@_compiled()
def _next_words(a: Any, b: Any, c: Any, d: Any) -> tuple[Any, Any, Any, Any]:
    t = b << uint64(17)
    c ^= a
    d ^= b
    b ^= c
    a ^= d
    c ^= t
    return a, b, c, _rotated(d, 45)


@_compiled()
def _flips(u: float, x: float) -> bool:
    """Whether u < 1 / (1 + e^x); a cubic below e^|x| settles most cases without an exponential."""
    y = abs(x)
    if x < 0.0:
        u = 1.0 - u
    unlikely = u * (2.0 + y * (1.0 + y * (0.5 + y * (1.0 / 6.0)))) < 1.0 and u * (1.0 + math.exp(y)) < 1.0
    return unlikely if x >= 0.0 else not unlikely


@_compiled()
def _sweep(
    spins: Any, fields: Any, matrix: Any, indices: Any, couplings: Any, degrees: Any, beta: float, words: Any
) -> None:
    """The heat bath at every site of one slot in order, keeping fields_i = Σ_j J_ij s_j + h_i."""
    n = spins.size
    dense = matrix.shape[0] == n
    a, b, c, d = words[0], words[1], words[2], words[3]
    for i in range(n):
        u = _number(a, d)
        a, b, c, d = _next_words(a, b, c, d)
        if _flips(u, 2.0 * beta * spins[i] * fields[i]):
            change = np.float32(-2 * spins[i])
            spins[i] = -spins[i]
            if dense:
                row = matrix[i]
                for j in range(n):
                    fields[j] += change * row[j]
            else:
                for j in range(degrees[i]):
                    fields[indices[i, j]] += change * couplings[i, j]
    words[0], words[1], words[2], words[3] = a, b, c, d


@_compiled()
def _refresh(spins: Any, fields: Any, matrix: Any, indices: Any, couplings: Any, degrees: Any, external: Any) -> None:
    """Local fields from nothing, without the rounding that many flips gather."""
    for i in range(spins.size):
        total = 0.0
        if matrix.shape[0] == spins.size:
            for j in range(spins.size):
                total += matrix[i, j] * spins[j]
        else:
            for j in range(degrees[i]):
                total += couplings[i, j] * spins[indices[i, j]]
        fields[i] = total + external[i]


@_compiled(fastmath={"reassoc"})
def _energy(spins: Any, fields: Any, external: Any) -> float:
    """E = -½ Σ_i s_i (fields_i + h_i)."""
    total = 0.0
    for i in range(spins.size):
        total += spins[i] * (fields[i] + external[i])
    return -0.5 * total


@_compiled()
def _uniform(words: Any) -> Any:
    u = _number(words[0], words[3])
    words[0], words[1], words[2], words[3] = _next_words(words[0], words[1], words[2], words[3])
    return u


@_compiled()
def _exchange(k: int, spins: Any, fields: Any, energies: Any, walkers: Any, ends: Any) -> None:
    """What is at slot k goes to slot k + 1, and back."""
    for i in range(spins.shape[1]):
        spins[k, i], spins[k + 1, i] = spins[k + 1, i], spins[k, i]
    for i in range(spins.shape[1]):
        fields[k, i], fields[k + 1, i] = fields[k + 1, i], fields[k, i]
    energies[k], energies[k + 1] = energies[k + 1], energies[k]
    walkers[k], walkers[k + 1] = walkers[k + 1], walkers[k]
    ends[k], ends[k + 1] = ends[k + 1], ends[k]


@_compiled()
def _swap(
    betas: Any, parity: int, spins: Any, fields: Any, energies: Any, walkers: Any, ends: Any, accepted: Any, words: Any
) -> None:
    """Pairs (k, k + 1) with k of one parity change places with probability min(1, exp[(β_k - β_k+1)(E_k - E_k+1)])."""
    for k in range(parity, betas.size - 1, 2):
        gain = (betas[k] - betas[k + 1]) * (energies[k] - energies[k + 1])
        if gain >= 0.0 or _uniform(words[k]) < math.exp(gain):
            _exchange(k, spins, fields, energies, walkers, ends)
            accepted[k] += 1


@_compiled()
def _flipped(i: int, spins: Any, fields: Any, matrix: Any, indices: Any, couplings: Any, degrees: Any) -> None:
    """Turn a spin of one slot over, and the local fields with it."""
    change = np.float32(-2 * spins[i])
    spins[i] = -spins[i]
    if matrix.shape[0] == spins.size:
        for j in range(spins.size):
            fields[j] += change * matrix[i, j]
    else:
        for j in range(degrees[i]):
            fields[indices[i, j]] += change * couplings[i, j]


@_compiled()
def _all_flipped(spins: Any, fields: Any) -> None:
    for i in range(spins.size):
        spins[i] = -spins[i]
        fields[i] = -fields[i]


@_compiled()
def _cluster(first: int, opposite: Any, members: Any, matrix: Any, indices: Any, couplings: Any, degrees: Any) -> int:
    """The sites that hang together with ``first`` by couplings among ``opposite`` ones; they are no longer marked."""
    n, count, looked = opposite.size, 1, 0
    dense = matrix.shape[0] == n
    members[0], opposite[first] = first, False
    while looked < count:
        i = members[looked]
        looked += 1
        for place in range(n if dense else degrees[i]):
            j = place if dense else indices[i, place]
            coupling = matrix[i, place] if dense else couplings[i, place]
            if coupling != 0.0 and opposite[j]:
                opposite[j] = False
                members[count] = j
                count += 1
    return count


@_compiled()
def _isoenergetic(
    spins: Any,
    fields: Any,
    partner: Any,
    its_fields: Any,
    matrix: Any,
    indices: Any,
    couplings: Any,
    degrees: Any,
    free: bool,
    words: Any,
) -> None:
    """Two configurations at one temperature exchange a cluster of sites at which they are opposite.

    The sum of their energies stays. Without external fields they are first brought to a positive overlap, so that
    clusters are small, and one is turned over as a whole at random in the end.
    """  # fmt: skip
    n = spins.size
    opposite, members = np.empty(n, dtype=np.bool_), np.empty(n, dtype=np.int64)
    count = 0
    for i in range(n):
        count += spins[i] != partner[i]
    if free and 2 * count > n:
        _all_flipped(spins, fields)
        count = n - count
    if count > 0:
        left, first = int(_uniform(words) * count), -1
        for i in range(n):
            opposite[i] = spins[i] != partner[i]
            if opposite[i]:
                if left == 0:
                    first = i
                left -= 1
        for k in range(_cluster(first, opposite, members, matrix, indices, couplings, degrees)):
            _flipped(members[k], spins, fields, matrix, indices, couplings, degrees)
            _flipped(members[k], partner, its_fields, matrix, indices, couplings, degrees)
    if free and _uniform(words) < 0.5:
        _all_flipped(spins, fields)


@_compiled()
def _is_zero(x: Any) -> bool:
    zero = True
    for one in x:
        zero = zero and one == 0.0
    return zero


@_compiled()
def _note_lowest(energies: Any, spins: Any, lowest: Any, found: Any, c: int) -> None:
    """Keep the configuration of lowest energy that the set has come by."""
    for k in range(energies.size):
        if energies[k] < lowest[c]:
            lowest[c] = energies[k]
            for i in range(spins.shape[1]):
                found[c, i] = spins[k, i]


@_compiled()
def advance(
    first: int,
    last: int,
    steps: int,
    sweeps: int,
    every: int,
    keep: Any,
    betas: Any,
    graph: Any,
    state: Any,
    sets: int,
    energies_out: Any,
    spins_out: Any,
) -> None:
    """``steps`` steps, in place, of the replicas ``first`` to ``last`` of all systems, one after the other.

    A replica is one set of configurations at all temperatures, or two of them, of which the first is recorded, where
    they exchange clusters.

    Args:
        first, last: replicas to advance, of the systems · R.
        steps, sweeps, every: steps, sweeps in a step, steps between two records.
        keep: slots whose spins are recorded.
        betas: (K,) inverse temperatures, as energies in the unit of the couplings.
        graph: matrix (systems, N, N) or (systems, 0, 0) for sparse couplings, indices, couplings, degrees, fields.
        state: the fields of a TemperingState with one axis of sets (C, ...), random words as uint64.
        sets: of a replica, 1 or 2.
        energies_out: (records, systems · R, K).
        spins_out: (records, systems · R, len(keep), N).
    """
    matrices, indices, couplings, degrees, external = graph
    all_spins, all_energies, all_fields, all_walkers, all_ends = state[:5]
    all_trips, all_accepted, all_words, all_steps, lowest, found = state[5:]
    hottest = betas.size - 1
    per_system = all_steps.size // external.shape[0]
    for replica in range(first, last):
        own = replica * sets
        g, start = own // per_system, all_steps[own]
        free = _is_zero(external[g])
        for step in range(start, start + steps):
            for c in range(own, own + sets):
                for k in range(betas.size):
                    spins, fields = all_spins[c, k], all_fields[c, k]
                    if step % REFRESH == 0:
                        _refresh(spins, fields, matrices[g], indices[g], couplings[g], degrees[g], external[g])
                    for _ in range(sweeps):
                        _sweep(
                            spins, fields, matrices[g], indices[g], couplings[g], degrees[g], betas[k], all_words[c, k]
                        )
            if sets == 2:
                for k in range(betas.size):
                    if betas[k] > 0.0:
                        _isoenergetic(
                            all_spins[own, k], all_fields[own, k], all_spins[own + 1, k], all_fields[own + 1, k],
                            matrices[g], indices[g], couplings[g], degrees[g], free, all_words[own, k],
                        )  # fmt: skip
            for c in range(own, own + sets):
                energies, ends = all_energies[c], all_ends[c]
                for k in range(betas.size):
                    energies[k] = _energy(all_spins[c, k], all_fields[c, k], external[g])
                _note_lowest(energies, all_spins[c], lowest, found, c)
                _swap(
                    betas, step % 2, all_spins[c], all_fields[c], energies, all_walkers[c], ends, all_accepted[c],
                    all_words[c],
                )  # fmt: skip
                if ends[0] == 1:
                    all_trips[c] += 1
                ends[0] = -1
                if ends[hottest] == -1:
                    ends[hottest] = 1
            if (step + 1) % every == 0:
                row = (step + 1) // every - start // every - 1
                for k in range(betas.size):
                    energies_out[row, replica, k] = all_energies[own, k]
                for j in range(keep.size):
                    for i in range(external.shape[1]):
                        spins_out[row, replica, j, i] = all_spins[own, keep[j], i]
        for c in range(own, own + sets):
            all_steps[c] += steps
