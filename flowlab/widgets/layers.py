"""Walking through the layers of a flow, while it trains too."""

from __future__ import annotations

import time
from html import escape
from math import isfinite, nan
from typing import TYPE_CHECKING, Any

import ipywidgets
import numpy as np
import xarray as xr

from flowlab.figures import Figure, layer_overview
from flowlab.figures.bound import bound_per_site
from flowlab.figures.layers import layer_names
from flowlab.figures.live_figure import LiveFigure
from flowlab.figures.style import number
from flowlab.widgets.panel import Panel, has_ended
from flowlab.widgets.publisher import Publisher

if TYPE_CHECKING:
    from flowlab.widgets.run import Run


class LayersPanel(Panel):
    """A configuration after each layer, with the magnetization and the correlation function of many.

    Args:
        experiment: the run.
        n: how many samples are drawn.
        every: seconds between looks at a run that is being followed.
        publisher: the thread that keeps the panel up to date; its own where None.

    Attributes:
        data: the Dataset on show, None before the first.
        layer, play, sample, new_samples, follow: the controls.
    """

    def __init__(
        self, experiment: Run, *, n: int = 500, every: float = 3.0, publisher: Publisher | None = None
    ) -> None:
        super().__init__(experiment, publisher)
        self.n, self.every, self.seed = n, every, 0
        self.data: xr.Dataset | None = None
        self._wanted, self._drawn_at, self._drawn_step = True, 0.0, -1
        narrow = {"description_width": "initial"}
        self.layer = ipywidgets.IntSlider(
            0, 0, 1, description="layer", disabled=True, style=narrow, layout={"width": "240px"}
        )
        self.play = ipywidgets.Play(0, 0, 1, interval=700, disabled=True, show_repeat=False)
        self._link = ipywidgets.jslink((self.play, "value"), (self.layer, "value"))
        self.sample = ipywidgets.BoundedIntText(
            0, min=0, max=n - 1, description="sample", style=narrow, layout={"width": "130px"}
        )
        self.new_samples = ipywidgets.Button(description="New samples", layout={"width": "110px"})
        self.follow = ipywidgets.Checkbox(False, description="follow training", indent=False, layout={"width": "140px"})
        self.line = ipywidgets.HTML(layout={"min_height": "28px"})
        self.live = LiveFigure(self._figure())
        controls = [self.play, self.layer, self.sample, self.new_samples, self.follow]
        row = ipywidgets.HBox(controls, layout={"align_items": "center", "flex_flow": "row wrap"})
        self.widget = ipywidgets.VBox([row, self.line, self.message, self.live.widget])
        self.layer.observe(self._draw, "value")
        self.sample.observe(self._draw, "value")
        self.new_samples.on_click(self._renew)
        self.follow.observe(lambda _: self.publisher.wake(), "value")
        self.say("no samples yet: working…")

    def update(self) -> bool:
        new_step = self.experiment.step != self._drawn_step
        due = self.follow.value and new_step and time.monotonic() - self._drawn_at >= self.every
        if self._wanted or due:
            self._wanted = False
            self._sample()
        return not has_ended(self.experiment) or (self.follow.value and new_step)

    def snapshot(self) -> Figure:
        """The layer and the sample on show; draws samples where there are none yet."""
        if self.data is None:
            self._sample()
        return self._figure()

    def _sample(self) -> None:
        self.say("working…")
        self._drawn_step, self._drawn_at = self.experiment.step, time.monotonic()
        data = self.experiment.layers(self.n, seed=self.seed)
        first = self.data is None
        with self.lock:
            self.data = data
            self._fit_controls(data)
            if first:
                self.sample.value = most_changed(data)
            self._draw()
        chosen = f"; sample {self.sample.value} is the one that the layers change most" if first else ""
        self.say(f"{data.sizes['sample']} samples drawn at step {data.attrs.get('step', self._drawn_step)}{chosen}")

    def _renew(self, _: Any = None) -> None:
        self.seed += 1
        self._wanted = True
        self.say("working…")
        self.publisher.wake()

    def _draw(self, _: Any = None) -> None:
        if self.data is None:
            return
        with self.lock:
            self.live.redraw(self._figure())
            self.line.value = layer_line(self.data, self.layer.value)

    def _figure(self) -> Figure:
        if self.data is None:
            return layer_overview(_blank(tuple(self.experiment.system.shape)))
        return layer_overview(self.data, self.sample.value, self.layer.value)

    def _fit_controls(self, data: xr.Dataset) -> None:
        last = data.sizes["layer"] - 1
        self.layer.max = self.play.max = max(last, 1)
        self.layer.disabled = self.play.disabled = last == 0
        if last == 0:
            self.layer.value = 0
        self.sample.max = data.sizes["sample"] - 1


def most_changed(layers: xr.Dataset) -> int:
    """The sample with the most sites changed, over all layers."""
    x = np.asarray(layers["configuration"], dtype=float)
    return int((x[1:] != x[:-1]).sum(axis=(0, 2, 3)).argmax())


def layer_line(layers: xr.Dataset, layer: int) -> str:
    """The layer's name, the bound of the flow that ends with it, and the exact value, as HTML."""
    bound = bound_per_site(layers)
    text = f"{bound.name} after this layer: {number(bound.value[layer], bound.error[layer])}"
    if isfinite(bound.exact):
        text += f" · exact {number(bound.exact, digits=6)}"
    return f"<b>{escape(layer_names(layers)[layer])}</b> · {escape(text)}"


def _blank(shape: tuple[int, ...]) -> xr.Dataset:
    """One layer of one sample that is not there yet."""
    half = shape[-1] // 2 + 1
    return xr.Dataset(
        {
            "configuration": (("layer", "sample", "y", "x"), np.full((1, 1, *shape), nan)),
            "magnetization": (("layer", "sample"), np.full((1, 1), nan)),
            "correlation": (("layer", "distance"), np.full((1, half), nan)),
            "log_z_bound": ("layer", [nan]),
        },
        coords={"layer_name": ("layer", ["no samples yet"]), "distance": np.arange(half)},
        attrs={"n_sites": int(np.prod(shape))},
    )
