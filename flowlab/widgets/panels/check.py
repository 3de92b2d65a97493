"""An independent answer beside the model's, as it comes."""

from __future__ import annotations

import threading
import time
from html import escape
from math import isfinite
from typing import TYPE_CHECKING, Any

import ipywidgets
import numpy as np
import xarray as xr

from flowlab.core.names import named
from flowlab.figures import Figure, check_history
from flowlab.figures.shared.style import message, number
from flowlab.widgets.panel import Panel, has_ended
from flowlab.widgets.panels.sampled import NARROW, ROW
from flowlab.widgets.plot import Plot
from flowlab.widgets.publisher import Publisher
from flowlab.widgets.saved import Piece, plot, text
from flowlab.widgets.verdict import html
from flowlab.widgets.words import RED, dot, quiet

if TYPE_CHECKING:
    from flowlab.widgets.run import Run

APART = 4.0
"""Errors from which on two values differ; as in :mod:`flowlab.analysis.checks.comparison`."""
HEAD = {
    "quantity": "",
    "model": "of the model's draws; by importance weights where there are some",
    "chains": "of independent Markov chains, begun hot and cold",
    "apart": "the difference in units of its error; beyond 4 it is none of chance",
}
COLUMNS = [f"{name}{end}" for name in ("value", "raw", "reference") for end in ("", "_error")] + ["z", "z_raw"]
MOST_LOOKS = 400
SOON = "here the values of the chains come, one look after the other, beside those of the model"


class CheckPanel(Panel):
    """``run.check()`` live: the chains' values approach the model's or do not, and the verdict in words at the end.

    Args:
        experiment: the run.
        publisher: the thread that keeps the panel up to date; its own where None.

    Attributes:
        tables: one for each look at the chains, oldest first.
        found: the newest check of the run, None before the first.
        seconds, start, stop: the controls.
    """

    title = "Check"
    sentence = "Chains, begun hot and cold, have an answer of their own: a model that may be believed agrees with it."

    @classmethod
    def fits(cls, experiment: Run) -> bool:
        return hasattr(experiment, "check") and (hasattr(experiment, "layers") or hasattr(experiment, "chains"))

    def __init__(self, experiment: Run, publisher: Publisher | None = None) -> None:
        super().__init__(experiment, publisher)
        self.tables: list[xr.Dataset] = []
        self.found: xr.Dataset | None = getattr(experiment, "checked", None)
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()
        self._error: Exception | None = None
        self._began: float | None = None
        self._shown = (-1, 0)
        self.seconds = ipywidgets.BoundedFloatText(
            20.0, min=1.0, max=3600.0, description="seconds", style=NARROW, layout={"width": "140px"}
        )
        self.start = ipywidgets.Button(description="Start check", button_style="primary", layout={"width": "110px"})
        self.stop = ipywidgets.Button(description="Stop", disabled=True, layout={"width": "76px"})
        self.progress = ipywidgets.FloatProgress(min=0.0, max=1.0, layout={"width": "260px", "height": "18px"})
        self.verdict = ipywidgets.HTML(layout={"min_height": "28px"})
        self.table = ipywidgets.HTML()
        self.live = Plot(message(SOON, height=280))
        row = ipywidgets.HBox([self.seconds, self.start, self.stop, self.progress], layout=ROW)
        self.widget = ipywidgets.VBox([row, self.verdict, self.live.widget, self.table, self.message])
        self.verdict.value = self._words(False, 0.0)
        self.start.on_click(self._begin)
        self.stop.on_click(self._end)

    @property
    def is_working(self) -> bool:
        """Whether a check is on its way."""
        return self._thread is not None and self._thread.is_alive()

    def update(self) -> bool:
        working = self.is_working  # before what is shown is read
        with self.lock:
            self.start.disabled, self.stop.disabled = working, not working or self._stopped.is_set()
            passed = 0.0 if self._began is None else time.monotonic() - self._began
            self.progress.value = min(1.0, passed / self.seconds.value) if working else float(self.found is not None)
            self.verdict.value = self._words(working, passed)
            shown = (len(self.tables), id(self.found))
            if shown != self._shown:
                self._shown = shown
                self.live.redraw(self._figure())
                self.table.value = self._table()
        if self._error is not None:
            self.say(self._error)
        return working or not has_ended(self.experiment)

    def snapshot(self) -> Figure:
        return self._figure()

    def page(self) -> list[Piece]:
        words = self._words(False, 0.0)
        if self._newest() is None:
            return [text(words)]
        return [text(words), plot(self._figure()), text(self._table())]

    def close(self) -> None:
        self._stopped.set()
        super().close()

    def _begin(self, _: Any) -> None:
        if self.is_working:
            return
        self._stopped.clear()
        self._error = self._began = None
        self.tables = []
        self.say("")
        self._thread = threading.Thread(
            target=self._work, args=(self.seconds.value,), name="flowlab-check", daemon=True
        )
        self._thread.start()
        self.publisher.wake()

    def _end(self, _: Any) -> None:
        self._stopped.set()
        self.publisher.wake()

    def _work(self, seconds: float) -> None:
        try:
            run: Any = self.experiment
            found = run.check(seconds, watch=self._look)
            if "quantity" in found.coords:
                passed = time.monotonic() - (self._began or time.monotonic())
                self._look(found[[*COLUMNS]].assign_attrs(seconds=passed, chain=found.attrs.get("chain", "")))
            self.found = found
        except Exception as error:
            self._error = error
        self.publisher.wake()

    def _look(self, table: xr.Dataset | None) -> bool:
        self._began = self._began or time.monotonic()
        if table is not None:
            with self.lock:
                self.tables = [*self.tables[-MOST_LOOKS:], table]
            self.publisher.wake()
        return not self._stopped.is_set()

    def _words(self, working: bool, passed: float) -> str:
        if working:
            ends = " · ending" if self._stopped.is_set() else ""
            if not self.tables:
                return quiet(f"drawing from the model and starting chains: working…{ends}")
            doing = self.tables[-1].attrs["chain"]
            return quiet(f"{passed:.0f} s of at most {self.seconds.value:g} s: {doing}{ends} …")
        if self.found is None:
            return quiet("not checked yet")
        attrs = self.found.attrs
        step = int(attrs["step"])
        since = f" {quiet(f'(the run is at step {self.experiment.step} now)')}" * (self.experiment.step != step)
        return html(str(attrs["verdict"]), str(attrs["reasons"]), step) + since

    def _newest(self) -> xr.Dataset | None:
        """The table on show: that of the verdict, the last look while there is none."""
        if not self.is_working and self.found is not None and "quantity" in self.found.coords:
            return self.found
        return self.tables[-1] if self.tables else None

    def _figure(self) -> Figure:
        names = self.tables[-1]["quantity"].values.tolist() if self.tables else []
        alike = [one for one in self.tables if one["quantity"].values.tolist() == names]
        if not alike:
            return message(SOON, height=280)
        seconds = np.array([one.attrs["seconds"] for one in alike])
        return check_history(xr.concat(alike, "look", combine_attrs="drop").assign_coords(seconds=("look", seconds)))

    def _table(self) -> str:
        found = self._newest()
        if found is None:
            return ""
        head = "".join(f"<th title='{escape(what)}'>{name}</th>" for name, what in HEAD.items())
        return f"<table><tr>{head}</tr>{''.join(map(_row, (found.sel(quantity=q) for q in found['quantity'])))}</table>"


def _row(one: xr.Dataset) -> str:
    """A quantity with both its values, and by how many errors they differ, as HTML."""
    known = ("value", "z") if isfinite(float(one["z"])) else ("raw", "z_raw")
    model, chains = (number(float(one[name]), float(one[f"{name}_error"])) for name in (known[0], "reference"))
    z = abs(float(one[known[1]]))
    apart = f"{z:.1f}" if isfinite(z) else "–"
    mark = f"{dot(RED)} <b>{apart}</b>" if z > APART else apart
    cells = "".join(f"<td style='text-align:right'>{cell}</td>" for cell in (model, chains, mark))
    return f"<tr><td style='text-align:left'>{escape(named(str(one['quantity'].item()))[0])}</td>{cells}</tr>"
