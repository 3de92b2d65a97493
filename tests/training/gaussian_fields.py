"""Free fields whose distribution is known in closed form, for the matching of couplings."""

from __future__ import annotations

import torch


def precision(system):
    """M of a free action S = ½ φ M φ, differentiable in its coupling."""
    unit = torch.eye(system.n_sites, dtype=torch.float64).view(-1, *system.shape)
    return -system.force(unit).flatten(1)


def gaussian(system, n, generator):
    """Exact fields of a free system, differentiable in its coupling."""
    white = torch.randn(system.n_sites, n, generator=generator, dtype=torch.float64)
    rows = torch.linalg.solve_triangular(torch.linalg.cholesky(precision(system)).T, white, upper=True)
    return rows.T.reshape(n, *system.shape)
