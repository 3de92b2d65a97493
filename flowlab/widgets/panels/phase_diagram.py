"""A sweep as curves, whose points open their runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ipywidgets
import numpy as np
import xarray as xr

from flowlab.core.names import named
from flowlab.figures import Figure, phase_diagram
from flowlab.figures.sweeps import quantities
from flowlab.runs import load
from flowlab.runs.sweeps import found_in
from flowlab.widgets.lab import Lab, lab_of
from flowlab.widgets.panel import close_tree
from flowlab.widgets.panels.sampled import NARROW, ROW, or_value
from flowlab.widgets.plot import WHERE, Plot, with_still
from flowlab.widgets.publisher import Publisher
from flowlab.widgets.view import watched
from flowlab.widgets.words import quiet, said, wrong

SENTENCE = "Each point is a run; where there is a dashed line it is exact. Click on a point to open its run."
LOOK_EVERY = 0.5  # looks a second at a sweep that is going on


class PhaseDiagram:
    """A sweep, finished or going on, as curves with error bars and exact lines; a click opens the lab of a run.

    Args:
        found: what :func:`flowlab.sweep` returns, or the directory ``out`` of a sweep, which is followed.
        folder: the directory of the runs of a Dataset, to open them from; None where they were not kept.

    Raises:
        FileNotFoundError: for a directory without a sweep.

    Attributes:
        found: the Dataset on show.
        quantity, along: the controls.
        lab: of the run that was opened last, None before.
        widget: what a notebook shows.
    """

    def __init__(self, found: xr.Dataset | str | Path, folder: str | Path | None = None) -> None:
        given = hasattr(found, "data_vars")
        self.folder = None if given and folder is None else Path(str(folder if given else found))
        self.found: xr.Dataset = found if given else found_in(str(found))  # type: ignore[assignment]
        self._follows, self._wanted = not given, ""
        self.lab: Lab | None = None
        names = quantities(self.found)
        options = [(named(name)[0], name) for name in names]
        self.quantity = ipywidgets.Dropdown(
            options=options, description="quantity", style=NARROW, layout={"width": "320px"}
        )
        keys = [str(key) for key in self.found[names[0]].dims]
        self.along = ipywidgets.Dropdown(options=keys, description="against", style=NARROW, layout={"width": "160px"})
        self.line = ipywidgets.HTML(layout={"min_height": "28px"})
        self.live = Plot(self.snapshot(), clicked=self._clicked)
        self.place = ipywidgets.VBox()
        row = ipywidgets.HBox([or_value(self.quantity), or_value(self.along)], layout=ROW)
        self.widget = watched(ipywidgets.HTML(SENTENCE), row, self.live.widget, self.line, self.place)
        self.publisher = Publisher(self, LOOK_EVERY)
        for control in (self.quantity, self.along):
            control.observe(lambda _: self._draw(), "value")
        self._tell()

    @property
    def is_done(self) -> bool:
        """Whether no run is still to come."""
        return "state" not in self.found or bool(np.isin(self.found["state"], ("finished", "failed")).all())

    def snapshot(self) -> Figure:
        """The curves, as a static figure."""
        return phase_diagram(self.found, self.quantity.value, self.along.value)

    def open(self, run: str) -> None:
        """Show the lab of a run beneath, by its name in the Dataset's variable ``run``."""
        if self.folder is None:
            self.line.value = quiet(f"{run}: its directory is not known; give folder=, the out of the sweep")
            return
        self.line.value = quiet(f"{run}: opening…")
        try:
            opened: Any = load(self.folder / run)
            self.lab = lab_of(opened)
        except Exception as error:
            self.line.value = wrong(said(error))
            return
        self.place.children = [self.lab.show()]
        self.line.value = f"<b>{run}</b>"

    def refresh(self) -> bool:
        """Open what was clicked on, and look for what a sweep that is going on has found since."""
        wanted, self._wanted = self._wanted, ""
        if wanted:
            self.open(wanted)
        if self._follows and not self.is_done and self.folder is not None:
            newer = found_in(self.folder)
            if not newer.identical(self.found):
                self.found = newer
                self._offer()
                self._draw()
                self._tell()
        return self._follows and not self.is_done

    def close(self) -> None:
        """Take the diagram off the page; the runs stay as they are."""
        self.publisher.close()
        self.place.children = ()
        close_tree(self.widget)

    def _clicked(self, point: dict[str, Any]) -> None:
        names = self.live.figure.data[point["trace"]].customdata
        x = list(self.live.figure.data[point["trace"]].x)
        if names is not None and point["x"] in x:
            self._wanted = str(names[x.index(point["x"])])
            self.line.value = quiet(f"{self._wanted}: opening…")
            self.publisher.wake()

    def _offer(self) -> None:
        """Quantities that came with the first runs."""
        names, chosen = quantities(self.found), self.quantity.value
        if [value for _, value in self.quantity.options] != names:
            self.quantity.options = [(named(name)[0], name) for name in names]
            self.quantity.value = chosen if chosen in names and chosen != "steps" else names[0]

    def _draw(self) -> None:
        self.live.redraw(self.snapshot())

    def _tell(self) -> None:
        states = self.found["state"].values.ravel().tolist() if "state" in self.found else []
        counts = [f"{states.count(state)} {state}" for state in dict.fromkeys(states)]
        self.line.value = quiet(f"{len(states)} runs: {', '.join(counts)}" if states else "")

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        self.publisher.wake()
        return with_still(self.widget._repr_mimebundle_(**kwargs), lambda: [self.snapshot()], repr(self))

    def __repr__(self) -> str:
        return f"PhaseDiagram: {WHERE}"
