"""The tabs of a lab, one a file, registered in their order."""

from flowlab.widgets.panels.check import CheckPanel
from flowlab.widgets.panels.compare import Compare
from flowlab.widgets.panels.configurations import ConfigurationsPanel
from flowlab.widgets.panels.defects import DefectsPanel
from flowlab.widgets.panels.dial import DialPanel
from flowlab.widgets.panels.latent import LatentPanel
from flowlab.widgets.panels.layers import LayersPanel
from flowlab.widgets.panels.overlaps import OverlapsPanel
from flowlab.widgets.panels.phase_diagram import PhaseDiagram
from flowlab.widgets.panels.refinement import RefinementPanel
from flowlab.widgets.panels.retrain import RetrainPanel
from flowlab.widgets.panels.train import TrainPanel
from flowlab.widgets.panels.triangles import TrianglesPanel
from flowlab.widgets.registry import register

for _panel in (
    TrainPanel, DialPanel, ConfigurationsPanel, RefinementPanel, LayersPanel, LatentPanel, DefectsPanel, OverlapsPanel,
    TrianglesPanel, RetrainPanel, CheckPanel,
):  # fmt: skip
    register(_panel)

__all__ = [
    "CheckPanel",
    "Compare",
    "ConfigurationsPanel",
    "DefectsPanel",
    "DialPanel",
    "LatentPanel",
    "LayersPanel",
    "OverlapsPanel",
    "PhaseDiagram",
    "RefinementPanel",
    "RetrainPanel",
    "TrainPanel",
    "TrianglesPanel",
]
