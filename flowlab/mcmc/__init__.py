"""Markov chains that sample a system by themselves, for reference and comparison."""

from flowlab.mcmc.annealed_importance import Annealed, AnnealedImportance
from flowlab.mcmc.exchange import Exchange, ExchangeInfo, ExchangeState
from flowlab.mcmc.heat_bath import HeatBath, IsingChain, IsingInfo, IsingState, Metropolis
from flowlab.mcmc.hmc import HMC, HMCInfo, HMCState
from flowlab.mcmc.independence import IndependenceInfo, IndependenceMetropolis, IndependenceState
from flowlab.mcmc.kernels.graphs import SpinGraph, spin_graph
from flowlab.mcmc.langevin import Langevin, LangevinInfo, LangevinState
from flowlab.mcmc.mixed import Mixed, MixedInfo, MixedState
from flowlab.mcmc.parallel_tempering import ParallelTempering, TemperingInfo, TemperingState, adapted_ladder, ladder
from flowlab.mcmc.population import Population
from flowlab.mcmc.potts_clusters import PottsClusters, PottsInfo, PottsState
from flowlab.mcmc.swendsen_wang import SwendsenWang
from flowlab.mcmc.wolff import Wolff
from flowlab.mcmc.xy_clusters import XYClusters

__all__ = [
    "HMC",
    "Annealed",
    "AnnealedImportance",
    "Exchange",
    "ExchangeInfo",
    "ExchangeState",
    "HMCInfo",
    "HMCState",
    "HeatBath",
    "IndependenceInfo",
    "IndependenceMetropolis",
    "IndependenceState",
    "IsingChain",
    "IsingInfo",
    "IsingState",
    "Langevin",
    "LangevinInfo",
    "LangevinState",
    "Metropolis",
    "Mixed",
    "MixedInfo",
    "MixedState",
    "ParallelTempering",
    "Population",
    "PottsClusters",
    "PottsInfo",
    "PottsState",
    "SpinGraph",
    "SwendsenWang",
    "TemperingInfo",
    "TemperingState",
    "Wolff",
    "XYClusters",
    "adapted_ladder",
    "ladder",
    "spin_graph",
]
