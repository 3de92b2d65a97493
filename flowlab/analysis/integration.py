"""How well the continuous flows of a density are integrated, and evaluation with as many steps as it takes."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from flowlab.core import Density
from flowlab.core.flow import integrators
from flowlab.estimators.weights.evidence import is_shown
from flowlab.flows.continuous.continuous import refined

ROUND_TRIP, CLOSURE = 1e-6, 5e-5
FACTORS = (1, 2, 3, 4, 6, 8, 12, 16)
PROBE = 64
"""Draws on which an evaluation measures the error."""


class IntegrationWarning(UserWarning):
    """Continuous flows are farther from the solutions of their equations than numbers should be made from."""


def integration_error(density: Density, n: int, generator: torch.Generator | None = None) -> dict[str, float]:
    """How far the flows of a density are from the solutions of their equations, on n draws; empty without such flows.

    What the density says of itself, :meth:`.Density.integration_error`. One that has continuous flows and says nothing
    gets ``closure`` alone, root mean square: ln q as it draws, along the flows, against ``log_prob``, back through
    them, less what rounding makes.
    """
    found = density.integration_error(n, generator=generator)
    if found or not integrators(density):
        return found
    with torch.no_grad():
        x, log_q = density.sample(n, generator=generator)
        apart = (density.log_prob(x) - log_q).double().square().mean()
        rounding = (torch.finfo(log_q.dtype).eps * log_q.double()).square().mean()
    return {"closure": float((apart - rounding).clamp(min=0.0).sqrt())}


@contextmanager
def precise(density: Density, generator: torch.Generator) -> Iterator[dict[str, float]]:
    """The density with as many times the integration steps as bring its errors under 1e-6 and 5e-5, at most 16.

    Yields ``round_trip_error`` (root mean square a site of f⁻¹(f(z)) - z), where the density says it,
    ``log_det_closure`` (of ln|det| there and back) and, of fixed steps, ``integration_steps``; nothing for a density
    without continuous flows.

    Warns:
        IntegrationWarning: where the errors stay above, with both.
    """
    flows = integrators(density)
    found: dict[str, float] = {}
    copied = copy.deepcopy(density) if flows else density
    probe = torch.Generator(generator.device).manual_seed(generator.initial_seed())
    for factor in FACTORS if flows else ():
        with refined(copied, factor):
            error = integration_error(copied, PROBE, probe)
            steps = [float(flow.steps) for flow in integrators(copied) if flow.solver == "rk4"]
        names = {"round_trip": "round_trip_error", "closure": "log_det_closure"}
        found = {shown: error[name] for name, shown in names.items() if name in error}
        if steps:
            found["integration_steps"] = max(steps)
        if not shortfall(found):
            break
    if (missed := shortfall(found)) and not is_shown():
        warnings.warn(missed, IntegrationWarning, stacklevel=3)
    with refined(density, factor if flows else 1):
        yield found


def shortfall(found: dict[str, float]) -> str:
    """What to say of the errors that :func:`precise` yields where they are above its bounds, else nothing."""
    round_trip, closure = found.get("round_trip_error", 0.0), found.get("log_det_closure", 0.0)
    if round_trip < ROUND_TRIP and closure < CLOSURE:
        return ""
    of_fields = f"{round_trip:.1e} a site there and back (bound {ROUND_TRIP:g}), " * ("round_trip_error" in found)
    return (
        f"continuous flows do not close even at the finest integration: {of_fields}{closure:.1e} in ln|det| (bound "
        f"{CLOSURE:g}); all that follows from ln q is that uncertain. "
        "Train with smaller learning rates, so that the flows stay smooth, or take the density in double precision"
    )
