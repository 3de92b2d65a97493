"""The same random numbers at every coupling: configurations that change as a slider changes the coupling."""

from __future__ import annotations

import time
from html import escape
from math import isfinite
from typing import TYPE_CHECKING, Any

import ipywidgets
import numpy as np
import xarray as xr

from flowlab.figures import Figure, configuration, coupling_curves
from flowlab.figures.shared.style import message
from flowlab.widgets.lattice import MOST_BYTES, Lattice, frames_of
from flowlab.widgets.panel import Panel, has_ended
from flowlab.widgets.panels.sampled import NARROW, ROW, blank_layers
from flowlab.widgets.plot import Plot
from flowlab.widgets.publisher import Publisher
from flowlab.widgets.saved import Piece, lattice, plot, row, slider, text

if TYPE_CHECKING:
    from flowlab.widgets.run import Run

ONE_ROW = {"align_items": "center", "width": "100%"}
SYMBOLS = {"beta": "β", "kappa": "κ", "lam": "λ"}
SAMPLES = 12
LEVELS = (9, 17, 33, 65)
"""Couplings between the ends of the interval, in the order in which they are drawn: each holds the ones before."""
SLICE = 0.3
"""Seconds that are drawn at a time."""
CURVES = ((500, 9), (2000, 17))
"""Draws and points of the curves: rough ones first."""


class DialPanel(Panel):
    """Configurations of a run over a range of couplings, drawn from the same random numbers at each of them.

    They are drawn on a grid of couplings that gets finer and are sent to the page as they come; slider, play and keys
    are answered there. Beneath, curves with a line at the coupling on show.

    Args:
        experiment: the run.
        every: seconds between looks at a run that is being followed.
        publisher: the thread that keeps the panel up to date; its own where None.

    Attributes:
        data: what is on show, (layer, sample, *dims), a layer a coupling, which is a coordinate; None before the first.
        curve: numbers at some of the couplings, as ``run.curve`` gives them; None before the first.
        layer, play, pace, sample, along, new_samples, follow: the controls.
        lattice, live: the configurations and the curves.
    """

    title = "Dial"
    sentence = "One model, every coupling: the slider changes it, and the random numbers that go in stay the same."

    @classmethod
    def fits(cls, experiment: Run) -> bool:
        return bool(getattr(experiment, "over", None))

    def __init__(self, experiment: Run, *, every: float = 10.0, publisher: Publisher | None = None) -> None:
        super().__init__(experiment, publisher)
        self.every, self.seed = every, 0
        self.data: xr.Dataset | None = None
        self.curve: xr.Dataset | None = None
        self._drawn: dict[float, xr.Dataset] = {}
        self._measured = 0
        self._wanted, self._drawn_at, self._drawn_step = True, 0.0, -1
        self._held: Any = None
        names = [str(name) for name in experiment.over]
        self.layer = ipywidgets.IntSlider(
            0, 0, 1, readout=False, disabled=True, layout={"flex": "1 1 auto", "min_width": "150px", "width": "auto"}
        )
        self.play = ipywidgets.Play(0, 0, 1, interval=120, disabled=True, show_repeat=False)
        self.pace = ipywidgets.IntSlider(
            120, 40, 600, 20, description="ms each", style=NARROW, layout={"width": "190px"}
        )
        self.sample = ipywidgets.BoundedIntText(
            0, min=0, max=0, description="enlarged", style=NARROW, layout={"width": "120px"}
        )
        self.along = ipywidgets.Dropdown(
            options=[(SYMBOLS.get(name, name), name) for name in names], layout={"width": "80px"}
        )
        self.new_samples = ipywidgets.Button(description="New samples", layout={"width": "110px"})
        self.follow = ipywidgets.Checkbox(False, description="follow training", indent=False, layout={"width": "140px"})
        self.ends = [ipywidgets.HTML(layout={"flex": "0 0 auto"}) for _ in range(2)]
        self.lattice = Lattice(blank_layers(experiment.system), layer=self.layer, sample=self.sample, play=self.play)
        self.live = Plot(self._curves(), clicked=self._go_to)
        self._links = [
            ipywidgets.jslink((self.play, "value"), (self.layer, "value")),
            ipywidgets.jslink((self.layer, "value"), (self.live.widget, "place")),
            ipywidgets.jslink((self.pace, "value"), (self.play, "interval")),
        ]
        choose = [self.along] if len(names) > 1 else []
        first = ipywidgets.HBox([self.play, *choose, self.ends[0], self.layer, self.ends[1]], layout=ONE_ROW)
        second = ipywidgets.HBox([self.pace, self.sample, self.new_samples, self.follow], layout=ROW)
        self.widget = ipywidgets.VBox([first, second, self.lattice.widget, self.live.widget, self.message])
        self.new_samples.on_click(self._renew)
        self.along.observe(self._renew_all, "value")
        self.follow.observe(lambda _: self.publisher.wake(), "value")
        self.say("working…")

    @property
    def name(self) -> str:
        """The coupling that the slider changes."""
        return str(self.along.value)

    @property
    def couplings(self) -> list[float]:
        """Those on show, ascending."""
        return [] if self.data is None else self.data["coupling"].values.tolist()

    def update(self) -> bool:
        ended = has_ended(self.experiment)  # before the step that is drawn is read
        new_step = self.experiment.step != self._drawn_step
        due = ended or (self.follow.value and time.monotonic() - self._drawn_at >= self.every)
        if self._wanted or (new_step and due):
            self._begin()
        more = self._go_on()
        if not more and new_step and not self._wanted:
            self.say(f"as it was at step {self._drawn_step} · the run is at step {self.experiment.step} now")
        return more or not ended

    def snapshot(self) -> Figure:
        """The large picture."""
        if self.data is None:
            self.update()
        assert self.data is not None
        at = min(self.layer.value, self.data.sizes["layer"] - 1)
        return configuration(self.data.isel(layer=[at]), min(self.sample.value, self.data.sizes["sample"] - 1), 0)

    def stills(self) -> list[Figure]:
        return [] if self.data is None else [self.snapshot(), *([] if self.curve is None else [self._curves()])]

    def page(self) -> list[Piece]:
        """The configurations at all couplings as frames, with the curves."""
        if self._wanted:
            self._begin()
        while self._go_on():
            pass
        assert self.data is not None
        at = {"layer": self.layer.value, "sample": min(self.sample.value, self.lattice.samples - 1)}
        last = self.data.sizes["layer"] - 1
        texts = [self._said(value) for value in self.couplings]
        choose = row(slider("layer", last, at["layer"], "coupling", texts=texts, interval=self.pace.value))
        state = frames_of(self.data) | at | {"marks": False}
        return [choose, lattice(state), plot(self._curves(), marks="layer"), text(self.message.value)]

    # work, a piece at a time

    def _begin(self) -> None:
        self._wanted, self._drawn_at = False, time.monotonic()
        self._held = self.experiment.reading()  # so that training changes no frame
        self._drawn_step = self._held[0]
        self._drawn, self._measured = {}, 0

    def _go_on(self) -> bool:
        """Draw the next level of the grid, or measure the next curves; whether there is more."""
        missing = next((level for level in map(self._grid, LEVELS) if not set(level) <= set(self._drawn)), None)
        if missing is not None:
            began = time.monotonic()
            for value in missing:
                if time.monotonic() - began > SLICE:  # another tab may have come to the front
                    self.publisher.wake()
                    return True
                if value not in self._drawn:
                    self._drawn[value] = self.experiment.sample(
                        self._samples(), seed=self.seed, held=self._held, **{self.name: value}
                    )
            self._show()
            return True
        if self._measured == len(CURVES):
            return False
        draws, count = CURVES[self._measured]
        self.curve = self.experiment.curve(n=draws, held=self._held, **{self.name: self._grid(count, critical=False)})
        self._measured += 1
        if self._known_transition() is None:
            self._show()  # the frames, with the phases that are known now
        with self.lock:
            self.live.redraw(self._curves())
        return True

    def _samples(self) -> int:
        """As many as are sent in a moment, of all couplings; in fours, which fill rows."""
        system = self.experiment.system
        values = MOST_BYTES // (1 if system.variables.discrete else 2)
        fit = int(min(SAMPLES, values // (system.n_sites * (LEVELS[-1] + 1))))
        return fit - fit % 4 if fit >= 4 else max(1, fit)

    def _grid(self, count: int, critical: bool = True) -> list[float]:
        """So many couplings over the interval, and the critical one."""
        low, high = self.experiment.over[self.name]
        values = np.linspace(low, high, count).round(12).tolist()
        transition = self._transition()
        return sorted(
            {*values, *([transition] if critical and transition is not None and low < transition < high else [])}
        )

    def _show(self) -> None:
        values = sorted(self._drawn)
        names = [self._said(value) for value in values]
        drawn = xr.concat([self._drawn[value] for value in values], "layer", combine_attrs="drop_conflicts")
        captions = [f"sample {k}" for k in range(drawn.sizes["sample"])]
        found = drawn.assign_coords(
            layer_name=("layer", names), coupling=("layer", values), sample_name=("sample", captions)
        )
        with self.lock:
            at = self.couplings[min(self.layer.value, len(self.couplings) - 1)] if self.couplings else self._own()
            self.data, layer = found, int(np.argmin(np.abs(np.array(values) - at)))
            self.layer.max = self.play.max = len(values) - 1
            self.layer.disabled = self.play.disabled = False
            self.lattice.redraw(found, marks=False, layer=layer)
            self.layer.value = self.play.value = layer
            self.sample.max = self.lattice.samples - 1
            for end, value, phase in zip(self.ends, (values[0], values[-1]), self._phases(), strict=True):
                end.value = f"<span style='white-space:nowrap'>{escape(self._named(value))} {phase}</span>"
            self.live.redraw(self._curves())
        self.say(
            f"{found.sizes['sample']} samples at {len(values)} couplings, each drawn from the same random numbers, at "
            f"step {self._drawn_step}"
        )

    # words

    def _own(self) -> float:
        """The run's own value of the coupling."""
        low, high = self.experiment.over[self.name]
        return float(np.clip(self.experiment.target.value_of(self.name), low, high))

    def _transition(self) -> float | None:
        """Where the infinite lattice has its transition, or else χ of this one its peak; None where not known."""
        known = self._known_transition()
        return peak_of(self.curve, self.name) if known is None else known

    def _known_transition(self) -> float | None:
        return transition_of(self.experiment.system, self.name)

    def _phases(self) -> tuple[str, str]:
        """The names of the phases below and above the transition."""
        if self._known_transition() is not None:
            ordered_first = {"T": ("ordered", "disordered"), "beta": ("disordered", "ordered")}
            return ordered_first.get(self.name, ("down", "up"))
        if self._transition() is None or self.curve is None:
            return "", ""
        m = self.curve.sortby(self.name)["abs_magnetization"].values
        return ("symmetric", "broken") if m[0] < m[-1] else ("broken", "symmetric")

    def _named(self, value: float) -> str:
        return f"{SYMBOLS.get(self.name, self.name)} = {value:.4f}".replace("-", "−")

    def _said(self, value: float) -> str:
        """A coupling in words, with its phase."""
        system, transition = self.experiment.system, self._transition()
        T = f"T = {1 / value:.3f}" if self.name == "beta" and "T" in system.couplings and value else ""
        phase = ""
        if transition is not None:
            here = "transition" if self.name == "h" else "critical point"
            here = here if self._known_transition() is not None else "χ has its peak"
            phase = here if value == transition else self._phases()[value > transition]
        return " · ".join(part for part in (self._named(value), T, phase) if part)

    def _curves(self) -> Figure:
        if self.curve is None:
            return message("curves come when all configurations are drawn", height=300)
        figure = coupling_curves(self.curve, transition=self._transition(), phases=self._phases())
        return figure.update_layout(meta={"places": self.couplings})

    # what a person does

    def _go_to(self, point: dict[str, Any]) -> None:
        """Show the coupling that was clicked on."""
        if self.couplings and isfinite(point["x"]):
            self.layer.value = int(np.argmin(np.abs(np.array(self.couplings) - point["x"])))

    def _renew(self, _: Any) -> None:
        self.seed += 1
        self._drawn = {}
        self.say("working…")
        self.publisher.wake()

    def _renew_all(self, _: Any) -> None:
        with self.lock:
            self._wanted, self.data, self.curve = True, None, None
        self.say("working…")
        self.publisher.wake()


def transition_of(system: Any, coupling: str) -> float | None:
    """Where the infinite lattice has its transition in a coupling, None where that is not known.

    >>> from flowlab.systems import Ising
    >>> round(transition_of(Ising((4, 4), T=2.0), "beta"), 4)
    0.4407
    """
    if coupling == "h" and "T" in system.couplings:
        T_c = system.at(h=0.0).critical_temperature
        return 0.0 if T_c is not None and system.value_of("T") < T_c else None
    T_c = getattr(system, "critical_temperature", None)
    return None if T_c is None or coupling not in ("T", "beta") else T_c if coupling == "T" else 1 / T_c


def peak_of(curve: xr.Dataset | None, name: str) -> float | None:
    """Where the connected susceptibility of a curve has its peak, None where it has none inside.

    >>> chi = xr.Dataset({"susceptibility_connected": ("kappa", [1.0, 3.0, 2.0])}, {"kappa": [0.2, 0.3, 0.4]})
    >>> peak_of(chi, "kappa")
    0.3
    """
    if curve is None or "susceptibility_connected" not in curve:
        return None
    along = curve.sortby(name)
    chi = along["susceptibility_connected"].values
    best = int(np.argmax(np.nan_to_num(chi)))
    return float(along[name][best]) if 0 < best < len(chi) - 1 else None
