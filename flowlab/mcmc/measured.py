"""What is measured along a chain of configurations: the system's observables, and a check that every field has."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from flowlab.core import Representation, System


def force_of(system: System) -> Callable[[Tensor], Tensor]:
    """The gradient of log_weight in x, (n, *shape) -> (n, *shape).

    The system's own ``force`` where it has one; else by autograd, without a graph of its own.

    >>> from flowlab.systems import FreeField
    >>> force_of(FreeField((4,), mass=0.5))(torch.ones(1, 4)).tolist()
    [[-0.25, -0.25, -0.25, -0.25]]
    """
    own = getattr(system, "force", None)
    if callable(own):
        return own  # type: ignore[no-any-return]

    def force(x: Tensor) -> Tensor:
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(system.log_weight(x).sum(), x)
        return gradient

    return force


def measured(system: System, x: Tensor) -> dict[str, Tensor]:
    """The observables of (n, *shape) configurations, each (n,), without gradients.

    With ``magnetization``, the order parameter of the system's variables, where the system has none of its own. For
    real fields also ``equation_of_motion``, -Σ_x φ_x ∂log_weight/∂φ_x / N, whose mean is exactly 1.

    >>> from flowlab.systems import Ising
    >>> sorted(measured(Ising((4, 4), T=2.0), torch.ones(1, 4, 4)))
    ['energy_per_site', 'magnetization']
    """
    with torch.no_grad():
        found = dict(system.observables(x))
        if not isinstance(system, Representation):
            found.setdefault("magnetization", system.variables.magnetization(x))
        if system.variables.equation_of_motion:
            found["equation_of_motion"] = -(x * force_of(system)(x)).flatten(1).sum(1) / system.n_sites
    return found
