"""Overlaps of all pairs of weighted configurations, with errors that know how heavy the weights are.

P(q) of weights w is a ratio of sums over pairs, H(q) = Σ_{a≠b} w_a w_b δ(q_ab, q) over D = Σ_{a≠b} w_a w_b. Each
configuration moves it by i_a = 2 (r_a - P d_a) / D, r_a and d_a being its parts of H and D, and the variance of the
ratio is Σ_a i_a² less 2 Σ_{a≠b} h_ab², h_ab = w_a w_b (δ - P) / D: the noise of a pair is in both of its members
(W. Hoeffding 1948; B. Efron, C. Stein 1981). It is taken away once: a few heavy pairs make this sum, and without them
0.88 of 95 % were covered at n = 500. The bias of order 1/n goes by leaving out one configuration at a time.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flowlab.estimators.estimate import FloatArray
from flowlab.estimators.weights.pareto import worth_by_spread

WORTH = 100  # equal configurations that weights must be worth: below, each is in most of the pairs that count
CHUNK = 2048  # configurations of which all pairs are looked at
PIECE = 256  # of them at once
GROUPS = 200  # of configurations, that a bootstrap takes
KNOWN = 40  # configurations tell an error no better than one number of a normal distribution does


class WeightedPairs(NamedTuple):
    """What all pairs say.

    Attributes:
        probability: (N + 1,) P(q), its bias of order 1/n taken away.
        influence: (groups, N + 1) by how much random groups of configurations move it.
        noise: (N + 1,) Σ h² by the overlap of the pair: what the noise of pairs has too much in Σ i², twice.
        n_pairs: how many there are.
        factor: by how much errors are widened, see :func:`widening`.
    """

    probability: FloatArray
    influence: FloatArray
    noise: FloatArray
    n_pairs: int
    factor: float

    def replicas(self, count: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """Two (count, N + 1) sets: P as it scatters by Σ i², and by the noise of pairs, Σ h²."""
        groups = len(self.influence)
        times = rng.multinomial(groups, np.full(groups, 1 / groups), size=count) - 1
        pairs = rng.normal(size=(count, self.noise.size)) * np.sqrt(self.noise)
        pairs -= self.probability * pairs.sum(1, keepdims=True)
        return self.probability + times @ self.influence, self.probability + pairs


def weighted_pairs(spins: NDArray[np.float32], w: FloatArray, rng: np.random.Generator) -> WeightedPairs:
    """All pairs of (n, N) spins of weights ``w`` (n,), in chunks of about 2,048 where there are more.

    >>> s = np.array([[1, 1], [1, -1]] * 30, np.float32)
    >>> weighted_pairs(s, np.ones(60), np.random.default_rng(0)).probability.round(2)
    array([0.  , 0.51, 0.49])
    """
    n, n_sites = spins.shape
    q = np.linspace(-1, 1, n_sites + 1)
    chunks = np.array_split(np.arange(n), -(-n // CHUNK))
    own = np.concatenate([w[c] * (w[c].sum() - w[c]) for c in chunks])  # d_a
    D, group = own.sum(), rng.permutation(n) % min(GROUPS, n)
    rows, without = np.zeros((min(GROUPS, n), n_sites + 1)), np.zeros(n_sites + 1)
    noise, second = np.zeros(n_sites + 1), np.zeros(n)
    for chunk in chunks:
        for piece in np.array_split(chunk, -(-chunk.size // PIECE)):
            place = _places(spins, piece, chunk)
            r = w[piece, None] * _sums(place, w[chunk], piece.size, n_sites)
            np.add.at(rows, group[piece], r)
            without += (r / (D - 2 * own[piece, None])).sum(0)
            second[piece] = r @ q**2
            noise += w[piece] ** 2 @ _sums(place, w[chunk] ** 2, piece.size, n_sites)
    H = rows.sum(0)
    P = H / D
    less = (H * (1 / (D - 2 * own)).sum() - 2 * without) / n  # mean over the sets without one
    corrected = np.maximum(n * P - (n - 1) * less, 0.0)
    influence = 2 * (rows - P * np.bincount(group, own)[:, None]) / D
    n_pairs = sum(c.size * (c.size - 1) // 2 for c in chunks)
    factor = widening(w, second - P @ q**2 * own)
    return WeightedPairs(corrected / corrected.sum(), influence, noise / D**2, n_pairs, factor)


def widening(w: FloatArray, influence: FloatArray) -> float:
    """By how much errors from Σ i² of weights ``w`` are widened; NaN where the weights are worth less than 100.

    Three things that a sum of squares does not know: one more i as large as the largest, not drawn yet; that samples
    with a small error are those that miss the largest weights, so that the worth of the weights is at most that which
    the spread of all of them tells (:func:`.worth_by_spread`); that few configurations make the sum, so that it is
    known as one of ν = 2 (Σ i²)² / Σ i⁴ squares, and of no more than worth/40 (Student's t).

    Args:
        w: (n,) weights relative to the largest.
        influence: (n,) of each configuration, in any unit.
    """
    from scipy.special import stdtrit

    worth, size = w.sum() ** 2 / (w**2).sum(), np.abs(influence)
    with np.errstate(divide="ignore"):
        by_spread = min(worth_by_spread(np.log(w)), worth)
    if by_spread < WORTH:
        return math.nan
    if not size.any():
        return 1.0
    squares = (size**2).sum()
    known = 1 / ((size**4).sum() / squares**2 / 2 + KNOWN / by_spread)
    unseen = 1 + size.max() ** 2 / squares
    return float(math.sqrt(unseen * worth / by_spread) * stdtrit(known, 0.975) / 1.959964)


def _places(spins: NDArray[np.float32], piece: NDArray[np.intp], chunk: NDArray[np.intp]) -> NDArray[np.intp]:
    """(piece, chunk) where in a flat table (piece, N + 2) a pair counts: by its overlap, and last with itself."""
    n_sites = spins.shape[1]
    level = ((spins[piece] @ spins[chunk].T + n_sites) / 2).round().astype(np.intp)
    level[np.arange(piece.size), piece - chunk[0]] = n_sites + 1
    return np.asarray(level + (n_sites + 2) * np.arange(piece.size)[:, None])


def _sums(place: NDArray[np.intp], w: FloatArray, size: int, n_sites: int) -> FloatArray:
    """(piece, N + 1) sums of the weights of the other configuration by overlap."""
    each = np.broadcast_to(w, place.shape).ravel()
    return np.asarray(np.bincount(place.ravel(), each, size * (n_sites + 2)).reshape(size, -1)[:, :-1])
