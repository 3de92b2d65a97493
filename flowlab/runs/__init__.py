"""Experiments and their kinds, studies by name, sweeps and their workers."""

from flowlab.runs.annealed_run import AnnealedRun
from flowlab.runs.chain_run import ChainRun
from flowlab.runs.registry import experiment, load, studies, study, sweep_study
from flowlab.runs.run import Experiment
from flowlab.runs.sweeps import sweep
from flowlab.runs.tempering_run import Simulation
from flowlab.runs.workers import SweepError

__all__ = [
    "AnnealedRun",
    "ChainRun",
    "Experiment",
    "Simulation",
    "SweepError",
    "experiment",
    "load",
    "studies",
    "study",
    "sweep",
    "sweep_study",
]
