"""What the panels share that look at samples after each layer."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable
from html import escape
from math import nan
from typing import TYPE_CHECKING, Any, TypeVar

import ipywidgets
import numpy as np
import xarray as xr

from flowlab.figures import Figure
from flowlab.widgets.panel import Panel, has_ended
from flowlab.widgets.plot import Plot
from flowlab.widgets.publisher import Publisher
from flowlab.widgets.saved import Piece, plot, row, slider, text
from flowlab.widgets.words import explained

if TYPE_CHECKING:
    from flowlab.widgets.run import Run

Shown = TypeVar("Shown")
PLAY = {"width": "84px"}
NARROW = {"description_width": "initial"}
ROW = {"align_items": "center", "flex_flow": "row wrap"}


class SampledPanel(Panel):
    """A picture of samples after one layer: a slider with Play, New samples, and following a run that trains.

    To write one: build ``self.widget`` from ``self.controls``, ``self.line``, ``self.message`` and
    ``self.live.widget``, and give ``figure`` and ``describe``; ``prepare`` is called by the publisher's thread.

    Args:
        experiment: the run.
        n: how many samples are drawn.
        every: seconds between looks at a run that is being followed.
        publisher: the thread that keeps the panel up to date; its own where None.

    Attributes:
        data: the Dataset on show, None before the first.
        layer, play, new_samples, follow: the controls.
    """

    _at: int | None

    def __init__(self, experiment: Run, *, n: int, every: float, publisher: Publisher | None) -> None:
        super().__init__(experiment, publisher)
        self.n, self.every, self.seed = n, every, 0
        self.data: xr.Dataset | None = None
        self._wanted, self._drawn_at, self._drawn_step = True, 0.0, -1
        self._drawn, self._at, self._took = "", None, 0.0
        self.layer = ipywidgets.IntSlider(
            0, 0, 1, description="layer", disabled=True, style=NARROW, layout={"width": "200px"}
        )
        self.play = ipywidgets.Play(0, 0, 1, interval=700, disabled=True, show_repeat=False, layout=PLAY)
        self._link = ipywidgets.jslink((self.play, "value"), (self.layer, "value"))
        self.new_samples = ipywidgets.Button(description="New samples", layout={"width": "110px"})
        self.follow = ipywidgets.Checkbox(False, description="follow training", indent=False, layout={"width": "120px"})
        self.line = ipywidgets.HTML(layout={"min_height": "28px"})
        self.live = self.view(self.figure())
        self.layer.observe(self.draw, "value")
        self.new_samples.on_click(self._renew)
        self.follow.observe(lambda _: self.publisher.wake(), "value")
        self.say("no samples yet: working…")

    @property
    def is_ready(self) -> bool:
        """Whether there is something to show."""
        return self.data is not None

    @property
    def at(self) -> int:
        """The layer on show."""
        return int(self.layer.value) if self._at is None else self._at

    @property
    def count(self) -> int:
        """How many layers there are to choose from."""
        return 1 if self.layer.disabled else int(self.layer.max) + 1

    def each_layer(self, show: Callable[[], Shown]) -> list[Shown]:
        """What ``show`` gives at every layer that the slider has."""
        with self.lock:
            found = []
            try:
                for layer in range(self.count):
                    self._at = layer
                    found.append(show())
            finally:
                self._at = None
        return found

    def page(self) -> list[Piece]:
        """The slider, and a line and a picture for each layer."""
        self.snapshot()
        layers = {"layer": self.count}
        controls = [row(slider("layer", self.count - 1, self.at, self.layer.description))] * (self.count > 1)
        picture = self.piece(self.each_layer(self.figure), by=layers)
        return [*controls, text(*self.each_layer(self.describe), by=layers), picture, text(self.message.value)]

    @abstractmethod
    def figure(self) -> Figure:
        """What is on show; called before there is any ``data`` too."""

    @abstractmethod
    def describe(self) -> str:
        """The line above the picture, as HTML."""

    def view(self, figure: Figure) -> Any:
        """What shows the picture: a Plot or a Strip."""
        return Plot(figure)

    def piece(self, figures: list[Figure], by: dict[str, int]) -> Piece:
        """What shows the picture on a saved page."""
        return plot(*figures, by=by)

    def prepare(self, data: xr.Dataset) -> None:
        """What takes its time with new samples, before they are shown."""

    def layers_of(self, data: xr.Dataset) -> int:
        """How many layers there are to choose from in new samples."""
        return data.sizes["layer"]

    def arrived(self, data: xr.Dataset, *, first: bool) -> str:
        """New samples are about to be shown: set controls that depend on them; what to add to the message."""
        return ""

    def update(self) -> bool:
        ended = has_ended(self.experiment)  # before the step that is drawn is read
        new_step = self.experiment.step != self._drawn_step
        rest = max(self.every, 5 * self._took)  # most of the time belongs to training
        due = self.follow.value and new_step and time.monotonic() - self._drawn_at >= rest
        if self._wanted or due:
            self._wanted = False
            self.sample_now()
        elif new_step and ended and self.data is not None:
            self.sample_now()  # the end of a run is what is looked at afterwards
        elif new_step and self.data is not None:
            self.say(f"{self._drawn} · the run is at step {self.experiment.step} now")
        return not ended or (self.follow.value and self.experiment.step != self._drawn_step)

    def snapshot(self) -> Figure:
        """What is on show, as a static figure; draws samples where there are none yet."""
        if self.data is None:
            self.sample_now()
        return self.figure()

    def stills(self) -> list[Figure]:
        return [self.live.figure]

    def sample_now(self) -> None:
        """Draw samples from the present weights and show them."""
        self.say("working…")
        self._drawn_step, self._drawn_at = self.experiment.step, time.monotonic()
        data = self.experiment.layers(self.n, seed=self.seed)
        self.prepare(data)
        with self.lock:
            first = self.data is None
            self._fit_layers(self.layers_of(data) - 1)
            if first and not self.layer.disabled:
                self.layer.value = self.layer.max  # the samples themselves; before a hand finds something to move
            more = self.arrived(data, first=first)
            self.data = data  # from now on there is something to draw, once
            self.draw()
        self._took = time.monotonic() - self._drawn_at
        self._drawn = f"{data.sizes['sample']} samples drawn at step {data.attrs.get('step', self._drawn_step)}{more}"
        self.say(self._drawn)

    def draw(self, _: Any = None) -> None:
        """Show what is there, for the controls as they are."""
        if not self.is_ready:
            return
        with self.lock:
            self.live.redraw(self.figure())
            self.line.value = explained(self.describe())

    def _renew(self, _: Any = None) -> None:
        self.seed += 1
        self._wanted = True
        self.say("working…")
        self.publisher.wake()

    def _fit_layers(self, last: int) -> None:
        self.layer.max = self.play.max = max(last, 1)
        self.layer.disabled = self.play.disabled = last == 0
        if last == 0:
            self.layer.value = 0


def or_value(control: ipywidgets.Widget, *others: ipywidgets.Widget, words: str = "") -> ipywidgets.HBox:
    """A slider or a choice, and what belongs to it; while there is one value only, that as text in their place.

    Args:
        control: a choice, or a slider that is disabled while there is one value.
        others: shown where there is more than one, before the control.
        words: said in place of the value.
    """
    text = ipywidgets.HTML(layout={"margin": "0 12px 0 4px"})
    parts = [*others, control]

    def tell(_: Any = None) -> None:
        alone = control.disabled if not hasattr(control, "options") else len(control.options) < 2
        value = getattr(control, "label", None) or control.value
        text.value = escape(words or f"{control.description}: {value}" if control.description else str(value))
        for part in parts:
            part.layout.display = "none" if alone else None
        text.layout.display = None if alone else "none"

    control.observe(tell, ["disabled", "options", "_options_labels", "value", "description"])
    tell()
    flex = {"flex": control.layout.flex} if control.layout.flex else {}
    return ipywidgets.HBox([*parts, text], layout={"align_items": "center", "overflow": "visible", **flex})


def in_a_row(picture: ipywidgets.Widget, figure: ipywidgets.Widget, width: str = "350px") -> ipywidgets.HBox:
    """A picture of fixed width, and a figure that takes what is left."""
    picture.layout = {"flex": f"0 0 {width}"}
    figure.layout = {"flex": "1 1 0", "min_width": "0", "overflow": "visible"}
    return ipywidgets.HBox([picture, figure], layout={"width": "100%"})


def blank_layers(system: Any) -> xr.Dataset:
    """One layer of one sample of a system that is not there yet."""
    shape, dims = tuple(system.shape), tuple(system.dims)
    blank = xr.Dataset(
        {
            "configuration": (("layer", "sample", *dims), np.full((1, 1, *shape), nan)),
            "magnetization": (("layer", "sample"), np.full((1, 1), nan)),
            "log_z_bound": ("layer", [nan]),
        },
        coords={"layer_name": ("layer", ["no samples yet"])},
        attrs={"n_sites": int(np.prod(shape)), **system.variables.describe()},
    )
    if dims == ("site",):
        return blank
    half = shape[-1] // 2 + 1
    return blank.assign(correlation=(("layer", "distance"), np.full((1, half), nan)), distance=np.arange(half))
