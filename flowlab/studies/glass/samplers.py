"""Generative models of spin glasses; those of the Sherrington-Kirkpatrick model have names of their own, ``sk-...``.

Continuous flows on the Hubbard-Stratonovich form of the model, trained on samples or on the free energy (Hartnett and
Mohseni 2020, arXiv:2001.00585 and arXiv:2001.00927), an autoregressive density of the spins themselves (Biazzo, Wu and
Carleo 2024), and parallel tempering, to which all of them are compared.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from flowlab.analysis.reference import Reference
from flowlab.core import Density, Flow, named_generator
from flowlab.densities import MADE, CoupledMADE, GraphAutoregressive, Normal, Pushforward, Z2Symmetrized
from flowlab.estimators.series.tempering import BLOCKS
from flowlab.flows import AffineCoupling, Composed, Linear
from flowlab.flows.real.affine import complementary_masks
from flowlab.mcmc import ParallelTempering, adapted_ladder
from flowlab.mcmc import ladder as spaced
from flowlab.runs import TemperingRun, study
from flowlab.runs.keys import Count, Inside, Meaning, Positive, Seed
from flowlab.runs.tempering_run import reference_of
from flowlab.studies.glass.couplings import SK, Glass, TemperatureRange
from flowlab.studies.glass.couplings import idle as idle_couplings
from flowlab.studies.keys import (
    BETA_OR_T,
    OF_SAMPLES,
    OF_TEMPERING,
    WARM,
    Anneal,
    Discarded,
    Patience,
    Steps,
    Threads,
    Trained,
    Warmup,
)
from flowlab.studies.papers.spin_glass import CHANGED, FORWARD, REVERSE, STATED_FORWARD, STATED_REVERSE
from flowlab.systems import ContinuousSpinGlass
from flowlab.training import ForwardKL, FreshForwardKL, Objective, ReverseKL, SequentialTempering, Training
from flowlab.training.optimisation import Schedule, beta_ramp

TEMPERATURES = "0.2,0.23,0.27,0.31,0.36,0.42,0.5,0.6,0.7,0.8,0.9,1,1.13,1.27,1.42,1.6,1.8,2,2.25,2.5"
"""At which parallel tempering keeps configurations, where couplings are of order one; a study's own joins them."""
AUTO = "auto"
Temperatures = Annotated[
    str,
    Meaning(
        'of parallel tempering, at which it keeps configurations, separated by commas; "auto" goes from a fifth of the '
        "coupling of a site to its neighbours, √(Σ J²), to 2.5 times it",
        "J / k_B",
    ),
]
Ladder = Annotated[
    str, Meaning('all temperatures of parallel tempering; "auto" adds more where chains swap too seldom', "J / k_B")
]
Replicas = Annotated[Count, Meaning("independent sets of parallel tempering")]
Sweeps = Annotated[Count, Meaning("of parallel tempering, between two configurations", "sweeps")]
Clusters = Annotated[
    bool, Meaning("whether replicas exchange clusters, at twice the cost: for sparse couplings at low temperatures")
]
TemperingSeed = Annotated[Seed, Meaning("of parallel tempering, seed_J where none")]
Kept = Annotated[str, Meaning("directory of a run of tempering of the same glass, whose configurations are taken")]
Fall = Annotated[Schedule, Meaning("by which the learning rate falls")]
Whiten = Literal["eigenbasis", "covariance", "none"]


@dataclass(frozen=True, kw_only=True)
class TemperingKeys:
    """Parallel tempering, beside which a density is evaluated, or whose samples it is trained on."""

    samples: Count = 20_000
    temperatures: Temperatures = AUTO
    ladder: Ladder = "auto"
    replicas: Replicas = 10
    sweeps: Sweeps = 4
    clusters: Clusters = False
    tempering_seed: TemperingSeed | None = None
    reference: Kept | None = None

    def comparison(self, glass: Glass) -> Reference:
        """The chains, which run when somebody asks for them; or what another run has kept."""
        if self.reference is not None:
            return reference_of(self.reference, glass.system())
        wanted = _temperatures(self.temperatures, glass)
        return _tempering(
            glass.at(T=wanted[0]), wanted, glass.seed_J if self.tempering_seed is None else self.tempering_seed,
            samples=self.samples, ladder=None if self.ladder == "auto" else _ladder(self.ladder, wanted),
            replicas=self.replicas, every=self.sweeps, clusters=self.clusters,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class AffineFlow:
    """Affine couplings over unit Gaussians, on the continuous form of the glass."""

    epsilon: Positive = 0.01
    layers: Count = 4
    hidden: Count | None = None
    z2: bool = True
    masks: Seed = 0

    def target(self, glass: Glass) -> ContinuousSpinGlass:
        """The glass with fields for spins."""
        return ContinuousSpinGlass(glass.system(), self.epsilon)

    def density(self, target: ContinuousSpinGlass, whiten: Whiten, seed: int) -> Density:
        """Couplings from unit Gaussians, then the fixed linear layer, if any, to the physical fields."""
        # not of the seed: a warm start from another run of this study needs the same masks
        masks = complementary_masks(target.shape, self.layers, generator=named_generator(self.masks, "masks"))
        flows: list[Flow] = [
            AffineCoupling(mask, hidden=self.hidden, generator=named_generator(seed, "flow", layer))
            for layer, mask in enumerate(masks)
        ]
        if whiten != "none":
            beta = 1.0 / target.couplings["T"]
            free = (1.0 + 1.0 / (beta * target.eigenvalues)).sqrt()  # of spins without couplings
            kinds: dict[Whiten, Literal["scale", "covariance"]] = {"eigenbasis": "scale", "covariance": "covariance"}
            flows.append(Linear(target.shape, target.eigenvectors, free, estimate=kinds[whiten]))
        density = Pushforward(Composed(flows), Normal(target.shape))
        return Z2Symmetrized(density) if self.z2 and target.flip_symmetric else density


@dataclass(frozen=True, kw_only=True)
class TrainedGlass(Trained):
    """How a density of a glass is trained."""

    schedule: Fall = "cosine"
    warmup: Warmup = 0.02
    patience: Patience = 0

    def rising(self, *, warm: bool) -> dict[str, Any]:
        """The same as arguments of :class:`flowlab.training.Training`."""
        return self.given | ({"warmup": max(0.02, self.warmup)} if warm else {})


CHAINS = ("samples", "temperatures", "ladder", "replicas", "sweeps", "clusters", "tempering_seed")
"""Keys that say how tempering goes."""


def _idle(keys: Mapping[str, Any]) -> dict[str, str]:
    read = dict.fromkeys(CHAINS, "where configurations are read from reference") if keys.get("reference") else {}
    found = read | idle_couplings(keys) | ({"anneal": WARM} if keys["warm"] and "anneal" in keys else {})
    return found | ({"z2": "in fields"} if keys.get("h") and "z2" in keys else {})


@study(
    "glass-forward",
    aliases=BETA_OR_T,
    idle=_idle,
    without=OF_SAMPLES,
)
def glass_forward(
    *,
    glass: Glass = Glass(),
    flow: AffineFlow = AffineFlow(),
    whiten: Whiten = "eigenbasis",
    tempering: TemperingKeys = TemperingKeys(samples=100_000),
    held_out: Inside = 0.1,
    redraw: bool = True,
    online: bool = False,
    training: TrainedGlass = TrainedGlass(steps=8000, batch=256, lr=4e-3, clip=5.0),
    seed: int = 0,
    warm: bool = False,
) -> Training:
    """An affine flow of the continuous spin glass, by maximum likelihood on samples from parallel tempering.

    Keys:
        epsilon: smallest eigenvalue of the shifted couplings.
        layers: affine coupling layers with random complementary masks.
        hidden: width of their networks, N where none.
        whiten: fixed linear layer behind the couplings: scales of the samples along the eigenvectors of J, their whole
            covariance, or none.
        z2: whether to symmetrise the density, (q(x) + q(-x)) / 2, where there are no fields.
        masks: seed of the random masks, the same for all seeds of a run.
        samples [configurations]: from parallel tempering.
        held_out: fraction of the samples that is not trained on, of the replicas where ``online``.
        redraw: whether every step draws the continuous fields of its spins afresh, or all are drawn once.
        online: whether tempering goes on beside the training and every step learns from fresh configurations.
        patience: the run ends when the held-out loss has not improved over this many; 0 never does.
    """
    target, comparison = flow.target(glass), tempering.comparison(glass)
    objective: ForwardKL
    if online:
        chain = ParallelTempering(
            target.physical, spaced([glass.T], glass.n_sites, scale=glass.scale), replicas=tempering.replicas,
            clusters=tempering.clusters,
        )  # fmt: skip
        objective = FreshForwardKL(
            chain, glass.T, held_out=max(1, round(held_out * tempering.replicas)), sweeps=tempering.sweeps, seed=seed,
            burn_in=tempering.samples // (4 * tempering.replicas) * tempering.sweeps,
        )  # fmt: skip
    else:
        objective = ForwardKL(
            functools.partial(comparison.samples, glass.T), held_out=held_out, redraw=redraw, seed=seed
        )
    return Training(
        target, flow.density(target, whiten, seed), objective, comparison=comparison, seed=seed,
        **training.rising(warm=warm),
    )  # fmt: skip


@study(
    "glass-reverse",
    aliases=BETA_OR_T,
    idle=_idle,
)
def glass_reverse(
    *,
    glass: Glass = Glass(),
    flow: AffineFlow = AffineFlow(),
    whiten: Literal["eigenbasis", "none"] = "eigenbasis",
    tempering: TemperingKeys = TemperingKeys(),
    span: TemperatureRange = TemperatureRange(),
    anneal: Anneal = 0.0,
    training: TrainedGlass = TrainedGlass(steps=4000, batch=256, lr=1e-3, clip=10.0),
    seed: int = 0,
    warm: bool = False,
) -> Training:
    """An affine flow of the continuous spin glass, trained on its own free energy: watch it lose valleys when cold.

    Keys:
        epsilon: smallest eigenvalue of the shifted couplings.
        layers: affine coupling layers with random complementary masks.
        hidden: width of their networks, N where none.
        whiten: fixed linear layer behind the couplings, with the scales that free spins would give, or none.
        z2: whether to symmetrise the density, (q(x) + q(-x)) / 2, where there are no fields.
        masks: seed of the random masks, the same for all seeds of a run.
        samples [configurations]: from parallel tempering, that evaluations compare with.
    """
    target, over = flow.target(glass), span.range
    return Training(
        target, over.density(flow.density(target, whiten, seed)), over.objective(ReverseKL()),
        annealing=None if warm else over.annealing(beta_ramp(glass.T, anneal)), comparison=tempering.comparison(glass),
        seed=seed, **training.rising(warm=warm),
    )  # fmt: skip


def _idle_autoregressive(keys: Mapping[str, Any]) -> dict[str, str]:
    found = {} if keys["network"] == "graph" else {"reach": "where the network is not graph"}
    found |= {"depth": "where the network is graph, which has one layer"} if keys["network"] == "graph" else {}
    if keys["training"] != "sequential":
        found |= dict.fromkeys(("population", "renew"), "where training is not sequential")
    else:
        found |= dict.fromkeys(("over", "over_degree", "defence"), "where training is sequential, at one temperature")
    return _idle(keys) | found


@study("glass-autoregressive", aliases=BETA_OR_T, idle=_idle_autoregressive)
def glass_autoregressive(
    *,
    glass: Glass = Glass(),
    network: Literal["coupled", "made", "graph"] = "coupled",
    width: Count = 4,
    depth: Count = 1,
    reach: Count | None = None,
    tempering: TemperingKeys = TemperingKeys(),
    span: TemperatureRange = TemperatureRange(),
    anneal: Anneal = 0.7,
    training: Literal["free_energy", "sequential"] = "free_energy",
    population: Count = 2000,
    renew: Count = 10,
    trained: TrainedGlass = TrainedGlass(steps=5000, batch=500, lr=4e-3, clip=10.0),
    seed: int = 0,
    warm: bool = False,
) -> Training:
    """An autoregressive density of the spins themselves, on its free energy: a rigorous bound without a flow.

    Keys:
        network: "coupled" starts at the fields of the spins already drawn; "graph" as well, and at what the neighbours
            to come answer, and sees only the spins around what is still to be drawn, for sparse couplings; "made" knows
            nothing, and is symmetrised where there are no fields.
        width: hidden units a site.
        depth: hidden layers.
        reach [bonds]: how far a site of "graph" sees, without limit where none.
        training: "free_energy" learns from its own draws; "sequential" from a population of configurations that is
            cooled with it, moved by the heat bath, by clusters where ``clusters`` says so, and by its own proposals.
        population [configurations]: of sequential training.
        renew [steps]: of training, between two times that the population is moved.
        samples [configurations]: from parallel tempering, that evaluations compare with.
        sweeps: of parallel tempering, between two configurations; and of the population, each time that it is moved.
    """
    system, hidden, over = glass.system(), width * glass.n_sites, span.range
    generator = named_generator(seed, "base")
    density: Density
    if network == "graph":
        density = GraphAutoregressive(system, reach=reach, hidden=width, generator=generator)
    elif network == "coupled":
        density = CoupledMADE(system, hidden=hidden, layers=depth, generator=generator)
    else:
        density = MADE(system.shape, hidden=hidden, layers=depth, generator=generator)
        density = Z2Symmetrized(density) if system.flip_symmetric else density
    objective: Objective = ReverseKL()
    if training == "sequential":
        objective = SequentialTempering(
            system, size=population, sweeps=tempering.sweeps, clusters=tempering.clusters, renew_every=renew, seed=seed
        )
    return Training(
        system, over.density(density), over.objective(objective),
        annealing=None if warm else over.annealing(beta_ramp(glass.T, anneal)), comparison=tempering.comparison(glass),
        seed=seed, **trained.rising(warm=warm),
    )  # fmt: skip


@study("glass-pt", idle=_idle, without=OF_TEMPERING)
def glass_pt(
    *,
    glass: Glass = Glass(),
    temperatures: Temperatures = AUTO,
    ladder: str = "auto",
    replicas: Count = 8,
    sweeps: Count = 10,
    clusters: Clusters = False,
    samples: Count = 3000,
    discard: Discarded = 0.25,
    steps: Steps = 8000,
    threads: Threads = 1,
    seed: int = 0,
    warm: bool = False,
) -> TemperingRun:
    """Parallel tempering of a spin glass: energies, ln Z and overlaps at every temperature.

    Keys:
        T: a temperature that is wanted in any case.
        ladder [J / k_B]: all temperatures of the chains, separated by commas, which the others and infinity join;
            "auto" fills the gaps, the same way for all instances, "adapted" where short chains of this one want it.
        replicas: independent sets, at least 3 for triangles.
        sweeps: between two measurements.
        samples [configurations]: kept at each temperature, over all replicas.
        steps [measurements]: of the run.
        threads: of the chains.
    """
    if samples < 4 * replicas:
        least = f"{4 * replicas}, 4 for each of the {replicas} replicas"
        raise ValueError(f"samples must be at least {least}, got {samples}")
    system, wanted = glass.system(), _temperatures(temperatures, glass)
    if ladder == "auto":
        every = spaced(wanted, glass.n_sites, scale=glass.scale)
    elif ladder == "adapted":
        every = adapted_ladder(system, wanted, replicas=replicas, seed=seed, clusters=clusters)
    else:
        every = _ladder(ladder, wanted)
    chain = ParallelTempering(system, every, replicas=replicas, threads=threads, clusters=clusters)
    run = TemperingRun(
        system, chain, temperatures=wanted, steps=steps, every=sweeps,
        keep_every=max(1, int((1 - discard) * steps * replicas / samples)), discard=discard, seed=seed, threads=threads,
    )  # fmt: skip
    if steps - int(discard * steps) < BLOCKS:
        raise ValueError(f"steps must leave {BLOCKS} behind the part {discard:g} that is discarded, got {steps}")
    return run


TEMPERING_SK = SK | {"clusters": False}
OF_SK = {"N": 64, "T": 0.5, "temperatures": TEMPERATURES}
sk_forward = study(
    "sk-forward", aliases=BETA_OR_T, fixed=TEMPERING_SK, defaults=OF_SK, idle=_idle, without=OF_SAMPLES,
    presets=FORWARD, stated=STATED_FORWARD, changed=CHANGED,
    about="An affine flow of the continuous Sherrington-Kirkpatrick model, on samples from parallel tempering.",
)(glass_forward)  # fmt: skip
sk_reverse = study(
    "sk-reverse", aliases=BETA_OR_T, fixed=TEMPERING_SK, defaults=OF_SK, idle=_idle,
    presets=REVERSE, stated=STATED_REVERSE, changed=CHANGED,
    about="An affine flow of the continuous Sherrington-Kirkpatrick model, on its own free energy.",
)(glass_reverse)  # fmt: skip
sk_autoregressive = study(
    "sk-autoregressive", aliases=BETA_OR_T, fixed=TEMPERING_SK, idle=_idle_autoregressive,
    defaults=OF_SK | {"steps": 20_000, "lr": 2e-3},
    about="An autoregressive density of the Sherrington-Kirkpatrick model: a rigorous bound without a flow.",
)(glass_autoregressive)  # fmt: skip
sk_pt = study(
    "sk-pt", fixed=TEMPERING_SK, defaults=OF_SK, idle=_idle, without=OF_TEMPERING,
    about="Parallel tempering of the Sherrington-Kirkpatrick model: energies, ln Z and overlaps.",
)(glass_pt)  # fmt: skip


def _numbers(name: str, words: str) -> set[float]:
    try:
        found = {float(word) for word in words.split(",")}
    except ValueError:
        raise ValueError(f"{name} must be numbers separated by commas, got {words!r}") from None
    if not all(T > 0 for T in found):
        raise ValueError(f"{name} must be positive, got {words}")
    return found


def _temperatures(words: str, glass: Glass) -> tuple[float, ...]:
    if words == AUTO:
        found = {float(f"{T * glass.scale:.3g}") for T in _numbers("temperatures", TEMPERATURES)}
    else:
        found = _numbers("temperatures", words)
    return tuple(sorted(found | {glass.T}))


def _ladder(words: str, wanted: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(sorted(_numbers("ladder", words) | {*wanted, math.inf}))


@functools.lru_cache(maxsize=8)
def _tempering(glass: Glass, temperatures: tuple[float, ...], seed: int, **how: Any) -> Reference:
    """Parallel tempering of one instance; kept, so that runs at neighbouring temperatures share it."""
    return Reference(glass.system(), temperatures, seed=seed, **how)
