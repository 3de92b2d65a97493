"""The inner loops of Ising chains, compiled by numba; imported only when a chain is used.

A chain is one row of ``spins``, (chains, n, m) int8 of ±1, with its own xoshiro256++ words, so that no result depends
on the number of threads. Bonds are drawn with 32 bits: a probability is off by at most 2^-32.
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
def _measure(spins: Any) -> Any:
    """Σ_<xy> s_x s_y over the 2N bonds and Σ_x s_x of one configuration, (n, m)."""
    n, m = spins.shape
    bonds, total = np.int64(0), np.int64(0)
    for y in range(n):
        row, below = spins[y], spins[y + 1 if y + 1 < n else 0]
        across, down, sites = np.int32(row[m - 1] * row[0]), np.int32(0), np.int32(0)
        for x in range(m - 1):
            across += np.int32(row[x] * row[x + 1])
        for x in range(m):
            down += np.int32(row[x] * below[x])
            sites += np.int32(row[x])
        bonds += across + down
        total += sites
    return bonds, total


@_compiled()
def _local_sweep(spins: Any, thresholds: Any, words: Any) -> tuple[int, int]:
    """All even sites, then all odd ones; returns how many spins flipped, and 0 clusters.

    ``thresholds[1 + s, 4 + Σ_neighbours]`` is 2^64 times the probability that spin s flips.
    """
    n, m = spins.shape
    a, b, c, d = words[0], words[1], words[2], words[3]
    flipped = 0
    for parity in range(2):
        for y in range(n):
            row, above, below = spins[y], spins[y - 1 if y > 0 else n - 1], spins[y + 1 if y + 1 < n else 0]
            for x in range((y + parity) % 2, m, 2):
                around = above[x] + below[x] + row[x - 1 if x > 0 else m - 1] + row[x + 1 if x + 1 < m else 0]
                s = row[x]
                flips = _word(a, d) < thresholds[1 + s, 4 + around]
                a, b, c, d = _next_words(a, b, c, d)
                row[x] = -s if flips else s
                flipped += flips
    words[0], words[1], words[2], words[3] = a, b, c, d
    return flipped, 0


@_compiled()
def _wolff(
    spins: Any, neighbours: Any, threshold: Any, sign: int, clusters: int, stack: Any, words: Any
) -> tuple[int, int]:
    """``clusters`` single clusters, each grown from a random site and flipped as it grows.

    A spin that is in the cluster already differs in sign from what joins: for an antiferromagnet (``sign`` -1) this
    holds where both sides are even.
    """
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
            for pair in range(2):
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
    spins: Any, neighbours: Any, threshold: Any, sign: int, stack: Any, seen: Any, words: Any
) -> tuple[int, int]:
    """Every cluster is flipped with probability 1/2; returns how many spins flipped and how many clusters there are."""
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
            for pair in range(2):
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
        return _local_sweep(spins, thresholds, words)
    if kind == WOLFF:
        return _wolff(spins.reshape(-1), neighbours, thresholds[0, 0], sign, clusters, stack, words)
    return _swendsen_wang(spins.reshape(-1), neighbours, thresholds[0, 0], sign, stack, seen, words)


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
        neighbours: (N, 4) uint32.
        thresholds: (3, 9) uint64 of :func:`_local_sweep`; for clusters [0, 0] is 2^32 times the bond probability.
        sign: sign of the exchange coupling.
        clusters: Wolff clusters in a sweep.
        spins: (chains, n, m) int8.
        words: (chains, 4) uint64.
        found: (4, sweeps, chains) int64: Σ over bonds, Σ over sites, flipped spins, clusters.
    """
    stack, seen = np.empty(len(neighbours) + 1, dtype=np.uint32), np.empty(len(neighbours), dtype=np.uint8)
    for c in range(first, last):
        for sweep in range(found.shape[1]):
            flipped, grown = _update(kind, spins[c], neighbours, thresholds, sign, clusters, stack, seen, words[c])
            bonds, total = _measure(spins[c])
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
        thresholds: (K, 3, 9), one for each beta.
        clusters: (K,) Wolff clusters in the sweep at each beta.
        betas: (K + 1,) inverse temperatures; there is a sweep at each but the first.
        log_w: (chains,) where Σ_k (beta_k - beta_k-1) (-E) is added, E before the sweep at beta_k.
        found: (2, chains) int64: Σ over bonds and over sites in the end.
    """
    stack, seen = np.empty(len(neighbours) + 1, dtype=np.uint32), np.empty(len(neighbours), dtype=np.uint8)
    for c in range(first, last):
        bonds, total = _measure(spins[c])
        work = 0.0
        for k in range(len(clusters)):
            work += (betas[k + 1] - betas[k]) * (J * bonds + h * total)
            _update(kind, spins[c], neighbours, thresholds[k], sign, clusters[k], stack, seen, words[c])
            bonds, total = _measure(spins[c])
        log_w[c] += work
        found[0, c], found[1, c] = bonds, total
