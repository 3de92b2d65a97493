"""Objectives, optimisation, and the Experiment that streams them to disk."""

from flowlab.training.annealed_run import AnnealedRun
from flowlab.training.chain_run import ChainRun
from flowlab.training.continuous import ContinuousTraining
from flowlab.training.elbo import latent_bounds
from flowlab.training.experiment import Experiment
from flowlab.training.forward_kl import ForwardKL
from flowlab.training.grown import Grown
from flowlab.training.ir_matching import IRMatching
from flowlab.training.objectives import Objective, PathGradient, ReverseKL
from flowlab.training.registry import experiment, load, studies, study, sweep_study
from flowlab.training.simulation import Simulation
from flowlab.training.sweep import sweep
from flowlab.training.training import Training
from flowlab.training.uv_matching import UVMatching
from flowlab.training.workers import SweepError

__all__ = [
    "AnnealedRun",
    "ChainRun",
    "ContinuousTraining",
    "Experiment",
    "ForwardKL",
    "Grown",
    "IRMatching",
    "Objective",
    "PathGradient",
    "ReverseKL",
    "Simulation",
    "SweepError",
    "Training",
    "UVMatching",
    "experiment",
    "latent_bounds",
    "load",
    "studies",
    "study",
    "sweep",
    "sweep_study",
]
