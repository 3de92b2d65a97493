"""Panels for JupyterLab: views of an Experiment that stay alive while it trains."""

from flowlab.widgets.defects import DefectsPanel
from flowlab.widgets.lab import Lab
from flowlab.widgets.latent import LatentPanel
from flowlab.widgets.layers import LayersPanel
from flowlab.widgets.overlaps import OverlapsPanel
from flowlab.widgets.refinement import RefinementPanel
from flowlab.widgets.retrain import RetrainPanel
from flowlab.widgets.train import TrainPanel
from flowlab.widgets.triangles import TrianglesPanel

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
