"""XOR flows of the spins of a Sherrington-Kirkpatrick glass: random halves decide about each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch

from flowlab.core import Density, named_generator
from flowlab.densities import MADE, IndependentSpins, Pushforward, Z2Symmetrized
from flowlab.flows import Composed, XorCoupling
from flowlab.flows.discrete.partitions import halves
from flowlab.runs import study
from flowlab.runs.keys import Clip, Count, Fraction, Natural, Patience, Positive, Several, Threads
from flowlab.runs.process import resolve_device
from flowlab.studies.rates import base_rate, flow_rate
from flowlab.studies.refusals import NO_LAYERS, WARM
from flowlab.systems import SpinGlass
from flowlab.training import ReverseKL, Training
from flowlab.training.optimisation import beta_ramp


def _idle(keys: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    if keys["layers"] == 0:
        found |= dict.fromkeys(("start", "partition", "mask_width", "gradient", "lr_flow"), NO_LAYERS)
    if keys["base"] == "independent":
        found["width"] = "on independent spins, which have no network"
    return found | ({"anneal": WARM} if keys["warm"] else {})


@study("sk-xor", aliases={"beta": ("T", lambda beta: 1.0 / beta)}, idle=_idle)
def sk_xor(
    *,
    N: Several = 16,
    T: Positive = 0.5,
    seed_J: Natural = 0,
    layers: Natural = 2,
    start: Literal["local_field", "identity", "random"] = "local_field",
    partition: Natural = 0,
    mask_width: Count = 32,
    gradient: Literal["tanh", "clip", "identity", "gumbel"] = "tanh",
    base: Literal["independent", "made"] = "independent",
    width: Count = 4,
    steps: Count = 1000,
    batch: Several = 500,
    lr: Positive | None = None,
    lr_flow: Positive | None = None,
    clip: Clip = 10.0,
    anneal: Fraction = 0.5,
    patience: Patience = 0,
    threads: Threads = 1,
    device: str = "auto",
    seed: int = 0,
    warm: bool = False,
) -> Training:
    """XOR coupling layers on random halves of the spins, over independent spins or a MADE with a shared Z2 bit.

    Keys:
        N, T, seed_J: spins, temperature (or beta), instance of the couplings.
        layers: number of coupling layers; 0 trains the base alone.
        start: of the first layer, "local_field" (sign of Σ_j J_ij z_j, odd under the flip), "identity" or "random"
            (even); the layers after it are even and start at the identity, or at random.
        partition: number of the random partition, the same for every depth.
        mask_width, gradient: of the masks, see :class:`flowlab.flows.XorCoupling`.
        base: "independent" or "made"; width: hidden units a spin of a MADE.
        steps, batch, lr, lr_flow, clip, anneal, patience, threads, device: as in ising-xor.
    """
    glass = SpinGlass.sherrington_kirkpatrick(N, T, seed_J)
    masks = halves((N,), layers, generator=named_generator(partition, "partition"))
    flow = Composed(
        [
            XorCoupling(
                (N,),
                mask,
                parity="odd" if layer == 0 and start == "local_field" else "even",
                network="mlp",
                hidden=(mask_width,),
                start="identity" if layer and start == "local_field" else start,
                couplings=glass.neighbours(),
                gradient=gradient,
                generator=named_generator(seed, "flow", layer),
            )
            for layer, mask in enumerate(masks)
        ]
    )
    density: Density = IndependentSpins((N,), bias=0.1)
    if base == "made":
        density = MADE((N,), hidden=width * N, generator=named_generator(seed, "base"))
    action = flow.pull_flip(-torch.ones(N))
    density = Z2Symmetrized(density, "all" if action is None else action)
    return Training(
        glass,
        Pushforward(flow, density) if layers else density,
        ReverseKL(),
        steps=steps,
        batch=batch,
        learning_rate={"base": base_rate(base, lr), "flow": flow_rate(base, lr_flow)},
        clip=clip,
        warmup=0.05 if warm else 0.0,
        annealing=None if warm else beta_ramp(T, anneal),
        patience=patience,
        seed=seed,
        threads=threads,
        device=resolve_device(device),
    )
