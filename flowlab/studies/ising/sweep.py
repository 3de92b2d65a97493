"""The Ising model over a range of temperatures, by adiabatic retraining."""

from __future__ import annotations

import math
from collections.abc import Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import xarray as xr

from flowlab import exact
from flowlab.core.names import about
from flowlab.runs.keys import Meaning, Positive, Takes
from flowlab.runs.registry import sweep_study
from flowlab.runs.sweeps import keep, sweep
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
    Steps,
    WarmSteps,
)
from flowlab.systems import CRITICAL_TEMPERATURE, Ising

MOST_SITES_ENUMERATED = 16


def listed(key: str, value: object) -> str:
    """Numbers, or text with commas between them, as text.

    Raises:
        ValueError: for something else, or numbers that are not positive.

    >>> listed("temperatures", [2.0, 2.3]), listed("temperatures", "2,2.3")
    ('2.0,2.3', '2.0,2.3')
    """
    try:
        parts = value.split(",") if isinstance(value, str) else list(value)  # type: ignore[call-overload]
        numbers = [float(part) for part in parts]
    except (TypeError, ValueError):
        numbers = []
    if not numbers or not all(0 < number < math.inf for number in numbers) or len(set(numbers)) < len(numbers):
        raise ValueError(f"{key} must be positive numbers, all different, e.g. 2.0,2.3, got {value!r}")
    return ",".join(map(str, numbers))


Listed = Annotated[str, Takes(listed), Meaning("instead, these temperatures, with commas between", "J / k_B")]


def _idle(keys: Mapping[str, Any]) -> dict[str, str]:
    return {} if keys["temperatures"] is None else dict.fromkeys(("T_min", "T_max", "points"), "beside temperatures")


@sweep_study("ising-sweep", idle=_idle, without=OF_MANY_RUNS)
def ising_sweep(
    *,
    L: Side = 8,
    T_min: Lowest = 1.8,
    T_max: Highest = 3.0,
    points: Points = 13,
    temperatures: Listed | None = None,
    steps: Steps = 1000,
    warm_steps: WarmSteps = 200,
    batch: Batch = 500,
    lr: Rate = 1e-2,
    warm_lr: Positive = 5e-3,
    evaluate: Evaluated = 10_000,
    device: Device = "auto",
    seed: int = 0,
    out: str | Path | None = None,
    workers: int | Executor = 1,
    progress: bool = True,
) -> xr.Dataset:
    """Free energy, energy, specific heat, magnetization of the L x L Ising model against temperature, beside the exact.

    The temperature nearest to T_c is trained from the start, where a density has most to learn; every other one starts
    from its neighbour nearer to T_c, so that the hot and the cold branch can run side by side. The density is that of
    ising-coloured.

    Keys:
        L [sites]: side, as in ising-coloured.
        steps: of the first temperature.
        warm_lr: peak learning rate after a warm start.

    Returns:
        Dataset over T, ascending: all that :func:`flowlab.sweep` returns, and ``free_energy_per_site_exact,
        energy_per_site_exact, specific_heat_exact`` (Kaufman); up to 16 sites also ``abs_magnetization_exact,
        susceptibility_exact, susceptibility_connected_exact, binder_exact`` (enumeration).
    """
    several = grid(T_min, T_max, points) if temperatures is None else sorted(map(float, temperatures.split(",")))
    found = sweep(
        "ising-coloured",
        {"T": sorted(several, key=lambda T: abs(T - CRITICAL_TEMPERATURE))},
        chain="T",
        warm={"steps": warm_steps, "lr": warm_lr},
        out=out,
        workers=workers,
        evaluate=evaluate,
        progress=progress,
        L=L,
        steps=steps,
        batch=batch,
        lr=lr,
        device=device,
        seed=seed,
    ).sortby("T")
    found = found.assign(exact_values(L, several)).assign_attrs(study="ising-sweep")
    keep(found, out)
    return found


def grid(low: float, high: float, points: int) -> list[float]:
    """Evenly spaced temperatures from low to high, rounded to nine digits.

    >>> grid(1.8, 3.0, 3)
    [1.8, 2.4, 3.0]
    """
    if not 0 < low <= high or points < 1 or (points == 1) != (low == high):
        raise ValueError(
            f"temperatures must run from T_min > 0 up to T_max in at least two points (one where they are equal), got "
            f"T_min={low}, T_max={high}, points={points}"
        )
    return [round(float(T), 9) for T in np.linspace(low, high, points)]


def exact_values(L: int, temperatures: list[float]) -> dict[str, xr.Variable]:
    """What is known exactly of the L x L model at each temperature, per site, as ``<name>_exact`` over T."""
    rows = []
    for T in temperatures:
        known = exact.kaufman((L, L), 1 / T)
        row = {
            "free_energy_per_site": -T * known.log_z_per_site,
            "energy_per_site": known.energy_per_site,
            "specific_heat": known.specific_heat_per_site,
        }
        if L * L <= MOST_SITES_ENUMERATED:
            moments = exact.enumerate_spins(Ising((L, L), T))
            for name in ("abs_magnetization", "susceptibility", "susceptibility_connected", "binder"):
                row[name] = getattr(moments, name)
        rows.append(row)
    return {f"{name}_exact": xr.Variable("T", [row[name] for row in rows], about(f"{name}_exact")) for name in rows[0]}
