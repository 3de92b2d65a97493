"""Every wrapper over every base that it accepts, as named constructors: what a law of densities has to hold for."""

from __future__ import annotations

from collections.abc import Callable

import torch

import flowlab as fl
from flowlab.core import named_generator
from flowlab.densities.multilevel.coarse import SpinTable
from flowlab.flows.real.affine import complementary_masks
from tests.laws.registry import (
    ANGLE_DENSITIES,
    REAL_DENSITIES,
    SHAPE,
    SPIN_DENSITIES,
    STATE_DENSITIES,
    Scaled,
    couplings,
)

Make = Callable[[], fl.Density]
COARSE = (2, 2)


def xor(shape: tuple[int, ...]) -> fl.Flow:
    return fl.XorCoupling(shape, parity=None, start="random", generator=named_generator(7, "law"))


def continuous(shape: tuple[int, ...]) -> fl.ContinuousFlow:
    return fl.ContinuousFlow(shape, block=1, kernel=1, frequencies=2, times=1, bonds=(1, 2), steps=6)


def affine(shape: tuple[int, ...]) -> fl.Flow:
    masks = complementary_masks(shape, 2, generator=named_generator(4, "law"))
    return fl.Composed([fl.AffineCoupling(mask, layers=1) for mask in masks])


def chain_fields(shape: tuple[int, ...], *, learned: tuple[str, ...] = ("kappa",)) -> fl.densities.CoarseFields:
    """Fields that come from elsewhere, with a coupling to learn: a score term, and no normalisation."""

    def gaussian(system: fl.System, n: int, generator: torch.Generator | None) -> torch.Tensor:
        like = next(iter(system.couplings.values()))
        return torch.randn(n, *shape, generator=generator, dtype=torch.float64).to(like)

    return fl.densities.CoarseFields(fl.Phi4(shape, kappa=0.1, lam=0.5), gaussian, learned=learned)


COARSE_SPINS: dict[str, Make] = {
    "table": lambda: SpinTable(2),
    "exact table": lambda: SpinTable(2, exact=True),
    "independent": lambda: fl.IndependentSpins(COARSE, bias=0.4),
    "made": lambda: fl.MADE(COARSE),
    "pixelcnn": lambda: fl.densities.PixelCNN(COARSE, channels=4, layers=2, kernel=3),
    "row rnn": lambda: fl.densities.RowRNN(COARSE, hidden=4),
    "local": lambda: fl.densities.LocalAutoregressive(COARSE, hidden=4),
    "blocks": lambda: fl.densities.BlockSpins(COARSE, block=(2, 1), width=4),
    "hierarchical": lambda: fl.densities.Hierarchical(COARSE, width=2),
    "coupled": lambda: fl.densities.CoupledMADE(fl.SpinGlass(couplings(4), T=0.7, shape=COARSE)),
    "xor over made": lambda: fl.Pushforward(xor(COARSE), fl.MADE(COARSE)),
}
COARSE_FIELDS: dict[str, Make] = {
    "normal": lambda: fl.Normal(COARSE),
    "pixelcnn": lambda: fl.densities.FieldPixelCNN(COARSE, channels=4, layers=2, kernel=3),
    "affine over normal": lambda: fl.Pushforward(affine(COARSE), fl.Normal(COARSE)),
    "continuous over normal": lambda: fl.Pushforward(continuous(COARSE), fl.Normal(COARSE)),
    "fields of a chain": lambda: chain_fields(COARSE),
    "fields of a chain at fixed couplings": lambda: chain_fields(COARSE, learned=()),
}
MULTILEVELS: dict[str, Callable[[fl.Density], fl.Density]] = {
    "multilevel": lambda base: fl.Multilevel(SHAPE, base=base, hidden=(8,)),
    "multilevel site by site": lambda base: fl.Multilevel(SHAPE, "autoregressive", base=base, hidden=(4,)),
    "multilevel transformer": lambda base: fl.Multilevel(
        SHAPE, network="transformer", colours=1, hidden=(8,), heads=1, base=base
    ),
}
FIELD_LEVELS: dict[str, Callable[[fl.Density], fl.Density]] = {
    "multilevel fields": lambda base: fl.densities.MultilevelFields(SHAPE, base=base, hidden=(8, 8)),
    "multilevel mixtures": lambda base: fl.densities.MultilevelFields(
        SHAPE, base=base, conditional="mixture", hidden=(8, 8)
    ),
    "upscaled": lambda base: fl.Upscaled(base, (4, 4), affine((4, 4)), sigma=0.7),
    "upscaled by a continuous flow": lambda base: fl.Upscaled(base, (4, 4), continuous((4, 4)), sigma=0.7),
    "upscaled twice": lambda base: fl.Upscaled(
        fl.Upscaled(base, (4, 4), affine((4, 4)), sigma=0.7), (8, 8), affine((8, 8)), sigma=0.5
    ),
}
OTHERS: dict[str, Make] = (
    STATE_DENSITIES
    | ANGLE_DENSITIES
    | {
        "multilevel states over potts made": lambda: fl.densities.MultilevelStates(
            SHAPE, 3, base=fl.densities.PottsMADE(COARSE, 3, width=8), hidden=(8, 8)
        ),
        "potts made": lambda: fl.densities.PottsMADE(SHAPE, 3, width=8),
        "independent potts": lambda: fl.densities.IndependentPotts(SHAPE, 3, bias=0.5),
        "sorting over potts made": lambda: fl.Pushforward(
            fl.flows.PermutationCoupling(SHAPE, q=3), fl.densities.PottsMADE(SHAPE, 3, width=8)
        ),
        "permutations of potts made": lambda: fl.densities.PermutationSymmetrized(
            fl.densities.PottsMADE(SHAPE, 3, width=8)
        ),
        "shifts of independent potts": lambda: fl.densities.PermutationSymmetrized(
            fl.densities.IndependentPotts(SHAPE, 6, bias=0.5)
        ),
        "permutations of sorting over potts made": lambda: fl.densities.PermutationSymmetrized(
            fl.Pushforward(fl.flows.PermutationCoupling(SHAPE, q=3), fl.densities.PottsMADE(SHAPE, 3, width=8))
        ),
        "hierarchical": lambda: fl.densities.Hierarchical((4, 4), width=2),
        "block noise": lambda: fl.BlockNoise((4, 4), sigma=0.7),
        "fields of a chain": lambda: chain_fields(SHAPE),
    }
)


def quick(make: Make) -> Make:
    """With few steps of integration: how far there and back agree is not what the law is about."""

    def made() -> fl.Density:
        density = make()
        for part in density.modules():
            if isinstance(part, fl.ContinuousFlow):
                part.steps = min(part.steps, 48)
        return density

    return made


def over(wrap: Callable[[fl.Density], fl.Density], make: Make) -> Make:
    return lambda: wrap(make())


def named(prefix: str, wrap: Callable[[fl.Density], fl.Density], bases: dict[str, Make]) -> dict[str, Make]:
    return {f"{prefix} ({name})": over(wrap, make) for name, make in bases.items()}


def with_levels() -> dict[str, Make]:
    """Multilevel and upscaled densities over an outer base, over one made symmetric, and themselves made symmetric."""
    found: dict[str, Make] = {}
    for kinds, bases in ((MULTILEVELS, COARSE_SPINS), (FIELD_LEVELS, COARSE_FIELDS)):
        for name, wrap in kinds.items():
            plain = named(name, wrap, bases)
            found |= plain | named(name, wrap, named("z2", fl.Z2Symmetrized, bases))
            found |= named("z2", fl.Z2Symmetrized, plain)
    return found


def all_cases() -> dict[str, Make]:
    """Every density of the registry alone, with levels below, and inside every wrapper."""
    spins, fields = dict(SPIN_DENSITIES), REAL_DENSITIES | {"fields of a chain": OTHERS["fields of a chain"]}
    fields_on_shape = {name: make for name, make in fields.items() if name != "upscaled"}
    levels = with_levels()
    cases = {
        **spins,
        **fields,
        **OTHERS,
        **levels,
        **named("z2", fl.Z2Symmetrized, spins | fields),
        **named("xor", lambda base: fl.Pushforward(xor(SHAPE), base), spins),
        **named("scaled", lambda base: fl.Pushforward(Scaled(SHAPE), base), fields_on_shape),
        **named("z2 of scaled", lambda base: fl.Z2Symmetrized(fl.Pushforward(Scaled(SHAPE), base)), fields_on_shape),
        **named("z2 of xor", lambda base: fl.Z2Symmetrized(fl.Pushforward(xor(SHAPE), base)), spins),
    }
    return {name: quick(make) for name, make in cases.items()}


CASES = all_cases()
