"""The Sherrington-Kirkpatrick model above its transition."""

from __future__ import annotations

import math


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
