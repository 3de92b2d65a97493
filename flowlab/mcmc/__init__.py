"""Markov chains that sample a system by themselves, for reference and comparison."""

from flowlab.mcmc.parallel_tempering import ParallelTempering, TemperingInfo, TemperingState, ladder
from flowlab.mcmc.spin_graph import SpinGraph, spin_graph

__all__ = ["ParallelTempering", "SpinGraph", "TemperingInfo", "TemperingState", "ladder", "spin_graph"]
