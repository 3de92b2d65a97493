"""Depth as complexity: how many layers a weak base needs to come within ε of the free energy."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr

from flowlab.core.datasets import stacked
from flowlab.core.names import about
from flowlab.exact.finite_ising import kaufman
from flowlab.exact.mean_field_theory import mean_field
from flowlab.flows.discrete.sorting import coarse_to_fine
from flowlab.runs.keys import Count, Positive
from flowlab.runs.registry import find, load, sweep_study
from flowlab.runs.sweeps import keep, sweep
from flowlab.studies.ising.sweep import grid
from flowlab.studies.keys import (
    OF_MANY_RUNS,
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
BY_LAYER = ("base_entropy_per_site", "delta_free_energy_per_site", "work_variance")
"""Of the deepest flow."""


def _idle(keys: Mapping[str, Any]) -> dict[str, str]:
    found = dict.fromkeys(("N", "instances") if keys["system"] == "ising" else ("L",), f"on system={keys['system']}")
    if keys["construction"] == "sorting":
        found |= dict.fromkeys(("start", "lr_flow"), "on sorting layers, which have no masks")
    if not keys["adiabatic"] or keys["max_depth"] == 1:
        found |= dict.fromkeys(("warm_steps", "warm_lr"), "where no flow starts from the one before it")
    if keys["system"] == "sk":
        found["by_layer"] = "on system=sk, which has no lattice in the plane"
    if keys["max_depth"] == 1:
        found["adiabatic"] = "where there is one depth"
    return found


@sweep_study("ising-depth", idle=_idle, without=OF_MANY_RUNS)
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
    by_layer: bool = False,
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
        by_layer: whether the deepest flow is looked into: entropy of its base, and what each of its layers does to F.

    Returns:
        Dataset over T, layers (0 .. max_depth) and for sk seed_J: all that :func:`flowlab.sweep` returns, ``gap`` =
        (F_var - F) / N with its error, and ``depth`` = L* without the dim layers, NaN where max_depth is not enough.
        Of ising also ``entropy_per_site_exact``, over independent bits ``gap_mean_field``, the exact optimum of these
        alone, and with ``by_layer`` what :func:`flowlab.figures.depth_overview` draws.

    Raises:
        ValueError: for more sorting layers than there are, or no exact F to compare with (N above 24).
    """
    _refuse(system, L, N, construction, max_depth)
    lr = base_rate(base, lr)
    name, over, keys = _runs(system, L, N, instances, base, _temperatures(system, T_min, T_max, points))
    keys = keys | {"batch": batch, "lr": lr, "device": device}
    masks = {"start": start, "lr_flow": lr_flow} if construction == "xor" else {"construction": construction}
    find(name).given(keys | masks)
    warm = {"steps": warm_steps, "lr": lr / 5 if warm_lr is None else warm_lr}
    chain: dict[str, Any] = {"chain": "layers", "warm": warm} if adiabatic else {}
    how: dict[str, Any] = {"workers": workers, "evaluate": evaluate, "progress": progress, "seed": seed}
    deeper = {"layers": list(range(1, max_depth + 1))}
    with tempfile.TemporaryDirectory() as own:
        how["out"] = own if out is None and by_layer else out
        alone = sweep(name, over | {"layers": [0]}, **how, **keys, steps=base_steps or steps)
        flows = sweep(name, over | deeper, **how, **chain, **keys, **masks, steps=steps)
        looked = _by_layer(flows.isel(layers=-1), Path(how["out"]), evaluate) if by_layer else {}
    known = _exact(L, over["T"], base) if system == "ising" else {}
    found = _joined(alone, flows, N if system == "sk" else L * L, epsilon).merge(looked).assign(known)
    keep(found, out)
    return found


def _runs(
    system: str, L: int, N: int, instances: int, base: str, T: list[float]
) -> tuple[str, dict[str, list[Any]], dict[str, Any]]:
    """The study of one run, what it is run over besides layers, and keys of the system."""
    if system == "sk":
        return "sk-xor", {"T": T, "seed_J": list(range(instances))}, {"base": base, "N": N}
    # independent bits would forget on the way from high T that they were ordered
    return "ising-xor", {"T": T}, {"base": base, "L": L} | ({"anneal": 0.0} if base == "independent" else {})


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


def _by_layer(deepest: xr.Dataset, out: Path, n: int) -> xr.Dataset:
    """What the deepest flow of each point says of its base and its layers, from n samples; NaN where a run failed."""
    found = {}
    for place in np.argwhere(deepest.state.values == "finished"):
        run: Any = load(out / str(deepest.run.values[tuple(place)]))
        one = run.diagnose(n, parts=["entropy", "work"])
        found[tuple(place)] = one[[*BY_LAYER, *(f"{name}_error" for name in BY_LAYER)]]
    return stacked(found, {str(dim): deepest[dim].values.tolist() for dim in deepest.run.dims})


def _exact(L: int, temperatures: list[float], base: str) -> dict[str, xr.Variable]:
    """Over T: the entropy per site, and of independent bits the (F_var - F) / N of their exact optimum."""
    known = [kaufman((L, L), 1 / T) for T in temperatures]
    entropy = [(one.energy / T + one.log_z) / L**2 for one, T in zip(known, temperatures, strict=True)]
    found = {"entropy_per_site_exact": xr.Variable("T", entropy, about("entropy_per_site_exact"))}
    if base == "independent":
        best = [mean_field((L, L), 1 / T).free_energy_per_site for T in temperatures]
        gap = [F_var + T * one.log_z_per_site for F_var, one, T in zip(best, known, temperatures, strict=True)]
        found["gap_mean_field"] = xr.Variable("T", gap, about("gap_mean_field"))
    return found


def _gap(found: xr.Dataset, n_sites: int) -> dict[str, xr.DataArray]:
    """(F_var - F) / N = -T (bound - exact ln Z) / N, and its error."""
    scale = found["T"] / n_sites
    gap = scale * (found.log_z_exact - found.log_z_bound)
    error = scale * found.log_z_bound_error
    return {
        "gap": gap.assign_attrs(about("gap")),
        "gap_error": error.assign_attrs(about("gap_error")),
    }
