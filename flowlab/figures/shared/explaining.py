"""Which call returns what a picture draws, and what measures it."""

from __future__ import annotations

from collections.abc import Callable

import xarray as xr

from flowlab.core.datasets import MEASURES
from flowlab.hooks import above

GIVEN_BY = {
    "acceptance_and_tau": "measure_proposals(run.sample(n)) of several runs, or fl.sweep(...)",
    "averages": "fl.average(fl.sweep(...), key)",
    "bound_by_layer": "run.layers(n) of a flow",
    "chain_overview": "run.data of Markov chains",
    "conditional_entropy": """run.diagnose(parts=["entropy"])""",
    "configuration": "run.layers(n)",
    "correlation": "run.layers(n)",
    "coupling_curves": "run.curve(beta=...) of a run over a range of couplings",
    "defect_curves": """one defect of run.diagnose(parts=["defects"]), or measure_defect(...)""",
    "defect_overview": """one defect of run.diagnose(parts=["defects"]), or measure_defect(...)""",
    "defect_strip": """one defect of run.diagnose(parts=["defects"]), or measure_defect(...)""",
    "delta_free_energy": """run.layers(n), or run.diagnose(parts=["work"])""",
    "depth_overview": """flowlab.sweep("ising-depth", by_layer=True)""",
    "ess_curve": "run.data",
    "field_histogram": "run.layers(n)",
    "field_strip": "run.layers(n)",
    "latent_flip": "run.layers(z=...) of two latents",
    "latent_information": """run.diagnose(parts=["information"])""",
    "latent_overview": """run.diagnose(parts=["entropy", "information"])""",
    "layer_overview": "run.layers(n)",
    "layer_statistics": "run.layers(n)",
    "learned_couplings": "run.data of a run that learns couplings",
    "magnetization_histogram": "run.layers(n)",
    "overlap_distribution": "run.layers(n) or run.reference()",
    "refinement_strip": "run.layers(n) of an upscaled density",
    "rejection_runs": "measure_proposals(run.sample(n))",
    "sign_histogram": "run.sample(n)",
    "strip": "run.layers(n)",
    "sweep": "fl.sweep(...)",
    "tempering_overview": "run.data of parallel tempering",
    "training_curve": "run.data",
    "training_overview": "run.data",
    "transition_curves": """flowlab.sweep("phase-diagram", ...)""",
    "triangle_cloud": "run.layers(n) or run.reference()",
}
"""The call whose Dataset each function of :mod:`flowlab.figures` takes."""


def measuring(name: str) -> Callable[..., xr.Dataset]:
    """One of :data:`MEASURES`, whether analysis has been loaded before or not."""
    if name not in MEASURES:
        above["measures"]()
    return MEASURES[name]
