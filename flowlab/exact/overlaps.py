"""The exact overlap distribution of a small spin system."""

from __future__ import annotations

import numpy as np

from flowlab.core import System
from flowlab.exact.enumeration import distribution

MAX_SITES = 20


def overlap_distribution(system: System) -> tuple[np.ndarray, np.ndarray]:
    """P(q) of the overlap q = Σ_i s_i t_i / N of two independent copies s, t of a spin system, by enumeration.

    P is the convolution of the Boltzmann distribution with itself over the group of spin flips, which a Walsh-Hadamard
    transform turns into a square, summed over the pairs that differ in k = N (1 - q) / 2 spins.

    Args:
        system: spins on at most 20 sites.

    Returns:
        q, (N + 1,) from -1 to 1 in steps of 2/N, and P(q), (N + 1,), which sums to 1.

    Raises:
        ValueError: above 20 sites, or for a system that is not of spins.

    >>> from flowlab.systems import Ising
    >>> q, P = overlap_distribution(Ising((2, 2), T=2.0))
    >>> q.tolist(), P.round(4).tolist()
    ([-1.0, -0.5, 0.0, 0.5, 1.0], [0.4065, 0.0616, 0.0638, 0.0616, 0.4065])
    """
    n = system.n_sites
    if n > MAX_SITES:
        raise ValueError(f"the exact overlap distribution needs at most {MAX_SITES} sites, got {n}")
    p = distribution(system).exp().cpu().numpy()
    same = np.maximum(_walsh_hadamard(_walsh_hadamard(p) ** 2), 0.0)  # rounding may leave -1e-17
    differing = np.bitwise_count(np.arange(2**n, dtype=np.uint32)).astype(np.int64)
    P = np.bincount(differing, weights=same, minlength=n + 1)[::-1]
    return np.arange(-n, n + 1, 2) / n, P / P.sum()


def _walsh_hadamard(values: np.ndarray) -> np.ndarray:
    """(2^n,) -> (2^n,): Σ_b (-1)^(number of bits that a and b share) values[b]."""
    half = 1
    while half < len(values):
        pair = values.reshape(-1, 2, half)
        values = np.stack([pair[:, 0] + pair[:, 1], pair[:, 0] - pair[:, 1]], axis=1).ravel()
        half *= 2
    return values
