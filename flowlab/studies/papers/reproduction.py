"""Figures of the papers, run again: one Dataset of all arms, sides and seeds, with what it says on each statement."""

from __future__ import annotations

import json
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from flowlab.core.names import labelled
from flowlab.estimators import UntrustedWarning
from flowlab.estimators.criteria import Finding, exceeds, greater, within
from flowlab.runs.keys import suggested
from flowlab.runs.registry import find
from flowlab.runs.sweeps import found_in, sweep
from flowlab.studies.papers.figures import FIGURES, Arm, Claim, Figure, Scale, Size

NUMBERS = (
    "ess", "acceptance", "log_z", "log_z_error", "log_z_bound", "log_z_exact", "energy_per_site",
    "energy_per_site_error", "abs_magnetization", "abs_magnetization_error", "steps", "seconds",
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
    paper: str,
    number: str,
    scale: Size = "smoke",
    *,
    out: str | Path,
    workers: int = 1,
    progress: bool = True,
    arms: Collection[str] = (),
    sides: Collection[int] = (),
) -> xr.Dataset:
    """Run a figure again, or a part of it, and judge it by all that has been run.

    Called again with the same ``out`` it goes on where it was.

    Args:
        paper: "003", "004".
        number: of the figure, e.g. "4" or "table3".
        scale: "smoke" to see that it works, "figures" or "paper".
        out: directory of the runs; figures of one paper and scale share theirs.
        workers: processes side by side.
        progress: show a line for the seeds of each arm and side.
        arms, sides: run these only, all where empty; of the others what ``out`` has of before is taken.

    Returns:
        Dataset over ``arm``, ``L`` and ``seed``: ESS, acceptance, ln Z, seconds, state ("finished", "failed", "stopped"
        or "not run"), verdict and more of every run; ``relative_error``, (F - F_exact)/|F_exact|; and where the figure
        has a reference, ``energy_per_site_deviation`` and ``abs_magnetization_deviation`` from its mean, over that.
        Over ``claim`` and ``L``: ``answer``, and the numbers that it follows from, of the runs that may be trusted; see
        :mod:`flowlab.estimators.criteria`.

    Raises:
        ValueError: for a figure, scale, arm or side that there is not.
    """
    figure = figure_of(paper, number)
    if scale not in figure.scales:
        raise ValueError(f"scale must be one of {', '.join(figure.scales)}, got {scale!r}")
    size = figure.scales[scale]
    _all_known("arms", arms, [arm.name for arm in figure.arms])
    _all_known("sides", sides, size.sides)
    folder, runs = Path(out) / f"{paper}-{scale}", {}
    for side in size.sides:
        for arm in figure.arms:
            wanted = (not arms or arm.name in arms) and (not sides or side in sides)
            own = folder / f"{arm.name.replace(' ', '-')},L={side}"
            there = _runs(arm, side, size, own, workers, progress) if wanted else _earlier(arm, side, size, own)
            if there is not None:
                runs[arm.name, side] = there
    found = _gathered(figure, size, runs)
    keys = {f"{arm.name}, L = {side}": keys_of(arm, side, size) for arm in figure.arms for side in size.sides}
    attrs = {"paper": paper, "figure": number, "title": figure.title, "scale": scale, "n": size.samples}
    attrs |= {"keys": json.dumps(keys), "criterion": "95 % interval over seeds, of runs that may be trusted"}
    return labelled(found.merge(judged(found, figure.claims)).assign_attrs(attrs))


def keys_of(arm: Arm, side: int, scale: Scale) -> dict[str, Any]:
    """The keys of the runs of an arm at one side."""
    study = find(arm.study)
    preset = study.presets[arm.preset.format(L=side)] if arm.preset else {}
    keys = {**preset, **scale.keys, **arm.own, "L": side, "device": "cpu"}
    return {key: value for key, value in keys.items() if key in study.defaults}


def _all_known(name: str, given: Collection[Any], known: Collection[Any]) -> None:
    for one in given:
        if one not in known:
            raise ValueError(f"{name} must be among {', '.join(map(str, known))}, got {one}")


def _runs(arm: Arm, side: int, scale: Scale, out: Path, workers: int, progress: bool) -> xr.Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UntrustedWarning)  # the verdict of each run is kept, and counts
        return sweep(
            arm.study, {"seed": list(range(scale.seeds))}, out=out, workers=workers, evaluate=scale.samples,
            progress=progress, **keys_of(arm, side, scale),
        )  # fmt: skip


def _earlier(arm: Arm, side: int, scale: Scale, out: Path) -> xr.Dataset | None:
    """What an earlier call ran of the same keys, or None."""
    if not (out / "sweep.nc").exists():
        return None
    found, keys = found_in(out), find(arm.study).given(keys_of(arm, side, scale))
    same = json.loads(found.attrs["keys"]) == json.loads(json.dumps(keys)) and found.attrs["n"] == scale.samples
    return found if same and found.seed.values.tolist() == list(range(scale.seeds)) else None


def _gathered(figure: Figure, scale: Scale, runs: Mapping[tuple[str, int], xr.Dataset]) -> xr.Dataset:
    """The numbers of all runs over arm, L and seed."""
    arms = [arm.name for arm in figure.arms]
    dims, shape = ("arm", "L", "seed"), (len(arms), len(scale.sides), scale.seeds)
    numbers = {name: np.full(shape, np.nan) for name in NUMBERS}
    verdicts, states = np.full(shape, "", dtype=object), np.full(shape, "not run", dtype=object)
    for (arm, side), row in runs.items():
        place = arms.index(arm), scale.sides.index(side)
        verdicts[place] = [str(verdict).partition(":")[0] for verdict in row.verdict.values]
        states[place] = np.where(row.state.values == "ready", "not run", row.state.values)
        for name in numbers:
            if name in row and row[name].dims == ("seed",):
                numbers[name][place] = row[name].values
    exact = numbers["log_z_exact"]
    numbers["relative_error"] = (exact - numbers["log_z"]) / np.abs(exact)  # F = -T ln Z
    if figure.reference:
        for name in ("energy_per_site", "abs_magnetization"):
            there = numbers[name][arms.index(figure.reference)].mean(-1)[:, None]
            numbers[f"{name}_deviation"] = (numbers[name] - there) / np.abs(there)
    found = xr.Dataset({name: (dims, values) for name, values in numbers.items()})
    coords = {"arm": arms, "L": list(scale.sides), "seed": np.arange(scale.seeds)}
    return found.assign(verdict=(dims, verdicts), state=(dims, states)).assign_coords(coords)


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
    answers = [[_answer(found, claim, side, one.answer) for side, one in zip(found.L.values, row, strict=True)]
               for claim, row in zip(claims, findings, strict=True)]  # fmt: skip
    over = ("claim", "L")

    def column(name: str, kind: Any = float) -> tuple[tuple[str, str], np.ndarray]:
        return over, np.array([[getattr(one, name) for one in row] for row in findings], dtype=kind)

    return xr.Dataset(
        {"answer": (over, np.array(answers, dtype=object)), "compared": column("value"),
         "compared_error": column("error"), "seeds_used": column("seeds", int),
         "criterion": ("claim", np.array([claim.criterion for claim in claims], dtype=object))},
        {"claim": [claim.says for claim in claims], "L": found.L.values},
    )  # fmt: skip


def _answer(found: xr.Dataset, claim: Claim, side: int, answer: str) -> str:
    """The answer, or that runs which it needs did not end."""
    if "state" in found:
        for arm in (claim.arm, claim.other or claim.arm):
            states = set(found.state.sel(arm=arm, L=side).values)
            if "finished" not in states:
                return f"{arm}: {', '.join(sorted(states))}"
    return answer


def _finding(found: xr.Dataset, claim: Claim, side: int) -> Finding:
    def values(arm: str) -> np.ndarray:
        return np.asarray(found[claim.quantity].sel(arm=arm, L=side).values, dtype=float)

    if claim.kind == "greater":
        return greater(values(claim.arm), values(claim.other))
    return (exceeds if claim.kind == "exceeds" else within)(values(claim.arm), claim.bar)
