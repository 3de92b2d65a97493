"""Pictures: every function takes a Dataset and returns a plotly Figure, wherever the Dataset is from."""

from plotly.graph_objects import Figure

from flowlab.figures.entropy import conditional_entropy
from flowlab.figures.layers import (
    bound_by_layer,
    configuration,
    correlation,
    layer_overview,
    magnetization_histogram,
    strip,
)
from flowlab.figures.live_figure import LiveFigure
from flowlab.figures.report import write_report
from flowlab.figures.training import ess_curve, training_curve, training_overview

__all__ = [
    "Figure",
    "LiveFigure",
    "bound_by_layer",
    "conditional_entropy",
    "configuration",
    "correlation",
    "ess_curve",
    "layer_overview",
    "magnetization_histogram",
    "strip",
    "training_curve",
    "training_overview",
    "write_report",
]
