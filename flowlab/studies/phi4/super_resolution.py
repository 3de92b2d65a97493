"""Super-resolving flows: coarse Monte Carlo, learned refinement, learned couplings (arXiv:2412.12842)."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast

from flowlab.core import Density, named_generator
from flowlab.densities import CoarseFields, Normal, Pushforward, Upscaled
from flowlab.densities.refined.coarse_chain import CoarseHMC, CoarseLangevin, enough_steps
from flowlab.exact.interpolated import KnownLogZ
from flowlab.flows import ContinuousFlow
from flowlab.runs import study
from flowlab.runs.keys import Count, Inside, Meaning, Odd, Positive, Several
from flowlab.studies.keys import WARM, Batch, Beta, Device, Dimension, Kappa, Lam, Patience, Rate, Side, Steps, Threads
from flowlab.studies.phi4.flows import phi4_system
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


@study("phi4-ir-matching", one_of=(("beta", "kappa"),), idle=_ir_idle)
def ir_matching(
    *,
    coarse: Several = 4,
    L: Side = 8,
    d: Dimension = 2,
    beta: Beta | None = None,
    kappa: Kappa | None = 0.26,
    lam: Lam = 0.02,
    learn: str = "kappa",
    gradient: Literal["score", "pathwise"] = "score",
    langevin_step: Positive = 0.01,
    langevin_steps: Count | None = None,
    kernel: Kernel = 5,
    shared: Shared = False,
    ode_steps: OdeSteps = 8,
    steps: Steps = 800,
    stage_steps: Count = 400,
    batch: Batch = 128,
    lr: Rate = 5e-3,
    lr_sigma: RateSigma = 1e-2,
    lr_kappa: RateKappa = 1e-3,
    check_every: CheckEvery = 50,
    patience: Patience = 0,
    threads: Threads = 1,
    device: Device = "auto",
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
    names = _names(learn)
    sides = _sides(coarse, L)
    start = phi4_system((coarse,) * d, beta, kappa, lam)
    log_z = KnownLogZ(names) if coarse ** (d - 1) <= SLICE else None

    @functools.cache
    def langevin() -> int:
        return enough_steps(start, names, langevin_step) if langevin_steps is None else langevin_steps

    def density(side: int) -> Upscaled:
        sampler: CoarseHMC | CoarseLangevin = CoarseHMC(start, chains=batch)
        if gradient == "pathwise":
            sampler = CoarseLangevin(start, chains=batch, step_size=langevin_step, steps=langevin())
        return _stack(
            CoarseFields(start, sampler, learned=names, log_z=log_z), coarse, side, d, kernel, ode_steps, shared, seed
        )

    def how(side: int, horizon: int) -> dict[str, Any]:
        return {
            "target": phi4_system((side,) * d, beta, kappa, lam),
            "density": density(side),
            "objective": IRMatching(gradient),
            "steps": horizon,
            "batch": batch,
            "learning_rate": {"base": lr_sigma, "flow": lr, "couplings": lr_kappa},
            "warmup": 0.05 if warm or side > sides[0] else 0.0,
            "integration": IntegrationCheck(check_every),
            "patience": patience,
            "seed": seed,
            "device": device,
        }

    stages = [] if warm else [Stage(**how(side, stage_steps)) for side in sides[:-1]]
    return Training(**how(L, steps), stages=stages, threads=threads)


@study("phi4-uv-matching", one_of=(("beta", "kappa"),), idle=_uv_idle)
def uv_matching(
    *,
    coarse: Several = 8,
    L: Side = 16,
    d: Dimension = 1,
    beta: Beta | None = None,
    kappa: Kappa | None = 0.4,
    lam: Lam = 0.02,
    learn: str = "kappa",
    kernel: Kernel = 7,
    shared: Shared = False,
    ode_steps: OdeSteps = 8,
    steps: Steps = 800,
    retrain: Count = 200,
    batch: Batch = 128,
    lr: Rate = 5e-3,
    lr_sigma: RateSigma = 1e-2,
    lr_kappa: RateKappa = 1e-3,
    samples: Several = 1024,
    lowest_ess: Inside = 0.8,
    check_every: CheckEvery = 50,
    patience: Patience = 0,
    threads: Threads = 1,
    device: Device = "auto",
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
    names = _names(learn)
    if not names:
        raise ValueError(f"learn must name a coupling of the fine lattice, kappa or lam, got {learn!r}")
    sides = _sides(coarse, L)
    start = phi4_system((coarse,) * d, beta, kappa, lam)
    log_z = KnownLogZ([]) if coarse ** (d - 1) <= SLICE else None

    def how(side: int) -> dict[str, Any]:
        first = side == sides[0] and not warm
        fine = phi4_system((side,) * d, beta, kappa, lam)
        fields = CoarseFields(start, CoarseHMC(start, chains=batch), log_z=log_z)
        method: Method = "gradient" if first else "scan"
        rate = 1.0 if first else 0.2
        return {
            "target": fine,
            "density": _stack(fields, coarse, side, d, kernel, ode_steps, shared, seed),
            "objective": UVMatching(fine, names, method=method, samples=samples, lowest_ess=lowest_ess),
            "steps": steps if first or warm else retrain,
            "batch": batch,
            "learning_rate": {"base": rate * lr_sigma, "flow": rate * lr, "couplings": lr_kappa},
            "integration": IntegrationCheck(check_every),
            "patience": patience,
            "seed": seed,
            "device": device,
        }

    stages = [] if warm else [Stage(**how(side)) for side in sides[:-1]]
    return Training(**how(L), stages=stages, threads=threads)


@study("phi4-cnf", one_of=(("beta", "kappa"),))
def cnf(
    *,
    L: Side = 8,
    d: Dimension = 2,
    beta: Beta | None = None,
    kappa: Kappa | None = 0.26,
    lam: Lam = 0.02,
    kernel: Odd | None = None,
    frequencies: Count = 9,
    ode_steps: OdeSteps = 8,
    steps: Steps = 800,
    batch: Batch = 128,
    lr: Rate = 5e-3,
    check_every: CheckEvery = 50,
    patience: Patience = 0,
    threads: Threads = 1,
    device: Device = "auto",
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
        shape, block=1, kernel=kernel, frequencies=frequencies, steps=ode_steps, generator=named_generator(seed, "flow")
    )
    return Training(
        phi4_system(shape, beta, kappa, lam), Pushforward(flow, Normal(shape)), IRMatching(), steps=steps, batch=batch,
        learning_rate={"base": lr, "flow": lr}, warmup=0.05 if warm else 0.0, integration=IntegrationCheck(check_every),
        patience=patience, seed=seed, threads=threads, device=device,
    )  # fmt: skip


def _stack(
    density: CoarseFields, coarse: int, side: int, d: int, kernel: int, ode_steps: int, shared: bool, seed: int
) -> Upscaled:
    """Levels of refinement by 2 from the coarse fields up to ``side``."""
    stacked: Density = density
    flow: ContinuousFlow | None = None
    for fine in _sides(coarse, side):
        shape = (fine,) * d
        if flow is None or not shared:
            flow = ContinuousFlow(shape, kernel=kernel, steps=ode_steps, generator=named_generator(seed, "flow", fine))
        else:
            flow = flow.on(shape)
        stacked = Upscaled(stacked, shape, flow, generator=named_generator(seed, "noise", fine))
    return cast(Upscaled, stacked)


def _sides(coarse: int, L: int) -> list[int]:
    """coarse · 2, coarse · 4, ..., L."""
    levels = round(math.log2(L / coarse)) if coarse > 0 and L > 0 else 0
    if levels < 1 or coarse * 2**levels != L:
        raise ValueError(f"L must be 2, 4, 8, ... times the coarse side, got L = {L} and coarse = {coarse}")
    return [coarse * 2 ** (k + 1) for k in range(levels)]


def _names(learn: str) -> list[str]:
    names = [name.strip() for name in learn.split(",") if name.strip()]
    if not set(names) <= set(Phi4((2,), 0.1, 0.1).couplings):
        raise ValueError(f"learn must be kappa, lam, both with a comma, or nothing, got {learn!r}")
    return names
