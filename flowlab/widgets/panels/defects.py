"""Defects on their way back through the layers, to the latents."""

from __future__ import annotations

import time
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets
import numpy as np
import xarray as xr

from flowlab.analysis import measure_defect
from flowlab.figures import Figure, defect_curves, defect_overview, defect_strip
from flowlab.figures.shared.style import number
from flowlab.widgets.diagnosis import Diagnosis, lacks
from flowlab.widgets.panel import Panel, has_ended
from flowlab.widgets.panels.sampled import NARROW, ROW, in_a_row, or_value
from flowlab.widgets.plot import Plot
from flowlab.widgets.publisher import Publisher
from flowlab.widgets.saved import Piece, beside, choice, plot, row, strip, text
from flowlab.widgets.strip import Strip
from flowlab.widgets.words import small_table

if TYPE_CHECKING:
    from flowlab.widgets.run import Run

PAINTED = "painted"
TOPOLOGIES = ("equal", "different")


class DefectsPanel(Panel):
    """A configuration with a defect, chosen or painted, and what becomes of it layer by layer on its way back.

    All is shown in the gauge in which all-up stays all-up. A click on the first picture flips a site, a drag paints.

    Args:
        experiment: the run; of a flow over the Ising model on the square lattice.
        every: seconds between looks at a run that is being followed.
        publisher: the thread that keeps the panel up to date; its own where None.

    Attributes:
        spins: (y, x) of ±1, the configuration on show.
        path: it after each layer, as :func:`flowlab.analysis.measure_defect` gives it; None before the first.
        defect, clear, follow: the controls.
        diagnosis: its ``data`` has the defects to choose from.

    Raises:
        TypeError: where there is no flow, or no square lattice with sides of at least 4.
    """

    title = "Defects"
    sentence = "Paint a defect into a configuration, and see what the layers make of it on its way back to the latents."

    @classmethod
    def fits(cls, experiment: Run) -> bool:
        return lacks(experiment, "defects") is None

    def __init__(self, experiment: Run, *, every: float = 3.0, publisher: Publisher | None = None) -> None:
        missing = lacks(experiment, "defects")
        if missing is not None:
            raise TypeError(f"defects cannot be shown: {missing}")
        super().__init__(experiment, publisher)
        self.every = every
        self.spins = np.ones(tuple(experiment.system.shape))
        self.path: xr.Dataset | None = None
        self._stale, self._drawn_at, self._drawn_step = True, 0.0, -1
        self.diagnosis = Diagnosis(experiment, ["defects"], n=100, wake=lambda: self.publisher.wake())
        self.defect = ipywidgets.Dropdown(
            options=[PAINTED], value=PAINTED, description="defect", style=NARROW, layout={"width": "240px"}
        )
        self.clear = ipywidgets.Button(description="All up", layout={"width": "76px"}, tooltip="begin with no defect")
        self.follow = ipywidgets.Checkbox(False, description="follow training", indent=False, layout={"width": "140px"})
        self.line = ipywidgets.HTML(layout={"min_height": "28px"})
        self.about = ipywidgets.HTML(layout={"min_height": "96px"})
        blank = self._blank()
        self.live = Strip(defect_overview(blank), side=300, paints="values", clicked=self._clicked)
        self.curves, self.strip = Plot(defect_curves(blank)), Strip(defect_strip(blank), side=144)
        self._stroke = 0.0
        row = ipywidgets.HBox([or_value(self.defect), self.clear, self.follow], layout=ROW)
        self.widget = ipywidgets.VBox(
            [
                row,
                self.line,
                in_a_row(self.live.widget, self.curves.widget, "310px"),
                self.strip.widget,
                self.about,
                self.message,
                self.diagnosis.line,
            ]
        )
        self.defect.observe(self._choose, "value")
        self.clear.on_click(lambda _: self._show(np.ones_like(self.spins), PAINTED))
        self.follow.observe(lambda _: self.publisher.wake(), "value")
        self.say("working…")

    def paint(self, y: int, x: int) -> None:
        """Flip the spin at column x of row y."""
        spins = self.spins.copy()
        spins[y, x] *= -1
        self._show(spins, PAINTED)

    def update(self) -> bool:
        ended = has_ended(self.experiment)  # before the step that is drawn is read
        new_step = self.experiment.step != self._drawn_step
        if self._stale or (self.follow.value and new_step and time.monotonic() - self._drawn_at >= self.every):
            self._pass()
        if self.diagnosis.look_up(self._drawn_step):
            self._list()
        return not ended or (self.follow.value and new_step)

    def page(self) -> list[Piece]:
        """The defect that was painted, where one is on show, and every one of the diagnosis, with its way back."""
        if self.diagnosis.data is None:
            self.diagnosis.data = self.diagnosis.read()
        names = [str(name) for name in self.diagnosis.data["defect"].values]
        paths = [self.diagnosis.data.sel(defect=name) for name in names]
        if self.defect.value == PAINTED and (self.spins != 1).any():
            self.snapshot()
            assert self.path is not None
            names, paths = [PAINTED, *names], [self.path, *paths]
        by = {"defect": len(names)}
        shown = [defect_overview(path, name) for path, name in zip(paths, names, strict=True)]
        lines = [_numbers(path, name) for path, name in zip(paths, names, strict=True)]
        curves = plot(*map(defect_curves, paths), by=by)
        strips = strip(*map(defect_strip, paths), by=by, side=144)
        return [
            row(choice("defect", names)),
            text(*lines, by=by),
            beside(strip(*shown, by=by, side=300), curves),
            strips,
        ]

    def stills(self) -> list[Figure]:
        return [self.live.figure]

    def snapshot(self) -> Figure:
        if self.path is None or self._stale:
            self._pass()
        assert self.path is not None
        return defect_overview(self.path, self.defect.value)

    def _pass(self) -> None:
        """Send the spins on show, and all-up for the gauge, back through the layers."""
        self._drawn_step, self._drawn_at = self.experiment.step, time.monotonic()
        with self.lock:
            self._stale, spins, name, stroke = False, self.spins, self.defect.value, self._stroke
        path = measure_defect(self.experiment.layers(x=np.stack([spins, np.ones_like(spins)])))
        with self.lock:
            if self._stale:
                return
            self.path = path
            self.live.redraw(defect_overview(path, name), seen=stroke)
            self.curves.redraw(defect_curves(path))
            self.strip.redraw(defect_strip(path))
            self.line.value = _numbers(path, name)
        self.say(f"with the weights of step {path.attrs.get('step', self._drawn_step)}; click on a site to flip it")

    def _list(self) -> None:
        """Offer the defects of the diagnosis, and say how far apart their latents are; show the island first."""
        found = self.diagnosis.data
        assert found is not None
        names = [str(name) for name in found["defect"].values]
        with self.lock:
            untouched = self.defect.options == (PAINTED,) and (self.spins == 1).all()
            if self.defect.options != (PAINTED, *names):
                self.defect.options = (PAINTED, *names)
            self.about.value = _distances(found)
            if untouched and "island" in names:
                self.defect.value = "island"

    def _choose(self, change: dict[str, Any]) -> None:
        found = self.diagnosis.data
        if found is None or change["new"] not in found["defect"].values:
            return
        chosen = found["defect_configuration"].sel(defect=change["new"])[-1]
        self._show(np.asarray(chosen, dtype=float), str(change["new"]))

    def _show(self, spins: np.ndarray, name: str) -> None:
        with self.lock:
            self.spins, self._stale = spins, True
            self.defect.value = name
            self.say("working…")
        self.publisher.wake()

    def _clicked(self, point: dict[str, Any]) -> None:
        if "sites" not in point:
            self.paint(point["y"], point["x"])
            return
        spins = self.spins.copy()
        for x, y in point["sites"]:
            spins[y, x] = point["value"]
        with self.lock:
            self._stroke = point["stroke"]
            self._show(spins, PAINTED)

    def _blank(self) -> xr.Dataset:
        """All-up before there is a path: as many layers as there will be."""
        count = 1 + len(self.experiment.density.flow_layers)
        shape = (count, 1, *self.spins.shape)
        return measure_defect(
            xr.Dataset({"configuration": (("layer", "sample", "y", "x"), np.ones(shape))}).isel(sample=[0, 0])
        )


def _numbers(path: xr.Dataset, name: str) -> str:
    """Wall length before and after, and what has changed, as HTML."""
    walls, flipped = path["defect_wall_length"].values, path["defect_flipped_sites"].values
    down = int((path["defect_configuration"].values[-1] == -1).sum())
    return (
        f"<b>{escape(name)}</b> · {down} down · wall length {walls[-1]}, in the latents {walls[0]}"
        f" · the latents differ from it at {flipped[0]} of {path['defect_configuration'][0].size} sites"
    )


def _distances(found: xr.Dataset) -> str:
    """How far apart defects of equal and of different topology are, before and after, as HTML."""

    def row(name: str, kind: str) -> list[str]:
        names = [f"{kind}_distance_{topology}" for topology in TOPOLOGIES]
        return [name, *(number(float(found[name]), float(found[f"{name}_error"])) for name in names)]

    words = "Two defects at random places differ at a fraction of sites:"
    rows = [row("latents", "latent"), row("configurations", "physical")]
    return words + small_table([f"{topology} topology" for topology in TOPOLOGIES], rows)
