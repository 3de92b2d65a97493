"""What it costs to train a flow on lattice phi^4, against the correlation length."""

from __future__ import annotations

import json
import math
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from flowlab.core.names import labelled
from flowlab.estimators.information.power_law import log_slope
from flowlab.runs.registry import find, sweep_study
from flowlab.runs.sweeps import keep, sweep
from flowlab.studies.keys import OF_MANY_RUNS, Device, Evaluated, Rate
from flowlab.studies.phi4.flows import BETA

FLOWS = ("phi4-affine", "phi4-flow", "phi4-hybrid", "phi4-spline")


@sweep_study("phi4-scaling", without=OF_MANY_RUNS)
def phi4_scaling(
    *,
    flow: str = "phi4-hybrid",
    sizes: str = "6,8,10,12",
    batches: str = "250,500,1000",
    lengths: str = "250,500,1000,2000",
    acceptances: str = "0.3,0.4,0.5,0.6,0.7",
    blocks: str | None = None,
    lr: Rate | None = None,
    evaluate: Evaluated = 10_000,
    device: Device = "auto",
    seed: int = 0,
    out: str | Path | None = None,
    workers: int | Executor = 1,
    progress: bool = True,
) -> xr.Dataset:
    """Acceptance against how much a flow was trained, and the training that an acceptance costs as the lattice grows.

    A flow is trained at lam = 0.5 and the beta at which the correlation length ξ is L / 4, for every batch and every
    length of training. What it was trained with is the number of configurations that it saw, |Φ_train| = batch times
    steps (Del Debbio, Marsh Rossney and Wilson 2021, arXiv:2105.12481, figures 16 and 17).

    Keys:
        flow: phi4-hybrid, phi4-flow, phi4-affine or phi4-spline.
        sizes [sites]: sides L, even, from 6 to 20, or 32, separated by commas.
        batches [configurations]: in a step, in factors of two, so that products with lengths recur.
        lengths [steps]: of training, in factors of two.
        acceptances: for which the cost is worked out.
        blocks: of the flow, its own where none.
        lr: of the flow, its own where none.

    Returns:
        Dataset over L, batch and length, all that :func:`flowlab.sweep` returns. Over L and ``configurations``
        (|Φ_train|): ``mean_acceptance`` of the runs that saw that many, its error and ``spread_acceptance``, the
        standard deviation among them. Over ``target_acceptance`` and L ``cost``, and over ``target_acceptance``
        ``exponent`` z of cost ~ ξ^z, with their errors; see :func:`training_curve` and :func:`scaling`.

    Raises:
        ValueError: for another flow, sizes without a known beta, or values that are no numbers.
    """
    if flow not in FLOWS:
        raise ValueError(f"flow must be one of {', '.join(FLOWS)}, got {flow!r}")
    given = {"sizes": sizes, "batches": batches, "lengths": lengths}
    sides, batch, length = (_whole(*pair) for pair in given.items())
    unknown = sorted(set(sides) - set(BETA))
    if unknown:
        raise ValueError(f"sizes must be of {', '.join(map(str, BETA))}, where xi = L / 4 is known, got {unknown}")
    targets = _numbers("acceptances", acceptances)
    if max(targets) >= 1:
        raise ValueError(f"acceptances must be below 1, got {acceptances!r}")
    keys: dict[str, Any] = {"device": device, "lam": 0.5, "seed": seed, "z2": False}  # as published
    keys |= {name: value for name, value in (("blocks", blocks), ("lr", lr)) if value is not None}
    find(flow).given({name: value for name, value in keys.items() if name != "seed"})
    rows = [
        sweep(
            flow,
            {"L": sides, "batch": batch},
            out=None if out is None else Path(out) / f"steps={steps}",
            workers=workers,
            evaluate=evaluate,
            progress=progress,
            steps=steps,
            **keys,
        )
        for steps in length
    ]
    runs = xr.concat(rows, xr.Variable("length", length), data_vars="all", coords="different", compat="equals")
    failed = zip(length, (json.loads(row.errors) for row in rows), strict=True)
    errors = json.dumps({f"steps={n}/{run}": why for n, row in failed for run, why in row.items()})
    runs = runs.assign_attrs(study="phi4-scaling", flow=flow, errors=errors).merge(training_curve(runs.acceptance))
    found = runs.merge(scaling(runs, targets))
    keep(found, out)
    return found


def training_curve(acceptance: xr.DataArray) -> xr.Dataset:
    """Acceptance against |Φ_train|, over all runs that saw as many configurations.

    Args:
        acceptance: over ``L``, ``batch`` and ``length`` (steps).

    Returns:
        Over L and ``configurations`` (batch times length, ascending): ``mean_acceptance``, ``spread_acceptance``, the
        standard deviation among the runs (NaN for one), and ``mean_acceptance_error``, that of the mean, with the
        median spread of the others for one run.

    >>> runs = xr.DataArray([[[0.2, 0.3], [0.5, 0.6]]], {"L": [6], "length": [10, 20], "batch": [10, 20]})
    >>> curve = training_curve(runs)
    >>> curve.configurations.values.tolist(), curve.mean_acceptance.values.round(3).tolist()
    ([100, 200, 400], [[0.2, 0.4, 0.6]])
    """
    values = acceptance.transpose("L", "length", "batch").values.reshape(acceptance.sizes["L"], -1)
    seen = np.multiply.outer(acceptance.length.values, acceptance.batch.values).ravel()
    numbers = np.unique(seen)
    groups = [np.ma.masked_invalid(values[:, seen == number]) for number in numbers]
    mean = np.stack([g.mean(1).filled(np.nan) for g in groups], 1)
    runs = np.stack([g.count(1) for g in groups], 1)
    spread = np.stack([np.ma.masked_where(g.count(1) < 2, g.std(1, ddof=1)).filled(np.nan) for g in groups], 1)
    known = [row[np.isfinite(row)] for row in spread]
    usual = np.array([np.median(row) if len(row) else np.nan for row in known])
    filled = np.where(np.isnan(spread), usual[:, None], spread)
    return _dataset(
        {"L": acceptance.L.values, "configurations": numbers},
        mean_acceptance=mean,
        mean_acceptance_error=filled / np.sqrt(np.maximum(runs, 1)),
        spread_acceptance=spread,
    )


def scaling(curve: xr.Dataset, targets: list[float]) -> xr.Dataset:
    """What it costs to reach each acceptance, and how that grows with ξ = L / 4.

    Args:
        curve: of :func:`training_curve`.
        targets: acceptances.

    Returns:
        Over ``target_acceptance`` and L: ``cost``, the configurations after which the best mean acceptance so far
        reaches it, by straight lines in ln |Φ_train|; NaN where the grid ends before, or begins beyond. Over
        ``target_acceptance``: ``exponent`` z of cost ~ ξ^z. Both with their errors.
    """
    costs = np.array(
        [
            [
                _crossing(curve.configurations.values, a.values, e.values, target)
                for a, e in zip(curve.mean_acceptance, curve.mean_acceptance_error, strict=True)
            ]
            for target in targets
        ]
    )
    exponents = np.array([log_slope(curve.L.values / 4, *row.T) for row in costs])
    cost = _dataset(
        {"target_acceptance": targets, "L": curve.L.values},
        cost=costs[..., 0],
        cost_error=costs[..., 1],
    )
    return cost.merge(
        _dataset(
            {"target_acceptance": targets},
            exponent=exponents[:, 0],
            exponent_error=exponents[:, 1],
        )
    )


def _crossing(seen: np.ndarray, acceptance: np.ndarray, error: np.ndarray, target: float) -> tuple[float, float]:
    """Where the best acceptance so far reaches the target, and the error of that place."""
    known = np.isfinite(acceptance)
    x, best, error = np.log(seen[known]), np.maximum.accumulate(acceptance[known]), error[known]
    above = np.flatnonzero(best >= target)
    if not len(above) or above[0] == 0:
        return math.nan, math.nan
    i = above[0]
    slope = (best[i] - best[i - 1]) / (x[i] - x[i - 1])
    cost = math.exp(x[i] - (best[i] - target) / slope)
    return cost, float(cost * error[i] / slope)


def _dataset(coords: dict[str, Any], **variables: np.ndarray) -> xr.Dataset:
    return labelled(xr.Dataset({name: (tuple(coords), values) for name, values in variables.items()}, coords))


def _numbers(key: str, text: str) -> list[float]:
    try:
        values = [float(word) for word in text.split(",")]
    except ValueError:
        raise ValueError(f"{key} must be numbers separated by commas, got {text!r}") from None
    if values != sorted(set(values)) or not all(0 < value < math.inf for value in values):
        raise ValueError(f"{key} must be positive and ascend, got {text!r}")
    return values


def _whole(key: str, text: str) -> list[int]:
    values = _numbers(key, text)
    if any(value % 1 for value in values):
        raise ValueError(f"{key} must be whole numbers, got {text!r}")
    return [int(value) for value in values]
