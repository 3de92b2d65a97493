"""Super-resolving flows: coarse Monte Carlo, learned refinement, learned couplings (arXiv:2412.12842)."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, cast

from flowlab.core import Density, named_generator
from flowlab.densities import CoarseFields, Normal, Pushforward, Upscaled
from flowlab.densities.refined.coarse_chain import CoarseHMC, CoarseLangevin, enough_steps
from flowlab.exact.interpolated import KnownLogZ
from flowlab.flows import ContinuousFlow
from flowlab.runs import study
from flowlab.runs.keys import Count, Inside, Meaning, Odd, Positive, Several
from flowlab.studies.growth import Range
from flowlab.studies.keys import (
    OF_MATCHING,
    WARM,
    Batch,
    Beta,
    Device,
    Dimension,
    Kappa,
    Lam,
    Patience,
    Rate,
    Side,
    Steps,
    Threads,
    over_idle,
)
from flowlab.studies.phi4.flows import Hopping, phi4_system
from flowlab.systems import Phi4
from flowlab.training import IntegrationCheck, Stage, Training
from flowlab.training.objectives.ir_matching import IRMatching
from flowlab.training.objectives.uv_matching import Method, UVMatching

Kernel = Annotated[Odd, Meaning("side of the flow's kernel", "sites")]
Shared = Annotated[bool, Meaning("whether all levels have the same weights")]
OdeSteps = Annotated[Count, Meaning("steps of the integration in training")]
RateSigma = Annotated[Positive, Meaning("peak learning rate of the noise")]
RateKappa = Annotated[Positive, Meaning("peak learning rate of the couplings")]
CheckEvery = Annotated[
    Count, Meaning("between two checks of the integration, see :class:`flowlab.training.IntegrationCheck`", "steps")
]

SLICE = 4
"""Sites of a slice of the coarse lattice up to which its exact ln Z is computed along the way."""


def _idle(keys: Mapping[str, Any], stages: str) -> dict[str, str]:
    """What has no effect on one refinement, on a warm start or where nothing is learned; ``stages`` is a key."""
    found = {} if keys["learn"].strip(" ,") else {"lr_kappa": "where no coupling is learned"}
    if keys["L"] <= 2 * keys["coarse"]:
        found |= dict.fromkeys(("shared", stages), "where L is twice the coarse side, refined once")
    return found


def _ir_idle(keys: Mapping[str, Any]) -> dict[str, str]:
    found = _idle(keys, "stage_steps")
    if keys["gradient"] == "score":
        found |= dict.fromkeys(("langevin_step", "langevin_steps"), "on gradient=score, they are of pathwise")
    return found | ({"stage_steps": WARM} if keys["warm"] else {})


def _uv_idle(keys: Mapping[str, Any]) -> dict[str, str]:
    found = _idle(keys, "retrain")
    if keys["warm"]:
        found |= dict.fromkeys(("retrain", "lr_kappa", "samples", "lowest_ess"), f"{WARM}: it scans for the couplings")
    return found


@dataclass(frozen=True, kw_only=True)
class Integrated:
    """How a continuous flow is integrated and trained."""

    ode_steps: OdeSteps = 8
    steps: Steps = 800
    batch: Batch = 128
    lr: Rate = 5e-3
    check_every: CheckEvery = 50
    patience: Patience = 0
    threads: Threads = 1
    device: Device = "auto"

    def given(self, **rates: float) -> dict[str, Any]:
        """The same as arguments of a :class:`.Stage`, with the rates of its parts; without ``steps``."""
        integration = IntegrationCheck(self.check_every)
        how = {"batch": self.batch, "learning_rate": rates, "patience": self.patience, "device": self.device}
        return how | {"integration": integration}


@dataclass(frozen=True, kw_only=True)
class Refined:
    """Coarse fields that a flow refines, level after level, and how that is trained."""

    coarse: Several
    L: Side
    d: Dimension
    beta: Beta | None = None
    kappa: Kappa | None
    lam: Lam = 0.02
    learn: str = "kappa"
    kernel: Kernel
    shared: Shared = False
    lr_sigma: RateSigma = 1e-2
    lr_kappa: RateKappa = 1e-3

    @property
    def names(self) -> list[str]:
        """Of the couplings that are learned."""
        names = [name.strip() for name in self.learn.split(",") if name.strip()]
        if not set(names) <= set(Phi4((2,), 0.1, 0.1).couplings):
            raise ValueError(f"learn must be kappa, lam, both with a comma, or nothing, got {self.learn!r}")
        return names

    @property
    def sides(self) -> list[int]:
        """coarse · 2, coarse · 4, ..., L."""
        levels = round(math.log2(self.L / self.coarse)) if self.coarse > 0 and self.L > 0 else 0
        if levels < 1 or self.coarse * 2**levels != self.L:
            raise ValueError(
                f"L must be 2, 4, 8, ... times the coarse side, got L = {self.L} and coarse = {self.coarse}"
            )
        return [self.coarse * 2 ** (k + 1) for k in range(levels)]

    def system(self, side: int) -> Phi4:
        """The lattice of that side at the couplings that are given."""
        return phi4_system((side,) * self.d, self.beta, self.kappa, self.lam)

    def log_z(self, names: list[str]) -> KnownLogZ | None:
        """ln Z of the coarse lattice where these are learned, if it is small enough."""
        return KnownLogZ(names) if self.coarse ** (self.d - 1) <= SLICE else None

    def stacked(self, fields: CoarseFields, side: int, ode_steps: int, seed: int) -> Upscaled:
        """Levels of refinement by 2 from the coarse fields up to ``side``."""
        density: Density = fields
        flow: ContinuousFlow | None = None
        for fine in [fine for fine in self.sides if fine <= side]:
            shape = (fine,) * self.d
            if flow is None or not self.shared:
                generator = named_generator(seed, "flow", fine)
                flow = ContinuousFlow(shape, kernel=self.kernel, steps=ode_steps, generator=generator)
            else:
                flow = flow.on(shape)
            density = Upscaled(density, shape, flow, generator=named_generator(seed, "noise", fine))
        return cast(Upscaled, density)

    def stage(
        self, target: Phi4, fields: CoarseFields, training: Integrated, seed: int, rate: float = 1.0, **others: Any
    ) -> dict[str, Any]:
        """Arguments of a :class:`.Stage` on a lattice, or of the training; ``others`` are its own."""
        density = self.stacked(fields, target.shape[0], training.ode_steps, seed)
        how = training.given(base=rate * self.lr_sigma, flow=rate * training.lr, couplings=self.lr_kappa)
        return {"target": target, "density": density, "seed": seed, **how, **others}


@study("phi4-ir-matching", one_of=(("beta", "kappa"),), idle=_ir_idle, without=OF_MATCHING)
def ir_matching(
    *,
    refined: Refined = Refined(coarse=4, L=8, d=2, kappa=0.26, kernel=5),
    training: Integrated = Integrated(),
    gradient: Literal["score", "pathwise"] = "score",
    langevin_step: Positive = 0.01,
    langevin_steps: Count | None = None,
    stage_steps: Count = 400,
    seed: int = 0,
    warm: bool = False,
) -> Training:
    """Fields of a coarse lattice, refined by a flow: fine couplings given, coarse couplings learned.

    Keys:
        coarse [sites]: side of the coarse lattice, which Hybrid Monte Carlo samples on the CPU.
        L [sites]: side of the fine lattice, 2, 4, 8, ... times coarse.
        learn: coarse couplings to learn, "kappa", "lam" or "kappa,lam"; "" for none. They start at the fine ones.
        gradient: of the couplings, exact ("score") or through Langevin dynamics, see
            :class:`flowlab.training.objectives.ir_matching.IRMatching`.
        langevin_step: size of a step of Langevin dynamics.
        langevin_steps: of Langevin dynamics; none is as many as keep 90 % of the gradient (slow).
        steps: of the last level.
        stage_steps [steps]: of each level before the last.
        patience: a level ends when its ESS has not improved over this many; 0 never does.
    """
    names, (*smaller, L) = refined.names, refined.sides
    start = refined.system(refined.coarse)
    log_z = refined.log_z(names)

    @functools.cache
    def langevin() -> int:
        return enough_steps(start, names, langevin_step) if langevin_steps is None else langevin_steps

    def fields() -> CoarseFields:
        sampler: CoarseHMC | CoarseLangevin = CoarseHMC(start, chains=training.batch)
        if gradient == "pathwise":
            sampler = CoarseLangevin(start, chains=training.batch, step_size=langevin_step, steps=langevin())
        return CoarseFields(start, sampler, learned=names, log_z=log_z)

    def how(side: int, steps: int) -> dict[str, Any]:
        warmup = 0.05 if warm or (smaller and side > smaller[0]) else 0.0
        own: dict[str, Any] = {"objective": IRMatching(gradient), "steps": steps, "warmup": warmup}
        return refined.stage(refined.system(side), fields(), training, seed, **own)

    stages = [] if warm else [Stage(**how(side, stage_steps)) for side in smaller]
    return Training(**how(L, training.steps), stages=stages, threads=training.threads)


@study("phi4-uv-matching", one_of=(("beta", "kappa"),), idle=_uv_idle, without=OF_MATCHING)
def uv_matching(
    *,
    refined: Refined = Refined(coarse=8, L=16, d=1, kappa=0.4, kernel=7),
    training: Integrated = Integrated(),
    retrain: Count = 200,
    samples: Several = 1024,
    lowest_ess: Inside = 0.8,
    seed: int = 0,
    warm: bool = False,
) -> Training:
    """Fields of a coarse lattice, refined again and again: coarse couplings given, fine couplings learned.

    The flow from ``coarse`` to twice the side is trained with its fine couplings. For a finer lattice it is iterated:
    the couplings there are those of the largest ESS, and a short retraining at a fifth of the rate follows at each.

    Keys:
        coarse [sites]: side of the coarse lattice, which Hybrid Monte Carlo samples on the CPU at beta, kappa and lam.
        L [sites]: side of the fine lattice, 2, 4, 8, ... times coarse.
        learn: fine couplings to learn, "kappa", "lam" or "kappa,lam"; they start at the coarse ones.
        steps: of the first refinement, or of a warm start.
        retrain [steps]: after each iteration.
        samples [configurations]: fine fields kept for the gradient of the couplings.
        lowest_ess: of the weights of these fields, below which they are drawn anew.
        patience: a refinement, first or iterated, ends when its ESS has not improved over this many; 0 never does.
    """
    names, sides = refined.names, refined.sides
    if not names:
        raise ValueError(f"learn must name a coupling of the fine lattice, kappa or lam, got {refined.learn!r}")
    start = refined.system(refined.coarse)
    log_z = refined.log_z([])

    def how(side: int) -> dict[str, Any]:
        first = side == sides[0] and not warm
        fields, target = CoarseFields(start, CoarseHMC(start, chains=training.batch), log_z=log_z), refined.system(side)
        method: Method = "gradient" if first else "scan"
        objective = UVMatching(target, names, method=method, samples=samples, lowest_ess=lowest_ess)
        own = {"objective": objective, "steps": training.steps if first or warm else retrain}
        return refined.stage(target, fields, training, seed, 1.0 if first else 0.2, **own)

    stages = [] if warm else [Stage(**how(side)) for side in sides[:-1]]
    return Training(**how(refined.L), stages=stages, threads=training.threads)


@study("phi4-cnf", one_of=(("beta", "kappa"),), idle=over_idle)
def cnf(
    *,
    L: Side = 8,
    d: Dimension = 2,
    couplings: Hopping = Hopping(kappa=0.26, lam=0.02),
    kernel: Odd | None = None,
    frequencies: Count = 9,
    ranges: Range = Range(),
    training: Integrated = Integrated(),
    seed: int = 0,
    warm: bool = False,
) -> Training:
    """A continuous flow over unit normal latents with all translations of the lattice, for comparison.

    Keys:
        kernel [sites]: side of the kernel; none for the whole lattice.
        frequencies: number of sines in the vector field.
        patience: the run ends when its ESS has not improved over this many; 0 never does.
    """
    shape = (L,) * d
    flow = ContinuousFlow(
        shape, block=1, kernel=kernel, frequencies=frequencies, steps=training.ode_steps,
        generator=named_generator(seed, "flow"),
    )  # fmt: skip
    return Training(
        couplings.system(shape), ranges.density(Pushforward(flow, Normal(shape))), ranges.objective(IRMatching()),
        steps=training.steps, warmup=0.05 if warm else 0.0, seed=seed, threads=training.threads,
        **training.given(base=training.lr, flow=training.lr),
    )  # fmt: skip
