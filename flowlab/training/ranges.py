"""Runs that are trained over a range of couplings: evaluated at any of them, gone on with at one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import ArrayLike
from torch import Tensor

from flowlab import exact
from flowlab.analysis import curves, evaluation
from flowlab.core import Density, System
from flowlab.core.names import labelled
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


def curve(
    run: Any,
    density: Density,
    grid: Mapping[str, ArrayLike],
    n: int,
    generator: torch.Generator,
    attrs: dict[str, Any],
    wanted: str | Sequence[str] | None,
) -> xr.Dataset:
    """Numbers as functions of a coupling, with error bands; see :func:`flowlab.analysis.curves.curve`.

    n draws in all, of the density at a few couplings of its range, each weighed at every point against all of them.

    Args:
        run: the training.
        density: as it is at the step that ``attrs`` name.
        grid: one coupling and its values; single numbers for others of the range, the run's own where not given.
        n: draws in all.
        generator: of the draws.
        attrs: attributes to keep.
        wanted: names to keep, all where None.

    Returns:
        Dataset along the coupling: every number with its ``_error`` and, over ``replica``, its ``_replicas``, the same
        without one block of draws after the other, whose jackknife gives the error of whatever is made of the curves;
        ``worth``, equal draws that the weights are worth; ``ess``, that of the density itself where it was drawn, by
        straight lines in between; ``verdict`` and ``reasons`` of each point.

    Raises:
        ValueError: for other than one coupling, couplings that the run is not trained for, or an unknown name.
    """
    wanted = [wanted] if isinstance(wanted, str) else wanted
    lines = [name for name, values in grid.items() if np.ndim(values)] or list(grid)
    if len(lines) != 1:
        raise ValueError(f"a curve needs the values of one coupling, got {', '.join(lines) or 'none'}")
    name, values = lines[0], grid[lines[0]]
    fixed = {other: float(np.asarray(value)) for other, value in grid.items() if other != name}
    target = target_at(run.target, density, fixed) if fixed else run.target
    along = np.atleast_1d(np.asarray(values, dtype=float))
    if along.ndim != 1 or not along.size or not np.isfinite(along).all():
        raise ValueError(f"{name} must be finite numbers along a line, got {values!r}")
    for value in (along.min(), along.max()):
        density.fixed(target_at(target, density, {name: value}))  # which refuses couplings that lie outside
    return curves.curve(density, target, name, along, n, generator, attrs, wanted)


def gridded(data: xr.Dataset, over: Mapping[str, tuple[float, float]]) -> xr.Dataset:
    """Records with the columns ``ess_beta_00``, ... as one variable ``ess_beta`` (step, beta)."""
    for name, (low, high) in over.items():
        columns = sorted(str(column) for column in data if str(column).removeprefix(f"ess_{name}_").isdigit())
        if columns:
            middles = low + (high - low) * (np.arange(len(columns)) + 0.5) / len(columns)
            values = np.stack([data[column].values for column in columns], axis=1)
            data = data.drop_vars(columns).assign_coords({name: middles})
            data[f"ess_{name}"] = (("step", name), values)
    return labelled(data)


def narrowed(run: Any, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Changes of keys, with ``over=None`` where a run over couplings is asked for one of them and of no other range.

    That one is in the run's own form, so that ln Z of both has the same constants.

    >>> from flowlab.runs import experiment
    >>> run = experiment("ising-van", L=4, over="beta:0.3:0.5", steps=2, batch=8, channels=2)
    >>> narrowed(run, {"beta": 0.4}), narrowed(run, {"steps": 5})
    ({'beta': 0.4, 'over': None}, {'steps': 5})
    """
    target = run.target
    mine = {target.spelled(name, 1.0)[0] for name in run.over}
    asked = {target.spelled(name, 1.0)[0] for name in changes if changes[name] is not None}
    one = mine & asked and "over" in run.keys and "over" not in changes
    if not one:
        return dict(changes)
    given = {k: v for k, v in changes.items() if isinstance(v, int | float) and np.isfinite(v)}  # others are refused
    own = dict(target.in_its_form(k, v) for k, v in given.items())
    return {k: v for k, v in changes.items() if k not in given} | own | {"over": None}
