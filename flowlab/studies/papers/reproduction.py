"""Figures of the papers, run again: one Dataset of all arms, sides and seeds, with what it says on each statement."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from flowlab.core.names import labelled
from flowlab.estimators import UntrustedWarning
from flowlab.estimators.criteria import Finding, exceeds, greater, within
from flowlab.runs.keys import suggested
from flowlab.runs.registry import find
from flowlab.runs.sweeps import sweep
from flowlab.studies.papers.figures import FIGURES, Arm, Claim, Figure, Scale, Size

NUMBERS = (
    "ess", "acceptance", "log_z", "log_z_error", "log_z_bound", "log_z_exact", "energy_mean", "energy_mean_error",
    "steps", "seconds",
)  # fmt: skip
"""Of every run; NaN where a study has none."""


def figure_of(paper: str, number: str) -> Figure:
    """The figure of a paper.

    Raises:
        ValueError: for one that is not among them, naming those that are.
    """
    if (paper, number) not in FIGURES:
        known = [f"{paper} --figure {number}" for paper, number in FIGURES]
        raise ValueError(
            f"figure must be one of {', '.join(known)}, got {paper} --figure {number}"
            f"{suggested(f'{paper} --figure {number}', known)}"
        )
    return FIGURES[paper, number]


def reproduce(
    paper: str, number: str, scale: Size = "smoke", *, out: str | Path, workers: int = 1, progress: bool = True
) -> xr.Dataset:
    """Run a figure again, and judge it.

    Called again with the same ``out`` it goes on where it was.

    Args:
        paper: "003", "004".
        number: of the figure, e.g. "4" or "table3".
        scale: "smoke" to see that it works, "figures" or "paper".
        out: directory of the runs; figures of one paper and scale share theirs.
        workers: processes side by side.
        progress: show a line for the seeds of each arm and side.

    Returns:
        Dataset over ``arm``, ``L`` and ``seed``: ESS, acceptance, ln Z, seconds, verdict and more of every run, and
        ``relative_error``, (F - F_exact)/|F_exact|. Over ``claim`` and ``L``: ``answer``, and the numbers that it
        follows from, of the runs that may be trusted; see :mod:`flowlab.estimators.criteria`.

    Raises:
        ValueError: for a figure or scale that there is not.
    """
    figure = figure_of(paper, number)
    if scale not in figure.scales:
        raise ValueError(f"scale must be one of {', '.join(figure.scales)}, got {scale!r}")
    size = figure.scales[scale]
    runs = {
        (arm.name, side): _runs(arm, side, size, Path(out) / f"{paper}-{scale}", workers, progress)
        for arm in figure.arms
        for side in size.sides
    }
    found = _gathered(figure, size, runs)
    keys = {f"{arm.name}, L = {side}": keys_of(arm, side, size) for arm in figure.arms for side in size.sides}
    attrs = {"paper": paper, "figure": number, "title": figure.title, "scale": scale, "n": size.samples}
    attrs |= {"keys": json.dumps(keys), "criterion": "95 % interval over seeds, of runs that may be trusted"}
    return labelled(found.merge(judged(found, figure.claims)).assign_attrs(attrs))


def keys_of(arm: Arm, side: int, scale: Scale) -> dict[str, Any]:
    """The keys of the runs of an arm at one side."""
    preset = find(arm.study).presets[arm.preset.format(L=side)]
    return {**preset, **scale.keys, **arm.own, "L": side, "device": "cpu"}


def _runs(arm: Arm, side: int, scale: Scale, out: Path, workers: int, progress: bool) -> xr.Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UntrustedWarning)  # the verdict of each run is kept, and counts
        return sweep(
            arm.study, {"seed": list(range(scale.seeds))}, out=out / f"{arm.name.replace(' ', '-')},L={side}",
            workers=workers, evaluate=scale.samples, progress=progress, **keys_of(arm, side, scale),
        )  # fmt: skip


def _gathered(figure: Figure, scale: Scale, runs: Mapping[tuple[str, int], xr.Dataset]) -> xr.Dataset:
    """The numbers of all runs over arm, L and seed."""
    arms = [arm.name for arm in figure.arms]
    dims, shape = ("arm", "L", "seed"), (len(arms), len(scale.sides), scale.seeds)
    numbers = {name: np.full(shape, np.nan) for name in NUMBERS}
    verdicts = np.full(shape, "", dtype=object)
    for i, arm in enumerate(arms):
        for j, side in enumerate(scale.sides):
            row = runs[arm, side]
            verdicts[i, j] = [str(verdict).partition(":")[0] for verdict in row.verdict.values]
            for name in numbers:
                if name in row and row[name].dims == ("seed",):
                    numbers[name][i, j] = row[name].values
    exact = numbers["log_z_exact"]
    numbers["relative_error"] = (exact - numbers["log_z"]) / np.abs(exact)  # F = -T ln Z
    found = xr.Dataset({name: (dims, values) for name, values in numbers.items()})
    coords = {"arm": arms, "L": list(scale.sides), "seed": np.arange(scale.seeds)}
    return found.assign(verdict=(dims, verdicts)).assign_coords(coords)


def judged(found: xr.Dataset, claims: tuple[Claim, ...]) -> xr.Dataset:
    """What the runs say on each statement at each L, by those that may be trusted.

    >>> values = [[[0.71, 0.72, 0.73]], [[0.1, 0.2, 0.15]]]
    >>> runs = xr.Dataset({"ess": (("arm", "L", "seed"), values)}, {"arm": ["a", "b"], "L": [4], "seed": [0, 1, 2]})
    >>> runs["verdict"] = runs.ess.astype(object).where(False, "consistent")
    >>> judged(runs, (Claim("a above b", "ess", "greater", "a", "b"),)).answer.values.tolist()
    [['yes']]
    """
    trusted = found.verdict != "not to be trusted"
    findings = [[_finding(found.where(trusted), claim, side) for side in found.L.values] for claim in claims]
    over = ("claim", "L")

    def column(name: str, kind: Any = float) -> tuple[tuple[str, str], np.ndarray]:
        return over, np.array([[getattr(one, name) for one in row] for row in findings], dtype=kind)

    return xr.Dataset(
        {"answer": column("answer", object), "compared": column("value"), "compared_error": column("error"),
         "seeds_used": column("seeds", int),
         "criterion": ("claim", np.array([claim.criterion for claim in claims], dtype=object))},
        {"claim": [claim.says for claim in claims], "L": found.L.values},
    )  # fmt: skip


def _finding(found: xr.Dataset, claim: Claim, side: int) -> Finding:
    def values(arm: str) -> np.ndarray:
        return np.asarray(found[claim.quantity].sel(arm=arm, L=side).values, dtype=float)

    if claim.kind == "greater":
        return greater(values(claim.arm), values(claim.other))
    return (exceeds if claim.kind == "exceeds" else within)(values(claim.arm), claim.bar)
