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
from flowlab.runs.keys import Count, Natural, Positive, Window
from flowlab.studies.growth import Range
from flowlab.studies.keys import (
    BETA_OR_T,
    NO_LAYERS,
    WARM,
    Anneal,
    Field,
    Patience,
    Side,
    Temperature,
    TrainedByParts,
    even_side,
    over_idle,
)
from flowlab.studies.papers.discrete_flows import STATED_XOR, XOR
from flowlab.systems import CRITICAL_TEMPERATURE, Ising
from flowlab.training import ReverseKL, Training
from flowlab.training.optimisation import beta_ramp

Base = Literal["made", "independent", "local", "row_rnn", "pixelcnn"]


def _sorts(layers: int, construction: str, base: str, start: str, parity: str, h: float, **others: object) -> bool:
    """Whether the layers sort: if that is asked for, or for independent bits if nothing is said of masks.

    Measured at 8 x 8, sorting brings independent bits closer to F than masks do at every T from 1.5 to 8 (at T_c 0.0262
    instead of 0.0332 J a site in 40 s); bits of a base that sees its neighbours lose their places, and sorting harms.
    """
    fit = base == "independent" and start == parity == "auto" and h == 0
    return layers > 0 and (construction == "sorting" or (construction == "auto" and fit))


def _idle(keys: Mapping[str, Any]) -> dict[str, str]:
    masks = ("kernel", "mask_width", "mask_depth", "gradient", "tau", "lr_flow", "start", "parity")
    found = over_idle(keys)
    if keys["gradient"] != "gumbel":
        found["tau"] = "but for gradient=gumbel, which alone has noise"
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


@study("ising-xor", aliases=BETA_OR_T, idle=_idle, presets=XOR, stated=STATED_XOR)
def ising_xor(
    *,
    L: Side = 8,
    T: Temperature = CRITICAL_TEMPERATURE,
    h: Field = 0.0,
    layers: Natural = 4,
    construction: Literal["auto", "xor", "sorting"] = "auto",
    start: Literal["auto", "local_field", "identity", "random"] = "auto",
    parity: Literal["auto", "even", "odd", "none"] = "auto",
    kernel: Window = 5,
    mask_width: Count = 16,
    mask_depth: Count = 1,
    gradient: Literal["tanh", "clip", "identity", "gumbel"] = "tanh",
    tau: Positive = 0.5,
    base: Base = "made",
    width: Count = 4,
    depth: Count = 1,
    order: Literal["auto", "raster", "checkerboard"] = "auto",
    z2: bool | None = None,
    anneal: Anneal | None = None,
    baseline: Literal["leave_one_out", "running", "learned"] = "leave_one_out",
    patience: Patience = 0,
    couplings: Range = Range(),
    training: TrainedByParts = TrainedByParts(steps=2000, batch=1000),
    seed: int = 0,
    warm: bool = False,
) -> Training:
    """Coupling layers over an autoregressive or independent base, on the L x L Ising model.

    Keys:
        L [sites]: side, even where a checkerboard parts it.
        layers: number of coupling layers; 0 trains the base alone.
        construction: "xor", masks of alternating sublattices, or "sorting", the last ``layers`` of
            :func:`coarse_to_fine`; "auto" is sorting for independent bits without a field, start and parity.
        start: of XOR layers, "identity" (also "auto"), "local_field" (the first layer) or "random".
        parity: of the masks under the flip; "auto" is none in a field, else odd at the local field and even elsewhere.
        kernel [sites]: side of the window of the masks, see :class:`flowlab.flows.XorCoupling`.
        mask_width: hidden channels of the masks.
        mask_depth: hidden layers of the masks.
        gradient: of the masks' signs.
        tau: to which the temperature of the noise of "gumbel" falls, from 2.
        base: what draws the bits; in "local" each spin sees the 4 nearest before it.
        width: hidden units a site of a MADE; the others have 8 times as many units or channels.
        depth: hidden layers of a MADE; a PixelCNN has 2 depth + 1.
        order: of the base's sites; "checkerboard" is the first layer's deciding sublattice first, "auto" chooses it
            where a local-field or sorting layer makes the other bits depend on all their neighbours.
        z2: whether to symmetrise the base so that q(-σ) = q(σ) exactly; none is where there is no field.
        lr: peak learning rate of the base; none is one that suits it.
        lr_flow: peak learning rate of the masks; none is one that suits the base.
        anneal: fraction of the run over which beta rises from beta / 5; none is 0 for bits that are sorted, which
            forget on the way that they were ordered, and 0.5 else. A warm start does not anneal.
        baseline: of the score-function gradient, see :class:`flowlab.training.ReverseKL`.
    """
    _refuse(L, h, layers, order, z2, parity)
    sorts = _sorts(layers, construction, base, start, parity, h)
    if order == "auto":
        order = "checkerboard" if layers and (sorts or start == "local_field") else "raster"
    anneal = (0.0 if sorts else 0.5) if anneal is None else anneal
    flow = Composed(
        _sorting((L, L), layers)
        if sorts
        else _masked(
            (L, L), _masks(layers, "identity" if start == "auto" else start, parity, field=h != 0), seed,
            tau, kernel=kernel, hidden=(mask_width,) * mask_depth, gradient=gradient,
        )
    )  # fmt: skip
    density = _base(base, (L, L), width, depth, order, sorts, named_generator(seed, "base"))
    if h == 0 if z2 is None else z2:
        density = symmetrised(density, flow)
    density = Pushforward(flow, density) if layers else density
    how = training.given(base)
    how["learning_rate"]["baseline"] = 1e-2
    run = Training(
        Ising((L, L), T, h=h), couplings.density(density), couplings.objective(ReverseKL(baseline, n_sites=L * L)),
        patience=patience, warmup=0.05 if warm else 0.0,
        annealing=None if warm else couplings.annealing(beta_ramp(T, anneal)), seed=seed, **how,
    )  # fmt: skip
    run.note = "sorting layers" if sorts else ""
    return run


def _refuse(L: int, h: float, layers: int, order: str, z2: bool | None, parity: str) -> None:
    """Raise ValueError where the lattice or the field does not allow what is asked for."""
    if layers or order == "checkerboard":
        even_side(L, "a checkerboard")
    if h != 0 and z2:
        raise ValueError(f"z2 must be false or none in a field, which breaks that symmetry, got h = {h:g}")
    if h != 0 and parity in ("even", "odd"):
        raise ValueError(f"parity must be auto or none in a field, which breaks it, got {parity} and h = {h:g}")


def symmetrised(density: Density, flow: Flow) -> Density:
    """A density of latent spins that is even once ``flow`` has mapped them."""
    action = flow.pull_flip(-torch.ones(density.shape))
    return Z2Symmetrized(density, "all" if action is None else action)


def _sorting(shape: tuple[int, int], layers: int) -> list[Flow]:
    """The last layers from coarse to fine, the coarsest next to the latent."""
    known = coarse_to_fine(shape)
    if layers > len(known):
        raise ValueError(
            f"layers must be at most {len(known)} for sorting, two for each time that the side {shape[0]} halves, got "
            f"{layers}: give fewer, or construction=xor"
        )
    return list(known[-layers:])


def _masked(
    shape: tuple[int, int], masks: list[tuple[Parity | None, Start]], seed: int, tau: float, **networks: Any
) -> list[Flow]:
    """XOR layers of alternating sublattices."""
    layers = [
        XorCoupling(
            shape,
            "odd" if layer % 2 else "even",
            parity=parity,
            start=start,
            generator=named_generator(seed, "flow", layer),
            **networks,
        )
        for layer, (parity, start) in enumerate(masks)
    ]
    for made in layers:
        made.sign.end_temperature = tau
    return list(layers)


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
