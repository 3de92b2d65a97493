"""Overlaps q = (1/N) Σ_i s_i s'_i of independent spin configurations: the order parameter of a spin glass is P(q)."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from flowlab.estimators.estimate import Estimate, FloatArray, checked_log_w, never, relative_weights, student
from flowlab.estimators.observables.weighted_pairs import WORTH, weighted_pairs, widening, worth
from flowlab.estimators.series.blocks import (
    Configurations,
    IntArray,
    checked_configurations,
    independent_blocks,
    words,
)
from flowlab.estimators.series.jackknife import spread
from flowlab.estimators.weights.evidence import LowESSWarning, is_shown

REPLICAS = 400
PIECE = 256  # configurations compared with each other at once
WIDTH = 0.04  # of the Gaussian that smooths P(q) for its peak and dip, or one lattice step where that is wider


@dataclass(frozen=True, eq=False)
class Overlaps:
    """P(q) and what follows from it; see :func:`overlap_distribution`. Errors are one standard error.

    Attributes:
        q: (N + 1,) all overlaps -1, -1 + 2/N, ..., 1 that N spins can have, ascending.
        probability: (N + 1,) P(q), which sums to 1.
        error: (N + 1,) its errors; where no pair was seen that of one pair among independent ones.
        abs_q: (⌊N/2⌋ + 1,) all |q|, ascending from 0 (or 1/N for odd N) to 1.
        probability_abs: P(|q|) = P(q) + P(-q), q = 0 once; sums to 1.
        error_abs: its errors.
        mean_q: <q>, 0 where spin-flip symmetry holds.
        mean_abs_q: <|q|>.
        mean_q2: <q²>.
        mean_q4: <q⁴>.
        binder: 3/2 - <q⁴> / (2 <q²>²): 0 for a Gaussian P(q), 1 for two sharp peaks.
        peak: the |q| where P is highest, after smoothing; see :func:`peak_position`.
        dip: 1 - P(0)/max P, after smoothing: 0 for one peak at 0, 1 for two peaks with nothing between.
        n_pairs: the number of pairs that were looked at.
        n_blocks: the number of independent blocks that the errors come from.
        ess: effective sample size of the weights, a fraction; 1 without weights.
        replicas: (400, N + 1) bootstrap replicas of ``probability``.
        factor: by how much weights widen errors.
        noise: (400, N + 1) as ``replicas``, of the noise of pairs alone, which ``replicas`` of all pairs of weighted
            configurations have too much of; None without weights.
        unseen: the error of a probability of which no pair was seen.
    """

    q: FloatArray
    probability: FloatArray
    error: FloatArray
    abs_q: FloatArray
    probability_abs: FloatArray
    error_abs: FloatArray
    mean_q: Estimate
    mean_abs_q: Estimate
    mean_q2: Estimate
    mean_q4: Estimate
    binder: Estimate
    peak: Estimate
    dip: Estimate
    n_pairs: int
    n_blocks: int
    ess: float
    replicas: FloatArray = field(repr=False)

    factor: float = field(default=1.0, repr=False)
    noise: FloatArray | None = field(default=None, repr=False)
    unseen: float = field(default=0.0, repr=False)

    def estimate(self, f: Callable[[FloatArray], Any]) -> Estimate:
        """f of P(q) with its bootstrap error; ``f`` takes (..., N + 1) histograms to (...) or (..., k) numbers."""
        return _bootstrapped(f, self.probability, self.replicas, self.noise, self.n_blocks, self.factor)


def overlaps(
    a: ArrayLike, b: ArrayLike | None = None, *, pairs: int | None = None, rng: np.random.Generator
) -> FloatArray:
    """Overlaps of random pairs of independent configurations: of two of ``a``, or of one of ``a`` with one of ``b``.

    Args:
        a: (n, N) independent configurations of ±1, or (sets, n, N) from independent sets: then the two of a pair come
            from different sets.
        b: configurations of a second sampler, of either shape.
        pairs: how many; the default is the number of configurations in ``a``.
        rng: numpy generator.

    Returns:
        (pairs,) q. They share configurations: errors come from :func:`overlap_distribution`.

    Raises:
        ValueError: for fewer than 2 configurations or sets, values other than ±1, other shapes, or pairs < 1.

    >>> overlaps([[1, 1, 1, 1], [1, 1, 1, -1]], pairs=2, rng=np.random.default_rng(0))
    array([0.5, 0.5])
    """
    first = checked_configurations(a, smallest=2 if b is None else 1, name="a")
    second = first if b is None else checked_configurations(b, smallest=1, name="b")
    _same_sites(first, second)
    pairs = len(first.spins) if pairs is None else pairs
    if pairs < 1:
        raise ValueError(f"pairs must be at least 1, got {pairs}")
    left = rng.integers(first.sets, size=pairs)
    if b is None:
        right = (left + rng.integers(1, first.sets, size=pairs)) % first.sets
    else:
        right = rng.integers(second.sets, size=pairs)
    x = words(first.spins)[left * first.length + rng.integers(first.length, size=pairs)]
    y = words(second.spins)[right * second.length + rng.integers(second.length, size=pairs)]
    return np.asarray(1 - 2 * np.bitwise_count(x ^ y).sum(1, dtype=np.float64) / first.spins.shape[1])


def overlap_distribution(
    s: ArrayLike, other: ArrayLike | None = None, *, log_w: ArrayLike | None = None, rng: np.random.Generator
) -> Overlaps:
    """P(q) of two independent configurations of one sampler, or of one of ``s`` with one of ``other``.

    Configurations are cut into blocks: 40 random groups of independent ones, or 20 stretches of a few long sets. All
    pairs within a block are counted. No configuration is in two blocks, so a bootstrap over blocks gives errors that
    know how often each configuration was used; little is lost against all pairs. Of weighted configurations few count,
    and all pairs are taken, with errors from what each configuration adds, see
    :mod:`flowlab.estimators.observables.weighted_pairs`.

    Args:
        s: (n, N) independent configurations of ±1, or (sets, n, N) from independent sets in their order in time: then
            pairs join different sets, and a twentieth of n should be several autocorrelation times.
        other: configurations of a second sampler, of either shape.
        log_w: (n,) log weights of ``s`` of shape (n, N), to reweight: a pair counts by the product of its weights.
        rng: numpy generator, for the grouping and the bootstrap.

    Returns:
        Overlaps. Its errors are NaN where all fits in one block.

    Raises:
        ValueError: for fewer than 2 configurations or sets, values other than ±1, or shapes that do not fit.

    Warns:
        LowESSWarning: where the weights are worth fewer than 100 configurations (:func:`.weighted_pairs.worth`): each
            is then in most of the pairs that count, and the errors are NaN.

    >>> s = np.array([[1, 1], [-1, -1]] * 50)
    >>> found = overlap_distribution(s, rng=np.random.default_rng(0))
    >>> found.q, found.probability_abs, found.mean_q2, found.n_blocks
    (array([-1.,  0.,  1.]), array([0., 1.]), Estimate(value=1.0, error=0.0), 12)
    """
    c = checked_configurations(s, smallest=2 if other is None else 1)
    w = _weights(c, log_w)
    if other is None and w is not None:
        return _reweighted(c, w, rng)
    if other is None:
        pieces = [(block, block) for block in independent_blocks(c, rng=rng)]
        return _overlaps(_histograms(c, c, pieces, None), c, None, rng)
    d = checked_configurations(other, smallest=1, name="other")
    _same_sites(c, d)
    blocks, others = independent_blocks(c, smallest=1, rng=rng), independent_blocks(d, smallest=1, rng=rng)
    count = min(len(blocks), len(others))
    blocks = independent_blocks(c, smallest=1, count=count, rng=rng)
    others = independent_blocks(d, smallest=1, count=count, rng=rng)
    return _overlaps(_histograms(c, d, list(zip(blocks, others, strict=True)), w), c, w, rng)


def total_variation(p: ArrayLike, other: ArrayLike) -> float:
    """½ Σ |p - p'| of two histograms that sum to 1: 0 where they agree, 1 where they have no bin in common.

    >>> total_variation([0.5, 0.5, 0.0], [0.0, 0.5, 0.5])
    0.5
    """
    p, other = np.asarray(p, dtype=np.float64), np.asarray(other, dtype=np.float64)
    if p.shape != other.shape:
        raise ValueError(f"two histograms must have one shape, got {p.shape} and {other.shape}")
    return float(0.5 * np.abs(p - other).sum())


def total_variation_floor(error: ArrayLike, other_error: ArrayLike) -> float:
    """What noise alone makes of :func:`total_variation`: ½ Σ √(2/π) √(error² + other_error²), for Gaussian bins.

    >>> round(total_variation_floor([0.03, 0.03], [0.04, 0.04]), 4)
    0.0399
    """
    return float(0.5 * np.sqrt(2 / np.pi) * np.hypot(error, other_error).sum())


def folded_histogram(probability: FloatArray) -> FloatArray:
    """P(|q|) = P(q) + P(-q), q = 0 once, at ascending |q|: (..., N + 1) -> (..., ⌊N/2⌋ + 1).

    >>> folded_histogram(np.array([0.1, 0.5, 0.4]))
    array([0.5, 0.5])
    """
    half = probability.shape[-1] // 2
    folded = probability[..., half:] + probability[..., ::-1][..., half:]
    if probability.shape[-1] % 2:
        folded[..., 0] = probability[..., half]
    return np.asarray(folded)


def peak_position(q: FloatArray, probability: FloatArray) -> Any:
    """The |q| at which P(|q|) is highest: (..., N + 1) histograms over ascending ``q`` -> (...).

    P is made symmetric and smoothed by a Gaussian of width max(0.04, 2/N); a parabola through the highest point and
    its neighbours gives the position between them. 0 for one peak at q = 0; at most 1.

    >>> round(float(peak_position(np.linspace(-1, 1, 101), np.eye(101)[80])), 2)
    0.6
    """
    grid, curve = _smoothed(q, probability)
    k = curve.argmax(-1)
    inner = np.clip(k, 1, grid.size - 2)[..., None]
    before, here, after = (np.take_along_axis(curve, inner + step, -1)[..., 0] for step in (-1, 0, 1))
    bend = before - 2 * here + after
    shift = np.where(bend < 0, 0.5 * (before - after) / np.where(bend < 0, bend, 1.0), 0.0)
    return np.where((k == 0) | (k == grid.size - 1), grid[k], grid[k] + shift * grid[1])


def dip_depth(q: FloatArray, probability: FloatArray) -> Any:
    """1 - P(0)/max P of P made symmetric and smoothed as in :func:`peak_position`: (..., N + 1) -> (...).

    0 where P is highest at q = 0; noise alone makes it a little positive there.

    >>> round(float(dip_depth(np.linspace(-1, 1, 101), np.eye(101)[100])), 6)
    1.0
    """
    _, curve = _smoothed(q, probability)
    return 1 - curve[..., 0] / curve.max(-1)


def _overlaps(histograms: FloatArray, c: Configurations, w: FloatArray | None, rng: np.random.Generator) -> Overlaps:
    """Overlaps from (blocks, 1 + N + 1): the number of pairs, then their weight by overlap."""
    count, weight = int(histograms[:, 0].sum()), histograms[:, 1:]
    blocks = len(weight)
    chosen = rng.multinomial(blocks, np.full(blocks, 1 / blocks), size=REPLICAS) @ weight
    ess, factor = (1.0, 1.0) if w is None else (_worth(w) / w.size, widening(w, w))
    return _found(
        c, weight.sum(0) / weight.sum(), chosen / chosen.sum(1, keepdims=True), None, (count, blocks, ess, factor)
    )


def _reweighted(c: Configurations, w: FloatArray, rng: np.random.Generator) -> Overlaps:
    """Overlaps of all pairs of weighted configurations."""
    pairs = weighted_pairs(c.spins, w, rng)
    numbers = (pairs.n_pairs, len(pairs.influence), _worth(w) / w.size, pairs.factor)
    return _found(c, pairs.probability, *pairs.replicas(REPLICAS, rng), numbers)


def _worth(w: FloatArray) -> float:
    return float(w.sum() ** 2 / (w**2).sum())


def _found(
    c: Configurations,
    probability: FloatArray,
    replicas: FloatArray,
    noise: FloatArray | None,
    numbers: tuple[int, int, float, float],
) -> Overlaps:
    """All that follows from P(q) and its replicas; ``numbers``: of pairs, of blocks, ESS, factor of errors."""
    n_sites, (count, blocks, ess, factor) = c.spins.shape[1], numbers
    q = np.linspace(-1, 1, n_sites + 1)

    def estimate(f: Callable[[FloatArray], Any]) -> Estimate:
        return _bootstrapped(f, probability, replicas, noise, blocks, factor)

    unseen = never(int(ess * len(c.spins) / 2) if c.length == 1 else blocks) * factor
    folded = estimate(folded_histogram)
    with np.errstate(invalid="ignore", divide="ignore"):  # <q²> = 0 where every overlap is 0
        binder = estimate(lambda p: 1.5 - 0.5 * (p @ q**4) / (p @ q**2) ** 2)
    return Overlaps(
        q=q,
        probability=probability,
        error=np.where(probability > 0, estimate(lambda p: p).error, unseen),
        abs_q=q[(n_sites + 1) // 2 :],
        probability_abs=folded.value,
        error_abs=np.where(folded.value > 0, folded.error, unseen),
        mean_q=estimate(lambda p: p @ q),
        mean_abs_q=estimate(lambda p: p @ np.abs(q)),
        mean_q2=estimate(lambda p: p @ q**2),
        mean_q4=estimate(lambda p: p @ q**4),
        binder=binder,
        peak=estimate(lambda p: peak_position(q, p)),
        dip=estimate(lambda p: dip_depth(q, p)),
        n_pairs=count,
        n_blocks=blocks,
        ess=ess,
        replicas=replicas,
        factor=factor,
        noise=noise,
        unseen=unseen,
    )


def _bootstrapped(
    f: Callable[[FloatArray], Any],
    p: FloatArray,
    replicas: FloatArray,
    noise: FloatArray | None,
    blocks: int,
    factor: float,
) -> Estimate:
    value = np.asarray(f(p))
    scale = factor * np.sqrt(blocks / (blocks - 1)) * student(blocks) if blocks > 1 else np.nan
    error = spread(np.asarray(f(replicas)), ddof=0) * scale
    if noise is not None:
        of_pairs = spread(np.asarray(f(noise)), ddof=0) * scale
        error = np.sqrt(np.maximum(error**2 - 2 * of_pairs**2, 2 * of_pairs**2))
    return Estimate(value, error) if value.ndim else Estimate(float(value), float(error))


def _histograms(
    c: Configurations, d: Configurations, blocks: list[tuple[IntArray, IntArray]], w: FloatArray | None
) -> FloatArray:
    """(blocks, 1 + N + 1): the number of pairs and their weight by overlap, for pairs of ``c`` with ``d``, or of
    different sets of ``c`` where ``d`` is ``c``."""
    n_sites = c.spins.shape[1]
    found = np.zeros((len(blocks), n_sites + 2))
    for counts, (left, right) in zip(found, blocks, strict=True):
        pieces = -(-max(left.size, right.size) // PIECE)
        pieces = min(pieces, left.size, right.size)
        for rows, columns in zip(
            np.array_split(left.ravel(), pieces), np.array_split(right.ravel(), pieces), strict=True
        ):
            level = (c.spins[rows] @ d.spins[columns].T + n_sites) / 2
            pair = np.ones(level.shape, bool) if d is not c else c.owner[rows, None] < c.owner[columns]
            weight = None if w is None else np.broadcast_to(w[rows, None], pair.shape)[pair]
            counts[0] += pair.sum()
            counts[1:] += np.bincount(level[pair].astype(np.intp), weight, minlength=n_sites + 1)
    return found


def _weights(c: Configurations, log_w: ArrayLike | None) -> FloatArray | None:
    if log_w is None:
        return None
    if c.length != 1 or np.shape(log_w) != (c.sets,):
        raise ValueError(
            f"log_w must be (n,) for s of shape (n, N), got {np.shape(log_w)} and {c.sets} sets of {c.length}"
        )
    w, _ = relative_weights(checked_log_w(log_w))
    if (known := worth(w)) < WORTH and not is_shown():
        warnings.warn(
            f"the {w.size} weights are worth {known:.3g} equal ones (ESS {100 * known / w.size:.2g} %): "
            f"reweighted overlaps need at least {WORTH} to have errors; draw more samples",
            LowESSWarning,
            stacklevel=3,
        )
    return w


def _smoothed(q: FloatArray, probability: FloatArray) -> tuple[FloatArray, FloatArray]:
    """|q| from 0 to 1 in 200 steps, and the symmetric part of P smoothed there: an average of neighbours, not a sum,
    so that it does not fall off at |q| = 1, where there are fewer of them."""
    grid, width = np.linspace(0, 1, 201), max(WIDTH, 2 / (q.size - 1))
    kernel = np.exp(-0.5 * ((grid[:, None] - q) / width) ** 2)
    kernel /= kernel.sum(1, keepdims=True)
    return grid, (probability + probability[..., ::-1]) / 2 @ kernel.T


def _same_sites(c: Configurations, d: Configurations) -> None:
    if c.spins.shape[1] != d.spins.shape[1]:
        raise ValueError(f"both must have the same number of sites, got {c.spins.shape[1]} and {d.spins.shape[1]}")
