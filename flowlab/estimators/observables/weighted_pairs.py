"""Overlaps of all pairs of weighted configurations, with errors that know how heavy the weights are.

P(q) of weights w is a ratio of sums over pairs, H(q) = Σ_{a≠b} w_a w_b δ(q_ab, q) over D = Σ_{a≠b} w_a w_b. Each
configuration moves it by i_a = 2 (r_a - P d_a) / D, r_a and d_a being its parts of H and D. In other words, with
h_ab = w_a w_b (δ - P) / D it is moved by all Σ_{a≠b} h_ab, of which a rest is made by the pair and by neither alone. It
adds 2 Σ_{a≠b} h² to the variance and 4 Σ_{a≠b} h² to Σ_a i_a², since it is in both of a pair: the variance is
Σ_a i_a² - 2 Σ_{a≠b} h_ab², and never less than the rest alone, 2 Σ_{a≠b} h_ab² (W. Hoeffding 1948, B. Efron and
C. Stein 1981). The bias of order 1/n goes by leaving out one configuration at a time.
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
SPREAD = 1e-3  # of ln w, below which weights are equal
KNOWN = 15  # configurations tell an error no better than one number of a normal distribution does
NODES = 12  # of the integral over a normal distribution


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


def worth(w: FloatArray) -> float:
    """How many equal configurations weights are worth, by the spread of all where none is zero: a set that happens to
    miss the largest weights looks better than it is. As drawn where that is under 50, and at most twice as many.

    >>> worth(np.ones(100)), worth(np.r_[np.ones(99), 0.0])
    (100.0, 99.0)
    """
    drawn = float(w.sum() ** 2 / (w**2).sum())
    return min(worth_by_spread(np.log(w)), 2 * drawn) if w.all() and 2 * drawn >= WORTH else drawn


def widening(w: FloatArray, influence: FloatArray) -> float:
    """By how much errors from Σ i² of weights ``w`` are widened; NaN where the weights are worth less than 100.

    The largest weights make most of Σ i², are drawn last, and raise value and error together: sets that miss them have
    small errors. So Σ i² is at least what it is expected to be, see :func:`expected_squares`. Either is known as one of
    at most worth/15 squares (Student's t), and Σ i² as drawn, which few configurations make, as one of
    ν = 2 (Σ i²)² / Σ i⁴.

    Args:
        w: (n,) weights relative to the largest.
        influence: (n,) of each configuration, in any unit.
    """
    from scipy.special import stdtrit

    if (known := worth(w)) < WORTH:
        return math.nan
    squares = float((influence**2).sum())
    if not squares > 0:
        return 1.0
    expected = expected_squares(w, influence) / squares if w.all() else 1.0
    few = float((influence**4).sum()) / squares**2 / 2 if expected <= 1 else 0.0
    return float(math.sqrt(max(expected, 1.0)) * stdtrit(1 / (few + KNOWN / known), 0.975) / 1.959964)


def expected_squares(w: FloatArray, influence: FloatArray) -> float:
    """Σ (w_a g_a)² of n log-normal weights, where g = ``influence``/w is a parabola in ln w and a rest.

    (Σw)²/n exp(s²) <g²>, the mean over ln w of a normal distribution that is moved up by 2 s², as far as n draws reach,
    √(2 ln n) s. The spread s (:func:`.worth_by_spread`) and the parabola are known from all configurations. Weights of
    a few spins have lighter tails, and errors are too wide where many are drawn: of 2,000 draws of 16 spins at
    tanh h = 0.3 and 0.4 one error of <q²> holds .88 and .98, of 500 at 0.1 to 0.3 .74 to .79 (100 and 250 repeats).

    >>> round(expected_squares(np.ones(100), np.ones(100)))
    100
    """
    n, log_w, g = w.size, np.log(w), influence / w
    s = math.sqrt(max(math.log(n / worth_by_spread(log_w)), 0.0))
    if s < SPREAD:
        return float((influence**2).sum())
    x = (log_w - log_w.mean()) / s
    parabola = np.polynomial.Polynomial.fit(x, g, 2)
    nodes, share = np.polynomial.hermite_e.hermegauss(NODES)
    here = np.minimum(nodes + 2 * s, math.sqrt(2 * math.log(n)))
    rest = w @ (g - parabola(x)) ** 2 / w.sum()
    return float(w.sum() ** 2 / n * math.exp(s**2) * (share @ parabola(here) ** 2 / share.sum() + rest))


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
