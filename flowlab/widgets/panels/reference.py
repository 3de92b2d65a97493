"""What the panels share that hold samples after each layer against parallel tempering."""

from __future__ import annotations

import time
from abc import abstractmethod
from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple

import ipywidgets
import numpy as np
import xarray as xr

from flowlab.figures import Figure
from flowlab.figures.shared.bound import as_float
from flowlab.figures.shared.style import number
from flowlab.widgets.background import Background
from flowlab.widgets.panels.sampled import NARROW, SampledPanel, or_value
from flowlab.widgets.publisher import Publisher
from flowlab.widgets.saved import Piece, plot, text
from flowlab.widgets.words import doubtful, folded, quiet, wrong

if TYPE_CHECKING:
    from flowlab.widgets.run import Run

MOST = 10_000  # configurations of a reference that are looked at


class Measured(NamedTuple):
    """Samples, and what has been worked out from them."""

    data: xr.Dataset
    found: Any


class ReferencePanel(SampledPanel):
    """Samples after each layer beside ``experiment.reference``, at a temperature that a slider chooses.

    The reference is worked out in a thread of its own. A run without layers, such as parallel tempering itself, is its
    own reference and is shown alone.

    To write one: see :class:`SampledPanel`; ``measure`` is called outside the main thread, ``figure`` and ``describe``
    read ``self.model`` and ``self.reference``.

    Attributes:
        model, reference: what is on show, None before it is there.
        temperature: the slider.
        about: the line on the reference.
    """

    def __init__(self, experiment: Run, *, n: int, every: float, publisher: Publisher | None) -> None:
        self.has_layers = hasattr(experiment, "layers")
        self.model: Measured | None = None
        self.reference: Measured | None = None
        self._version, self._shown = 0, (np.nan, 0)
        self._references = Background(self._refer, lambda: self.publisher.wake())
        options = [float(T) for T in getattr(experiment, "temperatures", ())]
        own = as_float(experiment.data.attrs.get("T"))
        self.own_temperature = own if isfinite(own) else min(options, default=np.nan)
        nearest = min(options, key=lambda T: abs(T - self.own_temperature), default=self.own_temperature)
        self.temperature = ipywidgets.SelectionSlider(
            options=[(number(T, digits=4), T) for T in options or [nearest]], value=nearest, style=NARROW,
            description="tempering T", layout={"width": "240px"},
            continuous_update=False,
        )  # fmt: skip
        self.about = ipywidgets.HTML(layout={"min_height": "28px"})
        super().__init__(experiment, n=n, every=every, publisher=publisher)
        self.temperature.observe(self._turn, "value")
        if not self.has_layers:
            self.new_samples.description = "Look again"
            self.follow.description, self.follow.value = "follow the run", True
            self.say("")

    @property
    def controls(self) -> list[ipywidgets.Widget]:
        """The controls that this run has a use for."""
        layers = [or_value(self.layer, self.play, words="the samples themselves")] if self.has_layers else []
        return [*layers, or_value(self.temperature), self.new_samples, self.follow]

    @abstractmethod
    def measure(self, data: xr.Dataset) -> Any:
        """What is worked out from layers, or from a reference."""

    @property
    def is_ready(self) -> bool:
        return (self.model if self.has_layers else self.reference) is not None

    def prepare(self, data: xr.Dataset) -> None:
        self.model = Measured(data, self.measure(data))

    def update(self) -> bool:
        more = super().update()
        self._look_up()
        return more

    def sample_now(self) -> None:
        if self.has_layers:
            super().sample_now()
            return
        self._drawn_step, self._drawn_at = self.experiment.step, time.monotonic()
        self._version += 1
        self.say(f"as it is at step {self._drawn_step}")

    def snapshot(self) -> Figure:
        if self.reference is None:
            self.reference = self._refer(self._key)
        if self.has_layers and self.data is None:
            self.sample_now()
        return self.figure()

    def page(self) -> list[Piece]:
        picture = self.snapshot()
        parts = super().page() if self.has_layers else [text(self.describe()), plot(picture)]
        return [*parts, text(self.about.value)]

    @property
    def _key(self) -> tuple[float, int]:
        return float(self.temperature.value), self._version

    @property
    def is_up_to_date(self) -> bool:
        """Whether the reference on show is the one that is asked for."""
        return self._shown == self._key

    def titled(self, figure: Figure) -> Figure:
        """The figure, whose title says where model and reference are at different temperatures."""
        T, own = self._shown[0], self.own_temperature
        if self.has_layers and self.reference is not None and abs(T - own) > 1e-9 * own:
            model, other = number(own, digits=4), number(T, digits=4)
            figure.update_layout(title_text=f"model T = {model}, tempering T = {other} · {figure.layout.title.text}")
        return figure

    def _refer(self, key: tuple[float, int]) -> Measured | None:
        lookup = getattr(self.experiment, "reference", None)
        data = None if lookup is None or not isfinite(key[0]) else lookup(key[0])
        if data is None:
            return None
        stride = max(1, data.sizes["replica"] * data.sizes["sample"] // MOST)
        data = data.isel(sample=slice(None, None, stride))
        data = data.assign(configuration=data["configuration"].astype(np.int8))
        return Measured(data, self.measure(data))

    def _turn(self, _: Any) -> None:
        self._say_about()
        self.publisher.wake()

    def _look_up(self) -> None:
        """Show the reference that is asked for, where it has come; begin to work it out where it has not."""
        key = self._key
        if not self._references.is_ready(key):
            self._references.ask(key)
        elif key != self._shown:
            with self.lock:
                self.reference, self._shown = self._references.ask(key), key
                self.draw()
        self._say_about()

    def _say_about(self) -> None:
        key = self._key
        at = f"parallel tempering at T = {number(key[0], digits=4)}"
        error = self._references.error(key)
        if error is not None:
            soon = not self.has_layers and isinstance(error, ValueError)  # a run that has not measured enough yet
            text = (quiet if soon else wrong)(f"{at}: {error}")
        elif not self._references.is_ready(key):
            text = quiet(f"{at}: working…")
        elif self.reference is None:
            text = quiet("no parallel tempering to compare with")
        else:
            attrs = self.reference.data.attrs
            finding, _, reasons = str(attrs.get("thermalisation", "")).partition(": ")
            text = folded(f"{at}: {finding}", reasons, quiet if attrs.get("thermalised", 1) else doubtful)
        if self.about.value != text:
            with self.lock:
                self.about.value = text
