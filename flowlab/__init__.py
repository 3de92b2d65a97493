"""flowlab: watch a generative model learn a phase transition, and trust every number it prints.

import flowlab as fl

run = fl.experiment("ising-xor", L=8, T=2.3, out="runs/first")
run.run(seconds=60)
run.evaluate(20_000)
run.lab()
"""

from __future__ import annotations

import importlib
from typing import Any

from flowlab import estimators, exact
from flowlab.analysis.vqvae_bounds import latent_bounds
from flowlab.core import (
    Angles,
    Density,
    Draw,
    Flow,
    LayerState,
    MarkovChain,
    Reals,
    Representation,
    Spins,
    States,
    System,
)
from flowlab.densities import (
    MADE,
    VQVAE,
    BlockNoise,
    BlockSpins,
    CoarseFields,
    CoupledMADE,
    FieldPixelCNN,
    Hierarchical,
    IndependentPotts,
    IndependentSpins,
    LocalAutoregressive,
    Multilevel,
    MultilevelFields,
    Normal,
    PermutationSymmetrized,
    PixelCNN,
    PottsMADE,
    Pushforward,
    RowRNN,
    Upscaled,
    Z2Symmetrized,
)
from flowlab.flows import (
    AdditiveCoupling,
    AffineCoupling,
    Composed,
    ContinuousFlow,
    DomainWalls,
    Linear,
    MultiscaleXor,
    PermutationCoupling,
    Rescaling,
    SortingCoupling,
    SpectralScaling,
    SplineCoupling,
    XorCoupling,
)
from flowlab.manual import help
from flowlab.mcmc import (
    HMC,
    AnnealedImportance,
    HeatBath,
    IndependenceMetropolis,
    Langevin,
    Metropolis,
    Mixed,
    ParallelTempering,
    SwendsenWang,
    Wolff,
)
from flowlab.runs import AnnealedRun, ChainRun, Experiment, Simulation, experiment, load, study, sweep
from flowlab.runs.registry import provide
from flowlab.runs.run import above
from flowlab.systems import (
    CRITICAL_TEMPERATURE,
    ContinuousSpinGlass,
    Decimated,
    FreeField,
    Ising,
    Phi4,
    Potts,
    SpinGlass,
    TriangularIsing,
)
from flowlab.training import ForwardKL, Grown, Objective, PathGradient, ReverseKL, Training

__version__ = "0.1.0"

_ON_FIRST_ACCESS = ("figures", "widgets")

provide("flowlab.studies")
above["lab"] = lambda run: importlib.import_module("flowlab.widgets").lab_of(run)
above["load"] = load


def __getattr__(name: str) -> Any:
    if name in _ON_FIRST_ACCESS:
        return importlib.import_module(f"flowlab.{name}")
    raise AttributeError(f"flowlab has no {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_ON_FIRST_ACCESS])


__all__ = [
    "CRITICAL_TEMPERATURE",
    "HMC",
    "MADE",
    "VQVAE",
    "AdditiveCoupling",
    "AffineCoupling",
    "Angles",
    "AnnealedImportance",
    "AnnealedRun",
    "BlockNoise",
    "BlockSpins",
    "ChainRun",
    "CoarseFields",
    "Composed",
    "ContinuousFlow",
    "ContinuousSpinGlass",
    "CoupledMADE",
    "Decimated",
    "Density",
    "DomainWalls",
    "Draw",
    "Experiment",
    "FieldPixelCNN",
    "Flow",
    "ForwardKL",
    "FreeField",
    "Grown",
    "HeatBath",
    "Hierarchical",
    "IndependenceMetropolis",
    "IndependentPotts",
    "IndependentSpins",
    "Ising",
    "Langevin",
    "LayerState",
    "Linear",
    "LocalAutoregressive",
    "MarkovChain",
    "Metropolis",
    "Mixed",
    "Multilevel",
    "MultilevelFields",
    "MultiscaleXor",
    "Normal",
    "Objective",
    "ParallelTempering",
    "PathGradient",
    "PermutationCoupling",
    "PermutationSymmetrized",
    "Phi4",
    "PixelCNN",
    "Potts",
    "PottsMADE",
    "Pushforward",
    "Reals",
    "Representation",
    "Rescaling",
    "ReverseKL",
    "RowRNN",
    "Simulation",
    "SortingCoupling",
    "SpectralScaling",
    "SpinGlass",
    "Spins",
    "SplineCoupling",
    "States",
    "SwendsenWang",
    "System",
    "Training",
    "TriangularIsing",
    "Upscaled",
    "Wolff",
    "XorCoupling",
    "Z2Symmetrized",
    "estimators",
    "exact",
    "experiment",
    "help",
    "latent_bounds",
    "load",
    "study",
    "sweep",
]
