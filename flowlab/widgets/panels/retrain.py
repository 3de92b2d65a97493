"""The same flow at another temperature, or another coupling of a field."""

from __future__ import annotations

import time
from html import escape
from math import isfinite
from typing import TYPE_CHECKING, Any

import ipywidgets
import numpy as np
import xarray as xr

from flowlab.figures import Figure, training_overview
from flowlab.figures.shared.bound import as_float, bound_per_site
from flowlab.figures.shared.style import number
from flowlab.figures.training import family
from flowlab.runs.process import available_devices
from flowlab.runs.summary import evaluated
from flowlab.widgets.background import Background
from flowlab.widgets.controls import RunControls, numbers_html
from flowlab.widgets.panel import Panel, has_ended
from flowlab.widgets.panels.dial import transition_of
from flowlab.widgets.panels.sampled import or_value
from flowlab.widgets.panels.train import DRAW_EVERY, LIVE_POINTS
from flowlab.widgets.plot import Plot
from flowlab.widgets.publisher import Publisher
from flowlab.widgets.saved import Piece, choice, plot, row, text
from flowlab.widgets.words import explained, quiet, said, wrong

if TYPE_CHECKING:
    from flowlab.widgets.run import Run


KNOWN_DRAWS = 2000
"""Draws that say what a model of many couplings knows at one of them, and what a run that goes on there adds."""
FEW = 50
"""Steps that such a run is offered."""
COUPLINGS = {"T": "temperature T", "beta": "coupling β", "kappa": "coupling κ"}
"""Keys of studies that the slider may change, and what it calls them."""


class Family:
    """The runs that were started from one, oldest first, where each began and what it is called.

    Args:
        first: the run that all began from, number -1.
        coupling: the key that they differ in; own: its value in the first.

    Attributes:
        runs: the others by number; at: the coupling of each; parents: the number of the run whose weights it took.
        names: those that were given, by number.
    """

    def __init__(self, first: Run, coupling: str, own: float) -> None:
        self.first, self.coupling, self.own = first, coupling, own
        self.runs: list[Run] = []
        self.at: list[float] = []
        self.parents: list[int] = []
        self.names: dict[int, str] = {}

    def name(self, k: int) -> str:
        """What a run is called."""
        return self.names.get(k) or ("this run" if k < 0 else f"run {k + 1}")

    def where(self, k: int) -> str:
        """The coupling of a run, in words."""
        if not self.coupling:
            return "the same coupling"
        symbol = COUPLINGS.get(self.coupling, self.coupling).split()[-1]
        return f"{symbol} = {self.own if k < 0 else self.at[k]:.4g}"

    def options(self) -> list[tuple[str, int]]:
        """Every run under its name, to be chosen."""
        return [(f"{self.where(k)}, {self.name(k)}", k) for k in range(-1, len(self.at))]

    def tree(self) -> str:
        """The runs under those that they began from, with their last ESS, as HTML; empty before there is one."""
        if not self.runs:
            return ""
        runs, parents = {-1: self.first} | dict(enumerate(self.runs)), dict(enumerate(self.parents))

        def lines(k: int, depth: int) -> list[str]:
            ess = runs[k].data["ess"].values[-20:]
            text = escape(f"{self.where(k)} · {self.name(k)}") + (f" · {runs[k].state}" if k >= 0 else "")
            text += f" · ESS {number(float(np.nanmean(ess)), digits=3)}" if np.isfinite(ess).any() else ""
            found = [f"<div style='padding-left:{20 * depth}px'>{'└ ' if depth else ''}{text}</div>"]
            return found + [line for child, of in parents.items() if of == k for line in lines(child, depth + 1)]

        return "".join(lines(-1, 0))

    def relatives(self, slider: ipywidgets.FloatSlider) -> xr.Dataset:
        """Each run's ESS at its coupling and whose weights it began with, as ``figures.training.family`` draws it."""
        kin = list(zip(self.runs, self.at, self.parents, strict=False))  # the newest may just be coming
        last = [run.data["ess"].values[-20:] for run in (self.first, *(run for run, *_ in kin))]
        known = [values[np.isfinite(values)] for values in last]
        ess = [float(values.mean()) if len(values) else np.nan for values in known]
        error = [float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else np.nan for values in known]
        coupling = [self.own, *(value for _, value, _ in kin)]
        parents = [-1, *(parent + 1 for *_, parent in kin)]
        critical = transition_of(self.first.system, self.coupling)
        return xr.Dataset(
            {"ess": ("run", ess), "ess_error": ("run", error), "parent": ("run", parents)},
            {"coupling": ("run", coupling), "name": ("run", [self.name(k - 1) for k in range(len(coupling))])},
            {
                "symbol": slider.description, "critical": np.nan if critical is None else critical,
                "least": slider.min, "most": slider.max,
            },
        )  # fmt: skip

    def data(self) -> list[xr.Dataset]:
        """The records of all, the newest first, under the names that were given."""
        runs = dict(enumerate(self.runs)) | {-1: self.first}
        named = [(run.data, self.names.get(k)) for k, run in sorted(runs.items(), reverse=True)]
        return [data.assign_attrs(legend=name) if name else data for data, name in named]

    def state(self) -> tuple[object, ...]:
        """What changes where there is more to draw."""
        return (*(run.step for run in (self.first, *self.runs)), *self.names.items())


def _reach(experiment: Run, over: dict[str, tuple[float, float]]) -> tuple[str, float, tuple[float, float]]:
    """Which key the slider changes, empty for none, its value in the run, and how far the slider goes."""
    if over:
        coupling, (low, high) = next(iter(over.items()))
        return coupling, min(high, max(low, experiment.target.value_of(coupling))), (low, high)
    data, keys = experiment.data, getattr(experiment, "keys", {})
    values = {key: as_float(keys.get(key)) for key in COUPLINGS} | {"T": as_float(data.attrs.get("T"))}
    if "beta" in keys and not isfinite(values["kappa"]):
        values["beta"] = 2 * as_float(data.attrs.get("kappa"))
    coupling = next((key for key in COUPLINGS if isfinite(values[key])), "")
    own = values[coupling] if coupling else 1.0
    return coupling, own, (0.7 * own, 1.4 * own)


class RetrainPanel(Panel):
    """Train on from these weights at a temperature (a field: a coupling) near its own, and compare the curves.

    A run over a range of couplings goes on at one of them with the weights that it has there; what these are worth is
    said before, and what the steps added after.

    Attributes:
        kin: the runs that were started here; ``retrained`` are these, each an Experiment to go on with.
        origin: the run whose weights are taken; stops: how many couplings there are up to the one that is chosen.
        family: the runs under those that they began from; ``ess`` draws their ESS against the coupling.
        name: what the run in ``origin`` is called.
        coupling: the key of the study that the slider changes; empty where there is none.
        temperature, device, steps, button: the controls.
    """

    title = "Retrain"
    sentence = "Move the coupling and train on from these weights: the new curve starts at what has been learned."

    @classmethod
    def fits(cls, experiment: Run) -> bool:
        return hasattr(experiment, "layers")

    def __init__(self, experiment: Run, publisher: Publisher | None = None) -> None:
        super().__init__(experiment, publisher)
        self._waiting: list[tuple[int, dict[str, Any]]] = []
        self._length = 1
        self.over = dict(getattr(experiment, "over", {}))
        self.coupling, own, (low, high) = _reach(experiment, self.over)
        self.kin = Family(experiment, self.coupling, own)
        known = bool(self.coupling)
        self._make_controls(known, low, high)
        self.controls = RunControls(None, wake=self.publisher.wake, say=self.say, names=("Pause", "Resume", "Stop"))
        self.live = Plot(training_overview(experiment.data, points=LIVE_POINTS))
        self.ess = Plot(family(self.kin.relatives(self.temperature)))
        self.table, self.family = ipywidgets.HTML(), ipywidgets.HTML()
        self._known: Background[tuple[int, float], xr.Dataset] = Background(self._worth, self.publisher.wake)
        self._added: Background[int, xr.Dataset] = Background(
            lambda k: evaluated(self.retrained[k], KNOWN_DRAWS), self.publisher.wake
        )
        self._shown: object = None
        self._drawn_at = 0.0
        rows = [
            ipywidgets.HBox(controls, layout={"align_items": "center", "flex_flow": "row wrap"})
            for controls in (
                [or_value(self.origin), self.name, self.temperature],
                [self.stops, or_value(self.device), self.steps, self.button],
            )
        ]
        for line in () if known else rows:
            line.layout.display = "none"
        worth = [self.table] if self.over else []
        self.widget = ipywidgets.VBox(
            [*rows, *worth, self.message, self.live.widget, self.controls.widget, self.family, self.ess.widget]
        )
        self.ess.widget.layout.display = "none"  # a single run has no family yet
        self.button.on_click(self._ask)
        self.origin.observe(lambda _: self._show_name(), "value")
        self.name.observe(self._call, "value")
        self.temperature.observe(lambda _: self.publisher.wake(), "value")
        self.controls.numbers.value = explained(numbers_html(experiment.data))
        known_words = "Retrain starts a new run; this one stays as it is"
        self.say(known_words if known else "this run has no temperature or coupling to change")

    def _make_controls(self, known: bool, low: float, high: float) -> None:
        """What is chosen before Retrain is pressed."""
        style, experiment = {"description_width": "initial"}, self.experiment
        self.temperature = ipywidgets.FloatSlider(
            self.kin.own, min=low, max=high, step=(high - low) / 140, readout_format=".4f",
            description=COUPLINGS.get(self.coupling, f"coupling {self.coupling}"), continuous_update=False,
            disabled=not known, style=style, layout={"width": "300px"},
        )  # fmt: skip
        here = str(experiment.device).split(":")[0]
        self.device = ipywidgets.Dropdown(
            options=list(dict.fromkeys([here, *available_devices()])), value=here, description="device", style=style,
            layout={"width": "130px"},
        )  # fmt: skip
        self.steps = ipywidgets.BoundedIntText(
            FEW if self.over else experiment.steps, min=1, max=10_000_000, description="steps", style=style,
            layout={"width": "140px"},
        )  # fmt: skip
        self.button = ipywidgets.Button(
            description="Retrain", button_style="primary", disabled=not known, layout={"width": "96px"},
            tooltip="start a new run from these weights; the run above stays as it is",
        )  # fmt: skip
        self.origin = ipywidgets.Dropdown(
            options=self.kin.options(), value=-1, description="from", style=style, layout={"width": "230px"}
        )
        self.stops = ipywidgets.BoundedIntText(
            1, min=1, max=50, description="stops on the way", style=style, layout={"width": "170px"},
            tooltip="retrain along a path: so many couplings in equal steps, each from the weights of the one before",
        )  # fmt: skip
        self.name = ipywidgets.Text(
            description="name", placeholder="this run", style=style, layout={"width": "170px"}, continuous_update=False,
            tooltip="what the run on the left is called",
        )  # fmt: skip

    @property
    def retrained(self) -> list[Run]:
        """The runs that were started here, oldest first."""
        return self.kin.runs

    @property
    def current(self) -> Run | None:
        """The newest run that was started here."""
        return self.retrained[-1] if self.retrained else None

    def update(self) -> bool:
        self._go_on()
        current = self.current
        ended = all(has_ended(run) for run in (self.experiment, *self.retrained[-1:]))  # before what is shown is read
        with self.lock:
            if current is not None:
                self.controls.show(current.data)
            self.button.disabled = self.temperature.disabled or (
                current is not None and (current.state in ("running", "paused") or bool(self._waiting))
            )
            self.family.value = self.kin.tree()
        settled = current is None or current.state != "running"
        if (shown := self.kin.state()) != self._shown and (settled or time.monotonic() - self._drawn_at > DRAW_EVERY):
            figure = training_overview(*self.kin.data(), points=LIVE_POINTS)
            relatives = family(self.kin.relatives(self.temperature))
            with self.lock:
                self.live.redraw(figure)
                self.ess.redraw(relatives)
                self.ess.widget.layout.display = "none" if current is None else None
                if current is None:
                    self.controls.numbers.value = explained(numbers_html(self.experiment.data))
            self._shown, self._drawn_at = shown, time.monotonic()
        if current is not None and current.error is not None:
            self.say(current.error)
        return (bool(self.over) and self._tell()) or bool(self._waiting) or not ended

    def snapshot(self) -> Figure:
        """The newest curve over those before it."""
        return training_overview(*self.kin.data())

    # what a model of many couplings knows

    def _tell(self) -> bool:
        """Show what is known at the coupling that is chosen and what was added there; whether there is more to come."""
        if self.experiment.state == "running":
            self.table.value = quiet("what the model knows at a coupling is measured when it stands still")
            return True
        now = (self.experiment.step, self.temperature.value)
        found, error = self._known.ask(now), self._known.error(now)
        rows = [("the model of all couplings", found)]
        more = found is None and error is None
        for k, run in enumerate(self.retrained):
            if self.kin.at[k] == self.temperature.value and run.state not in ("running", "paused") and run.step:
                added = self._added.ask(k)
                more = more or (added is None and self._added.error(k) is None)
                rows.append((f"{run.step} steps more, at this one alone", added))
        with self.lock:
            self.table.value = wrong(said(error)) if error is not None else _table(rows)
        return more

    def _worth(self, key: tuple[int, float]) -> xr.Dataset:
        return evaluated(self.experiment.at(**{self.coupling: key[1]}, steps=FEW), KNOWN_DRAWS)

    # a new run

    def page(self) -> list[Piece]:
        """All curves, and each retraining beside the run that it comes from."""
        known = [text(self.table.value)] if self.over else []
        if not self.retrained:
            return [*known, plot(self.snapshot())]
        own, symbol = self.experiment.data, self.temperature.description.split()[-1]
        called = [f" · {self.kin.names[k]}" if self.kin.names.get(k) else "" for k in range(len(self.kin.at))]
        names = [f"{k + 1}: {symbol} = {value:.4f}{called[k]}" for k, value in enumerate(self.kin.at)]
        figures = [self.snapshot(), *(training_overview(run.data, own, points=LIVE_POINTS) for run in self.retrained)]
        ends = [explained(numbers_html(data)) for data in (own, *(run.data for run in self.retrained))]
        by = {"retraining": len(figures)}
        chosen = row(choice("retraining", ["all", *names]))
        return [
            *known,
            chosen,
            text(*ends, by=by),
            plot(*figures, by=by),
            plot(family(self.kin.relatives(self.temperature))),
        ]

    def _ask(self, _: Any = None) -> None:
        self.button.disabled = True
        origin, stops, target = self.origin.value, self.stops.value, self.temperature.value
        start = self.kin.at[origin] if origin >= 0 else self.kin.own
        values = [start + (target - start) * k / stops for k in range(1, stops)] + [target]
        more = dict(steps=self.steps.value, device=self.device.value)
        count = len(self.retrained)
        # the first from the run that is chosen, each other from the one before
        self._waiting = [
            (origin if k == 0 else count + k - 1, more | {self.coupling: value}) for k, value in enumerate(values)
        ]
        self._length = stops
        self.say("working: taking over the weights…")
        self.publisher.wake()

    def _go_on(self) -> None:
        """Start the next run of the path when the one before it has finished; Stop ends the path."""
        if not self._waiting:
            return
        parent, request = self._waiting[0]
        first = len(self._waiting) == self._length
        before = self.experiment if parent < 0 else self.retrained[parent]
        if not first and before.state in ("stopped", "failed"):
            self._waiting.clear()
            self.say(f"the path ended on the way, at {self._where(self.kin.at[parent])}")
        elif first or before.state == "finished":
            try:
                self._retrain(before, request)
                self.kin.parents.append(parent)
                self._waiting.pop(0)
            except Exception:
                self._waiting.clear()
                raise

    def _retrain(self, before: Run, request: dict[str, Any]) -> None:
        run = before.at(**request)
        run.start()
        value = request[self.coupling]
        self.kin.at.append(value)
        self.kin.runs.append(run)
        self.controls.experiment = run
        self._offer()
        place = self._length - len(self._waiting) + 1
        on_the_way = f" · {place} of {self._length} on the path" if self._length > 1 else ""
        self.say(f"training at {self._where(value)} from the weights of step {before.step}{on_the_way}")

    def _where(self, value: float) -> str:
        return f"{self.temperature.description.split()[-1]} = {value:.4f}"

    # names

    def _offer(self) -> None:
        """Offer every run to go on from, under its name."""
        chosen = self.origin.value
        self.origin.options = self.kin.options()
        self.origin.value = chosen

    def _show_name(self) -> None:
        chosen = self.origin.value
        if chosen is not None:  # as it is while the options change
            self.name.value, self.name.placeholder = self.kin.names.get(chosen, ""), self.kin.name(chosen)

    def _call(self, change: dict[str, Any]) -> None:
        """Give the run that is chosen the name that was typed."""
        chosen, name = self.origin.value, change["new"].strip()
        if name != self.kin.names.get(chosen, ""):
            with self.lock:
                self.kin.names[chosen] = name
                self._offer()
            self.publisher.wake()


def _table(rows: list[tuple[str, xr.Dataset | None]]) -> str:
    """ESS and bound per site of each evaluation under its name, as HTML; of one that is not there, that it comes."""
    lines, known = [], [bound_per_site(found) for _, found in rows if found is not None]
    for name, found in rows:
        cells = [quiet("measuring…"), ""]
        if found is not None:
            bound = bound_per_site(found)
            cells = [
                number(float(found["ess"]), float(found["ess_error"])),
                number(float(bound.value), float(bound.error)),
            ]
        right = "".join(f"<td style='text-align:right;padding-left:20px'>{cell}</td>" for cell in cells)
        lines.append(f"<tr><td style='text-align:left'>{name}</td>{right}</tr>")
    heads = ["", "ESS", *{bound.name for bound in known}]
    head = "".join(f"<th style='text-align:right'>{name}</th>" for name in heads)
    exact = [f"exact: {number(bound.exact, digits=6)}" for bound in known[:1] if isfinite(bound.exact)]
    return f"<table><tr>{head}</tr>{''.join(lines)}</table>{quiet(''.join(exact))}"
