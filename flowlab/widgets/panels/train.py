"""Training as it happens."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import ipywidgets

from flowlab.figures import Figure, configuration, tempering_overview, training_overview
from flowlab.figures.chains import chain_overview
from flowlab.widgets.controls import RunControls
from flowlab.widgets.panel import Panel, has_ended
from flowlab.widgets.panels.sampled import blank_layers, in_a_row
from flowlab.widgets.plot import Plot
from flowlab.widgets.publisher import Publisher
from flowlab.widgets.saved import Piece, beside, plot, strip, text
from flowlab.widgets.strip import Strip
from flowlab.widgets.verdict import VerdictLine

if TYPE_CHECKING:
    import xarray as xr

    from flowlab.widgets.run import Run

LIVE_POINTS = 500
SAMPLES, SIDE, SAMPLE_EVERY = 4, 250, 3.0
"""Samples that are drawn for the picture, its pixels, and seconds between two while the run trains."""
DRAW_EVERY = 0.5  # seconds between curves, so that drawing takes little from training


class TrainPanel(Panel):
    """The bound against the exact value, the effective sample size, speed and time left; Start, Pause, Resume, Stop.

    Of parallel tempering: energies and specific heats at all temperatures, and how many swaps are accepted. Of other
    chains: the energy or action, the magnetization and the acceptance as they go.

    Beside the curves of a model stands a sample of it, from the first step on.

    Where the run stands still a line says whether its numbers may be believed, and why. What stops the training thread
    is shown beneath.
    """

    title = "Train"

    def __init__(self, experiment: Run, publisher: Publisher | None = None) -> None:
        super().__init__(experiment, publisher)
        self.title = "Train" if hasattr(experiment, "layers") else "Run"
        self.sentence = _sentence(experiment.data)
        self.controls = RunControls(experiment, wake=self.publisher.wake, say=self.say)
        data = experiment.data
        self.live = Plot(overview(data))
        self.verdict = VerdictLine(experiment, self.publisher.wake)
        self._shown, self._drawn_at = data.sizes["step"], 0.0
        self.sample: Strip | None = None
        self._sampled, self._sampled_at, self._took = -1, 0.0, 0.0
        if hasattr(experiment, "layers"):
            self.sample = Strip(_picture(blank_layers(experiment.system), "no sample yet"), side=SIDE)
        self.controls.show(data)
        curves = self.live.widget
        row = curves if self.sample is None else in_a_row(self.sample.widget, curves, f"{SIDE + 16}px")
        self.widget = ipywidgets.VBox([self.controls.widget, row, self.verdict.widget, self.message])

    def update(self) -> bool:
        more = not has_ended(self.experiment)  # asked before what is shown, which is then not older than the answer
        settled = self.experiment.state != "running"
        data = self.experiment.data
        with self.lock:
            self.controls.show(data)
            more = self.verdict.update() or more
        if data.sizes["step"] != self._shown and (settled or time.monotonic() - self._drawn_at > DRAW_EVERY):
            figure = overview(data)
            with self.lock:
                self.live.redraw(figure)
            self._shown, self._drawn_at = data.sizes["step"], time.monotonic()
        if self.experiment.error is not None:
            self.say(self.experiment.error)
        if self.sample is not None:
            self._draw_sample(self.sample, settled)
        return more

    def _draw_sample(self, shown: Strip, settled: bool) -> None:
        """Draw anew from the same random numbers where the run has moved on; most of the time belongs to training."""
        step, rest = self.experiment.step, max(SAMPLE_EVERY, 5 * self._took)
        if step == self._sampled or not (settled or time.monotonic() - self._sampled_at > rest):
            return
        self._sampled_at = time.monotonic()
        figure = _picture(self.experiment.layers(SAMPLES, seed=0), f"a sample at step {step}")
        with self.lock:
            shown.redraw(figure)
        self._sampled, self._took = step, time.monotonic() - self._sampled_at

    def code(self) -> str:
        if not hasattr(self.experiment, "layers"):
            return super().code()
        return f"data = {self.source}.data\nfl.figures.training_overview(data)"

    def snapshot(self) -> Figure:
        """The curves as they are now."""
        return overview(self.experiment.data)

    def page(self) -> list[Piece]:
        """The state, the numbers, the verdict and the curves, from the first step on beside a sample."""
        if self.sample is not None and self.experiment.step:
            self._draw_sample(self.sample, settled=True)
        with self.lock:
            self.controls.show(self.experiment.data)
            lines = [self.controls.status.value, self.controls.numbers.value]
            if self.verdict.known:
                lines.append(self.verdict.widget.value)
        curves = plot(self.snapshot())
        if self.sample is not None and self._sampled >= 0:
            curves = beside(strip(self.sample.figure, side=SIDE), curves)
        return [*map(text, lines), curves]


def _picture(layers: xr.Dataset, title: str) -> Figure:
    """The first sample, as it comes out."""
    figure = configuration(layers.isel(layer=[-1])).update_layout(title_text=title)
    return figure.update_traces(showscale=False, selector={"type": "heatmap"})


def _sentence(data: xr.Dataset) -> str:
    if "log_z_bound" in data:
        return "The curve is a bound: training moves it towards the exact answer, dashed, and it may not cross it."
    if "temperature" in data:
        return "A chain at each temperature; neighbours swap configurations, which make round trips from cold to hot."
    return "Markov chains as they go: what they say is worth something once it has stopped to drift."


def overview(data: xr.Dataset) -> Figure:
    """What there is to see of a run: training, parallel tempering, or other chains."""
    if "log_z_bound" in data:
        return training_overview(data, points=LIVE_POINTS)
    return (tempering_overview if "energy" in data else chain_overview)(data, points=LIVE_POINTS)
