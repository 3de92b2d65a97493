"""Walking through the layers of a flow, while it trains too."""

from __future__ import annotations

from html import escape
from math import isfinite
from typing import TYPE_CHECKING, Any

import ipywidgets
import numpy as np
import xarray as xr

from flowlab.analysis.measurements import sign_words
from flowlab.core.datasets import kind_of, layer_names
from flowlab.figures import Figure, delta_free_energy, layer_overview, layer_statistics
from flowlab.figures.multilevel import draws_in_levels, level_entropy, sites_drawn
from flowlab.figures.shared.bound import bound_per_site
from flowlab.figures.shared.style import number
from flowlab.widgets.diagnosis import Diagnosis, lacks
from flowlab.widgets.lattice import Lattice, frames_of
from flowlab.widgets.panels.sampled import NARROW, ROW, SampledPanel, blank_layers, in_a_row, or_value
from flowlab.widgets.plot import Plot
from flowlab.widgets.publisher import Publisher
from flowlab.widgets.saved import Piece, beside, entry, lattice, plot, row, slider, text

if TYPE_CHECKING:
    from flowlab.widgets.run import Run


ABOVE, BELOW, ALONE = 310, 230, 400
"""Pixels of the two figures beside the lattice, which together are as high as it with its small pictures; of one."""
NONE = "no layers to walk through"
NAMED = 4
"""So many levels stand under their bars by name."""


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
        lattice: the picture of one sample; live: the figures of all of them.
        changes: the figure of the changes of the bound.
    """

    title = "Layers"
    sentence = "The slider walks from what goes in, layer by layer or level by level, to the sample that comes out."

    @classmethod
    def fits(cls, experiment: Run) -> bool:
        return hasattr(experiment, "layers")

    def __init__(
        self, experiment: Run, *, n: int = 500, every: float = 3.0, publisher: Publisher | None = None
    ) -> None:
        self.sample = ipywidgets.BoundedIntText(
            0, min=0, max=n - 1, description="sample", style=NARROW, layout={"width": "130px"}
        )
        super().__init__(experiment, n=n, every=every, publisher=publisher)
        self.follow.value = True
        blank = blank_layers(experiment.system)
        self.lattice = Lattice(blank, layer=self.layer, sample=self.sample, play=self.play)
        self.work: Diagnosis | None = None
        if lacks(experiment, "work") is None:
            self.work = Diagnosis(experiment, ["work"], n=max(1000, n), wake=lambda: self.publisher.wake())
        self.changes = Plot(beside_a_lattice(self._change_figure()))
        controls = [or_value(self.layer, self.play, words=NONE), self.sample, self.new_samples, self.follow]
        row = ipywidgets.HBox(controls, layout=ROW)
        beside = ipywidgets.VBox([self.live.widget, self.changes.widget])
        beneath = [] if self.work is None else [self.work.line]
        self.widget = ipywidgets.VBox([row, self.line, in_a_row(self.lattice.widget, beside), *beneath, self.message])
        self.sample.observe(self.draw, "value")

    def figure(self) -> Figure:
        shown = blank_layers(self.experiment.system) if self.data is None else self.data
        figure = layer_statistics(shown, 0 if self.data is None else self.sample.value, self.at)
        return figure.update_layout(height=ABOVE, **({"title_text": "no samples yet"} if self.data is None else {}))

    def snapshot(self) -> Figure:
        if self.data is None:
            self.sample_now()
        assert self.data is not None
        return layer_overview(self.data, self.sample.value, self.at)

    def stills(self) -> list[Figure]:
        return [self.live.figure if self.data is None else self.snapshot()]

    def page(self) -> list[Piece]:
        """The lattice with its controls, and what is known of each layer."""
        self.snapshot()
        assert self.data is not None
        if self.work is not None and self.work.data is None:
            self.work.data = self.work.read()
        by = {"layer": self.count}
        state = frames_of(self.data) | {"code": self._lattice_code(), "layer": self.at, "sample": self.sample.value}
        choose = [slider("layer", self.count - 1, self.at, self.layer.description)] * (self.count > 1)
        if "correlation" in self.data:  # else the figure beside it shows the samples against this one
            choose.append(entry("sample", self.lattice.samples - 1, self.sample.value, "sample"))
        changes = [plot(*self.each_layer(self._change_figure), by=by)] * (self.count > 1)
        return [
            row(*choose),
            text(*self.each_layer(self.describe), by=by),
            beside(lattice(state), plot(*self.each_layer(lambda: self.figure().update_layout(height=ALONE)), by=by)),
            *changes,
            text(self.message.value),
        ]

    def describe(self) -> str:
        if self.data is None:
            return ""
        note = ""
        if self.experiment.system.flip_symmetric and kind_of(self.data).signed:
            note = sign_words(self.data)
        return layer_line(self.data, self.at) + (f"<br><b>{escape(note)}</b>" if note else "")

    def update(self) -> bool:
        more = super().update()
        if self.work is not None and self.data is not None and self.work.look_up(self._drawn_step):
            with self.lock:
                self.changes.redraw(beside_a_lattice(self._change_figure()))
        return more

    def draw(self, _: Any = None) -> None:
        if not self.is_ready:
            return
        with self.lock:
            super().draw()
            self.changes.redraw(beside_a_lattice(self._change_figure()))

    def _lattice_code(self) -> str:
        layers = f"layers = {self.source}.layers({self.n}, seed={self.seed})"
        return f"{layers}\nfl.figures.configuration(layers, sample={{sample}}, layer={{layer}})"

    def _change_figure(self) -> Figure:
        found = self.data if self.work is None else self.work.data
        if found is None:
            found = blank_layers(self.experiment.system).assign_attrs(T=self.experiment.data.attrs.get("T"))
        if draws_in_levels(found):
            return level_entropy(found, self.at)
        return delta_free_energy(found, self.at)

    def arrived(self, data: xr.Dataset, *, first: bool) -> str:
        with self.lattice.widget.hold_sync():  # the picture comes when its controls are set
            return self._shown(data, first)

    def _shown(self, data: xr.Dataset, first: bool) -> str:
        self.lattice.redraw(data, code=self._lattice_code())
        self.sample.max = self.lattice.samples - 1
        self.layer.description = "level" if draws_in_levels(data) else "layer"
        data = data.isel(sample=slice(self.lattice.samples))
        alone = data.sizes["layer"] == 1
        self.changes.widget.layout.display = "none" if alone else None  # there is no change to show
        if alone or not first:
            return ""
        if draws_in_levels(data):
            self.sample.value = int(np.argmin(np.abs(data["magnetization"].values[-1])))
            return f"; sample {self.sample.value} has the smallest magnetization"
        self.sample.value = most_changed(data)
        if float(np.ptp(np.asarray(data["configuration"], dtype=float), axis=0).max()) == 0.0:
            return "; the layers change none of them"
        return f"; sample {self.sample.value} is the one that the layers change most"


def beside_a_lattice(figure: Figure) -> Figure:
    """Bars in half the width: layers go by their numbers, as on the slider, where names have no room."""
    names = [str(name) for name in figure.data[0].x]
    if len(names) > NAMED or any("±" in name for name in names):
        first = int("±" in "".join(names) or not names or names[0] == "1")
        texts = [str(k) for k in range(first, first + len(names))]
    else:
        texts = [name.replace(" and ", "<br>and ") for name in names]
    figure.update_xaxes(tickvals=names, ticktext=texts, tickangle=0, tickfont_size=10)
    title, _, gauge = str(figure.layout.title.text).partition(" · ")
    title = title.partition(":")[0] + (f"<br>{gauge}" if gauge else "")
    return figure.update_layout(height=BELOW, title_text=title, margin_t=62 if gauge else 44)


def most_changed(layers: xr.Dataset) -> int:
    """The sample with the most sites changed, over all layers; of a real field, the one with the largest changes."""
    x = np.asarray(layers["configuration"], dtype=float)
    changes = x[1:] != x[:-1] if kind_of(layers).discrete else (x[1:] - x[:-1]) ** 2
    return int(changes.sum(axis=(0, *range(2, x.ndim))).argmax())


def layer_line(layers: xr.Dataset, layer: int) -> str:
    """The layer's name, the bound of the flow that ends with it, and the exact value, as HTML.

    And where the density holds every other site only: the rest of what is on show is drawn given these.
    """
    bound = bound_per_site(layers)
    if draws_in_levels(layers) and layer < layers.sizes["layer"] - 1:
        there, n_sites = sites_drawn(layers)[: layer + 1].sum(), layers.attrs["n_sites"]
        return f"<b>{escape(layer_names(layers)[layer])}</b> · {there} of {n_sites} sites are drawn"
    text = f"{bound.name}: {number(bound.value[layer], bound.error[layer])}"
    if isfinite(bound.exact):
        text += f" · exact {number(bound.exact, digits=6)}"
    if "field" in layers and layers["field"].size < layers["configuration"].size:
        text += " · odd sites given even ones"
    return f"<b>{escape(layer_names(layers)[layer])}</b> · {escape(text)}"
