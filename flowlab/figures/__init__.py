"""Pictures: every function takes a Dataset and returns a plotly Figure, wherever the Dataset is from."""

import warnings
from typing import Any

from plotly.graph_objects import Figure

from flowlab.core.datasets import explained
from flowlab.figures.chains import chain_overview, check_history
from flowlab.figures.defects import defect_curves, defect_overview, defect_strip
from flowlab.figures.fields import acceptance_and_tau, field_strip, rejection_runs, sign_histogram
from flowlab.figures.latent import conditional_entropy, latent_flip, latent_information, latent_overview
from flowlab.figures.layers import (
    bound_by_layer,
    configuration,
    correlation,
    field_histogram,
    layer_overview,
    layer_statistics,
    magnetization_histogram,
    strip,
)
from flowlab.figures.overlaps import overlap_distribution
from flowlab.figures.refinement import learned_couplings, refinement_strip
from flowlab.figures.report import write_report
from flowlab.figures.shared.explaining import GIVEN_BY, measuring
from flowlab.figures.stills import save, stills_in_notebooks, style
from flowlab.figures.sweeps import averages, coupling_curves, phase_diagram, sweep, transition_curves, write_sweep
from flowlab.figures.tempering import tempering_overview
from flowlab.figures.training import ess_curve, training_curve, training_overview
from flowlab.figures.triangles import triangle, triangle_cloud
from flowlab.figures.work import delta_free_energy, depth_overview

stills_in_notebooks()
globals().update({name: explained(globals()[name], needs) for name, needs in GIVEN_BY.items()})
MEASURED_HERE_ONCE = {"measure_defect", "measure_overlaps", "measure_proposals", "measure_triangles"}


def __getattr__(name: str) -> Any:
    if name in MEASURED_HERE_ONCE:
        measure = measuring(name)
        warnings.warn(f"figures.{name} is flowlab.analysis.{name}", DeprecationWarning, stacklevel=2)
        return measure
    raise AttributeError(f"flowlab.figures has no {name!r}")


__all__ = [
    "Figure",
    "acceptance_and_tau",
    "averages",
    "bound_by_layer",
    "chain_overview",
    "check_history",
    "conditional_entropy",
    "configuration",
    "correlation",
    "coupling_curves",
    "defect_curves",
    "defect_overview",
    "defect_strip",
    "delta_free_energy",
    "depth_overview",
    "ess_curve",
    "field_histogram",
    "field_strip",
    "latent_flip",
    "latent_information",
    "latent_overview",
    "layer_overview",
    "layer_statistics",
    "learned_couplings",
    "magnetization_histogram",
    "overlap_distribution",
    "phase_diagram",
    "refinement_strip",
    "rejection_runs",
    "save",
    "sign_histogram",
    "strip",
    "style",
    "sweep",
    "tempering_overview",
    "training_curve",
    "training_overview",
    "transition_curves",
    "triangle",
    "triangle_cloud",
    "write_report",
    "write_sweep",
]
