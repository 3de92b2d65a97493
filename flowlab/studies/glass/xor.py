"""XOR flows of the spins of a glass: random halves decide about each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from flowlab.core import Density, named_generator
from flowlab.densities import MADE, IndependentSpins, Pushforward
from flowlab.flows import Composed, XorCoupling
from flowlab.flows.discrete.partitions import halves
from flowlab.runs import study
from flowlab.runs.keys import Count, Natural
from flowlab.studies.glass.couplings import SK, Glass, TemperatureRange
from flowlab.studies.glass.couplings import idle as idle_couplings
from flowlab.studies.ising.xor import symmetrised
from flowlab.studies.keys import (
    BETA_OR_T,
    NO_LAYERS,
    WARM,
    Anneal,
    Patience,
    TrainedByParts,
)
from flowlab.training import ReverseKL, Training
from flowlab.training.optimisation import beta_ramp


def _idle(keys: Mapping[str, Any]) -> dict[str, str]:
    found = idle_couplings(keys)
    if keys["layers"] == 0:
        found |= dict.fromkeys(("start", "partition", "mask_width", "gradient", "lr_flow"), NO_LAYERS)
    if keys["base"] == "independent":
        found["width"] = "on independent spins, which have no network"
    return found | ({"anneal": WARM} if keys["warm"] else {})


@study("glass-xor", aliases=BETA_OR_T, idle=_idle)
def glass_xor(
    *,
    glass: Glass = Glass(N=16, L=4),
    layers: Natural = 2,
    start: Literal["local_field", "identity", "random"] = "local_field",
    partition: Natural = 0,
    mask_width: Count = 32,
    gradient: Literal["tanh", "clip", "identity", "gumbel"] = "tanh",
    base: Literal["independent", "made"] = "independent",
    width: Count = 4,
    anneal: Anneal = 0.5,
    patience: Patience = 0,
    span: TemperatureRange = TemperatureRange(),
    training: TrainedByParts = TrainedByParts(steps=1000, batch=500),
    seed: int = 0,
    warm: bool = False,
) -> Training:
    """XOR coupling layers on random halves of the spins, over independent spins or a MADE with a shared Z2 bit.

    Keys:
        layers: number of coupling layers; 0 trains the base alone.
        start: of the first layer, "local_field" (sign of Σ_j J_ij z_j, odd under the flip), "identity" or "random"
            (even); the layers after it are even and start at the identity, or at random; in fields
            no layer is odd or even.
        partition: number of the random partition, the same for every depth.
        mask_width: hidden units of the masks, see :class:`flowlab.flows.XorCoupling`.
        gradient: of the masks' signs.
        base: what draws the bits.
        width: hidden units a spin of a MADE.
        lr: peak learning rate of the base; none is one that suits it.
        lr_flow: peak learning rate of the masks; none is one that suits the base.
    """
    system = glass.system()
    shape, N = system.shape, system.n_sites
    masks = halves(shape, layers, generator=named_generator(partition, "partition"))
    flow = Composed(
        [
            XorCoupling(
                shape,
                mask,
                parity=_parity(layer, start) if system.flip_symmetric else None,
                network="mlp",
                hidden=(mask_width,),
                start="identity" if layer and start == "local_field" else start,
                couplings=system.neighbours(),
                gradient=gradient,
                generator=named_generator(seed, "flow", layer),
            )
            for layer, mask in enumerate(masks)
        ]
    )
    density: Density = IndependentSpins(shape, bias=0.1)
    if base == "made":
        density = MADE(shape, hidden=width * N, generator=named_generator(seed, "base"))
    density = symmetrised(density, flow) if system.flip_symmetric else density
    density, over = Pushforward(flow, density) if layers else density, span.range
    return Training(
        system, over.density(density), over.objective(ReverseKL()), warmup=0.05 if warm else 0.0,
        annealing=None if warm else over.annealing(beta_ramp(glass.T, anneal)), patience=patience, seed=seed,
        **training.given(base),
    )  # fmt: skip


def _parity(layer: int, start: str) -> Literal["odd", "even"]:
    return "odd" if layer == 0 and start == "local_field" else "even"


sk_xor = study(
    "sk-xor", aliases=BETA_OR_T, fixed=SK, defaults={"N": 16, "T": 0.5}, idle=_idle,
    about="XOR coupling layers on random halves of the Sherrington-Kirkpatrick model's spins.",
)(glass_xor)  # fmt: skip
