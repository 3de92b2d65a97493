"""The overlap distribution on its way through the layers, beside parallel tempering."""

from __future__ import annotations

from html import escape
from math import isfinite, nan
from typing import TYPE_CHECKING

import ipywidgets
import xarray as xr

from flowlab.analysis import measure_overlaps
from flowlab.analysis.measurements import mode_collapse, total_variation
from flowlab.figures import Figure, overlap_distribution
from flowlab.figures.shared.style import number
from flowlab.widgets.panels.reference import Measured, ReferencePanel
from flowlab.widgets.panels.sampled import ROW, blank_layers
from flowlab.widgets.publisher import Publisher
from flowlab.widgets.saved import Piece, text
from flowlab.widgets.words import doubtful, folded, quiet, small_table

if TYPE_CHECKING:
    from flowlab.widgets.run import Run

WAITING = "comparing with parallel tempering: working…"


class OverlapsPanel(ReferencePanel):
    """P(q) after each layer, of parallel tempering at a temperature of choice and, for few spins, exact.

    Beneath the controls: Binder cumulant, peak of P(|q|), total variation to parallel tempering, and whether the model
    has lost valleys.

    Args:
        experiment: the run.
        n: how many samples are drawn.
        every: seconds between looks at a run that is being followed.
        publisher: the thread that keeps the panel up to date; its own where None.

    Attributes:
        data: the Dataset on show, None before the first.
        layer, play, temperature, new_samples, follow: the controls.
        line, verdict: the numbers of this layer, and the verdict on the whole model.
    """

    title = "Overlaps"
    sentence = "Two copies of the system overlap by q: valleys are peaks of P(q), and a model that lost one lacks them."

    @classmethod
    def fits(cls, experiment: Run) -> bool:
        return bool(experiment.system.disordered)

    def __init__(
        self, experiment: Run, *, n: int = 2000, every: float = 3.0, publisher: Publisher | None = None
    ) -> None:
        self.verdict = ipywidgets.HTML(quiet(WAITING), layout={"min_height": "28px"})
        self._judged: tuple[object, object] = (None, None)
        super().__init__(experiment, n=n, every=every, publisher=publisher)
        row = ipywidgets.HBox(self.controls, layout=ROW)
        verdict_line = [self.verdict] if self.has_layers else []
        self.widget = ipywidgets.VBox([row, self.line, self.live.widget, *verdict_line, self.about, self.message])

    def measure(self, data: xr.Dataset) -> xr.Dataset:
        return measure_overlaps(data)

    def update(self) -> bool:
        more = super().update()
        if self.has_layers:
            self._judge()
        return more

    def page(self) -> list[Piece]:
        pieces = super().page()
        if self.model is None:
            return pieces
        return [*pieces, text(verdict(self.model, self.reference, self.own_temperature))]

    def figure(self) -> Figure:
        known = None if self.reference is None else self.reference.found
        if not self.has_layers:
            return overlap_distribution(None, reference=known)
        model = measure_overlaps(blank_layers(self.experiment.system)) if self.model is None else self.model.found
        return self.titled(overlap_distribution(model, min(self.at, model.sizes["layer"] - 1), known))

    def describe(self) -> str:
        known = None if self.reference is None else self.reference.found
        rows = [] if known is None else [_numbers("parallel tempering", known)]
        if self.model is not None:
            here = self.model.found.isel(layer=self.at)
            distance, noise = (nan, nan) if known is None else total_variation(here, known)
            apart = f"{distance:.3f} (noise alone {noise:.3f})" if isfinite(distance) else ""
            rows = [[*_numbers(str(here["layer_name"].item()), here), apart], *rows]
        return small_table(["Binder cumulant", "peak of P(|q|)", "total variation"], rows)

    def _judge(self) -> None:
        """Put the verdict on the last layer into words, once for each pair of model and reference."""
        model, reference = self.model, self.reference
        if model is None or not self.is_up_to_date or (model is self._judged[0] and reference is self._judged[1]):
            return
        self._judged = (model, reference)
        with self.lock:
            self.verdict.value = quiet(WAITING)
        text = verdict(model, reference, self.own_temperature)
        with self.lock:
            self.verdict.value = text


def verdict(model: Measured, reference: Measured | None, T: float) -> str:
    """Whether the last layer has lost valleys that the reference at the same temperature T has, as HTML."""
    if reference is None:
        return quiet("no verdict without parallel tempering")
    if abs(float(reference.data.attrs["T"]) - T) > 1e-9 * T:
        return quiet(f"the verdict on the model needs parallel tempering at its own T = {number(T, digits=4)}")
    try:
        found = mode_collapse(model.data, reference.data)
    except ValueError as error:
        return quiet(f"no verdict: {error}")
    finding, _, reasons = found.text.partition(": ")
    return folded(finding, reasons, doubtful if found.collapsed else lambda words: f"<b>{escape(words)}</b>")


def _numbers(name: str, found: xr.Dataset) -> list[str]:
    """A row: the name, the Binder cumulant and the peak of P(|q|)."""
    return [name, *(number(float(found[v]), float(found[f"{v}_error"])) for v in ("overlap_binder", "overlap_peak"))]
