"""The same flow at another temperature, or another coupling of a field."""

from __future__ import annotations

import time
from math import isfinite
from typing import TYPE_CHECKING, Any

import ipywidgets
import xarray as xr

from flowlab.figures import Figure, training_overview
from flowlab.figures.shared.bound import as_float
from flowlab.runs.process import available_devices
from flowlab.widgets.controls import RunControls
from flowlab.widgets.panel import Panel, has_ended
from flowlab.widgets.panels.train import DRAW_EVERY, LIVE_POINTS
from flowlab.widgets.plot import Plot
from flowlab.widgets.publisher import Publisher

if TYPE_CHECKING:
    from flowlab.widgets.run import Run


COUPLINGS = {"T": "temperature T", "beta": "coupling β", "kappa": "coupling κ"}
"""Keys of studies that the slider may change, and what it calls them."""


class RetrainPanel(Panel):
    """Train on from these weights at a temperature (a field: a coupling) near its own, and compare the curves.

    Attributes:
        retrained: the runs that were started here, oldest first; each is an Experiment to go on with.
        coupling: the key of the study that the slider changes; empty where there is none.
        temperature, device, steps, button: the controls.
    """

    title = "Retrain"

    @classmethod
    def fits(cls, experiment: Run) -> bool:
        return hasattr(experiment, "layers")

    def __init__(self, experiment: Run, publisher: Publisher | None = None) -> None:
        super().__init__(experiment, publisher)
        self.retrained: list[Run] = []
        self._request: dict[str, Any] | None = None
        data = experiment.data
        keys = getattr(experiment, "keys", {})
        values = {key: as_float(keys.get(key)) for key in COUPLINGS} | {"T": as_float(data.attrs.get("T"))}
        if "beta" in keys and not isfinite(values["kappa"]):
            values["beta"] = 2 * as_float(data.attrs.get("kappa"))
        self.coupling = next((key for key in COUPLINGS if isfinite(values[key])), "")
        known = bool(self.coupling)
        T = values[self.coupling] if known else 1.0
        style = {"description_width": "initial"}
        self.temperature = ipywidgets.FloatSlider(
            T, min=0.7 * T, max=1.4 * T, step=T / 200, readout_format=".4f",
            description=COUPLINGS.get(self.coupling, "temperature T"), continuous_update=False, disabled=not known,
            style=style, layout={"width": "340px"},
        )  # fmt: skip
        here = str(experiment.device).split(":")[0]
        self.device = ipywidgets.Dropdown(
            options=list(dict.fromkeys([here, *available_devices()])), value=here, description="device", style=style,
            layout={"width": "150px"},
        )  # fmt: skip
        self.steps = ipywidgets.BoundedIntText(
            experiment.steps, min=1, max=10_000_000, description="steps", style=style, layout={"width": "140px"}
        )
        self.button = ipywidgets.Button(
            description="Retrain", button_style="primary", disabled=not known, layout={"width": "96px"},
            tooltip="start a new run from these weights; the run above stays as it is",
        )  # fmt: skip
        self.button.on_click(self._ask)
        self.controls = RunControls(None, wake=self.publisher.wake, say=self.say, names=("Pause", "Resume", "Stop"))
        self.live = Plot(training_overview(data, points=LIVE_POINTS))
        self._shown: object = None
        self._drawn_at = 0.0
        row = ipywidgets.HBox(
            [self.temperature, self.device, self.steps, self.button],
            layout={"align_items": "center", "flex_flow": "row wrap"},
        )
        self.widget = ipywidgets.VBox([row, self.controls.widget, self.message, self.live.widget])
        if not known:
            self.say("this run has no temperature or coupling to change")

    @property
    def current(self) -> Run | None:
        """The newest run that was started here."""
        return self.retrained[-1] if self.retrained else None

    def update(self) -> bool:
        if self._request is not None:
            request, self._request = self._request, None
            self._retrain(request)
        current = self.current
        ended = all(has_ended(run) for run in (self.experiment, *self.retrained[-1:]))  # before what is shown is read
        with self.lock:
            if current is not None:
                self.controls.show(current.data)
            self.button.disabled = self.temperature.disabled or (
                current is not None and current.state in ("running", "paused")
            )
        settled = current is None or current.state != "running"
        if (shown := self._key()) != self._shown and (settled or time.monotonic() - self._drawn_at > DRAW_EVERY):
            figure = training_overview(*self._runs(), points=LIVE_POINTS)
            with self.lock:
                self.live.redraw(figure)
            self._shown, self._drawn_at = shown, time.monotonic()
        if current is not None and current.error is not None:
            self.say(current.error)
        return not ended

    def snapshot(self) -> Figure:
        """The newest curve over those before it."""
        return training_overview(*self._runs())

    def _ask(self, _: Any = None) -> None:
        self.button.disabled = True
        self._request = dict(steps=self.steps.value, device=self.device.value)
        self._request[self.coupling] = self.temperature.value
        self.say("working: taking over the weights…")
        self.publisher.wake()

    def _retrain(self, request: dict[str, Any]) -> None:
        run = self.experiment.at(**request)
        run.start()
        self.retrained.append(run)
        self.controls.experiment = run
        where = f"{COUPLINGS[self.coupling].split()[-1]} = {request[self.coupling]:.4f}"
        self.say(f"training at {where} from the weights of step {self.experiment.step}")

    def _runs(self) -> list[xr.Dataset]:
        return [run.data for run in (*self.retrained[::-1], self.experiment)]

    def _key(self) -> tuple[int, ...]:
        return tuple(run.step for run in (self.experiment, *self.retrained))
