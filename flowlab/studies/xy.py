"""The XY model: a multilevel sampler of planar spins, and the clusters that it is compared to."""

from __future__ import annotations

from flowlab.core import Density, System, named_generator
from flowlab.densities import MultilevelAngles
from flowlab.mcmc import XYClusters
from flowlab.runs import ChainRun, study
from flowlab.runs.keys import Count, Positive, Several
from flowlab.studies.growth import Range, beta_rises, first_side, grown_idle, staged_training
from flowlab.studies.keys import (
    BETA_OR_T,
    OF_CHAINS,
    Anneal,
    Chained,
    Side,
    Temperature,
    Trained,
)
from flowlab.systems import XY
from flowlab.systems.xy import T_KT
from flowlab.training import ReverseKL, Training


@study("xy-coloured", idle=grown_idle, aliases=BETA_OR_T)
def xy_coloured(
    *,
    L: Side = 16,
    T: Temperature = T_KT,
    coarsest: Several | None = None,
    colours: Count = 4,
    window: Count = 32,
    hidden: Count = 32,
    components: Count = 3,
    grow: bool = True,
    share: Positive = 1.0,
    shares: str | None = None,
    anneal: Anneal = 0.2,
    couplings: Range = Range(),
    training: Trained = Trained(steps=1500, batch=500, lr=1e-2, clip=1.0),
    seed: int = 0,
    warm: bool = False,
) -> Training:
    """A multilevel density on the L x L XY model, every other site integrated out exactly, all directions alike.

    Keys:
        L [sites]: side, coarsest · 2^k.
        coarsest [sites]: side of the lattice that is drawn first; none is the odd part of L, or 2.
        colours: groups of sites a level.
        window: known sites that a site sees.
        hidden: units in each of the two layers of the networks.
        components: von Mises densities that each conditional mixes.
        grow: whether to train on coarsest · 2, · 4, ... before L, each starting from the last; a warm start does not.
        share: steps on each smaller lattice for one on L.
        shares: instead, the parts of all lattices, the smallest first and with commas between.
        anneal: fraction of the first stage over which beta rises from beta / 5; a warm start does not anneal.
    """
    first = first_side(L, coarsest)

    def target(side: int) -> System:
        return XY((side, side), T).decimate()

    def density(side: int) -> Density:
        return MultilevelAngles(
            (side, side // 2), coarsest=first, colours=colours, window=window, hidden=(hidden, hidden),
            components=components, generator=named_generator(seed, "base"),
        )  # fmt: skip

    return staged_training(
        L, first, target, density, ReverseKL, grow=grow and not warm, share=share, shares=shares,
        ramp=beta_rises(warm, anneal), couplings=couplings, warmup=0.05 if warm else 0.02, seed=seed, **training.given,
    )  # fmt: skip


@study("xy-chain", aliases=BETA_OR_T, without=OF_CHAINS)
def xy_chain(
    *,
    L: Side = 16,
    T: Temperature = T_KT,
    running: Chained = Chained(),
    seed: int = 0,
    warm: bool = False,
) -> ChainRun:
    """Mirrored clusters of the L x L XY model: observables with errors that know of the chain's memory.

    Keys:
        every [sweeps]: in a step.
        steps: of the run.
    """
    system = XY((L, L), T)
    return ChainRun(system, XYClusters(system), seed=seed, **running.given)
