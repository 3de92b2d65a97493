"""Everything about a run in one place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ipywidgets

from flowlab.figures import Figure
from flowlab.widgets.layers import LayersPanel
from flowlab.widgets.panel import Panel
from flowlab.widgets.retrain import RetrainPanel
from flowlab.widgets.train import TrainPanel

if TYPE_CHECKING:
    from flowlab.widgets.run import Run


class Lab(Panel):
    """The tabs Train, Layers and Retrain over one Experiment, kept up to date by one thread.

    Attributes:
        train, layers, retrain: the panels, each with its own ``snapshot()``.
    """

    def __init__(self, experiment: Run) -> None:
        super().__init__(experiment)
        self.train = TrainPanel(experiment, self.publisher)
        self.layers = LayersPanel(experiment, publisher=self.publisher)
        self.retrain = RetrainPanel(experiment, self.publisher)
        self.panels: tuple[Panel, ...] = (self.train, self.layers, self.retrain)
        self.widget = ipywidgets.Tab(
            [panel.widget for panel in self.panels],
            titles=("Train", "Layers", "Retrain"),
            layout={"width": "calc(100% - 4px)", "min_width": "760px"},
        )
        self.widget.observe(lambda _: self.publisher.wake(), "selected_index")

    @property
    def front(self) -> Panel:
        """The panel whose tab is in front; the others rest."""
        return self.panels[self.widget.selected_index or 0]

    def update(self) -> bool:
        return self.front.refresh()

    def snapshot(self) -> Figure:
        """The static figure of the tab in front."""
        return self.front.snapshot()
