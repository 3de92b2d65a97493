"""Spins in other tokens: what each ansatz can rigorously claim on the Ising model, and how close it comes.

The tokens are those of Table 2 of the notes "Discrete normalizing flows as variational ansätze for classical
statistical mechanics" (2026): spins, blocks, domain walls, scales, learned codes; and noise bits sorted by local field.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from flowlab.core import Density, Flow, named_generator
from flowlab.densities import MADE, IndependentSpins, Pushforward
from flowlab.densities.autoregressive.local import LocalAutoregressive
from flowlab.densities.autoregressive.pixelcnn import PixelCNN
from flowlab.densities.autoregressive.row_rnn import RowRNN
from flowlab.densities.tokens.block_spin import BlockSpins
from flowlab.densities.tokens.vqvae import VQVAE
from flowlab.flows import Composed, XorCoupling
from flowlab.flows.discrete.domain_walls import DomainWalls
from flowlab.flows.discrete.multiscale import MultiscaleXor
from flowlab.flows.discrete.partitions import Partition, partitions
from flowlab.flows.discrete.sorting import SortingCoupling, coarse_to_fine
from flowlab.runs import study
from flowlab.runs.keys import Count, Natural, Several
from flowlab.studies.growth import Range
from flowlab.studies.ising.xor import symmetrised
from flowlab.studies.keys import (
    BETA_OR_T,
    NO_LAYERS,
    WARM,
    Anneal,
    Side,
    Temperature,
    TrainedByParts,
    even_side,
    over_idle,
)
from flowlab.systems import CRITICAL_TEMPERATURE, Ising
from flowlab.systems.lattice import checkerboard
from flowlab.training import ReverseKL, Training
from flowlab.training.optimisation import beta_ramp

Ansatz = Literal[
    "made", "pixelcnn", "row_rnn", "local", "independent", "blocks", "vqvae", "walls", "walls_local", "walls_made",
    "multiscale", "multiscale_local", "multiscale_made", "sorted", "sorted_local", "coarse_to_fine",
]  # fmt: skip
TOKENS = ("walls", "multiscale", "sorted", "coarse_to_fine")


def _idle(keys: Mapping[str, Any]) -> dict[str, str]:
    found = over_idle(keys)
    if keys["layers"] == 0:
        found |= dict.fromkeys(("partition", "start", "lr_flow"), NO_LAYERS)
    if keys["ansatz"] != "coarse_to_fine":
        found["levels"] = f"on {keys['ansatz']}, it is of coarse_to_fine"
    if keys["ansatz"] != "vqvae":
        found["codes"] = f"on {keys['ansatz']}, it is of vqvae"
    return found | ({"anneal": WARM} if keys["warm"] else {})


@study("ising-tokens", aliases=BETA_OR_T, idle=_idle)
def ising_tokens(
    *,
    L: Side = 8,
    T: Temperature = CRITICAL_TEMPERATURE,
    ansatz: Ansatz = "blocks",
    layers: Natural = 0,
    partition: Literal["checkerboard", "pairs", "blocks", "hierarchical"] = "checkerboard",
    start: Literal["identity", "local_field"] = "identity",
    levels: Count | None = None,
    codes: Several = 8,
    anneal: Anneal | None = None,
    couplings: Range = Range(),
    training: TrainedByParts = TrainedByParts(steps=1000, batch=500),
    seed: int = 0,
    warm: bool = False,
) -> Training:
    """One ansatz by name on the L x L Ising model: tokens, a density over them, and XOR layers behind.

    Keys:
        ansatz: a density of spins, "made", "pixelcnn", "row_rnn", "local" (k = 4) or "independent"; "blocks", a MADE of
            2 x 2 blocks; "vqvae", learned codes, of which all bounds are joint bounds; "walls" (domain walls),
            "multiscale" (differences by scale), "sorted" (noise bits of one sublattice sorted by local field) or
            "coarse_to_fine" (the same level by level), whose bits are independent, or "_local" or "_made" after the
            name. All but the codes are symmetrised under the global flip.
        layers: XOR layers between tokens and spins, see :class:`flowlab.flows.XorCoupling`.
        partition: of the sites of these layers.
        start: of the mask of the first layer.
        levels: of "coarse_to_fine"; none is as many as halve the side.
        codes: number of codes of "vqvae".
        lr: peak learning rate of the density; none is one that suits it.
        lr_flow: peak learning rate of the XOR layers; none is one that suits the density.
        anneal: fraction of the run over which beta rises from beta / 5; none is 0 for independent bits, which forget on
            the way that they were ordered, and 0.5 for others. A warm start does not anneal.
    """
    tokens, base = _parts(ansatz)
    if ansatz == "blocks":
        even_side(L, "blocks of 2 x 2 spins")
    if layers or tokens in ("sorted", "coarse_to_fine"):
        even_side(L, "a checkerboard")
    if tokens == "multiscale" and L & (L - 1):
        raise ValueError(f"L must be a power of two for the multiscale transform, got {L}")
    density = _density(base, (L, L), codes, tokens, seed)
    flows = [*_flows(tokens, (L, L), levels), *_xor((L, L), layers, partition, start, seed)]
    flow = Composed(flows)
    if base != "vqvae":
        density = symmetrised(density, flow)
    elif flows:
        raise ValueError(f"layers must be 0 for vqvae, which has no exact ln q, got {layers}")
    if anneal is None:
        anneal = 0.0 if base == "independent" else 0.5
    density = Pushforward(flow, density) if flows else density
    return Training(
        Ising((L, L), T), couplings.density(density), couplings.objective(ReverseKL()), warmup=0.05 if warm else 0.0,
        annealing=None if warm else couplings.annealing(beta_ramp(T, anneal)), seed=seed, **training.given(base),
    )  # fmt: skip


def _parts(ansatz: str) -> tuple[str, str]:
    """The tokens, empty for spins, and the density over them."""
    for tokens in TOKENS:
        if ansatz.startswith(tokens):
            return tokens, ansatz.removeprefix(tokens).strip("_") or "independent"
    return "", ansatz


def _density(base: str, shape: tuple[int, int], codes: int, tokens: str, seed: int) -> Density:
    generator = named_generator(seed, "base")
    if base == "independent":
        return IndependentSpins(shape, bias=1.0)  # along the field; fair coins are a saddle point under the flip
    if base == "local":
        order = {"multiscale": "hierarchical", "sorted": "checkerboard"}.get(tokens, "raster")
        return LocalAutoregressive(shape, order=order, site_bias=bool(tokens), generator=generator)  # type: ignore[arg-type]
    if base == "pixelcnn":
        return PixelCNN(shape, channels=16, layers=3, kernel=(7, 5, 5), generator=generator)
    if base == "row_rnn":
        return RowRNN(shape, generator=generator)
    if base == "blocks":
        return BlockSpins(shape, generator=generator)
    if base == "vqvae":
        return VQVAE(shape, codes=codes, generator=generator)
    return MADE(shape, order="hierarchical" if tokens == "multiscale" else "raster", generator=generator)


def _flows(tokens: str, shape: tuple[int, int], levels: int | None) -> list[Flow]:
    if tokens == "walls":
        return [DomainWalls(shape)]
    if tokens == "multiscale":
        return [MultiscaleXor(shape)]
    if tokens == "sorted":
        return [SortingCoupling(shape, checkerboard(shape))]
    return list(coarse_to_fine(shape, levels=levels)) if tokens == "coarse_to_fine" else []


def _xor(shape: tuple[int, int], layers: int, partition: Partition, start: str, seed: int) -> list[Flow]:
    return [
        XorCoupling(
            shape,
            mask,
            parity="odd" if start == "local_field" and layer == 0 else "even",
            start="local_field" if start == "local_field" and layer == 0 else "identity",
            generator=named_generator(seed, "flow", layer),
        )
        for layer, mask in enumerate(partitions(partition, shape, layers))
    ]
