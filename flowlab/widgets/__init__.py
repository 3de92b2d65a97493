"""Panels for JupyterLab: views of an Experiment that stay alive while it trains."""

from flowlab.widgets.lab import Lab
from flowlab.widgets.panels.defects import DefectsPanel
from flowlab.widgets.panels.latent import LatentPanel
from flowlab.widgets.panels.layers import LayersPanel
from flowlab.widgets.panels.overlaps import OverlapsPanel
from flowlab.widgets.panels.refinement import RefinementPanel
from flowlab.widgets.panels.retrain import RetrainPanel
from flowlab.widgets.panels.train import TrainPanel
from flowlab.widgets.panels.triangles import TrianglesPanel

__all__ = [
    "DefectsPanel",
    "Lab",
    "LatentPanel",
    "LayersPanel",
    "OverlapsPanel",
    "RefinementPanel",
    "RetrainPanel",
    "TrainPanel",
    "TrianglesPanel",
]
