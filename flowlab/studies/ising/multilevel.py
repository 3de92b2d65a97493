"""Multilevel samplers for criticality, which draw coarse lattices first: of the Ising model and of lattice phi^4.

RiGCS and one of its baselines after Singha et al. 2025 (arXiv:2503.08918): ``ising-rigcs`` draws site after site,
``ising-mlmc-hb`` by heat bath with renormalised couplings (Schmidt 1983). ``ising-coloured`` and ``phi4-multilevel``
draw a few groups of sites a level. The other baselines are in :mod:`flowlab.studies.ising.autoregressive` and
:mod:`flowlab.studies.phi4.pixelcnn`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from flowlab.core import Density, System, named_generator
from flowlab.densities import MADE, PixelCNN, Z2Symmetrized
from flowlab.densities.multilevel import Multilevel, MultilevelFields
from flowlab.densities.multilevel.spin_levels import renormalised
from flowlab.runs import study
from flowlab.runs.keys import Count, Meaning, Natural, Positive, Several
from flowlab.studies.growth import BETA, Range, beta_rises, first_side, grown_idle, halvings, staged_training
from flowlab.studies.keys import (
    BETA_OR_T,
    Anneal,
    AnnealKappa,
    Averages,
    Dimension,
    Falling,
    Field,
    Side,
    Temperature,
    Trained,
)
from flowlab.studies.papers.rigcs import (
    CHANGED_RIGCS,
    FIELDS,
    HEAT_BATH,
    RIGCS,
    STATED_FIELDS,
    STATED_HEAT_BATH,
    STATED_RIGCS,
)
from flowlab.studies.phi4.flows import Hopping, kappa_ramp, phi4_system
from flowlab.systems import Ising
from flowlab.training import PathGradient, ReverseKL, Training

WINDOWS = {1: 32, 2: 32, 3: 64}
"""Known sites that one sees, by dimension."""
Growth = Annotated[Positive, Meaning("factor on the peak learning rate at each doubling of the lattice")]
WEAKEST = 1e-30
"""Of renormalised couplings: its inverse is a temperature that single precision holds."""


@dataclass(frozen=True, kw_only=True)
class Tuned(Trained):
    """The same where nothing need be trained."""

    steps: Annotated[Natural, Meaning("of training in all; with 0 a heat bath learns nothing and is measured", "steps")]


def _ising_idle(keys: Mapping[str, Any]) -> dict[str, str]:
    found = grown_idle(keys, _smallest(1, keys["d"]))
    if keys["network"] != "transformer":
        found |= dict.fromkeys(("blocks", "heads"), "without a transformer")
    if keys["kind"] == "heat_bath":
        found |= dict.fromkeys(("hidden", "network", "base"), "on a heat bath, which has no networks")
    if keys["kind"] != "autoregressive" or keys["network"] == "transformer":
        found["kernels"] = "but for convolutions site by site"
    return found


@study(
    "ising-coloured",
    idle=_ising_idle,
    aliases=BETA_OR_T,
    about="Multilevel sampler of the Ising model that draws a few groups of sites a level, grown from small lattices.",
)
@study(
    "ising-rigcs",
    idle=_ising_idle,
    aliases=BETA_OR_T,
    defaults={"kind": "autoregressive", "batch": 100, "steps": 2000},
    presets=RIGCS,
    stated=STATED_RIGCS,
    changed=CHANGED_RIGCS,
    about="RiGCS: a multilevel sampler of the Ising model that draws site after site, grown from small lattices.",
)
@study(
    "ising-mlmc-hb",
    idle=_ising_idle,
    aliases=BETA_OR_T,
    defaults={"kind": "heat_bath", "grow": False, "lr": 1e-3, "steps": 300, "anneal": 0.0},
    presets=HEAT_BATH,
    stated=STATED_HEAT_BATH,
    about="Multilevel heat bath of the Ising model with renormalised couplings, which training may tune.",
)
def ising_multilevel(
    *,
    L: Side = 16,
    d: Dimension = 2,
    T: Temperature = 1 / BETA,
    h: Field = 0.0,
    kind: Literal["coloured", "autoregressive", "heat_bath"] = "coloured",
    coarsest: Several | None = None,
    base: Literal["auto", "made", "pixelcnn"] = "auto",
    colours: Count = 4,
    window: Count | None = None,
    hidden: Count | None = None,
    network: Literal["convolution", "transformer"] = "convolution",
    blocks: Count = 1,
    heads: Count = 2,
    grow: bool = True,
    share: Positive = 1.0,
    shares: str | None = None,
    lr_growth: Growth = 1.0,
    coupling: Literal["physical", "renormalised"] = "physical",
    kernels: str = "5,3",
    symmetric: bool = True,
    anneal: Anneal = 0.2,
    falling: Falling = Falling(),
    couplings: Range = Range(),
    training: Tuned = Tuned(steps=1500, batch=500, lr=1e-2, clip=1.0),
    seed: int = 0,
    warm: bool = False,
) -> Training:
    """A multilevel density on the Ising model, L x L or of another dimension, every other site integrated out exactly.

    A heat bath with steps=0 is MLMC-HB as published; training tunes the coupling of each level.

    Keys:
        L [sites]: side, coarsest · 2^k.
        h [J]: external field; in one, coloured convolutions alone, which are not made symmetric then.
        kind: of the groups drawn together, see :class:`flowlab.densities.multilevel.Multilevel`.
        coarsest [sites]: side of the lattice that is drawn first; none is the odd part of L, or 2.
        base: what draws it: a table where it is small ("auto"), or "made" or "pixelcnn".
        colours: groups of sites a level.
        window: known spins that a spin sees; none is 32, in three dimensions 64.
        hidden: units of the networks; none is 64, site by site 12 channels, 32 in a transformer.
        network: over the known spins around each site.
        blocks: of a transformer.
        heads: of each block of it.
        grow: whether to train on coarsest · 2, · 4, ... before L, each starting from the last; a warm start does not.
        share: steps on each smaller lattice for one on L.
        shares: instead, the parts of all lattices, the smallest first, with commas between, or of the coarsest and all.
        coupling: of the smaller lattices, that of L, or by K <- (3/8) ln cosh 4K twice for each halving.
        kernels [sites]: sides of the two convolutions, site by site.
        symmetric: whether q(-s) = q(s) exactly; in a field it is not.
        anneal: fraction of the first stage over which beta rises from beta / 5; a warm start does not anneal.
    """
    first = first_side(L, coarsest)
    field = h != 0 or "h" in couplings.names
    symmetric = symmetric and not field
    _check_dimensions(d, coupling, L, first)
    _check(training.steps, kind, field and f"h must be 0 but for the kind coloured of convolutions, got {h:g}", network)

    def whole(side: int) -> Ising:
        weaker = renormalised(1 / T, 2 * halvings(L, side))
        return Ising((side,) * d, T if coupling == "physical" else 1 / max(weaker, WEAKEST), h=h)

    def density(side: int) -> Density:
        widths = [32 if hidden is None else hidden] * blocks if network == "transformer" else hidden and [hidden]
        made = Multilevel(
            _half(side, d), kind, coarsest=first, base=_coarsest(base, (first,) * d, seed, symmetric), colours=colours,
            window=window or WINDOWS[d], hidden=widths or None, network=network, heads=heads, kernels=_sides(kernels),
            symmetric=symmetric, generator=named_generator(seed, "base"),
        )  # fmt: skip
        made.learns = training.steps > 0
        return made.requires_grad_(made.learns)

    alone = None if couplings.over else _coarsest(base, (first,) * d, seed, symmetric)
    return staged_training(
        L, _smallest(first, d), lambda side: whole(side).decimate(), density, ReverseKL, grow=grow and not warm,
        share=share, shares=shares, lr_growth=lr_growth, alone=None if alone is None else lambda: (whole(first), alone),
        ramp=beta_rises(warm, anneal), start_from=_handed_on(coupling), couplings=couplings, seed=seed,
        **falling.given(warm=warm), **training.given | {"steps": max(1, training.steps)},
    )  # fmt: skip


def _smallest(coarsest: int, d: int) -> int:
    """Half the smallest side with something to learn: the even sites of a ring are a ring of half as many."""
    return 2 * coarsest if d == 1 else coarsest


def _check_dimensions(d: int, coupling: str, L: int, coarsest: int) -> None:
    if 2 * _smallest(coarsest, d) > L:
        raise ValueError(f"L must be at least 4 · coarsest on a ring, d=1, got L={L} and coarsest={coarsest}")
    if d != 2 and coupling == "renormalised":
        raise ValueError(f"coupling must be physical but in the plane, got {coupling!r} for d={d}")


def _check(steps: int, kind: str, in_field: str | bool, network: str) -> None:
    """Refuse what a heat bath alone can do, and what it cannot."""
    if steps == 0 and kind != "heat_bath":
        raise ValueError(f"steps must be at least 1 but for a heat bath, which has nothing to learn, got 0 for {kind}")
    if in_field and (kind != "coloured" or network != "convolution"):
        raise ValueError(f"{in_field}, {kind}, {network}")


def _handed_on(coupling: str) -> Callable[[Any, Any], object]:
    """What a stage takes over: of the coarsest lattice alone all, of a smaller one level from level."""
    aligned = "coarsest" if coupling == "renormalised" else "finest"
    return lambda larger, before: (
        larger.warm_start(before, aligned=aligned) if before.in_levels else larger.base.warm_start(before)
    )


def _sides(kernels: str) -> tuple[int, ...]:
    """The numbers of a comma-separated text."""
    try:
        return tuple(int(word) for word in kernels.split(","))
    except ValueError:
        raise ValueError(f"kernels must be two odd sides with a comma between, as 5,3, got {kernels!r}") from None


def _half(side: int, dims: int) -> tuple[int, ...]:
    """The shape of the even sublattice."""
    return (*[side] * (dims - 1), side // 2)


def _coarsest(base: str, shape: tuple[int, ...], seed: int, symmetric: bool) -> Density | None:
    """What draws the coarsest lattice, made even unless a field breaks the symmetry; None for a table."""
    if base == "auto":
        return None
    generator = named_generator(seed, "base", "coarsest")
    drawn: Density
    if base == "pixelcnn":
        drawn = PixelCNN(shape, channels=12, layers=3, kernel=13, generator=generator)
    else:
        drawn = MADE(shape, generator=generator)
    return Z2Symmetrized(drawn, "all") if symmetric else drawn


@study(
    "phi4-multilevel",
    one_of=(("beta", "kappa"),),
    idle=grown_idle,
    presets=FIELDS,
    stated=STATED_FIELDS,
)
def phi4_multilevel(
    *,
    L: Side = 8,
    d: Dimension = 2,
    fine: Hopping = Hopping(),
    kind: Literal["coloured", "autoregressive"] = "coloured",
    conditional: Literal["map", "mixture"] = "map",
    odd: bool = True,
    coarsest: Several | None = None,
    colours: Count = 4,
    window: Count | None = None,
    hidden: Count = 32,
    grow: bool = True,
    share: Positive = 0.5,
    shares: str | None = None,
    anneal: AnnealKappa = 0.3,
    falling: Falling = Falling(),
    averages: Averages = Averages(beta2=0.99),
    couplings: Range = Range(),
    training: Trained = Trained(steps=2000, batch=500, lr=3e-3, clip=5.0),
    seed: int = 0,
    warm: bool = False,
) -> Training:
    """A multilevel density on lattice phi^4, every other site integrated out exactly.

    Keys:
        L [sites]: side, coarsest · 2^k.
        kind: of the groups drawn together, see :class:`flowlab.densities.multilevel.MultilevelFields`.
        conditional: of a site given the known ones: an invertible map of a normal, or a mixture of Gaussians.
        odd: whether every map keeps the symmetry φ -> -φ exactly.
        coarsest [sites]: side of the lattice that is drawn first; none is the odd part of L, or 2.
        colours: groups of sites a level.
        window: known sites that a site sees; none is 32, in three dimensions 64.
        hidden: units in each of the two layers of the networks.
        grow: whether to train on coarsest · 2, · 4, ... before L, each starting from the last; a warm start does not.
        share: steps on each smaller lattice for one on L.
        shares: instead, the parts of all lattices, the smallest first and with commas between.
        anneal: fraction of the first stage over which kappa rises from half its value; a warm start does not anneal.
    """
    system = fine.system((L,) * d)
    hopping = float(system.couplings["kappa"])
    first = first_side(L, coarsest)

    def target(side: int) -> System:
        beta = None if fine.kappa is not None else 2 * hopping
        return phi4_system((side,) * d, beta, fine.kappa, fine.lam).decimate()

    def density(side: int) -> Density:
        return MultilevelFields(
            _half(side, d), kind, conditional=conditional, odd=odd, coarsest=first, colours=colours,
            window=window or WINDOWS[d], hidden=(hidden, hidden), generator=named_generator(seed, "base"),
        )  # fmt: skip

    return staged_training(
        L, first, target, density, PathGradient, grow=grow and not warm, share=share, shares=shares,
        ramp=lambda _: None if warm else kappa_ramp(hopping, anneal), couplings=couplings, seed=seed,
        **averages.given, **falling.given(warm=warm), **training.given,
    )  # fmt: skip
