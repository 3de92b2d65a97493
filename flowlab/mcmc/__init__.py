"""Markov chains that sample a system by themselves, for reference and comparison."""

from flowlab.mcmc.hmc import HMC, HMCInfo, HMCState
from flowlab.mcmc.independence import IndependenceInfo, IndependenceMetropolis, IndependenceState
from flowlab.mcmc.langevin import Langevin, LangevinInfo, LangevinState
from flowlab.mcmc.mixed import Mixed, MixedInfo, MixedState
from flowlab.mcmc.parallel_tempering import ParallelTempering, TemperingInfo, TemperingState, ladder
from flowlab.mcmc.spin_graph import SpinGraph, spin_graph

__all__ = [
    "HMC",
    "HMCInfo",
    "HMCState",
    "IndependenceInfo",
    "IndependenceMetropolis",
    "IndependenceState",
    "Langevin",
    "LangevinInfo",
    "LangevinState",
    "Mixed",
    "MixedInfo",
    "MixedState",
    "ParallelTempering",
    "SpinGraph",
    "TemperingInfo",
    "TemperingState",
    "ladder",
    "spin_graph",
]
