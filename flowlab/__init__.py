"""flowlab: watch a generative model learn a phase transition, and trust every number it prints.

import flowlab as fl

fl.help("ising-xor")
run = fl.experiment("ising-xor", L=8, T=2.3, out="runs/first")
run.run(seconds=60)
run.evaluate(20_000)
run.lab()

fl.lab() is the way in for who would rather click: every study, and the runs on disk.

Runs of studies by name
    experiment, load, sweep     start one, open one from disk, run many over the values of some keys
    read_ensemble               configurations of your own, from a file
    average                     means of a sweep over instances of random couplings
    compare                     a trained model and a Markov chain at equal cost, in one table
    lab                         choose a study, set its keys, start it and watch, in JupyterLab
    show_versions               what is installed, for the report of a bug
    help                        what studies there are, what one is and what its keys mean
    style                       settings for matplotlib: the look of flowlab's figures
    study                       make a function of keys a study
    Experiment, Training, ChainRun   what a run is

Systems
    Ising, TriangularIsing, Potts, XY, SpinGlass, Phi4, FreeField, ContinuousSpinGlass; CRITICAL_TEMPERATURE
    System, and its variables Spins, States, Reals, Angles: to write one

A run by hand: a density, perhaps behind a flow, trained by an objective
    Density, Flow, Objective, MarkovChain: to write one
    Pushforward, Composed, Normal, IndependentSpins, MADE, XorCoupling, AffineCoupling, ReverseKL, PathGradient, HMC
    TensorNetwork: a plane drawn row by row, with nothing to train

Rooms, loaded when they are first used; help(fl.densities) says what is in one
    fl.systems      what is sampled              fl.exact        answers in closed form
    fl.densities    what can be drawn, with ln q fl.estimators   numbers with errors, from arrays
    fl.flows        invertible maps              fl.analysis     what is read out of a density or a chain
    fl.mcmc         Markov chains                fl.figures      pictures of Datasets
    fl.training     training and its objectives  fl.widgets      panels in Jupyter
    fl.runs         runs, studies, sweeps        fl.studies      the experiments of the papers
    fl.core         what all of them share       fl.storage      runs on disk
    fl.exports      results taken elsewhere      fl.adapters     models of other libraries
    fl.nn           small networks               fl.testing      laws to hold what one writes against
"""

from __future__ import annotations

import importlib
import warnings
from typing import TYPE_CHECKING, Any

from flowlab.extras import installed, told
from flowlab.hooks import above, providers

if TYPE_CHECKING:
    from flowlab.analysis import average as average
    from flowlab.core import Angles as Angles
    from flowlab.core import Density as Density
    from flowlab.core import Flow as Flow
    from flowlab.core import MarkovChain as MarkovChain
    from flowlab.core import Reals as Reals
    from flowlab.core import Spins as Spins
    from flowlab.core import States as States
    from flowlab.core import System as System
    from flowlab.densities import MADE as MADE
    from flowlab.densities import Normal as Normal
    from flowlab.densities import Pushforward as Pushforward
    from flowlab.densities import TensorNetwork as TensorNetwork
    from flowlab.exports import read_ensemble as read_ensemble
    from flowlab.extras import show_versions as show_versions
    from flowlab.flows import AffineCoupling as AffineCoupling
    from flowlab.flows import Composed as Composed
    from flowlab.flows import XorCoupling as XorCoupling
    from flowlab.hooks import lab as lab
    from flowlab.manual import help as help
    from flowlab.mcmc import HMC as HMC
    from flowlab.runs import ChainRun as ChainRun
    from flowlab.runs import Experiment as Experiment
    from flowlab.runs import experiment as experiment
    from flowlab.runs import load as load
    from flowlab.runs import study as study
    from flowlab.runs import sweep as sweep
    from flowlab.studies.comparison import compare as compare
    from flowlab.systems import CRITICAL_TEMPERATURE as CRITICAL_TEMPERATURE
    from flowlab.systems import XY as XY
    from flowlab.systems import ContinuousSpinGlass as ContinuousSpinGlass
    from flowlab.systems import FreeField as FreeField
    from flowlab.systems import Ising as Ising
    from flowlab.systems import Phi4 as Phi4
    from flowlab.systems import Potts as Potts
    from flowlab.systems import SpinGlass as SpinGlass
    from flowlab.systems import TriangularIsing as TriangularIsing
    from flowlab.training import Objective as Objective
    from flowlab.training import PathGradient as PathGradient
    from flowlab.training import ReverseKL as ReverseKL
    from flowlab.training import Training as Training

_ROOMS = (
    "adapters", "analysis", "core", "densities", "estimators", "exact", "exports", "figures", "flows", "mcmc", "nn",
    "runs", "storage", "studies", "systems", "testing", "training", "widgets",
)  # fmt: skip


def _by_name(rooms: dict[str, str]) -> dict[str, str]:
    return {name: room for room, names in rooms.items() for name in names.split()}


_SHOWN = _by_name({
    "analysis": "average",
    "core": "Angles Density Flow MarkovChain Reals Spins States System",
    "extras": "show_versions",
    "densities": "MADE Normal Pushforward TensorNetwork",
    "exports": "read_ensemble",
    "flows": "AffineCoupling Composed XorCoupling",
    "hooks": "lab",
    "manual": "help",
    "mcmc": "HMC",
    "runs": "ChainRun Experiment experiment load study sweep",
    "studies.comparison": "compare",
    "systems": "CRITICAL_TEMPERATURE ContinuousSpinGlass FreeField Ising Phi4 Potts SpinGlass TriangularIsing XY",
    "training": "Objective PathGradient ReverseKL Training",
})  # fmt: skip
"""Name -> its room: what ``dir(flowlab)`` shows."""

_KEPT = _by_name({
    "densities": "BlockNoise Conditional IndependentSpins Multilevel Upscaled Z2Symmetrized",
    "flows": "ContinuousFlow Rescaling SpectralScaling",
    "hooks": "style",
    "mcmc": "AnnealedImportance",
})  # fmt: skip
"""What tutorials and notebooks use besides."""

_MOVED = _by_name({
    "analysis": "latent_bounds",
    "core": "Draw LayerState Representation",
    "densities": "BlockSpins CoarseFields CoupledMADE FieldPixelCNN Hierarchical IndependentPotts LocalAutoregressive "
    "MultilevelFields MultilevelStates PermutationSymmetrized PixelCNN PottsMADE RowRNN VQVAE",
    "flows": "AdditiveCoupling DomainWalls Linear MultiscaleXor PermutationCoupling SortingCoupling SplineCoupling",
    "mcmc": "HeatBath IndependenceMetropolis Langevin Metropolis Mixed ParallelTempering SwendsenWang Wolff",
    "runs": "AnnealedRun",
    "systems": "Decimated",
    "training": "ForwardKL Grown",
})  # fmt: skip
"""What was here and is in its room now."""

_RENAMED = {"Simulation": ("runs", "TemperingRun")}
"""What was here under another name."""

providers.append("flowlab.studies")
above["lab"] = lambda run: __getattr__("widgets").lab_of(run)
above["export_web"] = lambda run, path: __getattr__("widgets").export_web(run, path)
above["style"] = lambda width: __getattr__("figures").style(width)
above["gallery"] = lambda folder: __getattr__("widgets").open_gallery(folder)
above["exports"] = lambda: importlib.import_module("flowlab.exports")
above["page of a sweep"] = lambda *what: __getattr__("figures").write_sweep(*what)
above["measures"] = lambda: importlib.import_module("flowlab.analysis")
above["load"] = lambda path, **how: importlib.import_module("flowlab.runs").load(path, **how)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return installed()
    if name in _ROOMS:
        with told("lab" if name == "widgets" else None):
            return importlib.import_module(f"flowlab.{name}")
    if name in _SHOWN or name in _KEPT:
        found = getattr(importlib.import_module(f"flowlab.{_SHOWN.get(name) or _KEPT[name]}"), name)
        globals()[name] = found
        return found
    room, new = _RENAMED.get(name, (_MOVED.get(name), name))
    if room is None:
        raise AttributeError(f"flowlab has no {name!r}: see dir(flowlab) and help(flowlab)")
    warnings.warn(f"flowlab.{name} is flowlab.{room}.{new} now", DeprecationWarning, stacklevel=2)
    return getattr(importlib.import_module(f"flowlab.{room}"), new)


def __dir__() -> list[str]:
    return sorted([*_SHOWN, *_ROOMS])


__all__ = sorted(_SHOWN)
