"""Panels for JupyterLab: views of an Experiment that stay alive while it trains."""

from flowlab.widgets.gallery import Gallery, open_gallery
from flowlab.widgets.lab import Lab, lab_of
from flowlab.widgets.pages.web import export_web
from flowlab.widgets.panel import FigurePanel, Panel
from flowlab.widgets.panels import (
    CheckPanel,
    Compare,
    ConfigurationsPanel,
    DefectsPanel,
    DialPanel,
    LatentPanel,
    LayersPanel,
    OverlapsPanel,
    PhaseDiagram,
    RefinementPanel,
    RetrainPanel,
    TrainPanel,
    TrianglesPanel,
)
from flowlab.widgets.registry import register, registered, unregister

__all__ = [
    "CheckPanel",
    "Compare",
    "ConfigurationsPanel",
    "DefectsPanel",
    "DialPanel",
    "FigurePanel",
    "Gallery",
    "Lab",
    "LatentPanel",
    "LayersPanel",
    "OverlapsPanel",
    "Panel",
    "PhaseDiagram",
    "RefinementPanel",
    "RetrainPanel",
    "TrainPanel",
    "TrianglesPanel",
    "export_web",
    "lab_of",
    "open_gallery",
    "register",
    "registered",
    "unregister",
]
