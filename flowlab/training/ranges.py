"""Runs that are trained over a range of couplings: evaluated at any of them, gone on with at one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import xarray as xr
from torch import Tensor

from flowlab import exact
from flowlab.analysis import evaluation
from flowlab.core import Density, System
from flowlab.runs.run import about_system


def target_at(target: System, density: Density, couplings: Mapping[str, float]) -> System:
    """The target at other couplings of those that a density is trained for.

    Raises:
        ValueError: for a density that is trained at one coupling, or another one than it is trained for.
    """
    if not density.over:
        names = ", ".join(f"{name}={value:g}" for name, value in couplings.items())
        raise ValueError(
            f"this run is trained at one coupling and has no others to evaluate, got {names}: begin one from its "
            f"weights, run.at({names}), or train over a range, over='beta:0.35:0.55' say"
        )
    mine = {target.spelled(name, 1.0)[0] for name in density.over}
    own = dict(target.spelled(name, float(value)) for name, value in couplings.items())
    if unknown := [name for name in couplings if target.spelled(name, 1.0)[0] not in mine]:
        raise ValueError(f"this run is trained over {', '.join(density.over)}, got {', '.join(unknown)}")
    return target.at(**own)


def sample(
    run: Any,
    density: Density,
    couplings: Mapping[str, float],
    n: int,
    generator: torch.Generator,
    attrs: dict[str, Any],
) -> xr.Dataset:
    """What :meth:`.Training.sample` returns, at the run's own couplings where none are given.

    Raises:
        ValueError: for couplings that the run is not trained for.
    """
    target = run.target
    if couplings:
        target = target_at(target, density, couplings)
        density, attrs = density.fixed(target), attrs | about_system(target.physical, None)
    return evaluation.sample(density, target, n, generator, attrs)


def evaluate(
    run: Any,
    density: Density,
    couplings: Mapping[str, float],
    n: int,
    generator: torch.Generator,
    attrs: dict[str, Any],
    reference: Tensor | None,
) -> xr.Dataset:
    """What :meth:`.Training.evaluate` returns at other couplings than the run's own; a check of the run says nothing.

    Raises:
        ValueError: for couplings that the run is not trained for.
    """
    target = target_at(run.target, density, couplings)
    attrs = attrs | about_system(target.physical, exact.log_z(target.physical))
    return evaluation.evaluate(density.proposal(target), target, n, generator, attrs, reference)


def narrowed(run: Any, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Changes of keys, with ``over=None`` where a run over couplings is asked for one of them and of no other range.

    >>> from flowlab.runs import experiment
    >>> run = experiment("ising-van", L=4, over="beta:0.3:0.5", steps=2, batch=8, channels=2)
    >>> narrowed(run, {"beta": 0.4}), narrowed(run, {"steps": 5})
    ({'beta': 0.4, 'over': None}, {'steps': 5})
    """
    target = run.target
    mine = {target.spelled(name, 1.0)[0] for name in run.over}
    asked = {target.spelled(name, 1.0)[0] for name in changes if changes[name] is not None}
    one = mine & asked and "over" in run.keys and "over" not in changes
    return dict(changes) | ({"over": None} if one else {})
