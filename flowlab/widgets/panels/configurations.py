"""Configurations one after the other: of chains as they go, of a model as it trains."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import ipywidgets
import numpy as np
import xarray as xr

from flowlab.figures import Figure, configuration
from flowlab.figures.shared.style import number
from flowlab.widgets.lattice import Lattice, frames_of
from flowlab.widgets.panel import Panel, has_ended
from flowlab.widgets.panels.sampled import NARROW, PLAY, ROW, blank_layers, or_value
from flowlab.widgets.publisher import Publisher
from flowlab.widgets.saved import Piece, lattice, row, slider, text
from flowlab.widgets.words import quiet

if TYPE_CHECKING:
    from flowlab.widgets.run import Run

MOST_PICTURES, MOST_SIDE_BY_SIDE = 60, 12
MOST_VALUES = 400_000
"""Of all pictures together, so that a movie is sent in a moment."""
SINGLE_STEPS = 40
ONE = "one picture; more are taken while the run goes on, and then they play"
KEPT, MOVES = "configurations kept", "single steps from here"
SQUARES = {
    "spin": "Each square is a spin: its colour says up or down.",
    "potts": "Each square is a site: its colour is its state.",
    "real": "Each square is a site: its colour is the value of the field.",
    "angle": "Each square is a site: its colour is the angle of its spin.",
}


class ConfigurationsPanel(Panel):
    """Configurations side by side, as a movie: of chains, of tempering at its temperatures, of a model as it trains.

    Args:
        experiment: the run.
        every: seconds between looks at a run that is being followed.
        publisher: the thread that keeps the panel up to date; its own where None.

    Attributes:
        data: what is on show, (layer, sample, *dims), a layer a moment of the run; None before the first.
        layer, play, pace, sample, what, new_samples, follow: the controls.
        lattice: the picture.
    """

    title = "Configurations"

    @classmethod
    def fits(cls, experiment: Run) -> bool:
        return hasattr(experiment, "recent") or hasattr(experiment, "layers")

    def __init__(self, experiment: Run, *, every: float = 3.0, publisher: Publisher | None = None) -> None:
        super().__init__(experiment, publisher)
        self.every, self.seed = every, 0
        self.data: xr.Dataset | None = None
        self._wanted, self._drawn_at, self._drawn_step = True, 0.0, -1
        self.is_chain = hasattr(experiment, "recent")
        self.layer = ipywidgets.IntSlider(
            0, 0, 1, description="picture", disabled=True, style=NARROW, layout={"flex": "1 1 auto", "width": "auto"}
        )
        self.play = ipywidgets.Play(0, 0, 1, interval=300, disabled=True, show_repeat=False, layout=PLAY)
        self.pace = ipywidgets.IntSlider(
            300, 50, 1000, 50, description="ms each", style=NARROW, layout={"width": "210px"}
        )
        self.sample = ipywidgets.BoundedIntText(
            0, min=0, max=0, description="enlarged", style=NARROW, layout={"width": "120px"},
            tooltip="which of the small pictures; a click on one does the same",
        )  # fmt: skip
        self.what = ipywidgets.Dropdown(options=[KEPT, MOVES], layout={"width": "166px"}, tooltip="what is played")
        self.new_samples = ipywidgets.Button(description="New samples", layout={"width": "110px"})
        self.follow = ipywidgets.Checkbox(True, description="follow the run", indent=False, layout={"width": "112px"})
        self.sentence, *more = self._sentences()
        self.about = ipywidgets.HTML(quiet(" ".join(more)))
        self.lattice = Lattice(blank_layers(experiment.system), layer=self.layer, sample=self.sample, play=self.play)
        self._links = [
            ipywidgets.jslink((self.play, "value"), (self.layer, "value")),
            ipywidgets.jslink((self.pace, "value"), (self.play, "interval")),
            ipywidgets.jslink((self.pace, "value"), (self.lattice.widget, "interval")),
        ]
        moves = [self.what] if hasattr(experiment, "moves") else []
        own = moves if self.is_chain else [self.new_samples]
        movie = or_value(self.layer, self.play, self.pace, words=ONE)
        first = ipywidgets.HBox([movie], layout={"width": "100%"})
        second = ipywidgets.HBox([self.sample, *own, self.follow], layout=ROW)
        self.widget = ipywidgets.VBox([first, second, self.lattice.widget, self.message, self.about])
        self.new_samples.on_click(self._renew)
        self.what.observe(self._ask, "value")
        self.follow.observe(lambda _: self.publisher.wake(), "value")
        self.say("working…")

    def update(self) -> bool:
        ended = has_ended(self.experiment)  # before the step that is drawn is read
        new_step = self.experiment.step != self._drawn_step
        due = self.follow.value and (ended or time.monotonic() - self._drawn_at >= self.every)
        if self._wanted or (new_step and due):
            self._wanted = False
            self.look()
        elif new_step:
            self.say(f"as it was at step {self._drawn_step} · the run is at step {self.experiment.step} now")
        return not ended or (self.follow.value and self.experiment.step != self._drawn_step)

    def look(self) -> None:
        """Show the configurations of the present moment after those before it."""
        self._drawn_step, self._drawn_at = self.experiment.step, time.monotonic()
        found = self._movie() if self.is_chain else self._with_new_samples()
        if found.sizes["layer"] == 0:
            self.say("no configurations have been kept yet")
            return
        last = found.sizes["layer"] - 1
        with self.lock:
            at_end = self.data is None or self.layer.value >= self.layer.max or self.follow.value
            self.data = found
            self.layer.max = self.play.max = max(last, 1)
            self.layer.disabled = self.play.disabled = last == 0
            single = self.what.value == MOVES
            if single or last == 0:
                self.layer.value = 0
            elif at_end:
                self.layer.value = last
            self.lattice.redraw(found, marks=single and bool(self.lattice.widget.discrete))
            self.sample.max = self.lattice.samples - 1
        self.say(self._said(found))

    def snapshot(self) -> Figure:
        """The large picture."""
        if self.data is None:
            self.look()
        if self.data is None:
            return Figure()
        layer = min(self.layer.value, self.data.sizes["layer"] - 1)
        return configuration(self.data.isel(layer=[layer]), min(self.sample.value, self.data.sizes["sample"] - 1), 0)

    def stills(self) -> list[Figure]:
        return [] if self.data is None else [self.snapshot()]

    def page(self) -> list[Piece]:
        """The movie with its controls."""
        self.snapshot()
        if self.data is None:
            return [text(self.message.value), text(self.about.value)]
        last = self.data.sizes["layer"] - 1
        at = {"layer": min(self.layer.value, last), "sample": self.sample.value}
        choose = row(slider("layer", last, at["layer"], "picture"))
        state = frames_of(self.data) | at | {"marks": self.lattice.widget.marks}
        return [choose, lattice(state), text(self.message.value), text(self.about.value)]

    def _movie(self) -> xr.Dataset:
        """What a run of chains has kept, or its next single steps: a sample a chain, or a temperature of a replica."""
        run: Any = self.experiment
        single = self.what.value == MOVES
        found = run.moves(SINGLE_STEPS) if single else run.recent(MOST_PICTURES)
        if found.sizes.get("temperature", 0) * 2 > MOST_SIDE_BY_SIDE:
            found = found.isel(replica=[0])
        named: Callable[[Any], str] = (lambda k: f"{k} single steps on") if single else (lambda step: f"step {step}")
        names = [named(step) for step in found["step"].values]
        dims = [dim for dim in ("replica", "temperature", "chain") if dim in found.dims]
        if "temperature" in dims and found.sizes.get("replica") == 1:
            dims.remove("replica")
        captions = _captions(found, dims)
        values = found["configuration"].values.reshape(len(names), len(captions), *self.experiment.system.shape)
        kept = xr.Dataset({"configuration": (("layer", "sample", *self.experiment.system.dims), values)})
        kept = kept.assign_coords(layer_name=("layer", names), sample_name=("sample", captions))
        return trimmed(kept.assign_attrs(found.attrs))

    def _with_new_samples(self) -> xr.Dataset:
        """The same latents with the present weights, after the pictures before."""
        data = self.experiment.layers(MOST_SIDE_BY_SIDE, seed=self.seed)
        new = data[["configuration"]].isel(layer=[-1]).drop_vars("layer_name", errors="ignore")
        names = [f"sample {n}" for n in range(new.sizes["sample"])]
        new = new.assign_coords(layer_name=("layer", [f"step {self._drawn_step}"]), sample_name=("sample", names))
        if self.data is None or str(new["layer_name"].values[0]) in self.data["layer_name"].values:
            return trimmed(new)
        before = self.data.isel(sample=slice(new.sizes["sample"]))
        both = xr.concat([before, new.isel(sample=slice(before.sizes["sample"]))], "layer", combine_attrs="override")
        return trimmed(both)

    def _said(self, found: xr.Dataset) -> str:
        now = f"at step {self._drawn_step}"
        if not self.is_chain:
            return f"{found.sizes['sample']} samples, drawn from the same latents again and again, the last time {now}"
        if self.what.value == MOVES:
            return f"a copy of the chains goes on from where they are {now}; dots mark what a single step has changed"
        return f"{found.sizes['layer']} pictures up to step {self._drawn_step}"

    def _sentences(self) -> list[str]:
        system = self.experiment.system
        words = [SQUARES.get(str(system.variables.describe().get("domain")), "Each square is a site.")]
        if tuple(system.dims) == ("site",):
            words.append("There is no lattice: sites stand in the order of their numbers, row by row.")
        elif len(system.dims) == 1:
            words.append("The sites of a line stand in rows.")
        elif len(system.dims) > 2:
            words.append("The planes of the lattice stand side by side.")
        if not self.is_chain:
            words.append("The pictures are samples of the model; play shows how they have changed while it trained.")
        elif hasattr(self.experiment, "temperatures"):
            words.append("Small ones: a replica at each temperature, cold to hot; play shows how they go on.")
        else:
            words.append("Small ones: independent chains; play shows how they go on.")
        return words

    def _renew(self, _: Any) -> None:
        with self.lock:
            self.seed, self.data = self.seed + 1, None
        self._ask()

    def _ask(self, _: Any = None) -> None:
        self._wanted = True
        self.say("working…")
        self.publisher.wake()


def trimmed(movie: xr.Dataset) -> xr.Dataset:
    """The newest pictures of the first samples: as many of both as ``MOST_VALUES`` allow.

    >>> x = np.ones((100, 50, 64, 64), dtype=np.int8)
    >>> dict(trimmed(xr.Dataset({"configuration": (("layer", "sample", "y", "x"), x)})).sizes)
    {'layer': 24, 'sample': 4, 'y': 64, 'x': 64}
    """
    n_sites = max(1, movie["configuration"][0, 0].size) if movie.sizes["layer"] else 1
    samples = min(MOST_SIDE_BY_SIDE, movie.sizes["sample"], max(4, MOST_VALUES // (n_sites * MOST_PICTURES // 2)))
    pictures = min(MOST_PICTURES, max(4, MOST_VALUES // (n_sites * samples)))
    return movie.isel(sample=slice(samples), layer=slice(-pictures, None))


def _captions(found: xr.Dataset, dims: list[str]) -> list[str]:
    """The names of chains, or of replicas at their temperatures."""
    named = {name: [f"{name} {k}" for k in range(found.sizes[name])] for name in dims}
    if "temperature" in dims:
        named["temperature"] = [f"T = {number(float(T), digits=4)}" for T in found["temperature"].values]
    places = np.ndindex(*(found.sizes[name] for name in dims))
    return [" · ".join(named[name][k] for name, k in zip(dims, place, strict=True)) for place in places]
