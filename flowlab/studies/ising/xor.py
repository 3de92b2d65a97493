"""Discrete flows over spins as variational ansätze for the Ising model.

The setting: a base density of latent spins with exact ln p, coupling layers that map them to physical spins, both
trained on the variational free energy (Wu, Wang and Zhang 2019, arXiv:1809.10606, for the base; Tran et al. 2019,
arXiv:1905.10347, for XOR layers).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch

from flowlab.core import Density, Flow, named_generator
from flowlab.densities import (
    MADE,
    IndependentSpins,
    LocalAutoregressive,
    PixelCNN,
    Pushforward,
    RowRNN,
    Z2Symmetrized,
)
from flowlab.densities.autoregressive.autoregressive import Order
from flowlab.flows import Composed, XorCoupling
from flowlab.flows.discrete.sorting import coarse_to_fine
from flowlab.flows.discrete.xor import Parity, Start
from flowlab.runs import study
from flowlab.runs.keys import Clip, Count, Finite, Fraction, Natural, Patience, Positive, Several, Threads, Window
from flowlab.runs.process import resolve_device
from flowlab.studies.rates import base_rate, flow_rate
from flowlab.studies.refusals import NO_LAYERS, WARM, even_side
from flowlab.systems import CRITICAL_TEMPERATURE, Ising
from flowlab.training import ReverseKL, Training
from flowlab.training.optimisation import beta_ramp

Base = Literal["made", "independent", "local", "row_rnn", "pixelcnn"]


def _sorts(layers: int, construction: str, base: str, start: str, parity: str, h: float, **others: object) -> bool:
    """Whether the layers sort: where that is asked for, or for independent bits where nothing is said of masks."""
    fit = base == "independent" and start == parity == "auto" and h == 0
    return layers > 0 and (construction == "sorting" or (construction == "auto" and fit))


def _idle(keys: Mapping[str, Any]) -> dict[str, str]:
    masks = ("kernel", "mask_width", "mask_depth", "gradient", "lr_flow", "start", "parity")
    found: dict[str, str] = {}
    if keys["layers"] == 0:
        found |= dict.fromkeys((*masks, "construction"), NO_LAYERS)
    elif _sorts(**keys):
        why = "on sorting layers, which have no masks"
        if keys["construction"] == "auto":
            why += " (independent bits have them unless construction=xor)"
        found |= dict.fromkeys(masks, why)
    if keys["base"] == "independent":
        found |= dict.fromkeys(("width", "depth", "order"), "on independent bits, which have no network")
    elif keys["base"] in ("local", "row_rnn"):
        found["depth"] = f"on the base {keys['base']}, which has one hidden layer"
    elif keys["base"] == "pixelcnn":
        found["order"] = "on a PixelCNN, which has an order of its own"
    return found | ({"anneal": WARM} if keys["warm"] else {})


@study("ising-xor", aliases={"beta": ("T", lambda beta: 1.0 / beta)}, idle=_idle)
def ising_xor(
    *,
    L: Several = 8,
    T: Positive = CRITICAL_TEMPERATURE,
    h: Finite = 0.0,
    layers: Natural = 4,
    construction: Literal["auto", "xor", "sorting"] = "auto",
    start: Literal["auto", "local_field", "identity", "random"] = "auto",
    parity: Literal["auto", "even", "odd", "none"] = "auto",
    kernel: Window = 5,
    mask_width: Count = 16,
    mask_depth: Count = 1,
    gradient: Literal["tanh", "clip", "identity", "gumbel"] = "tanh",
    base: Base = "made",
    width: Count = 4,
    depth: Count = 1,
    order: Literal["auto", "raster", "checkerboard"] = "auto",
    z2: bool | None = None,
    steps: Count = 2000,
    batch: Several = 1000,
    lr: Positive | None = None,
    lr_flow: Positive | None = None,
    clip: Clip = 10.0,
    anneal: Fraction | None = None,
    baseline: Literal["leave_one_out", "running", "learned"] = "leave_one_out",
    patience: Patience = 0,
    threads: Threads = 1,
    device: str = "auto",
    seed: int = 0,
    warm: bool = False,
) -> Training:
    """Coupling layers over an autoregressive or independent base, on the L x L Ising model.

    Keys:
        L, T, h: side (even where a checkerboard parts it), temperature (or beta), field.
        layers: number of coupling layers; 0 trains the base alone.
        construction: "xor", masks of alternating sublattices, or "sorting", the last ``layers`` of
            :func:`coarse_to_fine` (1 is the heat bath of one sublattice). "auto" is sorting for
            independent bits without a field where ``start`` and ``parity`` are not given, else xor. Measured at 8 x 8,
            sorting brings independent bits closer to F than masks do at every T from 1.5 to 8 (at T_c 0.0262 instead
            of 0.0332 J a site in 40 s); bits of a base that sees its neighbours lose their places, and sorting harms.
        start: where XOR layers start: "identity" (also "auto"), "local_field" (the first layer) or "random".
        parity: of the masks under the flip; "auto" is none in a field, else odd at the local field and even elsewhere.
        kernel, mask_width, mask_depth, gradient: of the mask networks, see :class:`flowlab.flows.XorCoupling`.
        base: "made", "independent", "local" (each spin sees the 4 nearest before it), "row_rnn" or "pixelcnn"; width:
            hidden units a site of a MADE, else 8 times as many units or channels of the others; depth: hidden layers of
            a MADE, twice as many layers of a PixelCNN.
        order: of its sites (a PixelCNN has its own), "raster" or "checkerboard" (the first layer's deciding sublattice
            first); "auto" is checkerboard where a local-field or sorting layer makes the other sublattice's bits depend
            on all their neighbours.
        z2: whether to symmetrise the base so that q(-σ) = q(σ) exactly; "none" means wherever there is no field.
        steps, batch: horizon, configurations a step.
        lr, lr_flow: peak learning rates (Adam) of base and masks, where none those of
            :mod:`flowlab.studies.rates`, by base alone, so that a base without layers and one beneath them are trained
            alike; clip: largest gradient norm of each.
        anneal: fraction of the run over which beta rises from beta/5, none 0 for bits that are sorted, which forget on
            the way that they were ordered, and 0.5 else; a warm start does not anneal.
        baseline: of the score-function gradient, see :class:`flowlab.training.ReverseKL`.
        patience: stop when the bound has not improved over this many steps; 0 never does.
        threads: of torch; more than one pays on large lattices and an otherwise idle machine.
        device: "auto", "cpu" or "cuda".
    """
    if layers or order == "checkerboard":
        even_side(L, "a checkerboard")
    if h != 0 and z2:
        raise ValueError(f"z2 must be false or none in a field, which breaks that symmetry, got h = {h:g}")
    if h != 0 and parity in ("even", "odd"):
        raise ValueError(f"parity must be auto or none in a field, which breaks it, got {parity} and h = {h:g}")
    target = Ising((L, L), T, h=h)
    sorts = _sorts(layers, construction, base, start, parity, h)
    if order == "auto":
        order = "checkerboard" if layers and (sorts or start == "local_field") else "raster"
    symmetric = h == 0 if z2 is None else z2
    if sorts:
        flow = Composed(_sorting((L, L), layers))
    else:
        masks = _masks(layers, "identity" if start == "auto" else start, parity, field=h != 0)
        flow = Composed(
            [
                XorCoupling(
                    (L, L),
                    "even" if layer % 2 == 0 else "odd",
                    parity=mask_parity,
                    kernel=kernel,
                    hidden=(mask_width,) * mask_depth,
                    start=mask_start,
                    gradient=gradient,
                    generator=named_generator(seed, "flow", layer),
                )
                for layer, (mask_parity, mask_start) in enumerate(masks)
            ]
        )
    density = _base(base, (L, L), width, depth, order, sorts, named_generator(seed, "base"))
    if symmetric:
        action = flow.pull_flip(-torch.ones(L, L))
        density = Z2Symmetrized(density, "all" if action is None else action)
    if anneal is None:
        anneal = 0.0 if sorts else 0.5

    run = Training(
        target,
        Pushforward(flow, density) if layers else density,
        ReverseKL(baseline, n_sites=L * L),
        steps=steps,
        batch=batch,
        learning_rate={"base": base_rate(base, lr), "flow": flow_rate(base, lr_flow), "baseline": 1e-2},
        clip=clip,
        warmup=0.05 if warm else 0.0,
        annealing=None if warm else beta_ramp(T, anneal),
        patience=patience,
        seed=seed,
        threads=threads,
        device=resolve_device(device),
    )
    run.note = "sorting layers" if sorts else ""
    return run


def _sorting(shape: tuple[int, int], layers: int) -> list[Flow]:
    """The last layers from coarse to fine, the coarsest next to the latent."""
    known = coarse_to_fine(shape)
    if layers > len(known):
        raise ValueError(
            f"layers must be at most {len(known)} for sorting, two for each time that the side {shape[0]} halves, got "
            f"{layers}: give fewer, or construction=xor"
        )
    return list(known[-layers:])


def _masks(layers: int, start: Start, parity: str, field: bool) -> list[tuple[Parity | None, Start]]:
    """Parity and start of each layer's mask.

    Without more being said, a flow that starts at the local field is one odd local-field layer and even layers near
    the identity after it: alternating local-field layers would undo each other.
    """
    if parity == "auto" and not field:
        first: tuple[Parity | None, Start] = ("odd", "local_field") if start == "local_field" else ("even", start)
        rest: tuple[Parity | None, Start] = ("even", "identity" if start == "local_field" else start)
        return [first, *[rest] * (layers - 1)][:layers]
    constrained: dict[str, Parity] = {"even": "even", "odd": "odd"}
    return [(constrained.get(parity), start)] * layers


def _base(
    base: str, shape: tuple[int, int], width: int, depth: int, order: Order, sorts: bool, generator: torch.Generator
) -> Density:
    if base == "independent":  # fair coins are a saddle point under the flip, and bits that are sorted lie along h
        return IndependentSpins(shape, bias=1.0 if sorts else 0.1)
    if base == "local":
        return LocalAutoregressive(shape, hidden=8 * width, order=order, site_bias=sorts, generator=generator)
    if base == "row_rnn":
        return RowRNN(shape, hidden=8 * width, order=order, generator=generator)
    if base == "pixelcnn":
        return PixelCNN(shape, channels=8 * width, layers=2 * depth + 1, kernel=7, generator=generator)
    return MADE(shape, hidden=width * shape[0] * shape[1], layers=depth, order=order, generator=generator)
