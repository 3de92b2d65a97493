"""Autoregressive samplers of the Ising model at criticality, against which multilevel ones are measured.

``ising-van`` is a PixelCNN (Wu, Wang and Zhang 2019, arXiv:1809.10606), ``ising-han`` draws ever smaller domains given
the spins around them (Białas, Korcyl and Stebel 2022, arXiv:2203.10989); presets after Singha et al. 2025
(arXiv:2503.08918, appendix G).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowlab.core import named_generator
from flowlab.densities import PixelCNN, Z2Symmetrized
from flowlab.densities.multilevel.hierarchical import Hierarchical
from flowlab.runs import study
from flowlab.runs.keys import Count, Positive, Window
from flowlab.studies.growth import BETA, Range, beta_rises, staged_training
from flowlab.studies.keys import (
    BETA_OR_T,
    NO_GROWTH,
    ONE_LEVEL,
    WARM,
    Anneal,
    Falling,
    Side,
    Temperature,
    Trained,
    over_idle,
)
from flowlab.studies.papers.rigcs import CHANGED, HAN, STATED_HAN, STATED_VAN, VAN
from flowlab.systems import Ising
from flowlab.training import ReverseKL, Training
from flowlab.training.optimisation import beta_ramp


def _van_idle(keys: Mapping[str, Any]) -> dict[str, str]:
    return over_idle(keys) | ({"anneal": WARM} if keys["warm"] else {})


@study("ising-van", aliases=BETA_OR_T, presets=VAN, stated=STATED_VAN, changed=CHANGED, idle=_van_idle)
def ising_van(
    *,
    L: Side = 8,
    T: Temperature = 1 / BETA,
    channels: Count = 16,
    layers: Count = 3,
    kernel: Window = 13,
    symmetric: bool = True,
    anneal: Anneal = 0.5,
    falling: Falling = Falling(warmup=0.0),
    couplings: Range = Range(),
    training: Trained = Trained(steps=1000, batch=200, lr=5e-3, clip=1.0),
    seed: int = 0,
    warm: bool = False,
) -> Training:
    """A variational autoregressive network: a PixelCNN with the sign symmetry, on the L x L Ising model.

    Keys:
        channels: of each layer of the network, see :class:`flowlab.densities.PixelCNN`.
        layers: of the network.
        kernel [sites]: side of its convolutions.
        symmetric: whether it is made exactly even, q(-s) = q(s).
    """
    network = PixelCNN((L, L), channels=channels, layers=layers, kernel=kernel, generator=named_generator(seed, "base"))
    density = couplings.density(Z2Symmetrized(network, "all") if symmetric else network)
    return Training(
        Ising((L, L), T), density, couplings.objective(ReverseKL()), **falling.given(warm=warm),
        annealing=None if warm else couplings.annealing(beta_ramp(T, anneal)), seed=seed, **training.given,
    )  # fmt: skip


def _han_idle(keys: Mapping[str, Any]) -> dict[str, str]:
    found = over_idle(keys)
    if keys["L"] <= 4:
        found |= dict.fromkeys(("grow", "share"), ONE_LEVEL)
    elif not keys["grow"]:
        found["share"] = NO_GROWTH
    return found | (dict.fromkeys(("anneal", "grow", "share"), WARM) if keys["warm"] else {})


@study("ising-han", aliases=BETA_OR_T, presets=HAN, stated=STATED_HAN, changed=CHANGED, idle=_han_idle)
def ising_han(
    *,
    L: Side = 16,
    T: Temperature = 1 / BETA,
    width: Count = 16,
    grow: bool = True,
    share: Positive = 0.5,
    anneal: Anneal = 0.3,
    falling: Falling = Falling(),
    couplings: Range = Range(),
    training: Trained = Trained(steps=1500, batch=500, lr=1e-2, clip=1.0),
    seed: int = 0,
    warm: bool = False,
) -> Training:
    """A hierarchical autoregressive network, which draws ever smaller domains, on the L x L Ising model.

    Keys:
        L [sites]: side, 4, 8, 16, ...
        width: hidden units a site, see :class:`flowlab.densities.multilevel.hierarchical.Hierarchical`.
        grow: whether to train on 4 x 4, 8 x 8, ... before L, each starting from the last; a warm start does not.
        share: steps on each smaller lattice for one on L.
        anneal: fraction of the first stage over which beta rises from beta / 5; a warm start does not anneal.
    """
    if L & (L - 1):
        raise ValueError(f"L must be 2, 4, 8, 16, ..., so that domains can be halved, got {L}")
    return staged_training(
        L, 2, lambda side: Ising((side, side), T),
        lambda side: Hierarchical((side, side), width=width, generator=named_generator(seed, "base")),
        ReverseKL, grow=grow and not warm, share=share, ramp=beta_rises(warm, anneal), couplings=couplings,
        **falling.given(warm=warm), seed=seed, **training.given,
    )  # fmt: skip
