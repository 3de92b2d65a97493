"""What all panels share."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import ipywidgets

from flowlab.figures import Figure
from flowlab.widgets.plot import WHERE, Plot, with_still
from flowlab.widgets.publisher import Publisher
from flowlab.widgets.saved import Piece, plot
from flowlab.widgets.view import View, watched
from flowlab.widgets.words import quiet, said, wrong

if TYPE_CHECKING:
    from flowlab.widgets.run import Run


class Panel(ABC):
    """A view of an Experiment: an ordinary object whose ``widget`` is what a notebook shows.

    To write one: give ``title`` and ``fits``; in ``__init__(experiment, publisher=None)`` build ``self.widget`` last;
    give ``update`` (called by the publisher, may take its time outside ``self.lock``) and ``snapshot``. One picture
    needs less: see :class:`FigurePanel`. :func:`register` makes it a tab of every lab that it fits.

    Args:
        experiment: what is looked at; closing the panel does not stop it.
        publisher: the thread that calls ``refresh``; a panel that is shown alone has its own.

    Attributes:
        title: the tab's name.
        sentence: what there is to see, in plain words; a lab puts it above the panel.
        widget: the ipywidget; nothing is refreshed before there is one.
        lock: held while widgets change.
        message: a line for what a person should know: errors, and what is being worked on.
    """

    title: str = ""
    sentence: str = ""
    widget: ipywidgets.Widget

    @classmethod
    def fits(cls, experiment: Run) -> bool:
        """Whether the panel has something to show of a run."""
        return True

    def __init__(self, experiment: Run, publisher: Publisher | None = None) -> None:
        self.experiment = experiment
        self.lock = threading.RLock()
        self.message = ipywidgets.HTML(layout={"min_height": "28px"})
        self.publisher = publisher or Publisher(self)
        self._views: list[View] = []
        self._shown_in: ipywidgets.Widget | None = None

    @abstractmethod
    def update(self) -> bool:
        """Show the present state of the experiment; whether there may be more to show."""

    @abstractmethod
    def snapshot(self) -> Figure:
        """What the panel shows, as a static figure."""

    def stills(self) -> list[Figure]:
        """What stands for the panel where nothing is live, one beneath the other: as it is, with nothing new drawn."""
        return [self.snapshot()]

    def page(self) -> list[Piece]:
        """What a saved page shows of the panel; see :mod:`flowlab.widgets.saved`."""
        return [plot(self.snapshot())]

    def refresh(self) -> bool:
        """``update``, with its error shown in the panel."""
        if not hasattr(self, "widget"):
            return True
        if self.is_left:
            return False
        try:
            return self.update()
        except Exception as error:
            self.say(error)
            return not has_ended(self.experiment)

    @property
    def is_left(self) -> bool:
        """Whether the panel was on a page and is on none now; it rests until it is on one again."""
        return any(view.was_seen for view in self._views) and not any(view.viewers for view in self._views)

    def say(self, what: str | BaseException) -> None:
        """Put a line under the panel; an exception is shown as an error."""
        text = wrong(said(what)) if isinstance(what, BaseException) else quiet(what)
        with self.lock:
            self.message.value = text

    def close(self) -> None:
        """Take the panel off the page and end its thread; the experiment goes on."""
        self.publisher.close()
        with self.lock:
            close_tree(self._shown_in or self.widget)

    @property
    def source(self) -> str:
        """How Python has the run: from its directory, or under the name ``run``."""
        path = getattr(self.experiment, "path", None)
        return f"fl.load({str(path)!r})" if path else "run"

    def code(self) -> str:
        """Two lines of Python that make a static figure of what the panel shows; empty where it has none."""
        return f"lab = {self.source}.lab()\nlab.{type(self).title.lower().replace(' ', '_')}.snapshot()"

    def hand_out_code(self) -> None:
        """Give the menus of the pictures their lines of Python."""
        for view in views_in(self.widget):
            view.code = view.code or self.code()

    def show(self) -> ipywidgets.Widget:
        """What a notebook shows: the widget, which from now on is kept up to date as long as it is on a page."""
        self.hand_out_code()
        self._views = list(views_in(self.widget))
        for view in self._views:
            view.returned = self.publisher.wake
        self.publisher.wake()
        self._shown_in = self._shown_in or watched(self.widget)
        return self._shown_in

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        return with_still(self.show()._repr_mimebundle_(**kwargs), self.stills, repr(self))

    def __repr__(self) -> str:
        return f"{type(self).__name__} of {getattr(self.experiment, 'study', '') or 'a run'}: {WHERE}"


class FigurePanel(Panel):
    """A panel of one picture, drawn anew when the run has moved on.

    To write one: give ``title``, ``fits`` and ``figure``.

    Attributes:
        live: the picture.
    """

    def __init__(self, experiment: Run, publisher: Publisher | None = None) -> None:
        super().__init__(experiment, publisher)
        self.live = Plot(Figure())
        self._shown: int | None = None
        self.widget = ipywidgets.VBox([self.message, self.live.widget])

    @abstractmethod
    def figure(self) -> Figure:
        """The picture of the run as it is now."""

    def update(self) -> bool:
        ended, step = has_ended(self.experiment), self.experiment.step
        if step != self._shown:
            self._shown = step
            figure = self.figure()
            with self.lock:
                self.live.redraw(figure)
        return not ended

    def snapshot(self) -> Figure:
        return self.figure()


def has_ended(experiment: Run) -> bool:
    """Whether the run can change no more."""
    return experiment.state == "finished" or (experiment.state == "failed" and experiment.error is not None)


def views_in(widget: ipywidgets.Widget) -> Iterator[View]:
    """The pictures in a widget that say who looks at them."""
    if hasattr(widget, "viewers"):
        yield widget
    for child in getattr(widget, "children", ()):
        yield from views_in(child)


def close_tree(widget: ipywidgets.Widget) -> None:
    """Close a widget and all in it."""
    for child in getattr(widget, "children", ()):
        close_tree(child)
    widget.close()
