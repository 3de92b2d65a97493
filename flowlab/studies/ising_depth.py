"""Depth as complexity: how many layers a weak base needs to come within ε of the free energy."""

from __future__ import annotations

import json
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, Literal

import xarray as xr

from flowlab.core.names import about
from flowlab.exact.kaufman import kaufman
from flowlab.exact.mean_field import mean_field
from flowlab.flows.sorting import coarse_to_fine
from flowlab.studies.ising_sweep import grid
from flowlab.training.registry import find, sweep_study
from flowlab.training.sweep import keep, sweep

RANGES = {"ising": (1.6, 3.2), "sk": (0.4, 2.0)}
"""Of temperatures, about T_c of either system."""


@sweep_study("ising-depth")
def ising_depth(
    *,
    system: Literal["ising", "sk"] = "ising",
    L: int = 8,
    N: int = 12,
    instances: int = 3,
    T_min: float | None = None,
    T_max: float | None = None,
    points: int = 9,
    epsilon: float = 0.05,
    max_depth: int = 4,
    base: str = "independent",
    construction: Literal["xor", "sorting"] = "xor",
    start: Literal["local_field", "identity", "random"] = "local_field",
    adiabatic: bool = True,
    base_steps: int = 1500,
    steps: int = 400,
    warm_steps: int = 200,
    batch: int = 500,
    lr: float = 5e-2,
    lr_flow: float = 5e-3,
    warm_lr: float = 1e-2,
    evaluate: int = 20_000,
    device: str = "auto",
    seed: int = 0,
    out: str | Path | None = None,
    workers: int | Executor = 1,
    progress: bool = True,
) -> xr.Dataset:
    """L*(T; ε), the smallest number of layers with |F_var - F| / N < ε over a fixed weak base.

    At every temperature the base alone and one layer are trained from the start, the base to its end, so that no layer
    is credited with what its base had yet to learn. Each deeper flow starts from the one before it with a new layer: an
    XOR layer at the identity, which keeps what was learned, or a coarser sorting layer, for which the bits learn anew.

    Keys:
        system: "ising" (L x L) or "sk" (N spins, ``instances`` draws of the couplings).
        L, N, instances: size, and number of instances (couplings 0, 1, ...).
        T_min, T_max, points: temperatures, evenly spaced; 1.6 to 3.2 for ising and 0.4 to 2 for sk where none.
        epsilon: in units of J, per site; :func:`smallest_depth` gives the depth for any other one from ``gap``.
        max_depth: largest number of layers.
        base: any of ising-xor (sk-xor); "independent" is independent spins with a shared Z2 bit.
        construction: "xor", or for ising "sorting", see ising-xor.
        start: of XOR layers, as there.
        adiabatic: whether a deeper flow starts from the one before it; else every depth is trained from the start.
        base_steps, steps, warm_steps: of the base alone, of the first layer, and for each added one.
        batch, lr, lr_flow, device: as in ising-xor; warm_lr: rate of the base after a warm start.
        evaluate: samples of each evaluation.

    Returns:
        Dataset over T, layers (0 .. max_depth) and for sk seed_J: all that :func:`flowlab.sweep` returns, ``gap`` =
        (F_var - F) / N with its error, and ``depth`` = L* without the dim layers, NaN where max_depth is not enough.
        For ising over independent bits also ``gap_mean_field``, the exact optimum of the base alone.

    Raises:
        ValueError: for max_depth < 1 or more sorting layers than there are, an epsilon that is not positive, a
            construction that the system has not, or no exact F to compare with (N above 24).
    """
    if max_depth < 1:
        raise ValueError(f"max_depth must be at least 1, got {max_depth}")
    if construction == "sorting" and system == "sk":
        raise ValueError("sorting layers need a lattice: sk has construction=xor alone")
    if construction == "sorting" and max_depth > (most := len(coarse_to_fine((L, L)))):
        raise ValueError(f"max_depth must be at most {most} for sorting layers of side {L}, got {max_depth}")
    if not epsilon > 0:
        raise ValueError(f"epsilon must be positive, got {epsilon}")
    if system == "sk" and N > 24:
        raise ValueError(f"the exact free energy of sk needs N of at most 24, got {N}")
    if system == "sk" and instances < 1:
        raise ValueError(f"instances must be at least 1, got {instances}")
    low, high = RANGES[system]
    over: dict[str, list[Any]] = {"T": grid(low if T_min is None else T_min, high if T_max is None else T_max, points)}
    keys: dict[str, Any] = {"base": base, "batch": batch, "lr": lr, "lr_flow": lr_flow, "device": device, "seed": seed}
    if construction == "xor":
        keys["start"] = start
    if system == "sk":
        name, n_sites, over["seed_J"], keys["N"] = "sk-xor", N, list(range(instances)), N
    else:
        name, n_sites = "ising-xor", L * L
        keys |= {"L": L, "construction": construction}
        if base == "independent":
            keys["anneal"] = 0.0  # on the way from high T they would forget that they were ordered
    find(name).given({k: v for k, v in keys.items() if k != "seed"})

    how: dict[str, Any] = {"out": out, "workers": workers, "evaluate": evaluate, "progress": progress}
    alone = sweep(name, over | {"layers": [0]}, **how, **keys, steps=base_steps)
    if adiabatic:
        how |= {"chain": "layers", "warm": {"steps": warm_steps, "lr": warm_lr}}
    flows = sweep(name, over | {"layers": list(range(1, max_depth + 1))}, **how, **keys, steps=steps)
    found = xr.concat([alone, flows], "layers", data_vars="all", coords="different", compat="equals", join="outer")
    found = found.assign(_gap(found, n_sites)).assign_attrs(
        study="ising-depth", epsilon=epsilon, errors=json.dumps(json.loads(alone.errors) | json.loads(flows.errors))
    )
    found["depth"] = smallest_depth(found.gap, epsilon)
    if system == "ising" and base == "independent":
        found["gap_mean_field"] = xr.Variable("T", [_mean_field(L, T) for T in over["T"]], about("gap_mean_field"))
    keep(found, out)
    return found


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


def _mean_field(L: int, T: float) -> float:
    """(F_var - F) / N of the exact optimum of independent spins with a shared Z2 bit."""
    F = -T * kaufman((L, L), 1 / T).log_z_per_site
    return mean_field((L, L), 1 / T).free_energy_per_site - F


def _gap(found: xr.Dataset, n_sites: int) -> dict[str, xr.DataArray]:
    """(F_var - F) / N = -T (bound - exact ln Z) / N, and its error."""
    scale = found["T"] / n_sites
    gap = scale * (found.log_z_exact - found.log_z_bound)
    error = scale * found.log_z_bound_error
    return {
        "gap": gap.assign_attrs(about("gap")),
        "gap_error": error.assign_attrs(about("gap_error")),
    }
