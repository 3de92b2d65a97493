"""Triangles of three configurations on their way through the layers, beside parallel tempering."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

import ipywidgets
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from flowlab.analysis import measure_triangle_fractions, measure_triangles
from flowlab.core.names import TRIANGLE_KINDS, Convention
from flowlab.figures import Figure, triangle, triangle_cloud
from flowlab.figures.shared.style import number
from flowlab.figures.triangles import MODEL, TEMPERING, cloud_of
from flowlab.widgets.panels.reference import ReferencePanel
from flowlab.widgets.panels.sampled import NARROW, ROW, blank_layers
from flowlab.widgets.plot import Plot
from flowlab.widgets.publisher import Publisher
from flowlab.widgets.saved import Piece, choice, plot, row, slider, text
from flowlab.widgets.words import small_table

if TYPE_CHECKING:
    from flowlab.widgets.run import Run

Measurement = dict[Convention, xr.Dataset]


class Region(NamedTuple):
    """A part of one cloud: the corners of a polygon, in the cloud's coordinates."""

    cloud: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]


ABOVE, BELOW = 320, 240
"""Pixels of the clouds and of a triangle's configurations."""


class TrianglesPanel(ReferencePanel):
    """The cloud of triangles after each layer beside that of parallel tempering, with the fractions of the four kinds.

    A region that is selected in a cloud, with a box or a lasso, shows the three configurations of a triangle in it.

    Args:
        experiment: the run.
        n: how many samples are drawn.
        every: seconds between looks at a run that is being followed.
        publisher: the thread that keeps the panel up to date; its own where None.

    Attributes:
        data: the Dataset on show, None before the first.
        layer, play, temperature, new_samples, follow, convention, tolerance, next: the controls.
        corners: the live figure of the three configurations; ``chosen`` is the line above it.
        region: what is selected, None for all triangles.
    """

    title = "Triangles"
    sentence = "Three configurations span a triangle: if valleys form a family tree, its two longest sides are equal."

    @classmethod
    def fits(cls, experiment: Run) -> bool:
        return bool(experiment.system.disordered)

    def __init__(
        self, experiment: Run, *, n: int = 2000, every: float = 3.0, publisher: Publisher | None = None
    ) -> None:
        self.convention = ipywidgets.ToggleButtons(
            options=["signed", "folded"], tooltips=["d = (1 − q)/2", "d = (1 − |q|)/2"], style={"button_width": "80px"}
        )
        self.tolerance = ipywidgets.FloatSlider(
            0.05, min=0.0, max=0.15, step=0.01, description="tolerance", continuous_update=False, style=NARROW,
            readout_format=".2f", layout={"width": "230px"},
        )  # fmt: skip
        self.next = ipywidgets.Button(description="Next triangle", disabled=True, layout={"width": "120px"})
        self.chosen = ipywidgets.HTML(layout={"min_height": "28px", "margin": "0 0 0 12px"})
        self.region: Region | None = None
        self._kind: Convention | None = None
        self._turn_number = 0
        super().__init__(experiment, n=n, every=every, publisher=publisher)
        self.corners = Plot(triangle(_blank_corners(experiment.system)).update_layout(height=BELOW))
        rows = [
            ipywidgets.HBox(children, layout=ROW)
            for children in (self.controls, [self.convention, self.tolerance], [self.next, self.chosen])
        ]
        self.widget = ipywidgets.VBox(
            [*rows[:2], self.line, self.live.widget, rows[2], self.corners.widget, self.about, self.message]
        )
        self.convention.observe(self._forget, "value")
        self.tolerance.observe(self.draw, "value")
        self.next.on_click(self._show_next)
        self.live.selected = self.select

    @property
    def kind(self) -> Convention:
        """The convention of the distances on show."""
        chosen: Convention = self.convention.value if self._kind is None else self._kind
        return chosen

    def page(self) -> list[Piece]:
        """Signed and folded, of each layer."""
        self.snapshot()
        by = {"convention": 2, "layer": self.count}
        lines, pictures = [], []
        with self.lock:
            kinds: tuple[Convention, ...] = ("signed", "folded")
            for kind in kinds:
                self._kind = kind
                lines += self.each_layer(self.describe)
                pictures += self.each_layer(self.figure)
            self._kind = None
        controls = [choice("convention", ["signed", "folded"])]
        if self.has_layers and self.count > 1:
            controls.insert(0, slider("layer", self.count - 1, self.at, "layer"))
        return [row(*controls), text(*lines, by=by), plot(*pictures, by=by), text(self.about.value)]

    def measure(self, data: xr.Dataset) -> Measurement:
        return {"signed": measure_triangles(data, "signed"), "folded": measure_triangles(data, "folded")}

    def figure(self) -> Figure:
        kind = self.kind
        known = None if self.reference is None else self.reference.found[kind]
        if not self.has_layers:
            return self._marked(triangle_cloud(None, reference=known, convention=kind, tol=self.tolerance.value))
        model = measure_triangles(blank_layers(self.experiment.system), kind) if self.model is None else None
        model = self.model.found[kind] if self.model is not None else model
        assert model is not None
        layer = min(self.at, model.sizes["layer"] - 1)
        return self._marked(self.titled(triangle_cloud(model, layer, known, kind, self.tolerance.value)))

    def describe(self) -> str:
        rows = []
        for name in (MODEL, TEMPERING):
            if (cloud := self._cloud(name)) is not None:
                found = measure_triangle_fractions(cloud, self.tolerance.value)
                pairs = zip(found["triangle_fraction"].values, found["triangle_fraction_error"].values, strict=True)
                rows.append([name, *(number(*pair) for pair in pairs)])
        return small_table(TRIANGLE_KINDS, rows)

    def draw(self, _: Any = None) -> None:
        if not self.is_ready:
            return
        with self.lock:
            super().draw()
            self._draw_corners()

    def _cloud(self, name: str) -> xr.Dataset | None:
        """The triangles of the layer on show, or of the reference; None where there are none."""
        if name == TEMPERING:
            return None if self.reference is None else self.reference.found[self.kind]
        if self.model is None:
            return None
        here = self.model.found[self.kind].isel(layer=self.at)
        return here if np.isfinite(here["distances"].values).all() else None

    def _configurations(self, name: str) -> xr.DataArray:
        """(sample, *dims) of the layer on show, or (replica · sample, *dims) of the reference."""
        if name == MODEL:
            assert self.model is not None
            return self.model.data["configuration"][self.at]
        assert self.reference is not None
        configuration = self.reference.data["configuration"]
        flat = configuration.values.reshape(-1, *configuration.shape[2:])
        return xr.DataArray(flat, dims=("sample", *configuration.dims[2:]))

    def select(self, selections: list[dict[str, Any]]) -> None:
        """Show triangles of the newest box or lasso; of all triangles where there is none."""
        self.region = self._region(selections[-1]) if selections else None
        self._turn_number = 0
        self._redraw_corners()

    def _region(self, selection: dict[str, Any]) -> Region:
        """The polygon of a box or a lasso, and the cloud that it lies in."""
        name = MODEL if self.has_layers and selection["xref"] == "x" else TEMPERING
        if "path" in selection:
            corners = [point.split(",") for point in re.findall(r"[-\d.e]+,[-\d.e]+", selection["path"])]
            return Region(name, *np.array(corners, dtype=float).T)
        x, y = ([float(selection[end]) for end in ends] for ends in (("x0", "x1"), ("y0", "y1")))
        return Region(name, np.repeat(x, 2), np.array([y[0], y[1], y[1], y[0]]))

    def _forget(self, _: Any) -> None:
        """The other convention has other coordinates."""
        with self.lock:
            self.region, self._turn_number = None, 0
            self.live.deselect()
            self.draw()

    def _show_next(self, _: Any) -> None:
        self._turn_number += 1
        self._redraw_corners()

    def _redraw_corners(self) -> None:
        if self.is_ready:
            with self.lock:
                self.live.redraw(self.figure())
                self._draw_corners()

    def _marked(self, figure: Figure) -> Figure:
        """The figure with dots on the cells of the region, as low as leaves room for three lattices on a screen."""
        for trace in figure.data:
            if self.region is not None and trace.type == "scatter" and trace.name == self.region.cloud:
                inside = within(self.region, np.asarray(trace.x), np.asarray(trace.y))
                trace.selectedpoints = np.flatnonzero(inside).tolist()
        return figure.update_layout(height=ABOVE)

    def _draw_corners(self) -> None:
        """The next triangle of the region; the caller holds the lock."""
        name = self.region.cloud if self.region else (MODEL if self.has_layers else TEMPERING)
        cloud = self._cloud(name)
        inside = np.array([], dtype=int)
        if cloud is not None:
            every = np.ones(cloud.sizes["triangle"], bool)
            inside = np.flatnonzero(every if self.region is None else within(self.region, *cloud_of(cloud)))
        self.next.disabled = len(inside) < 2
        where = "in the region" if self.region else "in all: select a region with a box or a lasso"
        if cloud is None or not len(inside):
            self.chosen.value = f"no triangle of {escape(name)} {where}"
            return
        number_ = self._turn_number % len(inside)
        corners = cloud["corners"].values[inside[number_]]
        configurations = self._configurations(name)
        shown = configurations.isel({configurations.dims[0]: corners})
        self.corners.redraw(triangle(shown, self.convention.value).update_layout(height=BELOW))
        self.chosen.value = f"triangle {number_ + 1} of {len(inside)} of <b>{escape(name)}</b> {where}"


def within(region: Region, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which points lie inside the polygon, by the even-odd rule.

    >>> square = Region("model", np.array([0.0, 1.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0, 1.0]))
    >>> within(square, np.array([0.5, 2.0]), np.array([0.5, 0.5]))
    array([ True, False])
    """
    inside = np.zeros(np.shape(x), dtype=bool)
    for x0, y0, x1, y1 in zip(region.x, region.y, np.roll(region.x, -1), np.roll(region.y, -1), strict=True):
        if y0 != y1:
            inside ^= ((y0 > y) != (y1 > y)) & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
    return inside


def _blank_corners(system: Any) -> xr.DataArray:
    return xr.DataArray(np.full((3, *system.shape), np.nan), dims=("corner", *system.dims))
