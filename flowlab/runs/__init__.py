"""Experiments and their kinds, studies by name, sweeps and their workers."""

import warnings
from typing import Any

from flowlab.runs.annealed_run import AnnealedRun
from flowlab.runs.chain_run import ChainRun
from flowlab.runs.registry import experiment, load, studies, study, sweep_study
from flowlab.runs.run import Experiment
from flowlab.runs.sweeps import sweep
from flowlab.runs.sweeps.workers import SweepError
from flowlab.runs.tempering_run import TemperingRun

__all__ = [
    "AnnealedRun",
    "ChainRun",
    "Experiment",
    "SweepError",
    "TemperingRun",
    "experiment",
    "load",
    "studies",
    "study",
    "sweep",
    "sweep_study",
]


def __getattr__(name: str) -> Any:
    if name == "Simulation":
        warnings.warn("flowlab.runs.Simulation is flowlab.runs.TemperingRun now", DeprecationWarning, stacklevel=2)
        return TemperingRun
    raise AttributeError(f"flowlab.runs has no {name!r}")
