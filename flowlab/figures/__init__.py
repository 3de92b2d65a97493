"""Pictures: every function takes a Dataset and returns a plotly Figure, wherever the Dataset is from."""

from plotly.graph_objects import Figure

from flowlab.figures.chains import chain_overview
from flowlab.figures.defects import defect_overview, defect_strip, measure_defect
from flowlab.figures.fields import acceptance_and_tau, field_strip, measure_proposals, rejection_runs, sign_histogram
from flowlab.figures.latent import conditional_entropy, latent_flip, latent_information, latent_overview
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
from flowlab.figures.refinement import learned_couplings, refinement_strip
from flowlab.figures.report import write_report
from flowlab.figures.shared.explaining import GIVEN_BY, explained
from flowlab.figures.tempering import tempering_overview
from flowlab.figures.training import ess_curve, training_curve, training_overview
from flowlab.figures.triangles import measure_triangles, triangle, triangle_cloud
from flowlab.figures.work import delta_free_energy

globals().update({name: explained(globals()[name]) for name in GIVEN_BY})

__all__ = [
    "Figure",
    "LiveFigure",
    "acceptance_and_tau",
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
    "field_strip",
    "latent_flip",
    "latent_information",
    "latent_overview",
    "layer_overview",
    "learned_couplings",
    "magnetization_histogram",
    "measure_defect",
    "measure_overlaps",
    "measure_proposals",
    "measure_triangles",
    "overlap_distribution",
    "refinement_strip",
    "rejection_runs",
    "sign_histogram",
    "strip",
    "tempering_overview",
    "training_curve",
    "training_overview",
    "triangle",
    "triangle_cloud",
    "write_report",
]
