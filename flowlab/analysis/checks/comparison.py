"""A model's draws beside chains of the target: every quantity with and without weights, and what the draws miss."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from flowlab.estimators.observables.overlaps import total_variation, total_variation_floor
from flowlab.estimators.series.starts import Starts, deviation, starts
from flowlab.estimators.weights.weights import Estimate, FloatArray, log_z, relative_weights, reweighted

BINS = 20
SIGMAS = 4.0
PART_SIGMAS = 5.0
"""Errors by which one of 20 parts of a distribution may be off."""
ROUNDING = 1e-6
"""Of ln weights in single precision, as a fraction of their size."""
FEW_IN_PART = 20
FEW = 100
"""Draws that weights must be worth before anything reweighted is compared."""
SELDOM = 0.1
"""A part of the target that q draws this much less often than it should is one that its draws miss."""


class Compared(NamedTuple):
    """One quantity of a model and of chains.

    Attributes:
        value: of the model, by importance weights; NaN where there are none, or they are worth too few draws.
        raw: of its draws as they are, NaN for what needs weights.
        reference: of the chains, with how well their starts agree.
        z, z_raw: by how many errors they differ.
    """

    value: Estimate
    raw: Estimate
    reference: Starts
    z: float
    z_raw: float


UNKNOWN = Estimate(math.nan, math.nan)


def worth(log_w: ArrayLike) -> float:
    """How many equal draws the weights are worth, (Σ w)² / Σ w².

    >>> worth(np.zeros(10))
    10.0
    """
    w, _ = relative_weights(np.asarray(log_w, dtype=np.float64))
    return float(w.sum() ** 2 / (w**2).sum())


def compared(
    values: ArrayLike, log_w: ArrayLike | None, series: ArrayLike, hot: int, *, rounding: float = 0.0
) -> Compared:
    """One observable of a model and of chains.

    Args:
        values: (n,) on independent draws of q.
        log_w: (n,) log_weight - ln q of them, None where there is no q.
        series: (steps, chains) on the chains, see :func:`flowlab.estimators.series.starts.starts`.
        hot: how many of the chains began hot.
        rounding: of the values, which the chains' error is at least.

    >>> rng = np.random.default_rng(0)
    >>> found = compared(rng.normal(1, 1, 1000), None, rng.normal(0, 1, (200, 8)), 4)
    >>> found.z_raw > 10, found.value.value
    (True, nan)
    """
    f, reference = np.asarray(values, dtype=np.float64), starts(series, hot)
    chains = np.shape(series)[1]
    reference = reference._replace(error=max(reference.error, rounding))
    own = Estimate(reference.value, reference.error)
    raw = Estimate(float(f.mean()), float(f.std(ddof=1) / math.sqrt(len(f))))
    value, z = UNKNOWN, math.nan
    if log_w is not None and worth(log_w) >= FEW:
        value = reweighted(f, log_w=log_w)
        z = deviation(value, int(worth(log_w)), own, chains)
    return Compared(value, raw, reference, z, deviation(raw, len(f), own, chains))


def compared_weights(
    log_w: ArrayLike, log_w_chains: ArrayLike, hot: int, *, normalised: bool = True
) -> dict[str, Compared]:
    """What the ratio of target and model says, on draws of q and on chains of the target.

    ``log_z``, for a q that is normalised: ln <w> of the draws, beside Bennett's acceptance ratio between draws and
    chains, which needs no tails (C. H. Bennett 1976, J. Comput. Phys. 22, 245); ``log_w``: the mean of
    ln w under the target, ln Z + KL(p|q), reweighted from the draws and along the chains. A part of the target that q
    draws too seldom has heavy weights, of which the draws know nothing and the chains all.

    Args:
        log_w: (n,) log_weight - ln q of independent draws from q.
        log_w_chains: (steps, chains) of the chains' configurations, finite.
        hot: how many of the chains began hot.
        normalised: whether ln q is.

    >>> rng = np.random.default_rng(0)
    >>> found = compared_weights(np.zeros(1000), rng.normal(0, 1e-9, (50, 8)), 4)
    >>> sorted(found), abs(found["log_z"].z) < 1
    (['log_w', 'log_z'], True)
    """
    log_w, along = np.asarray(log_w, dtype=np.float64), np.asarray(log_w_chains, dtype=np.float64)
    few = worth(log_w) < FEW
    rounding = ROUNDING * (1 + float(np.abs(along).max()))
    found = {"log_w": compared(log_w, log_w, along, hot, rounding=rounding)._replace(raw=UNKNOWN, z_raw=math.nan)}
    if normalised:
        level, slope = _bennett(log_w, along)
        of_chains, draw_metrics = starts(_fermi(level - along), hot), _fermi(log_w - level)
        own_error = draw_metrics.std(ddof=1) / math.sqrt(log_w.size)
        own = Estimate(level, math.hypot(of_chains.error / slope, own_error / slope, rounding))
        value = UNKNOWN if few else log_z(log_w)
        z = math.nan if few else deviation(value, int(worth(log_w)), own, along.shape[1])
        found["log_z"] = Compared(value, UNKNOWN, of_chains._replace(value=level, error=own.error), z, math.nan)
    return found


def _fermi(x: FloatArray) -> FloatArray:
    from scipy.special import expit

    return np.asarray(expit(x))


def _bennett(log_w: FloatArray, along: FloatArray) -> tuple[float, float]:
    """The c at which <1/(1 + e^(c - ln w))>_q = <1/(1 + e^(ln w - c))>_p, which is ln Z, and the slope there."""
    low, high = min(log_w.min(), along.min()) - 1, max(log_w.max(), along.max()) + 1
    for _ in range(60):
        c = (low + high) / 2
        above = _fermi(log_w - c).mean() > _fermi(c - along).mean()
        low, high = (c, high) if above else (low, c)
    a, b = _fermi(log_w - c), _fermi(c - along)
    return float(c), float(max((a * (1 - a)).mean() + (b * (1 - b)).mean(), 1e-12))


class Shares(NamedTuple):
    """The distribution of one quantity over parts that the target visits equally often; see :func:`shares`.

    Attributes:
        edges: (k + 1,) of the parts; the first is -inf, the last inf.
        reference, raw, weighted: the share of each part; the weighted ones NaN without weights.
        variation: total variation of the weighted (without weights of the raw) shares to the reference's.
        floor: the part of it that noise alone makes.
        raw_variation: total variation of the raw shares.
        differs: whether the variation is above its floor and the share of a part off by more than 5 errors; weights
            worth too few draws say nothing.
        seldom: (k,) parts that fewer than 20 draws visit, and ten times less often than they should.
    """

    edges: FloatArray
    reference: FloatArray
    raw: FloatArray
    weighted: FloatArray
    variation: float
    floor: float
    raw_variation: float
    differs: bool
    seldom: np.ndarray


def shares(values: ArrayLike, log_w: ArrayLike | None, series: ArrayLike) -> Shares:
    """The distribution of a quantity, of a model's draws and along chains, in at most 20 parts.

    Args:
        values: (n,) on independent draws of q.
        log_w: (n,) log_weight - ln q of them, None where there is no q.
        series: (steps, chains) on the chains.

    >>> rng = np.random.default_rng(0)
    >>> target = rng.choice([-1.0, 1.0], (100, 8)) + 0.1 * rng.standard_normal((100, 8))
    >>> found = shares(1 + 0.1 * rng.standard_normal(1000), None, target)
    >>> found.differs, found.seldom.sum() >= 8
    (True, np.True_)
    """
    f, along = np.asarray(values, dtype=np.float64), np.asarray(series, dtype=np.float64)
    inner = np.unique(np.quantile(along, np.linspace(0, 1, BINS + 1)[1:-1], method="lower"))
    edges = np.concatenate([[-np.inf], inner[inner < along.max()], [np.inf]])
    part = np.searchsorted(edges[1:-1], f)  # (lower, upper]: values of a lattice lie on the edges
    of_chains = np.searchsorted(edges[1:-1], along)
    k, n, chains = len(edges) - 1, len(f), along.shape[1]
    by_chain = np.stack([(of_chains == i).mean(0) for i in range(k)], 1)
    reference, error = by_chain.mean(0), by_chain.std(0, ddof=1) / math.sqrt(chains)
    raw = np.bincount(part, minlength=k) / n
    raw_error = np.sqrt((raw * n + 1) * (n - raw * n + 1)) / (n + 2) ** 1.5
    own, own_error, weighted = raw, raw_error, np.full(k, math.nan)
    if log_w is not None and worth(log_w) >= FEW:
        found = reweighted((part[:, None] == np.arange(k)).astype(np.float64), log_w=log_w)
        weighted = own = np.asarray(found.value)
        own_error = np.maximum(found.error, 1 / n)
    spread = np.hypot(own_error, np.maximum(error, 1 / along.size))
    variation, floor = total_variation(own, reference), total_variation_floor(own_error, error)
    z = np.abs(own - reference) / spread
    missed = (raw < SELDOM * reference) & (reference - raw > SIGMAS * np.hypot(raw_error, error))
    seldom = missed & (raw * n < FEW_IN_PART)
    known = log_w is None or not np.isnan(weighted).any()
    differs = known and variation > floor and bool((z > PART_SIGMAS).any())
    return Shares(edges, reference, raw, weighted, variation, floor, total_variation(raw, reference), differs, seldom)


def moments(columns: Mapping[str, FloatArray], centres: Mapping[str, float], n_sites: int) -> dict[str, FloatArray]:
    """Every observable, and the second moments of energies and of the order parameter.

    ``<name>_variance`` = N (f - c)² of every energy and action, about the same centre c for model and chains;
    ``abs_magnetization`` and ``magnetization_squared``.

    Args:
        columns: name -> values, any shape, with ``magnetization``.
        centres: name -> c of the energies and actions.
        n_sites: N.

    >>> sorted(moments({"magnetization": np.zeros(2)}, {}, 4))
    ['abs_magnetization', 'magnetization', 'magnetization_squared']
    """
    found = {name: np.asarray(values, dtype=np.float64) for name, values in columns.items()}
    for name, centre in centres.items():
        found[f"{name}_variance"] = n_sites * (found[name] - centre) ** 2
    m = found["magnetization"]
    return found | {"abs_magnetization": np.abs(m), "magnetization_squared": m**2}
