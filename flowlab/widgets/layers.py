"""Walking through the layers of a flow, while it trains too."""

from __future__ import annotations

from html import escape
from math import isfinite
from typing import TYPE_CHECKING, Any

import ipywidgets
import numpy as np
import xarray as xr

from flowlab.figures import Figure, delta_free_energy, layer_overview
from flowlab.figures.bound import bound_per_site
from flowlab.figures.layers import layer_names
from flowlab.figures.live_figure import LiveFigure
from flowlab.figures.style import number
from flowlab.widgets.diagnosis import Diagnosis, lacks
from flowlab.widgets.publisher import Publisher
from flowlab.widgets.sampled import NARROW, ROW, SampledPanel, blank_layers

if TYPE_CHECKING:
    from flowlab.widgets.run import Run


class LayersPanel(SampledPanel):
    """A configuration after each layer, with the magnetization and the correlation function of many.

    Where the system has no distances, many samples against the one on show take the correlation function's place.
    Beneath, what each layer does to the bound: of spins on a lattice from ``experiment.diagnose(parts=["work"])``, in
    the gauge in which all-up stays all-up; of others from the samples on show.

    Args:
        experiment: the run.
        n: how many samples are drawn.
        every: seconds between looks at a run that is being followed.
        publisher: the thread that keeps the panel up to date; its own where None.

    Attributes:
        data: the Dataset on show, None before the first.
        layer, play, sample, new_samples, follow: the controls.
        changes: the live figure of the changes of the bound.
    """

    def __init__(
        self, experiment: Run, *, n: int = 500, every: float = 3.0, publisher: Publisher | None = None
    ) -> None:
        self.sample = ipywidgets.BoundedIntText(
            0, min=0, max=n - 1, description="sample", style=NARROW, layout={"width": "130px"}
        )
        super().__init__(experiment, n=n, every=every, publisher=publisher)
        self.work: Diagnosis | None = None
        if lacks(experiment, "work") is None:
            self.work = Diagnosis(experiment, ["work"], n=max(1000, n), wake=lambda: self.publisher.wake())
        self.changes = LiveFigure(self._change_figure())
        controls = [self.play, self.layer, self.sample, self.new_samples, self.follow]
        row = ipywidgets.HBox(controls, layout=ROW)
        beneath = [self.changes.widget] if self.work is None else [self.changes.widget, self.work.line]
        self.widget = ipywidgets.VBox([row, self.line, self.message, self.live.widget, *beneath])
        self.sample.observe(self.draw, "value")

    def figure(self) -> Figure:
        if self.data is None:
            return layer_overview(blank_layers(self.experiment.system))
        return layer_overview(self.data, self.sample.value, self.layer.value)

    def describe(self) -> str:
        return "" if self.data is None else layer_line(self.data, self.layer.value)

    def update(self) -> bool:
        more = super().update()
        if self.work is not None and self.data is not None and self.work.look_up(self._drawn_step):
            with self.lock:
                self.changes.redraw(self._change_figure())
        return more

    def draw(self, _: Any = None) -> None:
        if not self.is_ready:
            return
        with self.lock:
            super().draw()
            self.changes.redraw(self._change_figure())

    def _change_figure(self) -> Figure:
        found = self.data if self.work is None else self.work.data
        if found is None:
            found = blank_layers(self.experiment.system).assign_attrs(T=self.experiment.data.attrs.get("T"))
        return delta_free_energy(found, self.layer.value)

    def arrived(self, data: xr.Dataset, *, first: bool) -> str:
        self.sample.max = data.sizes["sample"] - 1
        if not first:
            return ""
        self.sample.value = most_changed(data)
        return f"; sample {self.sample.value} is the one that the layers change most"


def most_changed(layers: xr.Dataset) -> int:
    """The sample with the most sites changed, over all layers."""
    x = np.asarray(layers["configuration"], dtype=float)
    return int((x[1:] != x[:-1]).sum(axis=(0, *range(2, x.ndim))).argmax())


def layer_line(layers: xr.Dataset, layer: int) -> str:
    """The layer's name, the bound of the flow that ends with it, and the exact value, as HTML."""
    bound = bound_per_site(layers)
    text = f"{bound.name} after this layer: {number(bound.value[layer], bound.error[layer])}"
    if isfinite(bound.exact):
        text += f" · exact {number(bound.exact, digits=6)}"
    return f"<b>{escape(layer_names(layers)[layer])}</b> · {escape(text)}"
