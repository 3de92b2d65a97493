"""The independence Metropolis chain: draws of q are proposed one after the other and accepted or rejected.

Rejections are its only memory. A chain that starts in, or falls into, a state that q draws too rarely stays there for
long; a long run of rejections is the mark of a thin or missing mode.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flowlab.estimators.estimate import Estimate, checked_log_w, relative_weights
from flowlab.estimators.weights.pareto import error_factor, unseen_weight

STAYS = 30  # of rejections, that must make up their sum for it to have an error


class Chain(NamedTuple):
    """An independence chain over n draws of q.

    Attributes:
        indices: (n,) the draw that the chain is at after each step; 0 at first. ``f[indices]`` is f along the chain.
        accepted: (n - 1,) whether draw 1, 2, ... was accepted.
    """

    indices: NDArray[np.int64]
    accepted: NDArray[np.bool_]


def independence_chain(log_w: ArrayLike, rng: np.random.Generator) -> Chain:
    """Metropolis-Hastings with proposals from q, in the order given: x' is accepted with min(1, w(x') / w(x)).

    The chain starts at the first draw, so its first few tau_int steps are not yet at equilibrium.

    Args:
        log_w: (n,) log_weight - log_q of independent draws from q; -inf (never accepted) allowed.
        rng: the source of the n - 1 acceptance decisions.

    Returns:
        Chain(indices, accepted).

    Raises:
        ValueError: see :func:`flowlab.estimators.weights.weights.checked_log_w`.

    >>> chain = independence_chain([0.0, -np.inf, 9.0], np.random.default_rng(0))
    >>> chain.indices.tolist(), chain.accepted.tolist()
    ([0, 0, 2], [False, True])
    """
    log_w = checked_log_w(log_w)
    weights = log_w.tolist()
    # -Exp(1) is ln of a uniform number and is never -inf.
    log_u = (-rng.standard_exponential(log_w.size - 1)).tolist()
    current, level = 0, weights[0]
    indices = [0]
    for i, u in enumerate(log_u, start=1):
        if u + level <= weights[i]:
            current, level = i, weights[i]
        indices.append(current)
    array = np.array(indices)
    return Chain(array, array[1:] != array[:-1])


def acceptance(log_w: ArrayLike) -> Estimate:
    """Acceptance of the independence chain at equilibrium, E_{x~p, x'~q}[min(1, w(x') / w(x))], from all pairs.

    A = Σ_{i≠j} min(w_i, w_j) / [(n - 1) Σ_i w_i], summed in O(n log n) by sorting: no random decision is needed. The
    error linearises the ratio of this U-statistic and the mean weight.

    Args:
        log_w: (n,) log_weight - log_q of independent draws from q; -inf allowed.

    Returns:
        Estimate in [0, 1].

    Raises:
        ValueError: see :func:`flowlab.estimators.weights.weights.checked_log_w`.

    >>> acceptance([1.0, 1.0, 1.0])
    Estimate(value=1.0, error=0.0)
    """
    w = np.sort(relative_weights(checked_log_w(log_w))[0])
    n, w_mean = w.size, w.mean()
    below = np.cumsum(w) - w
    paired = (below + (n - 1 - np.arange(n)) * w) / (n - 1)  # mean over j ≠ i of min(w_i, w_j)
    value = float(paired.mean() / w_mean)
    influence = (2 * paired - value * w) / w_mean
    return Estimate(min(value, 1.0), float(influence.std(ddof=1) / np.sqrt(n) * error_factor(w)))


def rejection_runs(accepted: ArrayLike) -> NDArray[np.int64]:
    """Lengths of the unbroken runs of rejections, in order; empty where every proposal was accepted.

    Args:
        accepted: (n,) booleans, one a proposal.

    >>> rejection_runs([True, False, False, True, False]).tolist()
    [2, 1]
    """
    ends = np.concatenate([[True], _decisions(accepted), [True]])
    lengths = np.diff(np.flatnonzero(ends)) - 1
    return lengths[lengths > 0]


def longest_rejection_run(accepted: ArrayLike) -> int:
    """The longest run of consecutive rejections, in steps; 0 where every proposal was accepted.

    >>> longest_rejection_run([True, False, False, True, False])
    2
    """
    return int(rejection_runs(accepted).max(initial=0))


def tau_int_rejections(accepted: ArrayLike) -> Estimate:
    """tau_int of the independence chain from its rejections alone, the same for all observables; 1/2 without any.

    τ = 1/2 + Σ_{t>=1} Pr(t consecutive rejections), with Pr = E_{x~p}[(1 - a(x))^t] and a(x) the acceptance out of x
    (Albergo, Kanwar and Shanahan 2019, arXiv:1904.12072; Del Debbio, Marsh Rossney and Wilson 2021, arXiv:2105.12481,
    eq. 13), so τ = E_{x~p}[1/a(x)] - 1/2. The chain estimates the sum by the mean, over its steps, of the number r of
    rejections since the last acceptance: τ = 1/2 + <r>. A stay of l rejections adds l(l+1)/2 to the sum of r over l+1
    steps; the error is that of the ratio, with stays taken as independent, and allows for a stay longer than any seen
    (:func:`flowlab.estimators.weights.pareto.unseen_weight`). It takes what follows an
    acceptance as uncorrelated with what went before, which is exact for an observable whose square and weight are
    uncorrelated (such as a random sign) and an approximation for others.

    Args:
        accepted: (n,) booleans, one a proposal.

    Returns:
        Estimate in steps; the error is NaN where fewer than 30 stays make up the sum, as where long ones are rare.

    >>> tau_int_rejections([True] * 10)
    Estimate(value=0.5, error=0.0)
    >>> tau_int_rejections([True, False] * 50).value
    1.0
    """
    accepted = _decisions(accepted)
    ends = np.concatenate([[-1], np.flatnonzero(accepted), [accepted.size]])
    length = np.diff(ends) - 1.0  # of each stay, in rejections; the last one is cut off
    sums, steps = length * (length + 1) / 2, length + (np.arange(length.size) > 0)
    if not sums.any():
        return Estimate(0.5, 0.0)
    value = sums.sum() / accepted.size
    largest, worth = sums.max(), sums.sum() ** 2 / (sums**2).sum()
    if worth < STAYS:
        return Estimate(float(0.5 + value), np.nan)
    spread = np.sqrt(((sums - value * steps) ** 2).sum())
    unseen = largest * unseen_weight(sums / largest) - sums.mean()
    return Estimate(float(0.5 + value), float(np.hypot(spread, unseen) / accepted.size))


def tau_int_bound(acceptance: Estimate) -> Estimate:
    """The lower bound 1/A - 1/2 of :func:`tau_int_rejections` from the mean acceptance A, in steps.

    Reached where every configuration is left equally fast: E[1/a(x)] >= 1/E[a(x)]. NaN where nothing was accepted.

    Args:
        acceptance: A in [0, 1] and its error, e.g. of :func:`acceptance`.

    Source: L. Del Debbio, J. Marsh Rossney, M. Wilson, arXiv:2105.12481 (2021), eq. 14.

    >>> tau_int_bound(Estimate(0.5, 0.01))
    Estimate(value=1.5, error=0.04)
    """
    A, error = acceptance
    return Estimate(1 / A - 0.5, error / A**2) if A > 0 else Estimate(np.nan, np.nan)


def rejection_run_distribution(accepted: ArrayLike) -> NDArray[np.float64]:
    """(longest + 1,) the fraction of all acceptances that r rejections came before, at index r; sums to 1.

    Rejections after the last acceptance are left out. Empty where nothing was accepted.

    Args:
        accepted: (n,) booleans, one a proposal.

    >>> rejection_run_distribution([True, False, False, True, True, False]).round(3).tolist()
    [0.667, 0.0, 0.333]
    """
    at = np.flatnonzero(_decisions(accepted))
    counts = np.bincount(np.diff(at, prepend=-1) - 1)
    return counts / max(at.size, 1)


def _decisions(accepted: ArrayLike) -> NDArray[np.bool_]:
    array = np.asarray(accepted)
    if array.ndim != 1 or array.size < 1 or array.dtype != np.bool_:
        raise ValueError(f"accepted must be one axis of booleans, got shape {array.shape} of {array.dtype}")
    return array
