"""A phase diagram from one model a lattice, where nobody says beforehand where the transition is."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr

from flowlab.analysis.transitions import estimate_from, finite_size_scaling, peak
from flowlab.core.names import labelled
from flowlab.runs import load
from flowlab.runs.keys import Several
from flowlab.runs.registry import sweep_study
from flowlab.runs.sweeps import keep, sweep
from flowlab.studies.keys import Batch, Degree, Device, Evaluated, Lam, Over, States, Steps, intervals

STUDIES = {"ising": "ising-coloured", "phi4": "phi4-multilevel", "potts": "potts-coloured"}
USUAL = {"ising": "beta:0.36:0.52", "phi4": "beta:0.5:0.75"}
AROUND = (0.88, 1.12)
"""Of the Potts model, in units of its critical coupling ln(1 + √q) (Wu 1982)."""
AT_EVERY_RUN = 500
"""Samples of the evaluation that a sweep makes of each run beside its curves."""


def _idle(keys: Mapping[str, Any]) -> dict[str, str]:
    over = intervals(keys["over"] or _usual(keys["system"], keys["q"]))
    found = {} if len(over) == 2 else {"lines": "where one coupling changes"}
    if keys["system"] != "potts":
        found["q"] = "but for the Potts model"
    if keys["system"] != "phi4":
        found["lam"] = "but for phi^4"
    elif "lam" in over:
        found["lam"] = "where it is one of the couplings over which the model is trained"
    return found


@sweep_study("phase-diagram", idle=_idle)
def phase_diagram(
    *,
    system: Literal["ising", "phi4", "potts"] = "ising",
    over: Over | None = None,
    sizes: str = "8,16",
    lam: Lam = 0.5,
    q: States = 3,
    points: Several = 41,
    lines: Several = 5,
    steps: Steps = 1500,
    batch: Batch = 500,
    degree: Degree = 4,
    evaluate: Evaluated = 20_000,
    device: Device = "auto",
    seed: int = 0,
    out: str | Path | None = None,
    workers: int | Executor = 1,
    progress: bool = True,
) -> xr.Dataset:
    """One model of each lattice over a range of couplings: curves, their peaks, crossings and exponents, with errors.

    Keys:
        system: the Ising model (``ising-coloured``), lattice phi^4 (``phi4-multilevel``) or the Potts model
            (``potts-coloured``).
        over: one coupling and its interval, or two: curves run along the first, one for each of some values of the
            second. None is beta from 0.36 to 0.52 of the Ising model, from 0.5 to 0.75 of phi^4, and 12 % on
            either side of the critical one of the Potts model.
        sizes [sites]: sides L, powers of two, separated by commas.
        points: of each curve.
        lines: values of the second coupling.
        steps: of each model.
        evaluate: draws of each curve in all.

    Returns:
        Dataset over L, the couplings and ``replica``: all of :meth:`flowlab.training.Training.curve`. Over L ``state``,
        ``steps``, ``seconds`` and ``run`` of each model, as :func:`flowlab.sweep` has them, and, also over the
        second coupling, where the specific heat (of phi^4 the second derivative of ln Z) and the connected
        susceptibility peak, ``<name>_peak_at``, and how high, ``<name>_peak``; ``latent_heat``, the jump of the energy
        (the first derivative) that two phases of equal weight would need to make that peak, which falls with L where
        there is none. Over ``smaller``, the smaller side of two, :func:`.finite_size_scaling`. All with errors.

    Raises:
        ValueError: for sizes that are no sides, or more than two couplings.
    """
    over = over or _usual(system, q)
    ranges = intervals(over)
    if len(ranges) > 2:
        raise ValueError(f"over must name one coupling or two, got {', '.join(ranges)}")
    sides = _sides(sizes)
    middles = {name: (low + high) / 2 for name, (low, high) in ranges.items()}
    apart: dict[str, dict[str, Any]] = {"phi4": {"lam": lam}, "potts": {"q": q}}
    own = apart.get(system, {}) | middles
    with _folder(out) as folder:
        keys: dict[str, Any] = own | {"steps": steps, "batch": batch, "degree": degree, "device": device, "seed": seed}
        axes: dict[str, list[Any]] = {"L": sides, "over": [over]}
        how: dict[str, Any] = {"out": folder, "workers": workers, "progress": progress}
        runs = sweep(STUDIES[system], axes, evaluate=AT_EVERY_RUN, **how, **keys).squeeze("over")
        loaded = [load(Path(folder) / str(runs.run.sel(L=L).item())) for L in sides]
        along, *second = ranges
        grid = np.linspace(*ranges[along], points)
        values = np.linspace(*ranges[second[0]], lines) if second else np.array([math.nan])
        curves = [
            [_curve(run, {along: grid} | {name: float(value) for name in second}, evaluate) for value in values]
            for run in loaded
        ]
    rows = [_transitions(dict(zip(sides, column, strict=True))) for column in zip(*curves, strict=True)]
    found = xr.concat(
        [_along(row, second, values) for row in curves], "L", join="outer", combine_attrs="drop_conflicts"
    )
    found = found.assign_coords(L=sides).merge(_along(rows, second, values), combine_attrs="drop_conflicts")
    kept = runs[["state", "steps", "seconds", "run"]].drop_vars("over")
    found = labelled(found.merge(kept, combine_attrs="drop_conflicts")).assign_attrs(
        study="phase-diagram", system=system, along=along, n=evaluate
    )
    keep(found, out)
    return found


def _usual(system: str, q: int) -> str:
    """Where the transition is, from one side to the other."""
    if system in USUAL:
        return USUAL[system]
    low, high = (factor * math.log(1 + math.sqrt(q)) for factor in AROUND)
    return f"beta:{low:.2f}:{high:.2f}"


def _curve(run: Any, grid: dict[str, Any], n: int) -> xr.Dataset:
    curve: xr.Dataset = run.curve(n=n, **grid)
    return curve


def _along(parts: list[xr.Dataset], names: list[str], values: np.ndarray) -> xr.Dataset:
    """The datasets of several values of the second coupling as one; the only one where there is none."""
    if not names:
        return parts[0]
    several: xr.Dataset = xr.concat(parts, names[0], join="outer", combine_attrs="drop_conflicts")
    return several.assign_coords({names[0]: values})


def _transitions(curves: Mapping[int, xr.Dataset]) -> xr.Dataset:
    """Peaks by size, and what pairs of sizes say."""
    first = next(iter(curves.values()))
    heat = "specific_heat" if "specific_heat" in first else "log_z_curvature"
    variables: dict[str, Any] = {}
    for name in (heat, "susceptibility_connected"):
        peaks = [peak(curve, name) for curve in curves.values()]
        for i, suffix in enumerate(("peak_at", "peak")):
            variables[f"{name}_{suffix}"] = ("L", [row[i].value for row in peaks])
            variables[f"{name}_{suffix}_error"] = ("L", [row[i].error for row in peaks])
    jumps = [
        estimate_from([curve], [heat], lambda one, curve=curve: [_jump(one, heat, curve)]) for curve in curves.values()
    ]
    variables["latent_heat"] = ("L", [float(jump.value[0]) for jump in jumps])
    variables["latent_heat_error"] = ("L", [float(jump.error[0]) for jump in jumps])
    found = xr.Dataset(variables, {"L": list(curves)})
    if len(curves) < 2:
        return found
    return found.merge(finite_size_scaling(curves).rename({"L": "smaller"}), combine_attrs="drop")


def _jump(one: Mapping[str, np.ndarray], heat: str, curve: xr.Dataset) -> float:
    """Twice the spread of the energy per site (of the derivative of ln Z) where that is largest."""
    temperature = curve.free_energy.values / -curve.log_z.values if heat == "specific_heat" else 1.0
    spread = np.sqrt(np.maximum(one[heat] * temperature**2 / curve.attrs["n_sites"], 0))
    return 2 * float(np.max(spread))


def _sides(text: str) -> list[int]:
    try:
        sides = [int(word) for word in text.split(",")]
    except ValueError:
        sides = []
    if not sides or sides != sorted(set(sides)) or sides[0] < 2:
        raise ValueError(f"sizes must be sides that ascend, separated by commas, got {text!r}")
    return sides


@contextmanager
def _folder(out: str | Path | None) -> Iterator[str | Path]:
    """Where runs are kept: ``out``, or a directory that is removed afterwards."""
    if out is not None:
        yield out
        return
    with tempfile.TemporaryDirectory() as folder:
        yield folder
