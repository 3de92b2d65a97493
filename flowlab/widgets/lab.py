"""Everything about a run in one place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ipywidgets

from flowlab.figures import Figure
from flowlab.widgets.diagnosis import lacks
from flowlab.widgets.panel import Panel
from flowlab.widgets.panels.defects import DefectsPanel
from flowlab.widgets.panels.latent import LatentPanel
from flowlab.widgets.panels.layers import LayersPanel
from flowlab.widgets.panels.overlaps import OverlapsPanel
from flowlab.widgets.panels.refinement import RefinementPanel, refines
from flowlab.widgets.panels.retrain import RetrainPanel
from flowlab.widgets.panels.train import TrainPanel
from flowlab.widgets.panels.triangles import TrianglesPanel

if TYPE_CHECKING:
    from flowlab.widgets.run import Run


class Lab(Panel):
    """The tabs Train, Layers and Retrain over one Experiment, kept up to date by one thread.

    A flow over spins on a lattice in the plane has Latent, and on the square lattice of the Ising model Defects too. A
    spin glass has Overlaps and Triangles; a density that refines coarse fields has Refinement; a run that trains
    nothing has Run, Overlaps and Triangles.

    Attributes:
        train, refinement, layers, latent, defects, overlaps, triangles, retrain: the panels, each with its own
            ``snapshot()``; None where the run has no use for one.
        tabs: the panels by title.
    """

    def __init__(self, experiment: Run) -> None:
        super().__init__(experiment)
        trains, glass = hasattr(experiment, "layers"), experiment.system.disordered
        self.train = TrainPanel(experiment, self.publisher)
        self.refinement = RefinementPanel(experiment, publisher=self.publisher) if refines(experiment) else None
        self.layers = LayersPanel(experiment, publisher=self.publisher) if trains else None
        self.latent = None if lacks(experiment, "response") else LatentPanel(experiment, publisher=self.publisher)
        self.defects = None if lacks(experiment, "defects") else DefectsPanel(experiment, publisher=self.publisher)
        self.overlaps = OverlapsPanel(experiment, publisher=self.publisher) if glass else None
        self.triangles = TrianglesPanel(experiment, publisher=self.publisher) if glass else None
        self.retrain = RetrainPanel(experiment, self.publisher) if trains else None
        named: dict[str, Panel | None] = {
            "Train" if trains else "Run": self.train,
            "Refinement": self.refinement,
            "Layers": self.layers,
            "Latent": self.latent,
            "Defects": self.defects,
            "Overlaps": self.overlaps,
            "Triangles": self.triangles,
            "Retrain": self.retrain,
        }
        self.tabs = {title: panel for title, panel in named.items() if panel is not None}
        self.widget = ipywidgets.Tab(
            [panel.widget for panel in self.tabs.values()],
            titles=tuple(self.tabs),
            layout={"width": "calc(100% - 4px)", "min_width": "760px"},
        )
        self.widget.observe(lambda _: self.publisher.wake(), "selected_index")

    @property
    def front(self) -> Panel:
        """The panel whose tab is in front; the others rest."""
        return list(self.tabs.values())[self.widget.selected_index or 0]

    def update(self) -> bool:
        return self.front.refresh()

    def snapshot(self) -> Figure:
        """The static figure of the tab in front."""
        return self.front.snapshot()
