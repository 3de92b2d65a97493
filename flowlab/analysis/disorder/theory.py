"""Theory beside data: what the replica-symmetric solution says, under the names that evaluations use."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from flowlab import exact
from flowlab.core.names import labelled

NAMES = {
    "free_energy_per_site": "free_energy",
    "energy_per_site": "energy",
    "entropy_per_site": "entropy",
    "overlap_mean": "overlap",
    "susceptibility": "susceptibility",
    "at_eigenvalue": "eigenvalue",
}


def replica_theory(temperatures: Sequence[float], h: float = 0.0) -> xr.Dataset:
    """The replica-symmetric solution of the Sherrington-Kirkpatrick model at N to infinity, over ``temperature``.

    ``replica_symmetric`` (0 or 1) says where it is right, the attribute ``note`` where it is not and why. What
    :func:`flowlab.figures.averages` draws as ``theory``; see :func:`flowlab.exact.replica_symmetric`.

    Args:
        temperatures: at least 0.01.
        h: field, the same on all sites.

    >>> found = replica_theory([0.2, 2.0])
    >>> found.replica_symmetric.values.tolist(), round(float(found.energy_per_site[1]), 6)
    ([0, 1], -0.25)
    """
    T = np.sort(np.asarray(temperatures, dtype=np.float64))
    rows = [exact.replica_symmetric(float(t), h) for t in T]
    variables = {name: ("temperature", [getattr(row, field) for row in rows]) for name, field in NAMES.items()}
    variables["replica_symmetric"] = ("temperature", [int(not row.note) for row in rows])
    notes = [f"T = {t:g}: {row.note}" for t, row in zip(T, rows, strict=True) if row.note]
    return labelled(xr.Dataset(variables, {"temperature": T}, {"h": h, "note": notes[0] if notes else ""}))
