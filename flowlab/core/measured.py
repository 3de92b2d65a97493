"""What is measured on configurations: the system's observables, and a check that every field has."""

from __future__ import annotations

import torch
from torch import Tensor

from flowlab.core.system import System


def measured(system: System, x: Tensor) -> dict[str, Tensor]:
    """The observables of (n, *shape) configurations, each (n,), without gradients.

    With ``magnetization``, the order parameter of the system's variables, if a physical system has none of its own. For
    real fields also ``equation_of_motion``, -Σ_x φ_x ∂log_weight/∂φ_x / N, whose mean is exactly 1.

    >>> from flowlab.systems import Ising
    >>> sorted(measured(Ising((4, 4), T=2.0), torch.ones(1, 4, 4)))
    ['energy_per_site', 'magnetization']
    """
    with torch.no_grad():
        found = dict(system.observables(x))
        if system.physical is system:
            found.setdefault("magnetization", system.variables.magnetization(x))
        if system.variables.equation_of_motion:
            found["equation_of_motion"] = -(x * system.force(x)).flatten(1).sum(1) / system.n_sites
    return found
