"""Depth as complexity: how many layers a weak base needs to come within ε of the free energy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, Literal

import xarray as xr

from flowlab.core.names import about
from flowlab.exact.finite_ising import kaufman
from flowlab.exact.mean_field_theory import mean_field
from flowlab.flows.discrete.sorting import coarse_to_fine
from flowlab.runs.keys import Count, Positive
from flowlab.runs.registry import find, sweep_study
from flowlab.runs.sweeps import keep, sweep
from flowlab.studies.ising.sweep import grid
from flowlab.studies.keys import (
    Batch,
    Device,
    Evaluated,
    Highest,
    Lowest,
    Points,
    Rate,
    Side,
    Spins,
    Steps,
    WarmSteps,
    base_rate,
    even_side,
)

RANGES = {"ising": (1.6, 3.2), "sk": (0.4, 2.0)}
"""Of temperatures, about T_c of either system."""


def _idle(keys: Mapping[str, Any]) -> dict[str, str]:
    found = dict.fromkeys(("N", "instances") if keys["system"] == "ising" else ("L",), f"on system={keys['system']}")
    if keys["construction"] == "sorting":
        found |= dict.fromkeys(("start", "lr_flow"), "on sorting layers, which have no masks")
    if not keys["adiabatic"] or keys["max_depth"] == 1:
        found |= dict.fromkeys(("warm_steps", "warm_lr"), "where no flow starts from the one before it")
    if keys["max_depth"] == 1:
        found["adiabatic"] = "where there is one depth"
    return found


@sweep_study("ising-depth", idle=_idle)
def ising_depth(
    *,
    system: Literal["ising", "sk"] = "ising",
    L: Side = 8,
    N: Spins = 12,
    instances: Count = 3,
    T_min: Lowest | None = None,
    T_max: Highest | None = None,
    points: Points = 9,
    epsilon: Positive = 0.05,
    max_depth: Count = 4,
    base: str = "independent",
    construction: Literal["xor", "sorting"] = "xor",
    start: Literal["local_field", "identity", "random"] = "local_field",
    adiabatic: bool = True,
    base_steps: Count | None = None,
    steps: Steps = 400,
    warm_steps: WarmSteps = 200,
    batch: Batch = 500,
    lr: Rate | None = None,
    lr_flow: Positive | None = None,
    warm_lr: Positive | None = None,
    evaluate: Evaluated = 20_000,
    device: Device = "auto",
    seed: int = 0,
    out: str | Path | None = None,
    workers: int | Executor = 1,
    progress: bool = True,
) -> xr.Dataset:
    """L*(T; ε), the smallest number of layers with |F_var - F| / N < ε over a fixed weak base.

    At every temperature the base alone and one layer are trained from the start by the same schedule, so that no layer
    is credited with what its base had yet to learn. Each deeper flow starts from the one before it with a new layer: an
    XOR layer at the identity, which keeps what was learned, or a coarser sorting layer, for which the bits learn anew.
    Where none are given, temperatures run from 1.6 to 3.2 for ising and from 0.4 to 2 for sk.

    Keys:
        system: "ising" (L x L) or "sk" (N spins of a glass).
        instances: of the glass, couplings 0, 1, ...
        epsilon [J]: per site; :func:`smallest_depth` gives the depth for any other one from ``gap``.
        max_depth: largest number of layers.
        base: any of ising-xor (sk-xor); "independent" is independent spins with a shared Z2 bit.
        construction: "xor", or for ising "sorting", see ising-xor.
        start: of XOR layers, see ising-xor.
        adiabatic: whether a deeper flow starts from the one before it; else every depth is trained from the start.
        base_steps [steps]: of the base alone, none for as many as of the first layer.
        steps: of the first layer.
        lr_flow: peak learning rate of the masks, as in ising-xor.
        warm_lr: rate of the base after a warm start, none for a fifth.

    Returns:
        Dataset over T, layers (0 .. max_depth) and for sk seed_J: all that :func:`flowlab.sweep` returns, ``gap`` =
        (F_var - F) / N with its error, and ``depth`` = L* without the dim layers, NaN where max_depth is not enough.
        For ising over independent bits also ``gap_mean_field``, the exact optimum of the base alone.

    Raises:
        ValueError: for more sorting layers than there are, or no exact F to compare with (N above 24).
    """
    _refuse(system, L, N, construction, max_depth)
    over: dict[str, list[Any]] = {"T": _temperatures(system, T_min, T_max, points)}
    lr = base_rate(base, lr)
    keys: dict[str, Any] = {"base": base, "batch": batch, "lr": lr, "device": device}
    masks = {"start": start, "lr_flow": lr_flow} if construction == "xor" else {"construction": construction}
    if system == "sk":
        name, n_sites, over["seed_J"], keys["N"] = "sk-xor", N, list(range(instances)), N
    else:
        name, n_sites, keys["L"] = "ising-xor", L * L, L
        if base == "independent":
            keys["anneal"] = 0.0  # on the way from high T they would forget that they were ordered
    find(name).given(keys | masks)
    how: dict[str, Any] = {"out": out, "workers": workers, "evaluate": evaluate, "progress": progress, "seed": seed}
    alone = sweep(name, over | {"layers": [0]}, **how, **keys, steps=base_steps or steps)
    if adiabatic:
        how |= {"chain": "layers", "warm": {"steps": warm_steps, "lr": lr / 5 if warm_lr is None else warm_lr}}
    flows = sweep(name, over | {"layers": list(range(1, max_depth + 1))}, **how, **keys, **masks, steps=steps)
    found = _joined(alone, flows, n_sites, epsilon)
    if system == "ising" and base == "independent":
        found["gap_mean_field"] = _mean_field(L, over["T"])
    keep(found, out)
    return found


def _temperatures(system: str, T_min: float | None, T_max: float | None, points: int) -> list[float]:
    low, high = RANGES[system]
    return grid(low if T_min is None else T_min, high if T_max is None else T_max, points)


def _joined(alone: xr.Dataset, flows: xr.Dataset, n_sites: int, epsilon: float) -> xr.Dataset:
    """The base alone and the flows over it, with gap and depth."""
    found = xr.concat([alone, flows], "layers", data_vars="all", coords="different", compat="equals", join="outer")
    errors = json.loads(alone.errors) | json.loads(flows.errors)
    found = found.assign(_gap(found, n_sites)).assign_attrs(
        study="ising-depth", epsilon=epsilon, errors=json.dumps(errors)
    )
    found["depth"] = smallest_depth(found.gap, epsilon)
    return found


def _refuse(system: str, L: int, N: int, construction: str, max_depth: int) -> None:
    """Raise ValueError for layers that the system has not, or where its exact F is not known."""
    if construction == "sorting" and system == "sk":
        raise ValueError("sorting layers need a lattice: sk has construction=xor alone")
    if construction == "sorting" and max_depth > (most := len(coarse_to_fine((L, L)))):
        raise ValueError(f"max_depth must be at most {most} for sorting layers of side {L}, got {max_depth}")
    if system == "sk" and N > 24:
        raise ValueError(f"the exact free energy of sk needs N of at most 24, got {N}")
    if system == "ising":
        even_side(L, "a checkerboard")


def smallest_depth(gap: xr.DataArray, epsilon: float) -> xr.DataArray:
    """The smallest number of layers at which |gap| < epsilon.

    Args:
        gap: (F_var - F) / N over ``layers`` and any other dims, in units of J.
        epsilon: in the same units.

    Returns:
        gap's other dims; NaN where no depth is enough.

    >>> gap = xr.DataArray([[0.1, 0.04, 0.01], [0.3, 0.2, 0.2]], {"layers": [0, 1, 2]}, ("T", "layers"))
    >>> smallest_depth(gap, 0.05).values.tolist()
    [1.0, nan]
    """
    depth: xr.DataArray = gap.layers.where(abs(gap) < epsilon).min("layers")
    return depth.assign_attrs(about("depth", epsilon=epsilon))


def _mean_field(L: int, temperatures: list[float]) -> xr.Variable:
    """(F_var - F) / N of the exact optimum of independent spins with a shared Z2 bit, over T."""
    exact = [-T * kaufman((L, L), 1 / T).log_z_per_site for T in temperatures]
    best = [mean_field((L, L), 1 / T).free_energy_per_site for T in temperatures]
    return xr.Variable("T", [F_var - F for F_var, F in zip(best, exact, strict=True)], about("gap_mean_field"))


def _gap(found: xr.Dataset, n_sites: int) -> dict[str, xr.DataArray]:
    """(F_var - F) / N = -T (bound - exact ln Z) / N, and its error."""
    scale = found["T"] / n_sites
    gap = scale * (found.log_z_exact - found.log_z_bound)
    error = scale * found.log_z_bound_error
    return {
        "gap": gap.assign_attrs(about("gap")),
        "gap_error": error.assign_attrs(about("gap_error")),
    }
