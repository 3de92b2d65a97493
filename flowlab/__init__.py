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
from flowlab.core import Density, Draw, Flow, LayerState, MarkovChain, Representation, System
from flowlab.densities import MADE, IndependentSpins, Pushforward, Z2Symmetrized
from flowlab.flows import Composed, XorCoupling
from flowlab.systems import CRITICAL_TEMPERATURE, Ising
from flowlab.training import Experiment, Objective, ReverseKL, Training, experiment, load, study

__version__ = "0.1.0"

_ON_FIRST_ACCESS = ("figures", "widgets")


def __getattr__(name: str) -> Any:
    if name in _ON_FIRST_ACCESS:
        return importlib.import_module(f"flowlab.{name}")
    raise AttributeError(f"flowlab has no {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_ON_FIRST_ACCESS])


__all__ = [
    "CRITICAL_TEMPERATURE",
    "MADE",
    "Composed",
    "Density",
    "Draw",
    "Experiment",
    "Flow",
    "IndependentSpins",
    "Ising",
    "LayerState",
    "MarkovChain",
    "Objective",
    "Pushforward",
    "Representation",
    "ReverseKL",
    "System",
    "Training",
    "XorCoupling",
    "Z2Symmetrized",
    "estimators",
    "exact",
    "experiment",
    "load",
    "study",
]
