"""Objectives, optimisation, and the Experiment that streams them to disk."""

from flowlab.training.experiment import Experiment
from flowlab.training.forward_kl import ForwardKL
from flowlab.training.objectives import Objective, ReverseKL
from flowlab.training.registry import experiment, load, studies, study
from flowlab.training.simulation import Simulation
from flowlab.training.training import Training

__all__ = [
    "Experiment",
    "ForwardKL",
    "Objective",
    "ReverseKL",
    "Simulation",
    "Training",
    "experiment",
    "load",
    "studies",
    "study",
]
