"""Panels for JupyterLab: views of an Experiment that stay alive while it trains."""

from flowlab.widgets.lab import Lab
from flowlab.widgets.layers import LayersPanel
from flowlab.widgets.overlaps import OverlapsPanel
from flowlab.widgets.retrain import RetrainPanel
from flowlab.widgets.train import TrainPanel
from flowlab.widgets.triangles import TrianglesPanel

__all__ = ["Lab", "LayersPanel", "OverlapsPanel", "RetrainPanel", "TrainPanel", "TrianglesPanel"]
