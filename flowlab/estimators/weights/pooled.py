"""Draws of several densities pooled, as if from their mixture: means of a target along a coupling, with errors.

With n_k draws of q_k, every draw is weighed against the mixture q = Σ_k (n_k / n) q_k, as multistate reweighting does
(MBAR; Shirts and Chodera 2008, arXiv:0801.1426). That the density of each is known, and not only up to a constant, goes
in as control variates: the means of q_k / q are exactly 1, and draws count so much more or less that they are (Owen and
Zhou 2000, J. Am. Stat. Assoc. 95, 135; Tan 2004, ibid. 99, 1027). Where the target is one of the q_k, or a combination
of them, ln Z then has no error. All numbers at all couplings are made of draws that count the same, so that a curve is
exactly the derivative of another one where the means are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from flowlab.estimators.estimate import Estimate, FloatArray
from flowlab.estimators.weights.pareto import error_factor

BLOCKS = 50
"""Of a jackknife: each has as many draws of every density, and the error of an error is then 10 %."""


Numbers = Mapping[str, FloatArray]


def pooled_log_q(log_q: ArrayLike, counts: ArrayLike) -> FloatArray:
    """ln of the mixture Σ_k (n_k / n) q_k of (k, n) values ln q_k on all draws, n_k of which are from q_k; (n,).

    >>> pooled_log_q(np.log([[0.5, 0.25], [0.5, 0.75]]), [1, 1]).round(3).tolist()
    [-0.693, -0.693]
    """
    counts = np.asarray(counts, dtype=np.float64)
    terms = np.asarray(log_q, dtype=np.float64) + np.log(counts / counts.sum())[:, None]
    largest = terms.max(0)
    return np.asarray(largest + np.log(np.exp(terms - largest).sum(0)))


def in_blocks(counts: ArrayLike, blocks: int = BLOCKS) -> np.ndarray:
    """(n,) the block that each draw belongs to, the draws of one density after those of another.

    >>> in_blocks([4, 2], 2).tolist()
    [0, 1, 0, 1, 0, 1]
    """
    return np.concatenate([np.arange(n) % blocks for n in np.asarray(counts)])


def counted(ratios: FloatArray) -> FloatArray:
    """How much each draw counts, (n,) of the sum 1, so that the (k, n) ratios q_k / q have exactly the mean 1.

    That is the least change of 1/n for all, linear in the ratios.

    >>> c = counted(np.array([[2.0, 0.5, 1.0, 1.0], [0.0, 1.5, 1.0, 1.0]]))
    >>> c.sum().round(9), (c @ [2.0, 0.5, 1.0, 1.0]).round(9)
    (np.float64(1.0), np.float64(1.0))
    """
    n = ratios.shape[1]
    centred = ratios - ratios.mean(1, keepdims=True)
    off = np.linalg.lstsq(centred @ centred.T, n * (ratios.mean(1) - 1), rcond=1e-10)[0]
    return np.asarray((1 - off @ centred) / n)


@dataclass(frozen=True)
class Replicas:
    """A number along a coupling, and the same with one block of draws left out after the other.

    Attributes:
        value: (G,) at each coupling.
        without: (B, G) without each block.
        unseen: (G,) what a weight that was not yet drawn may change, see :func:`.error_factor`.
    """

    value: FloatArray
    without: FloatArray
    unseen: FloatArray

    @property
    def estimate(self) -> Estimate:
        """Values and errors, each (G,)."""
        return Estimate(self.value, np.hypot(jackknife_error(self.without), self.unseen))


def jackknife_error(without: FloatArray) -> FloatArray:
    """√[(B-1)/B Σ_b (θ_b - <θ>)²] of (B, ...) values, each without one of B blocks.

    >>> float(jackknife_error(np.array([3.0, 1.0])))
    1.0
    """
    blocks = len(without)
    return np.asarray(np.sqrt((blocks - 1) / blocks * np.square(without - without.mean(0)).sum(0)))


def along(
    log_weight: FloatArray,
    log_q: FloatArray,
    values: Numbers,
    counts: ArrayLike,
    functions: Mapping[str, Callable[[Numbers], FloatArray]],
) -> dict[str, Replicas]:
    """Functions of the target's means at every coupling.

    Args:
        log_weight: (G, n) ln of the target's weight at each of G couplings, in nats.
        log_q: (K, n) ln of each density on all draws, those of the first density first.
        values: name -> (G, n) values of an observable on the draws, or (n,) where they are the same everywhere.
        counts: (K,) draws of each density.
        functions: name -> function of the means, (..., G) each by name, with ``log_z`` among them.

    Returns:
        name -> Replicas, ``log_z`` included.
    """
    log_mixture = pooled_log_q(log_q, counts)
    ratios, log_w = np.exp(log_q - log_mixture), log_weight - log_mixture
    largest = log_w.max(1, keepdims=True)
    w = np.exp(log_w - largest)
    blocks = in_blocks(counts, min(BLOCKS, int(np.min(counts))))
    others = [blocks != block for block in range(int(blocks.max()) + 1)]
    alike = np.stack([np.full(blocks.size, 1 / blocks.size)] + [kept / kept.sum() for kept in others])
    count = np.zeros_like(alike)
    for row, kept in zip(count, [blocks >= 0, *others], strict=True):
        row[kept] = counted(ratios[:, kept])

    def jackknifed(counting: FloatArray) -> dict[str, FloatArray]:
        """(1 + B, G) of each function: with all draws, and without each block."""
        total = counting @ w.T
        means = {name: counting @ (w * value).T / total for name, value in values.items()}
        means["log_z"] = np.log(total) + largest[:, 0]
        return {name: function(means) for name, function in functions.items()}

    functions = {"log_z": lambda mean: mean["log_z"], **functions}
    plain = {name: jackknife_error(value[1:]) for name, value in jackknifed(alike).items()}
    unseen = np.sqrt(np.array([error_factor(row) for row in w]) ** 2 - 1)
    return {name: Replicas(value[0], value[1:], unseen * plain[name]) for name, value in jackknifed(count).items()}
