"""Which panels there are, and which of them a run has a use for."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING, TypeVar

from flowlab.widgets.panel import Panel

if TYPE_CHECKING:
    from flowlab.widgets.run import Run

P = TypeVar("P", bound=type[Panel])
ENTRY_POINTS = "flowlab.panels"
"""The group of entry points by which an installed package brings panels of its own."""

_PANELS: dict[str, type[Panel]] = {}


def register(panel: P) -> P:
    """Make a panel a tab of every lab that is opened from now on and that it fits; the class itself is returned.

    The same class defined again, as by a cell that is run twice, takes the place of the earlier one.

    Args:
        panel: a subclass of :class:`Panel` with a ``title`` and ``fits``.

    Raises:
        ValueError: without a title, or with that of another panel.

    >>> @register
    ... class Seeds(Panel):
    ...     title = "Seeds"
    ...     def update(self): return False
    ...     def snapshot(self): ...
    >>> Seeds in registered()
    True
    >>> unregister(Seeds)
    """
    if not panel.title:
        raise ValueError(f"a panel needs a title, got {panel.__name__} without one")
    taken = _PANELS.get(panel.title)
    if taken is not None and _name(taken) != _name(panel):
        raise ValueError(f"title must be that of no other panel, got {panel.title!r}, which {taken.__name__} has")
    _PANELS[panel.title] = panel
    return panel


def unregister(panel: type[Panel]) -> None:
    """Forget a panel; labs that are open keep theirs."""
    _PANELS.pop(panel.title, None)


def registered() -> list[type[Panel]]:
    """All panels in the order of their tabs: flowlab's, those of installed packages, those registered here."""
    for each in entry_points(group=ENTRY_POINTS):
        register(each.load())
    return list(_PANELS.values())


def fitting(experiment: Run) -> list[type[Panel]]:
    """The panels that have something to show of a run."""
    return [panel for panel in registered() if panel.fits(experiment)]


def _name(panel: type[Panel]) -> tuple[str, str]:
    return panel.__module__, panel.__qualname__
