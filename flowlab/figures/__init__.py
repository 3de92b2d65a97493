"""Pictures: every function takes a Dataset and returns a plotly Figure, wherever the Dataset is from."""

from plotly.graph_objects import Figure

from flowlab.figures.chains import chain_overview
from flowlab.figures.defects import defect_overview, defect_strip, measure_defect
from flowlab.figures.entropy import conditional_entropy
from flowlab.figures.latent import latent_flip, latent_information, latent_overview
from flowlab.figures.layers import (
    bound_by_layer,
    configuration,
    correlation,
    field_histogram,
    layer_overview,
    magnetization_histogram,
    strip,
)
from flowlab.figures.live_figure import LiveFigure
from flowlab.figures.overlaps import measure_overlaps, overlap_distribution
from flowlab.figures.report import write_report
from flowlab.figures.tempering import tempering_overview
from flowlab.figures.training import ess_curve, training_curve, training_overview
from flowlab.figures.triangles import measure_triangles, triangle, triangle_cloud
from flowlab.figures.work import delta_free_energy

__all__ = [
    "Figure",
    "LiveFigure",
    "bound_by_layer",
    "chain_overview",
    "conditional_entropy",
    "configuration",
    "correlation",
    "defect_overview",
    "defect_strip",
    "delta_free_energy",
    "ess_curve",
    "field_histogram",
    "latent_flip",
    "latent_information",
    "latent_overview",
    "layer_overview",
    "magnetization_histogram",
    "measure_defect",
    "measure_overlaps",
    "measure_triangles",
    "overlap_distribution",
    "strip",
    "tempering_overview",
    "training_curve",
    "training_overview",
    "triangle",
    "triangle_cloud",
    "write_report",
]
