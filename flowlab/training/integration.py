"""How well the continuous flows of a density are integrated, and evaluation with as many steps as it takes."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from flowlab.core import Density
from flowlab.densities import Pushforward, Upscaled
from flowlab.flows import Composed
from flowlab.flows.continuous import ContinuousFlow, refined

ROUND_TRIP, CLOSURE = 1e-6, 5e-5
FACTORS = (1, 2, 3, 4, 6, 8, 12, 16)
PROBE = 64
"""Draws on which an evaluation measures the error."""


class IntegrationWarning(UserWarning):
    """Continuous flows are farther from the solutions of their equations than numbers should be made from."""


def continuous_flows(module: nn.Module) -> list[ContinuousFlow]:
    """The continuous flows inside a module, in a fixed order."""
    return [part for part in module.modules() if isinstance(part, ContinuousFlow)]


def integration_error(density: Density, n: int, generator: torch.Generator | None = None) -> dict[str, float]:
    """How far the flows of a density are from the solutions of their equations, on n draws; empty without such flows.

    Root mean squares over the draws: ``round_trip`` a site, ``closure`` of ln|det| there and back, and against twice
    the steps ``field`` a site and ``log_det``; see :meth:`.ContinuousFlow.integration_error`.
    """
    if isinstance(density, Upscaled):
        return density.integration_error(n, generator=generator)
    if not isinstance(density, Pushforward) or not continuous_flows(density):
        return {}
    total: dict[str, float] = {}
    with torch.no_grad():
        z, _ = density.base.sample(n, generator=generator)
        for layer in density.flow if isinstance(density.flow, Composed) else [density.flow]:
            if isinstance(layer, ContinuousFlow):
                found = layer.integration_error(z)
                total = {name: math.hypot(total.get(name, 0.0), error) for name, error in found.items()}
            z, _ = layer(z)
    return total


@contextmanager
def precise(density: Density, generator: torch.Generator) -> Iterator[dict[str, float]]:
    """The density with as many times the integration steps as bring its errors under 1e-6 and 5e-5, at most 16.

    Yields ``round_trip_error`` (root mean square a site of f⁻¹(f(z)) - z), ``log_det_closure`` (of ln|det| there and
    back) and, of fixed steps, ``integration_steps``; nothing for a density without continuous flows.

    Warns:
        IntegrationWarning: where the errors stay above, with both.
    """
    flows = continuous_flows(density)
    found: dict[str, float] = {}
    copied = copy.deepcopy(density) if flows else density
    probe = torch.Generator(generator.device).manual_seed(generator.initial_seed())
    for factor in FACTORS if flows else ():
        with refined(copied, factor):
            error = integration_error(copied, PROBE, probe)
            steps = [float(flow.steps) for flow in continuous_flows(copied) if flow.solver == "rk4"]
        found = {"round_trip_error": error["round_trip"], "log_det_closure": error["closure"]}
        if steps:
            found["integration_steps"] = max(steps)
        if not shortfall(found):
            break
    if missed := shortfall(found):
        warnings.warn(missed, IntegrationWarning, stacklevel=3)
    with refined(density, factor if flows else 1):
        yield found


def shortfall(found: dict[str, float]) -> str:
    """What to say of the errors that :func:`precise` yields where they are above its bounds, else nothing."""
    round_trip, closure = found.get("round_trip_error", 0.0), found.get("log_det_closure", 0.0)
    if round_trip < ROUND_TRIP and closure < CLOSURE:
        return ""
    return (
        f"continuous flows do not close even at the finest integration: {round_trip:.1e} a site there and back (bound "
        f"{ROUND_TRIP:g}), {closure:.1e} in ln|det| (bound {CLOSURE:g}); all that follows from ln q is that uncertain. "
        "Train with smaller learning rates, so that the flows stay smooth, or take the density in double precision"
    )
