"""Several runs on the same axes, and the keys in which they differ."""

from __future__ import annotations

import time
from collections.abc import Sequence
from html import escape
from math import isfinite
from pathlib import Path
from typing import Any

import ipywidgets
import numpy as np
import xarray as xr

from flowlab.figures import Figure, training_overview
from flowlab.figures.shared.bound import bound_per_site
from flowlab.figures.shared.style import COLORS, EARLIER, number
from flowlab.runs import load
from flowlab.widgets.panel import Panel, has_ended
from flowlab.widgets.panels.train import DRAW_EVERY, LIVE_POINTS
from flowlab.widgets.plot import Plot
from flowlab.widgets.publisher import Publisher
from flowlab.widgets.saved import Piece, plot, text
from flowlab.widgets.words import AMBER, dot

SENTENCE = "Each colour is a run: above its bound, dashed the exact value where it is known; beneath, its ESS."
LAST = 20
"""Steps at the end that the numbers in the table are means of."""


class Compare(Panel):
    """Two or more runs that train, or have: bound per site and ESS on the same axes, and what differs in their keys.

    Args:
        runs: runs, or directories of runs.
        publisher: the thread that keeps the panel up to date; its own where None.

    Raises:
        ValueError: for fewer than two runs, or one that trains no density.
    """

    title = "Compare"

    @classmethod
    def fits(cls, experiment: Any) -> bool:
        return False  # of several runs, of which a lab has one

    def __init__(self, runs: Sequence[Any], publisher: Publisher | None = None) -> None:
        self.runs: list[Any] = [run if hasattr(run, "data") else load(Path(run)) for run in runs]
        if len(self.runs) < 2:
            raise ValueError(f"runs must be two or more, got {len(self.runs)}")
        for run in self.runs:
            if "log_z_bound" not in run.data:
                raise ValueError(f"runs must train a density, got {run.data.attrs.get('study') or run.system}")
        super().__init__(self.runs[0], publisher)
        self.table = ipywidgets.HTML()
        self.live = Plot(self.snapshot())
        self._shown: tuple[object, ...] = ()
        self._drawn_at = 0.0
        self.widget = ipywidgets.VBox(
            [ipywidgets.HTML(SENTENCE), self.live.widget, self.table, self.message], layout={"width": "100%"}
        )

    def update(self) -> bool:
        ended = all(has_ended(run) for run in self.runs)  # before what is shown is read
        now = tuple((run.step, run.state) for run in self.runs)
        resting = all(run.state != "running" for run in self.runs)
        if now != self._shown and (resting or time.monotonic() - self._drawn_at > DRAW_EVERY):
            figure, table = self.snapshot(), self._table()
            with self.lock:
                self.live.redraw(figure)
                self.table.value = table
            self._shown, self._drawn_at = now, time.monotonic()
        return not ended

    def snapshot(self) -> Figure:
        first, *others = [
            run.data.assign_attrs(legend=name) for run, name in zip(self.runs, names(self.runs), strict=True)
        ]
        figure = training_overview(first, *others[::-1], points=LIVE_POINTS)
        return figure.update_layout(title_text=f"{len(self.runs)} runs")

    def code(self) -> str:
        return ""

    def page(self) -> list[Piece]:
        return [text(SENTENCE), plot(self.snapshot()), text(self._table())]

    def _table(self) -> str:
        """Numbers of each run, its keys that differ, and behind a click those that are the same; as HTML."""
        differing, same = keys_of(self.runs)
        colors = [COLORS["bound"], *(EARLIER[k % len(EARLIER)] for k in range(len(self.runs) - 1))]
        head = "".join(
            f"<th>{dot(color)} {escape(name)}</th>" for color, name in zip(colors, names(self.runs), strict=True)
        )
        numbers = [_numbers(run) for run in self.runs]
        rows = [_row(name, [found[k] for found in numbers]) for k, name in enumerate(NUMBERS)]
        style = f" style='box-shadow:inset 4px 0 {AMBER};font-weight:bold'"
        rows += [_row(key, values, style) for key, values in differing.items()]
        alike = " · ".join(f"{key} = {value}" for key, value in same.items())
        return (
            f"<table><tr><th></th>{head}</tr>{''.join(rows)}</table>"
            f"<details><summary>{len(same)} keys are the same</summary>{escape(alike)}</details>"
        )


NUMBERS = ("state", "step", "bound per site", "exact", "ESS")


def keys_of(runs: Sequence[Any]) -> tuple[dict[str, list[str]], dict[str, str]]:
    """The keys in which runs differ, with the value of each run, and those that are the same; study and seed too.

    >>> from types import SimpleNamespace as Run
    >>> keys_of([Run(study="a", keys={"T": 2.0, "L": 8}, seed=0), Run(study="a", keys={"T": 3.0, "L": 8}, seed=0)])
    ({'T': ['2.0', '3.0']}, {'study': 'a', 'L': '8', 'seed': '0'})
    """
    every = [{"study": run.study, **(run.keys or {}), "seed": run.seed} for run in runs]
    differing, same = {}, {}
    for key in dict.fromkeys(key for keys in every for key in keys):
        values = [str(keys.get(key, "–")) for keys in every]
        if len(set(values)) > 1:
            differing[key] = values
        else:
            same[key] = values[0]
    return differing, same


def names(runs: Sequence[Any]) -> list[str]:
    """What tells each run from the others: its values of the keys that differ, the shortest ones; else its number."""
    differing, _ = keys_of(runs)
    short = [key for key in differing if key != "steps"][:3] or list(differing)
    found = [", ".join(f"{key} = {differing[key][k]}" for key in short) for k in range(len(runs))]
    return found if len(set(found)) == len(runs) else [f"{k + 1}: {name or 'run'}" for k, name in enumerate(found)]


def _numbers(run: Any) -> list[str]:
    data: xr.Dataset = run.data
    known = data.isel(step=np.flatnonzero(np.isfinite(data["log_z_bound"].values))[-LAST:])
    step = f"{run.step} of {run.steps}"
    if known.sizes["step"] == 0:
        return [run.state, step, "–", "–", "–"]
    bound = bound_per_site(known)
    error = float((bound.error**2).sum() ** 0.5 / len(bound.value))
    exact = number(bound.exact, digits=6) if isfinite(bound.exact) else "–"
    ess = number(float(known["ess"].mean()), digits=3)
    return [run.state, step, number(float(bound.value.mean()), error), exact, ess]


def _row(name: str, values: Sequence[str], style: str = "") -> str:
    cells = "".join(f"<td style='text-align:right'>{escape(value)}</td>" for value in values)
    return f"<tr{style}><th style='text-align:left'>{escape(name)}</th>{cells}</tr>"
