"""The runs in a folder as a table, to open, resume and throw away."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from html import escape
from pathlib import Path

import ipywidgets

from flowlab.storage.shelf import Kept, kept_in, throw_away
from flowlab.widgets.gallery.cards import FRONT
from flowlab.widgets.gallery.form import spelled
from flowlab.widgets.words import doubtful, quiet, said, wrong

COLUMNS = ("run", "study", "couplings", "step", "ESS", "verdict", "last written", "size")
MOST = 50
"""Rows that are shown; the rest is named."""


class Row:
    """A run and its buttons.

    Attributes:
        kept: what is known of it.
        chosen: whether it is to be compared.
        buttons: Open, Resume and Delete by name; Yes and Keep while it is asked whether to delete.
        cells: what is shown, one widget a column.
    """

    def __init__(self, kept: Kept, name: str, table: RunsTable) -> None:
        self.kept, self.name, self._table = kept, name, table
        self.buttons: dict[str, ipywidgets.Button] = {}
        self.chosen = ipywidgets.Checkbox(
            False, indent=False, disabled=bool(kept.broken), tooltip=f"{name}: choose it to compare",
            layout={"width": "24px"},
        )  # fmt: skip
        self.chosen.observe(lambda _: table.offer_comparison(), "value")
        self.actions = ipywidgets.HBox().add_class("flowlab-actions")
        texts = [f"<b>{escape(name)}</b>", *cells(kept, time.time())]
        self.cells = [*(ipywidgets.HTML(text) for text in texts), self.actions]
        self.offer()

    def offer(self) -> None:
        """Show the three buttons."""
        broken, done = bool(self.kept.broken), 0 < self.kept.steps <= self.kept.step
        hints = {
            "Open": "show its lab",
            "Resume": "go on with training it, in its lab",
            "Delete": "remove it from disk",
        }
        off = {"Open": broken, "Resume": broken or done, "Delete": False}
        does = {"Open": self.open, "Resume": self.resume, "Delete": self.ask}
        self._show({
            name: ipywidgets.Button(description=name, tooltip=f"{self.name}: {hint}", disabled=off[name])
            for name, hint in hints.items()
        }, does)  # fmt: skip

    def open(self) -> None:
        """Show the lab of the run."""
        self._table.opened(self.kept.path, False)

    def resume(self) -> None:
        """Show its lab and train on."""
        self._table.opened(self.kept.path, True)

    def ask(self) -> None:
        """Ask whether to delete."""
        question = {"Yes": f"Yes, delete {self.name}", "Keep": "Keep it"}
        self._show({
            name: ipywidgets.Button(description=text, tooltip=text, button_style="danger" if name == "Yes" else "")
            for name, text in question.items()
        }, {"Yes": self.delete, "Keep": self.offer})  # fmt: skip

    def delete(self) -> None:
        """Throw the run away."""
        self._table.delete(self)

    def _show(self, buttons: dict[str, ipywidgets.Button], does: dict[str, Callable[[], None]]) -> None:
        self.buttons = buttons
        for name, button in buttons.items():
            button.on_click(lambda _, name=name: does[name]())
        self.actions.children = (self.chosen, *buttons.values())


class RunsTable:
    """Every run in a folder; reading it trains nothing and loads nothing.

    Args:
        folder: that is looked into, and three levels below.
        opened: called with the directory of a run, and whether to train on.
        compared: called with the directories of the runs that were chosen.

    Attributes:
        rows: one a run, the newest first.
    """

    def __init__(
        self,
        folder: Path,
        opened: Callable[[Path, bool], None],
        compared: Callable[[list[Path]], None] = lambda paths: None,
    ) -> None:
        self.folder, self.opened = folder, opened
        self.rows: list[Row] = []
        self.message = ipywidgets.HTML()
        self.title = ipywidgets.HTML()
        self.again = ipywidgets.Button(
            description="Look again", tooltip=f"read {folder} again", layout={"width": "auto"}
        )
        self.again.on_click(lambda _: self.refresh())
        self.compare = ipywidgets.Button(description="Compare", disabled=True, layout={"width": "auto"})
        self.compare.on_click(lambda _: compared([row.kept.path for row in self.rows if row.chosen.value]))
        self.grid = ipywidgets.GridBox().add_class("flowlab-runs")
        head = ipywidgets.HBox([self.title, self.again, self.compare], layout={"align_items": "baseline"})
        self.widget = ipywidgets.VBox([head, self.message, self.grid])
        self.refresh()

    def refresh(self) -> None:
        """Read the folder again."""
        found = kept_in(self.folder)
        self.rows = [Row(kept, self._name(kept.path), self) for kept in found[:MOST]]
        self.title.value = f"<h3>Runs on disk</h3> {quiet(f'in {self.folder}')}"
        self.message.value = "" if found else quiet("none yet: choose a study, press Start, and it will be here")
        if len(found) > MOST:
            self.message.value = quiet(f"the {MOST} that were written last, of {len(found)}")
        head = [ipywidgets.HTML(f"<span class='flowlab-head'>{name}</span>") for name in (*COLUMNS, "")]
        self.grid.children = (*head, *(cell for row in self.rows for cell in row.cells)) if found else ()
        self.offer_comparison()

    def offer_comparison(self) -> None:
        """Let two or more chosen runs be compared."""
        count = sum(row.chosen.value for row in self.rows)
        self.compare.disabled = count < 2
        self.compare.tooltip = "tick two or more runs" if count < 2 else f"{count} runs on one axis"

    def delete(self, row: Row) -> None:
        """Throw a run away and say so."""
        try:
            throw_away(row.kept.path)
        except Exception as error:
            row.offer()
            self.message.value = wrong(said(error))
        else:
            self.refresh()
            self.message.value = quiet(f"{row.name} was deleted")

    def _name(self, path: Path) -> str:
        return path.name if path == self.folder else str(path.relative_to(self.folder))


def cells(kept: Kept, now: float) -> list[str]:
    """Study, couplings, step, ESS, verdict, age and size of a run, as HTML.

    >>> cells(Kept(Path("a"), "ising-xor", {"L": 8, "T": 2.5, "lr": 0.1}, 5, 10, 0.25, "", 40.0, 5000), 100.0)[:4]
    ['ising-xor', '<span>L = 8, T = 2.5</span>', '5 of 10', '0.25']
    """
    age = _age(now - kept.changed)
    size = f"{kept.size / 1e6:.2g} MB" if kept.size >= 1e5 else f"{kept.size / 1e3:.0f} kB"
    if kept.broken:
        return [
            escape(kept.study),
            quiet(kept.broken.replace(f"{kept.path}/", "")),
            "",
            "",
            doubtful("broken"),
            age,
            size,
        ]
    couplings = ", ".join(
        f"{key} = {spelled(value)}" for key, value in kept.keys.items()
        if key in FRONT and key != "steps" and value not in (None, 0.0, "auto")
    )  # fmt: skip
    step = f"{kept.step} of {kept.steps}{' · training' if kept.writing else ''}"
    ess = "" if math.isnan(kept.ess) else f"{kept.ess:.2g}"
    return [
        escape(kept.study or "by hand"),
        f"<span>{escape(couplings)}</span>",
        step,
        ess,
        escape(kept.verdict) or quiet("not judged"),
        age,
        size,
    ]


def _age(seconds: float) -> str:
    """How long ago, in its largest unit."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit} ago"
    return "just now"
