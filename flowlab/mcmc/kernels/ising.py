"""The inner loops of Ising chains, compiled by numba; imported only when a chain is used.

A chain is one row of ``spins``, (chains, *shape) int8 of ±1, with its own xoshiro256++ words, so that no result depends
on the number of threads. Bonds are drawn with 32 bits: a probability is off by at most 2^-32. The number of dimensions
is that of the array, which numba knows: loops over it cost nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import uint32, uint64

from flowlab.mcmc.kernels.tempering import _compiled, _next_words, _rotated

LOCAL, WOLFF, SWENDSEN_WANG = 0, 1, 2


@_compiled()
def _word(a: Any, d: Any) -> Any:
    return _rotated(a + d, 23) + a


@_compiled()
def _measure(spins: Any, neighbours: Any) -> Any:
    """Σ_<xy> s_x s_y over the dN bonds and Σ_x s_x of one configuration, row by row along its last side."""
    flat, m = spins.reshape(-1), spins.shape[-1]
    bonds, total = np.int64(0), np.int64(0)
    for first in range(0, flat.size, m):
        row = flat[first : first + m]
        across, sites = np.int32(row[m - 1] * row[0]), np.int32(0)
        for x in range(m - 1):
            across += np.int32(row[x] * row[x + 1])
        for x in range(m):
            sites += np.int32(row[x])
        bonds += across
        total += sites
        for side in range(spins.ndim - 1):
            start, down = neighbours[first, 2 * side + 1], np.int32(0)
            after = flat[start : start + m]
            for x in range(m):
                down += np.int32(row[x] * after[x])
            bonds += down
    return bonds, total


@_compiled()
def _odd(shape: Any, row: int) -> int:
    """Whether the coordinates of a row along the last side add up to an odd number."""
    total = 0
    for side in range(len(shape) - 2, -1, -1):
        total += row % shape[side]
        row //= shape[side]
    return total % 2


@_compiled()
def _local_sweep(spins: Any, neighbours: Any, thresholds: Any, words: Any) -> tuple[int, int]:
    """All even sites, then all odd ones; returns how many spins flipped, and 0 clusters.

    ``thresholds[1 + s, 2d + Σ_neighbours]`` is 2^64 times the probability that spin s flips.
    """
    flat, m, d2 = spins.reshape(-1), spins.shape[-1], 2 * spins.ndim
    a, b, c, d = words[0], words[1], words[2], words[3]
    flipped = 0
    for parity in range(2):
        for first in range(0, flat.size, m):
            row = flat[first : first + m]
            for x in range((_odd(spins.shape, first // m) + parity) % 2, m, 2):
                around = row[x - 1 if x > 0 else m - 1] + row[x + 1 if x + 1 < m else 0]
                for k in range(d2 - 2):
                    around += flat[neighbours[first, k] + x]
                s = row[x]
                flips = _word(a, d) < thresholds[1 + s, d2 + around]
                a, b, c, d = _next_words(a, b, c, d)
                row[x] = -s if flips else s
                flipped += flips
    words[0], words[1], words[2], words[3] = a, b, c, d
    return flipped, 0


@_compiled()
def _wolff(
    lattice: Any, neighbours: Any, threshold: Any, sign: int, clusters: int, stack: Any, words: Any
) -> tuple[int, int]:
    """``clusters`` single clusters, each grown from a random site and flipped as it grows.

    A spin that is in the cluster already differs in sign from what joins: for an antiferromagnet (``sign`` -1) this
    holds where all sides are even.
    """
    spins = lattice.reshape(-1)
    size = uint64(spins.size)
    a, b, c, d = words[0], words[1], words[2], words[3]
    flipped = 0
    for _ in range(clusters):
        seed = uint32(((_word(a, d) >> uint64(32)) * size) >> uint64(32))
        a, b, c, d = _next_words(a, b, c, d)
        spins[seed] = -spins[seed]
        stack[0] = seed
        top = 1
        while top > 0:
            top -= 1
            site = stack[top]
            joins = np.int8(-sign * spins[site])
            flipped += 1
            for pair in range(lattice.ndim):
                word = _word(a, d)
                a, b, c, d = _next_words(a, b, c, d)
                for k in range(2):
                    other = neighbours[site, 2 * pair + k]
                    s = spins[other]
                    bond = (s == joins) & ((word & uint64(0xFFFFFFFF)) < threshold)
                    word >>= uint64(32)
                    spins[other] = -s if bond else s
                    stack[top] = other
                    top += bond
    words[0], words[1], words[2], words[3] = a, b, c, d
    return flipped, clusters


@_compiled()
def _swendsen_wang(
    lattice: Any, neighbours: Any, threshold: Any, sign: int, stack: Any, seen: Any, words: Any
) -> tuple[int, int]:
    """Every cluster is flipped with probability 1/2; returns how many spins flipped and how many clusters there are."""
    spins = lattice.reshape(-1)
    a, b, c, d = words[0], words[1], words[2], words[3]
    flipped, clusters = 0, 0
    seen[:] = 0
    for seed in range(spins.size):
        if seen[seed]:
            continue
        clusters += 1
        coin = np.int8(1) if _word(a, d) >> uint64(63) else np.int8(-1)
        a, b, c, d = _next_words(a, b, c, d)
        seen[seed] = 1
        spins[seed] *= coin
        stack[0] = uint32(seed)
        top, members = 1, 0
        while top > 0:
            top -= 1
            site = stack[top]
            joins = np.int8(sign * coin * spins[site])
            members += 1
            for pair in range(lattice.ndim):
                word = _word(a, d)
                a, b, c, d = _next_words(a, b, c, d)
                for k in range(2):
                    other = neighbours[site, 2 * pair + k]
                    s = spins[other]
                    bond = (seen[other] == 0) & (s == joins) & ((word & uint64(0xFFFFFFFF)) < threshold)
                    word >>= uint64(32)
                    spins[other] = s * coin if bond else s
                    seen[other] |= bond
                    stack[top] = other
                    top += bond
        flipped += members if coin < 0 else 0
    words[0], words[1], words[2], words[3] = a, b, c, d
    return flipped, clusters


@_compiled()
def _update(
    kind: int, spins: Any, neighbours: Any, thresholds: Any, sign: int, clusters: int, stack: Any, seen: Any, words: Any
) -> Any:
    if kind == LOCAL:
        return _local_sweep(spins, neighbours, thresholds, words)
    if kind == WOLFF:
        return _wolff(spins, neighbours, thresholds[0, 0], sign, clusters, stack, words)
    return _swendsen_wang(spins, neighbours, thresholds[0, 0], sign, stack, seen, words)


@_compiled()
def advance(
    first: int,
    last: int,
    kind: int,
    neighbours: Any,
    thresholds: Any,
    sign: int,
    clusters: int,
    spins: Any,
    words: Any,
    found: Any,
) -> None:
    """Sweeps, in place, of the chains ``first`` to ``last``, measured after every one.

    Args:
        first, last: chains to advance.
        kind: LOCAL, WOLFF or SWENDSEN_WANG.
        neighbours: (N, 2d) uint32, see :func:`flowlab.systems.lattice.neighbours`.
        thresholds: (3, 4d + 1) uint64 of :func:`_local_sweep`; for clusters [0, 0] is 2^32 times the bond probability.
        sign: sign of the exchange coupling.
        clusters: Wolff clusters in a sweep.
        spins: (chains, *shape) int8.
        words: (chains, 4) uint64.
        found: (4, sweeps, chains) int64: Σ over bonds, Σ over sites, flipped spins, clusters.
    """
    stack, seen = np.empty(len(neighbours) + 1, dtype=np.uint32), np.empty(len(neighbours), dtype=np.uint8)
    for c in range(first, last):
        for sweep in range(found.shape[1]):
            flipped, grown = _update(kind, spins[c], neighbours, thresholds, sign, clusters, stack, seen, words[c])
            bonds, total = _measure(spins[c], neighbours)
            found[0, sweep, c], found[1, sweep, c] = bonds, total
            found[2, sweep, c], found[3, sweep, c] = flipped, grown


@_compiled()
def anneal(
    first: int,
    last: int,
    kind: int,
    neighbours: Any,
    thresholds: Any,
    sign: int,
    clusters: Any,
    betas: Any,
    J: float,
    h: float,
    spins: Any,
    words: Any,
    log_w: Any,
    found: Any,
) -> None:
    """One annealed sequence of each of the chains ``first`` to ``last``, in place; see :func:`advance`.

    Args:
        thresholds: (K, 3, 4d + 1), one for each beta.
        clusters: (K,) Wolff clusters in the sweep at each beta.
        betas: (K + 1,) inverse temperatures; there is a sweep at each but the first.
        log_w: (chains,) where Σ_k (beta_k - beta_k-1) (-E) is added, E before the sweep at beta_k.
        found: (2, chains) int64: Σ over bonds and over sites in the end.
    """
    stack, seen = np.empty(len(neighbours) + 1, dtype=np.uint32), np.empty(len(neighbours), dtype=np.uint8)
    for c in range(first, last):
        bonds, total = _measure(spins[c], neighbours)
        work = 0.0
        for k in range(len(clusters)):
            work += (betas[k + 1] - betas[k]) * (J * bonds + h * total)
            _update(kind, spins[c], neighbours, thresholds[k], sign, clusters[k], stack, seen, words[c])
            bonds, total = _measure(spins[c], neighbours)
        log_w[c] += work
        found[0, c], found[1, c] = bonds, total
