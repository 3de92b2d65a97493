"""Everything about a run in one place."""

from __future__ import annotations

import os
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, ref

import anywidget
import ipywidgets

from flowlab.figures import Figure
from flowlab.figures.report import write_whole
from flowlab.widgets.panel import Panel
from flowlab.widgets.registry import fitting, registered
from flowlab.widgets.saved import Piece, page, text
from flowlab.widgets.view import script
from flowlab.widgets.words import explained, said, wrong

if TYPE_CHECKING:
    from flowlab.widgets.run import Run

_OPEN: WeakKeyDictionary[Run, ref[Lab]] = WeakKeyDictionary()


class Lab(Panel):
    """A tab for each registered panel that fits one Experiment, kept up to date by one thread.

    A panel is an attribute too, under its title in small letters, each with its own ``snapshot()``: ``lab.layers``;
    None where the run has no use for it.

    Attributes:
        tabs: the panels by title.
    """

    def __init__(self, experiment: Run) -> None:
        self.tabs: dict[str, Panel] = {}
        super().__init__(experiment)
        for panel in fitting(experiment):
            tab = _made(panel, experiment, self)
            self.tabs[tab.title] = tab
        stage = Stage(layout={"flex": "0 0 auto"})
        self.widget = ipywidgets.Tab(
            [_introduced(panel, stage) for panel in self.tabs.values()],
            titles=tuple(self.tabs),
            layout={"width": "calc(100% - 4px)", "min_width": "760px"},
        )
        self.widget.observe(lambda _: self.publisher.wake(), "selected_index")

    def __getattr__(self, name: str) -> Panel | None:
        wanted = {panel.title: panel for panel in registered() if panel.title.lower().replace(" ", "_") == name}
        if not wanted or "tabs" not in vars(self):
            raise AttributeError(f"the lab has no {name!r}")
        return next((tab for tab in self.tabs.values() if type(tab) in wanted.values()), None)

    @property
    def front(self) -> Panel:
        """The panel whose tab is in front; the others rest."""
        return list(self.tabs.values())[self.widget.selected_index or 0]

    def update(self) -> bool:
        return self.front.refresh()

    def snapshot(self) -> Figure:
        """The static figure of the tab in front."""
        return self.front.snapshot()

    def stills(self) -> list[Figure]:
        """The tab in front, and beneath it lattices where there are some."""
        lattices = self.layers or self.configurations
        more = lattices is not None and lattices is not self.front and getattr(lattices, "data", None) is not None
        return [*self.front.stills(), *(lattices.stills() if lattices is not None and more else ())]

    def page(self) -> list[Piece]:
        return self.front.page()

    def hand_out_code(self) -> None:
        for panel in self.tabs.values():
            panel.hand_out_code()

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the lab as one HTML file that is alive without a kernel and loads nothing; returns its path.

        Layers can be stepped through and played, samples chosen, pictures pointed at and zoomed; what needs the run,
        such as training on, is as it was.

        Args:
            path: where to write.

        Raises:
            OSError: when the file cannot be written; an older one at that path is left as it was.
        """
        tabs = [(title, _page_of(panel), panel.code()) for title, panel in self.tabs.items()]
        run = self.experiment
        about = f"{getattr(run, 'study', '') or 'run'} · step {run.step} of {run.steps}"
        return write_whole(Path(path), page(getattr(run.system, "title", "flowlab"), about, tabs))

    def close(self) -> None:
        _OPEN.pop(self.experiment, None)
        super().close()


class _Failed(Panel):
    """In the place of a panel that could not be built: why."""

    def __init__(self, experiment: Run, lab: Lab, title: str, error: Exception) -> None:
        super().__init__(experiment, lab.publisher)
        self.title = title
        self.say(error)
        self.widget = ipywidgets.VBox([self.message])

    def update(self) -> bool:
        return False

    def snapshot(self) -> Figure:
        return Figure()


class Stage(anywidget.AnyWidget):
    """A button that gives a lab the whole screen."""

    _esm = script("stage.js")


def _introduced(panel: Panel, stage: Stage) -> ipywidgets.Widget:
    """A panel under its sentence, with the button for the whole screen beside that."""
    sentence = ipywidgets.HTML(explained(escape(panel.sentence)), layout={"flex": "1 1 auto"})
    head = ipywidgets.HBox([sentence, stage], layout={"width": "100%", "align_items": "center"})
    return ipywidgets.VBox([head, panel.widget], layout={"width": "100%"})


def _page_of(panel: Panel) -> list[Piece]:
    try:
        return [*([text(explained(escape(panel.sentence)))] if panel.sentence else []), *panel.page()]
    except Exception as error:
        return [text(wrong(said(error)))]


def lab_of(experiment: Run) -> Lab:
    """The lab of a run: opened once, and the same each time that it is asked for until it is closed."""
    kept = _OPEN.get(experiment)
    lab = kept() if kept is not None else None
    if lab is None:
        lab = Lab(experiment)
        _OPEN[experiment] = ref(lab)
    return lab


def open_labs() -> list[Lab]:
    """The labs that are open, in the order in which they were opened."""
    return [lab for kept in _OPEN.values() if (lab := kept()) is not None]


def _made(panel: type[Panel], experiment: Run, lab: Lab) -> Panel:
    try:
        return panel(experiment, publisher=lab.publisher)
    except Exception as error:
        return _Failed(experiment, lab, panel.title, error)
