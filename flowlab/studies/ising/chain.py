"""The Ising model by Markov chains: what samplers are compared to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from flowlab.mcmc import AnnealedImportance, HeatBath, IsingChain, Metropolis, SwendsenWang, Wolff
from flowlab.runs import AnnealedRun, ChainRun, study
from flowlab.runs.keys import Count
from flowlab.studies.keys import (
    BETA_OR_T,
    OF_CHAINS,
    Chained,
    Chains,
    Dimension,
    Field,
    Kept,
    Side,
    Steps,
    Temperature,
    even_side,
)
from flowlab.systems import CRITICAL_TEMPERATURE, Ising

MOVES: dict[str, Callable[[Ising], IsingChain]] = {
    "wolff": Wolff,
    "swendsen_wang": SwendsenWang,
    "heat_bath": HeatBath,
    "metropolis": Metropolis,
}


@study("ising-chain", aliases=BETA_OR_T, without=OF_CHAINS)
def ising_chain(
    *,
    L: Side = 16,
    d: Dimension = 2,
    T: Temperature = CRITICAL_TEMPERATURE,
    h: Field = 0.0,
    moves: Literal["wolff", "swendsen_wang", "heat_bath", "metropolis"] = "wolff",
    running: Chained = Chained(),
    seed: int = 0,
    warm: bool = False,
) -> ChainRun:
    """Clusters or single spins of the Ising model: observables with the errors that their memory leaves them.

    Keys:
        moves: "wolff" (as many clusters a sweep as flip about all spins) or "swendsen_wang", without field;
            "heat_bath" or "metropolis", one spin at a time, for even L.
        every [sweeps]: in a step.
        steps: of the run.
    """
    if moves in ("heat_bath", "metropolis"):
        even_side(L, f"a checkerboard, which moves={moves} needs")
    elif h != 0:
        raise ValueError(f"h must be 0 for clusters (moves={moves}), got {h:g}: give moves=heat_bath or metropolis")
    system = Ising((L,) * d, T, h=h)
    return ChainRun(system, MOVES[moves](system), seed=seed, **running.given)


@study("ising-cluster-ais", aliases=BETA_OR_T, without=OF_CHAINS)
def ising_cluster_ais(
    *,
    L: Side = 16,
    d: Dimension = 2,
    T: Temperature = CRITICAL_TEMPERATURE,
    moves: Literal["wolff", "swendsen_wang"] = "wolff",
    sweeps: Count | None = None,
    schedule: Literal["uniform", "critical"] = "uniform",
    chains: Chains = 100,
    samples: Kept = 10_000,
    steps: Steps = 100,
    seed: int = 0,
    warm: bool = False,
) -> AnnealedRun:
    """Cluster-AIS: ln Z of the Ising model from chains of clusters, cooled from infinite temperature.

    Keys:
        moves: how a sweep flips clusters.
        sweeps: of each chain, three a site where none.
        schedule: of the inverse temperatures, evenly or closer at criticality, see :class:`flowlab.AnnealedImportance`.
        chains [chains]: in a step, independent of all others.
        samples [configurations]: kept, over all steps.
        steps: of the run.
    """
    sweeps = 3 * L**d if sweeps is None else sweeps
    annealing = AnnealedImportance(Ising((L,) * d, T), sweeps, moves=moves, schedule=schedule)
    return AnnealedRun(annealing, chains=chains, steps=steps, keep_every=max(1, steps * chains // samples), seed=seed)
