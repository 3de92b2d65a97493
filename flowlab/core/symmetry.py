"""Symmetries of a target, measured."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from flowlab.core.generators import named_generator
from flowlab.core.system import System

DRAWS = 8
TOLERANCE = 1e-9
"""Of ln weight, as a fraction of its size: rounding in double precision leaves about 1e-13."""


def flips_measured(system: System) -> bool:
    """Whether log_weight(-x) = log_weight(x) on a few random configurations, the same ones at every call.

    For a system that does not say so by ``flip_symmetric``; False for states, which have no sign, and where the
    weight cannot be computed on spins or fields of order 1.

    >>> class Even(System):
    ...     shape, dims, domain, couplings = (3,), ("x",), "real", {}
    ...     def log_weight(self, x): return -x.pow(4).sum(1)
    ...     def observables(self, x): return {}
    >>> Even().flip_symmetric, flips_measured(Even())
    (False, True)
    """
    if system.domain == "potts":
        return False
    x = probes(system)
    try:
        with torch.no_grad():
            there, back = system.log_weight(x).double(), system.log_weight(-x).double()
    except (RuntimeError, ValueError, FloatingPointError):
        return False
    differ = (there - back).abs()
    return bool((differ <= TOLERANCE * (there.abs() + 1)).all())


def probes(system: System) -> Tensor:
    """(8, *shape) random spins, or Gaussian fields of sizes from 1/4 to 2, float64, on the device of the couplings."""
    device = next((value.device for value in system.couplings.values()), torch.device("cpu"))
    noise = torch.randn(DRAWS, *system.shape, dtype=torch.float64, generator=named_generator(0, "probes"))
    if system.domain == "spin":
        return torch.where(noise < 0, -1.0, 1.0).to(device)
    sizes = torch.linspace(math.log(0.25), math.log(2.0), DRAWS, dtype=torch.float64).exp()
    return (noise * sizes.reshape(-1, *[1] * len(system.shape))).to(device)
