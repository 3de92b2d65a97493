"""The way in: a card a study, a form for its keys, Start, its lab; and the runs on disk."""

from __future__ import annotations

import time
from collections.abc import Hashable
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets

from flowlab.figures import Figure
from flowlab.figures.shared.style import message
from flowlab.runs import Experiment, experiment, load, studies
from flowlab.runs.registry import find
from flowlab.widgets.background import Background
from flowlab.widgets.gallery.cards import FIRST, Card, about, all_cards, slowness
from flowlab.widgets.gallery.form import Form, Start
from flowlab.widgets.gallery.pictures import picture
from flowlab.widgets.gallery.table import RunsTable
from flowlab.widgets.lab import Lab, lab_of
from flowlab.widgets.panels.compare import Compare
from flowlab.widgets.plot import WHERE, with_still
from flowlab.widgets.view import STATIC, watched
from flowlab.widgets.words import quiet, said, spelled_out, wrong

__all__ = ["Gallery", "open_gallery"]

FAMILIES = {
    "ising": "Ising model",
    "phi4": "Lattice φ⁴",
    "potts": "Potts model",
    "sk": "Spin glass",
    "glass": "Spin glass of your own couplings",
    "tensor": "Planes of neighbours",
    "xy": "XY model",
    "": "Your own",
}
BEGIN = "Begin here"
HOW = "choose a study on its card, set its keys and press Start: its lab opens below"
CHEAP = {"steps", "T", "h", "beta", "kappa", "lam", "mass", "seed_J", "lr"}
"""Keys that leave the time of a step as it is."""


class Gallery:
    """Choose a study, set its keys, press Start: its lab opens below. What is on disk is opened, resumed, deleted.

    Args:
        folder: in which runs are kept and looked for.

    Attributes:
        buttons: of the cards, by title.
        form: of the study that was chosen, else None.
        table: the runs on disk.
        run, lab, comparison: what is open, else None.
        message: a line for what a person should know.
    """

    def __init__(self, folder: str | Path = "runs") -> None:
        self.folder = Path(folder).expanduser()
        self.form: Form | None = None
        self.run: Experiment | None = None
        self.lab: Lab | None = None
        self._runs: dict[Path, Experiment] = {}
        self._costs: Background[Hashable, float] = Background(self._measured, self._tell_cost)
        self.message = ipywidgets.HTML()
        self.cost = ipywidgets.HTML()
        self.buttons: dict[str, ipywidgets.Button] = {}
        self.table = RunsTable(self.folder.absolute(), self.open, self.compare)
        self.comparison: Compare | None = None
        first, others = self._shelves()
        self._first, self._others = ipywidgets.VBox(first), ipywidgets.VBox(others)
        self._place = ipywidgets.VBox()
        self._back = _button("All studies", "back to the cards", self.back)
        self._keys = _button("Keys", "change the keys, and start another run", self._show_keys)
        self._chosen: tuple[ipywidgets.Widget, ...] = ()
        style = ipywidgets.HTML(f"<style>{(STATIC / 'gallery.css').read_text(encoding='utf-8')}</style>")
        style.layout.display = "none"
        self._top = ipywidgets.VBox([self._first])
        self._more = ipywidgets.VBox([self._others])
        parts = [style, self._top, self.message, self._place, self.table.widget, self._more]
        self.widget = watched(*parts).add_class("flowlab-gallery")

    def choose(self, card: Card) -> None:
        """Show the form of a card's study."""
        study = find(card.study)
        self.form = Form(study, card.keys, str(self._free(card.study)), self._changed)
        self._card = card
        head = ipywidgets.HTML(
            f"<h2>{escape(card.title or study.name)}</h2><p>{escape(spelled_out(study.summary))}</p>"
            + (f"<p>You will see {escape(card.sees)}.</p>" if card.sees else "")
        )
        art = ipywidgets.HTML(picture(card.kind), layout={"width": "280px", "flex": "0 0 auto"})
        row = ipywidgets.HBox([Start(self.form.controls, self.start), self.cost], layout={"align_items": "center"})
        self._say("")
        chosen = ipywidgets.HBox([art, head]).add_class("flowlab-chosen")
        self._chosen = (self._back, chosen, self.form.widget, row)
        self._top.children, self._more.children = self._chosen, ()
        self._changed()

    def _fold(self) -> None:
        """Cards and keys make room for what is looked at."""
        self._top.children = (ipywidgets.HBox([self._back, *[self._keys] * (self.form is not None)]),)
        self._more.children = ()

    def _show_keys(self) -> None:
        self._top.children = self._chosen

    def back(self) -> None:
        """Show the cards."""
        self.form = None
        self._top.children, self._more.children = (self._first,), (self._others,)
        self._say("")

    def start(self) -> None:
        """Build the run of the form, open its lab and train it; what is wrong is said in a line."""
        if self.form is None:
            return
        try:
            keys, seed = self.form.checked()
            self._say("building the run …")
            out = self.form.out.value.strip() or None
            run = experiment(self.form.study.name, seed=seed, out=out, **keys)
            self._enter(run, train=True)
            self.form.out.value = str(self._free(self.form.study.name))
        except Exception as error:
            self._say(error)

    def open(self, path: Path, train: bool) -> None:
        """Show the lab of a run on disk, and train it on."""
        try:
            self._say(f"reading {path.name} …")
            self._enter(self._runs.get(path) or load(path), train)
        except Exception as error:
            self._say(error)

    def stills(self) -> list[Figure]:
        """What stands for the gallery where nothing is live: its lab, if one is open."""
        return self.lab.stills() if self.lab is not None else [message(HOW, title="fl.lab()", height=120)]

    def compare(self, paths: list[Path]) -> None:
        """Show runs on disk on one axis, and the keys in which they differ."""
        try:
            panel = Compare([self._runs.get(path) or load(path) for path in paths])
            self._leave()
            self._fold()
            self.comparison = panel
            self._place.children = (ipywidgets.HTML("<h3>Comparison</h3>"), panel.show())
            self._say("")
        except Exception as error:
            self._say(error)

    def _leave(self) -> None:
        """Close what is open, and keep no closed widget: a page that connects again asks for the state of all."""
        self._place.children = ()
        for panel in filter(None, (self.lab, self.comparison)):
            panel.close()
        self.run = self.lab = self.comparison = None

    def close(self) -> None:
        """Take the gallery and its lab off the page; runs go on."""
        self._leave()
        self.widget.close()

    def _enter(self, run: Any, train: bool) -> None:
        if self.run is not run:
            self._leave()
        self.run, self.lab = run, lab_of(run)
        if run.path is not None:
            self._runs[run.path] = run
        name = str(run.study or "run") if run.path is None else run.path.name
        self._fold()
        self._place.children = (ipywidgets.HTML(f"<h3>Lab of {escape(name)}</h3>"), self.lab.show())
        self._say("")
        if train and run.state == "paused":
            run.resume()
        elif train and run.state != "running":
            run.start()
        self.lab.publisher.wake()
        self.table.refresh()

    def _say(self, what: str | Exception) -> None:
        if isinstance(what, ValueError):
            self.message.value = wrong(str(what))
        else:
            self.message.value = wrong(said(what)) if isinstance(what, Exception) else quiet(what)

    def _changed(self) -> None:
        self._say("")
        self._tell_cost()

    def _tell_cost(self) -> None:
        """Say what the run of the form will take: as on the card, then as measured here while nothing trains."""
        if self.form is None:
            return
        form, keys = self.form, self.form.values()
        same = {name for name, row in form.fields.items() if row.given != self._card.keys.get(name)} <= CHEAP
        try:
            steps = int(form.study.normalise(keys)["steps"] or 1)
        except (ValueError, KeyError):
            return
        question = (form.study.name, tuple((name, str(keys[name])) for name in sorted(keys.keys() - CHEAP)))
        idle = all(run.state not in ("running", "paused") for run in [*self._runs.values(), *filter(None, [self.run])])
        step = self._costs.ask(question) if idle or self._costs.is_ready(question) else None
        if step is not None:
            self.cost.value = f"{about(step * steps)}: {steps} steps of {1000 * step:.3g} ms, measured here"
        elif same and self._card.seconds is not None:
            before = int({**form.study.defaults, **self._card.keys}["steps"] or 1)
            self.cost.value = about(self._card.seconds * slowness() * steps / before)
        else:
            self.cost.value = quiet("measuring a step …") if idle and self._costs.error(question) is None else ""

    def _measured(self, question: Any) -> float:
        name, keys = question
        return experiment(name, **dict(keys)).seconds_per_step()

    def _free(self, name: str) -> Path:
        """A directory that is not there yet."""
        taken = (self.folder / f"{name}-{number}" for number in range(1, 10_000))
        return next((path for path in taken if not path.exists()), self.folder / f"{name}-{time.time_ns()}")

    def _shelves(self) -> tuple[list[ipywidgets.Widget], list[ipywidgets.Widget]]:
        """The cards to begin with, and the others by family."""
        shelves: dict[str, list[ipywidgets.Widget]] = {name: [] for name in (BEGIN, *FAMILIES.values())}
        for card in all_cards():
            family = card.study.partition("-")[0] if card.sees else ""
            shelves[BEGIN if card in FIRST else FAMILIES[family]].append(self._card_widget(card))
        found = [
            (ipywidgets.HTML(f"<h3>{name}</h3>"), ipywidgets.GridBox(row).add_class("flowlab-cards"))
            for name, row in shelves.items()
            if row
        ]
        sweeps = ", ".join(f"fl.sweep({name!r})" for name, study in studies().items() if study.sweep)
        note = ipywidgets.HTML(quiet(f"Many runs at once have no lab: {sweeps}."))
        return [*found[0]], [*(widget for shelf in found[1:] for widget in shelf), note]

    def _card_widget(self, card: Card) -> ipywidgets.Widget:
        study = find(card.study)
        title = card.title or card.study
        takes = "" if card.seconds is None else f"{about(card.seconds * slowness())} here"
        named = f"{card.study}{''.join(f' {key}={value}' for key, value in card.keys.items())}" if card.title else ""
        sees = [f"<p>You will see {escape(card.sees)}.</p>"] * bool(card.sees)
        lines = [f"<p>{escape(spelled_out(study.summary))}</p>", *sees]
        foot = " · ".join(filter(None, [named, takes]))
        button = _button(title, f"choose {title}", lambda: self.choose(card))
        self.buttons[title] = button.add_class("flowlab-choose")
        texts = ipywidgets.HTML("".join(lines) + f"<p class='flowlab-foot'>{escape(foot)}</p>")
        return ipywidgets.VBox([ipywidgets.HTML(picture(card.kind)), button, texts]).add_class("flowlab-card")

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        return with_still(self.widget._repr_mimebundle_(**kwargs), self.stills, repr(self))

    def __repr__(self) -> str:
        return f"Gallery of {self.folder}: {WHERE}"


def open_gallery(folder: str | Path = "runs") -> Gallery:
    """The gallery of all studies, and of the runs in a folder; see :func:`flowlab.lab`."""
    return Gallery(folder)


def _button(name: str, hint: str, does: Any) -> ipywidgets.Button:
    layout = {"width": "auto", "align_self": "flex-start"}
    button = ipywidgets.Button(description=name, tooltip=hint, layout=layout)
    button.on_click(lambda _: does())
    return button
