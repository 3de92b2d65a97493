"""From coarse to fine: the field as it is refined, and the couplings as they are learned."""

from __future__ import annotations

import time
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets
import numpy as np
import xarray as xr

from flowlab.figures import Figure
from flowlab.figures.refinement import learned_couplings, moments, refinement_strip, time_of
from flowlab.widgets.panels.sampled import NARROW, ROW, SampledPanel, or_value
from flowlab.widgets.plot import Plot
from flowlab.widgets.publisher import Publisher
from flowlab.widgets.saved import Piece, plot, strip
from flowlab.widgets.strip import Strip

if TYPE_CHECKING:
    from flowlab.widgets.run import Run

LIVE_POINTS = 500
LOOK: dict[str, Any] = {"side": 230, "across": 4}
DRAW_EVERY = 0.5  # seconds between curves, so that drawing takes little from training


class RefinementPanel(SampledPanel):
    """A coarse field, upsampled, with noise and flowed, with a slider over the time of the flow.

    Beneath, the hopping parameters of both lattices and the strength of the noise as they are learned.

    Args:
        experiment: a run whose density refines coarse fields.
        n: how many samples are drawn.
        every: seconds between looks at a run that is being followed.
        publisher: the thread that keeps the panel up to date; its own where None.

    Attributes:
        data: the Dataset on show, None before the first.
        layer: the slider over the time of the flow, through all doublings of the lattice.
        play, sample, new_samples, follow: the other controls.
        couplings: the live figure of the couplings.

    Raises:
        TypeError: for a run that refines no coarse fields.
    """

    title = "Refinement"
    sentence = "A coarse field is copied onto a finer lattice, noise is added, and the flow makes a field of it."

    @classmethod
    def fits(cls, experiment: Run) -> bool:
        return refines(experiment)

    def __init__(self, experiment: Run, *, n: int = 16, every: float = 3.0, publisher: Publisher | None = None) -> None:
        if not refines(experiment):
            raise TypeError(f"this panel needs a density of refined coarse fields, got {experiment.system.title}")
        self.sample = ipywidgets.BoundedIntText(
            0, min=0, max=n - 1, description="sample", style=NARROW, layout={"width": "130px"}
        )
        super().__init__(experiment, n=n, every=every, publisher=publisher)
        self.layer.description, self.layer.readout = "time", False  # the line beneath says which
        self.couplings = Plot(learned_couplings(experiment.data, points=LIVE_POINTS))
        self._steps_shown, self._curves_at = experiment.data.sizes["step"], 0.0
        controls = [or_value(self.layer, self.play), self.sample, self.new_samples, self.follow]
        row = ipywidgets.HBox(controls, layout=ROW)
        self.widget = ipywidgets.VBox([row, self.line, self.live.widget, self.couplings.widget, self.message])
        self.sample.observe(self.draw, "value")

    def page(self) -> list[Piece]:
        return [*super().page(), plot(learned_couplings(self.experiment.data, points=LIVE_POINTS))]

    def figure(self) -> Figure:
        if self.data is None:
            blank = refinement_strip(_blank(self.experiment.system))
            return blank.update_layout(annotations=[], title_text="no samples yet")
        return refinement_strip(self.data, self.sample.value, self.at)

    def view(self, figure: Figure) -> Any:
        return Strip(figure, **LOOK) if self._has_heat_maps else super().view(figure)

    def piece(self, figures: list[Figure], by: dict[str, int]) -> Piece:
        return strip(*figures, by=by, **LOOK) if self._has_heat_maps else super().piece(figures, by)

    @property
    def _has_heat_maps(self) -> bool:
        return len(self.experiment.system.shape) > 1  # on a line fields are curves

    def describe(self) -> str:
        if self.data is None:
            return ""
        level, layer = moments(self.data)[self.at]
        doing = {level.noise: "upsampled, with noise", level.flow[-1]: "the refined field"}.get(layer, "on its way")
        return f"<b>{escape(time_of(self.data, self.at))}</b> · {doing}"

    def update(self) -> bool:
        more = super().update()
        data = self.experiment.data
        settled = self.experiment.state != "running"
        if data.sizes["step"] != self._steps_shown and (settled or time.monotonic() - self._curves_at > DRAW_EVERY):
            figure = learned_couplings(data, points=LIVE_POINTS)
            with self.lock:
                self.couplings.redraw(figure)
            self._steps_shown, self._curves_at = data.sizes["step"], time.monotonic()
        return more

    def layers_of(self, data: xr.Dataset) -> int:
        return len(moments(data))

    def arrived(self, data: xr.Dataset, *, first: bool) -> str:
        self.sample.max = data.sizes["sample"] - 1
        return ""


def refines(experiment: Run) -> bool:
    """Whether a run's density makes its fields from those of a coarse lattice.

    >>> from types import SimpleNamespace
    >>> refines(SimpleNamespace(density=None))
    False
    """
    return getattr(getattr(experiment, "density", None), "refines", False)


def _blank(system: Any) -> xr.Dataset:
    """A field that is zero everywhere, so that the picture has its axes before there are samples."""
    return xr.Dataset(
        {"configuration": (("layer", "sample", *system.dims), np.zeros((3, 1, *system.shape)))},
        coords={
            "layer_name": ("layer", ["coarse", "noise", "t = 1"]),
            "layer_kind": ("layer", ["level", "level", "time"]),
        },
    )
