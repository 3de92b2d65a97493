"""What trains a density: objectives, optimisation, growth in stages."""

import warnings
from typing import Any

from flowlab import runs
from flowlab.training.earlier import ContinuousTraining, Grown
from flowlab.training.integration_check import IntegrationCheck
from flowlab.training.objectives.forward_kl import ForwardKL
from flowlab.training.objectives.fresh import FreshForwardKL
from flowlab.training.objectives.ir_matching import IRMatching
from flowlab.training.objectives.over_couplings import OverCouplings
from flowlab.training.objectives.reverse_kl import Objective, PathGradient, ReverseKL
from flowlab.training.objectives.sequential import SequentialTempering
from flowlab.training.objectives.uv_matching import UVMatching
from flowlab.training.stage import Stage
from flowlab.training.training import Training

__all__ = [
    "ContinuousTraining",
    "ForwardKL",
    "FreshForwardKL",
    "Grown",
    "IRMatching",
    "IntegrationCheck",
    "Objective",
    "OverCouplings",
    "PathGradient",
    "ReverseKL",
    "SequentialTempering",
    "Stage",
    "Training",
    "UVMatching",
]


def __getattr__(name: str) -> Any:
    if name in runs.__all__:
        warnings.warn(f"flowlab.training.{name} is flowlab.runs.{name} now", DeprecationWarning, stacklevel=2)
        return getattr(runs, name)
    raise AttributeError(f"flowlab.training has no {name!r}")
