"""What a picture says where its Dataset lacks what it draws: the variable, and the call that gives it."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

import xarray as xr

GIVEN_BY = {
    "acceptance_and_tau": "measure_proposals(run.sample(n)) of several runs, or fl.sweep(...)",
    "bound_by_layer": "run.layers(n) of a flow",
    "chain_overview": "run.data of Markov chains",
    "conditional_entropy": """run.diagnose(parts=["entropy"])""",
    "configuration": "run.layers(n)",
    "correlation": "run.layers(n)",
    "defect_overview": """one defect of run.diagnose(parts=["defects"]), or measure_defect(...)""",
    "defect_strip": """one defect of run.diagnose(parts=["defects"]), or measure_defect(...)""",
    "delta_free_energy": """run.layers(n), or run.diagnose(parts=["work"])""",
    "ess_curve": "run.data",
    "field_histogram": "run.layers(n)",
    "field_strip": "run.layers(n)",
    "latent_flip": "run.layers(z=...) of two latents",
    "latent_information": """run.diagnose(parts=["information"])""",
    "latent_overview": """run.diagnose(parts=["entropy", "information"])""",
    "layer_overview": "run.layers(n)",
    "learned_couplings": "run.data of a run that learns couplings",
    "magnetization_histogram": "run.layers(n)",
    "measure_defect": "run.layers(x=...) of two configurations",
    "measure_overlaps": "run.layers(n) or run.reference()",
    "measure_proposals": "run.sample(n)",
    "measure_triangles": "run.layers(n) or run.reference()",
    "overlap_distribution": "run.layers(n) or run.reference()",
    "refinement_strip": "run.layers(n) of an upscaled density",
    "rejection_runs": "measure_proposals(run.sample(n))",
    "sign_histogram": "run.sample(n)",
    "strip": "run.layers(n)",
    "tempering_overview": "run.data of parallel tempering",
    "training_curve": "run.data",
    "training_overview": "run.data",
    "triangle_cloud": "run.layers(n) or run.reference()",
}
"""The call whose Dataset each function of :mod:`flowlab.figures` takes."""
DIMS = {"run.data": "step", "run.layers(n) of a flow": "layer"}
"""The dim without which a Dataset is of another call."""


def explained(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` of a Dataset, saying which variable is missing and what gives it where it got another one.

    Raises:
        TypeError: where it got no Dataset at all.
        ValueError: where the Dataset lacks a variable, a coordinate or a dim.
    """
    name = function.__name__
    needs = GIVEN_BY[name]

    @functools.wraps(function)
    def call(*given: Any, **more: Any) -> Any:
        first = given[0] if given else next(iter(more.values()), None)
        if first is not None and not isinstance(first, xr.Dataset):
            raise TypeError(f"figures.{name} takes the Dataset of {needs}, got {type(first).__name__}")
        dim = next((dim for call, dim in DIMS.items() if needs.startswith(call)), None)
        if dim is not None and first is not None and dim not in first.dims:
            raise ValueError(_lacks(name, dim, first))
        try:
            return function(*given, **more)
        except (KeyError, AttributeError) as error:
            found = re.search(r"'(\w+)'", str(error).replace("'Dataset' object has no attribute ", ""))
            missing = found[1] if found else ""
            if not missing or not isinstance(first, xr.Dataset) or missing in {*first.variables, *first.dims}:
                raise
            raise ValueError(_lacks(name, missing, first)) from error

    return call


def _lacks(name: str, missing: str, given: xr.Dataset) -> str:
    held = ", ".join(map(str, given.data_vars)) or "no variables"
    return f"figures.{name} needs {missing!r}, which the Dataset of {GIVEN_BY[name]} has; this one has {held}"
