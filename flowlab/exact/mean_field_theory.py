"""Mean field of the Ising model on a finite lattice: the best that independent spins can do."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from flowlab.exact.infinite_ising import inverse_temperature
from flowlab.systems.lattice import plane

POINTS = 400
"""Of the first, coarse search for the bias."""


class MeanField(NamedTuple):
    """The best product density of spins; free_energy is of the whole lattice.

    Attributes:
        free_energy: F_var = <E> + T <ln q>, an upper bound on F, in units of J.
        magnetization: m in [0, 1], the mean of every spin before the shared bit; of sublattices against each other
            where J < 0.
        n_sites: N, for values per site.
    """

    free_energy: float
    magnetization: float
    n_sites: int

    @property
    def free_energy_per_site(self) -> float:
        """F_var / N."""
        return self.free_energy / self.n_sites


def mean_field(
    shape: int | tuple[int, int],
    beta: float | None = None,
    J: float = 1.0,
    *,
    T: float | None = None,
    z2: bool = True,
) -> MeanField:
    """The lowest variational free energy of independent spins of one magnetization on an n x m torus, whole lattice.

    Independent spins of mean m have, with s(m) = -Σ_± (1 ± m)/2 ln (1 ± m)/2,

        F_var(m) = -2 N |J| m² - N T s(m) >= F.

    Since m_i m_j <= (m_i² + m_j²)/2, no choice of unequal m_i lies lower. With ``z2`` a shared fair bit flips all, as
    Z2Symmetrized over IndependentSpins has it: q = (p_m + p_-m)/2. The energy stays and F_var falls by T I, where I,
    what the spins tell about the bit, is at most ln 2 (here that equal m_i are best is a finding, not a theorem). All
    depends on the number k of up spins:

        F_var(m) = -2 N |J| m² + T Σ_k C(N, k) q_k ln q_k.

    Args:
        shape: (n, m), both at least 2; on a side of length 2 every pair of neighbours has two bonds.
        beta: inverse temperature 1/T, positive, in units of k_B / J; or T in its place.
        J: exchange coupling; negative only where both sides are even, the sublattices then being turned.
        z2: whether the shared bit is there.

    Raises:
        ValueError: for a shape that is no lattice, a beta that is not positive, or an antiferromagnet on an odd side.

    >>> found = mean_field((8, 8), T=2.0)
    >>> round(found.free_energy_per_site, 6), round(found.magnetization, 4)
    (-2.061003, 0.9575)
    """
    from scipy.optimize import minimize_scalar  # slow to import

    n, m = plane(shape)
    beta = inverse_temperature(beta, T)
    if not (math.isfinite(beta) and beta > 0):
        raise ValueError(f"beta must be a positive number, got {beta}")
    if not math.isfinite(J) or (J < 0 and (n % 2 or m % 2)):
        raise ValueError(f"J must be a finite number, and not negative on an odd side, got J={J} and shape {(n, m)}")
    K = beta * abs(J)
    highest = 4 * K + 2  # without the bit b = 4 K tanh b at the optimum, and the bit moves it by less than 2
    grid = np.linspace(0, highest, POINTS)
    lowest = int(np.argmin([_beta_f(b, K, n * m, z2) for b in grid]))
    around = float(grid[max(lowest - 1, 0)]), float(grid[min(lowest + 1, POINTS - 1)])
    found = minimize_scalar(_beta_f, bounds=around, args=(K, n * m, z2), method="bounded", options={"xatol": 1e-9})
    b = min((0.0, float(found.x)), key=lambda b: _beta_f(b, K, n * m, z2))
    return MeanField(_beta_f(b, K, n * m, z2) / beta, math.tanh(b), n * m)


def _beta_f(b: float, K: float, n_sites: int, z2: bool) -> float:
    """F_var / T at m = tanh b."""
    from scipy.special import gammaln  # slow to import

    up, down = -np.logaddexp(0, -2 * b), -np.logaddexp(0, 2 * b)
    energy = -2 * n_sites * K * math.tanh(b) ** 2
    if not z2:
        return float(energy + n_sites * (math.exp(up) * up + math.exp(down) * down))
    k = np.arange(n_sites + 1)
    ways = gammaln(n_sites + 1) - gammaln(k + 1) - gammaln(n_sites - k + 1)
    log_q = np.logaddexp(k * up + (n_sites - k) * down, k * down + (n_sites - k) * up) - math.log(2)
    return float(energy + np.exp(ways + log_q) @ log_q)


def replica_symmetric_free_energy(n_sites: int, T: float) -> float:
    """F = -N/(4T) - N T ln 2 of the Sherrington-Kirkpatrick model above T_c = 1, whole system.

    Here all overlaps vanish and the replica-symmetric solution is exact to leading order in N, for the couplings
    J_ij ~ N(0, 1/N) and no field. One instance of finite N differs by terms of order 1.

    Args:
        n_sites: N, at least 1.
        T: temperature above 1.

    Raises:
        ValueError: at or below T = 1, where replica symmetry breaks, or for n_sites < 1.

    Source: D. Sherrington, S. Kirkpatrick, Phys. Rev. Lett. 35, 1792 (1975).

    >>> round(replica_symmetric_free_energy(64, T=2.0), 6)
    -96.722839
    """
    if n_sites < 1:
        raise ValueError(f"n_sites must be at least 1, got {n_sites}")
    if not (math.isfinite(T) and T > 1):
        raise ValueError(f"the replica-symmetric free energy holds above T_c = 1 only, got T = {T}")
    return -n_sites / (4 * T) - n_sites * T * math.log(2.0)
