"""Lattice phi^4 by hybrid Monte Carlo: what flows are compared to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowlab.mcmc.hmc import HMC
from flowlab.runs import study
from flowlab.runs.chain_run import MIN_STEPS, ChainRun
from flowlab.runs.keys import Count, Inside, Positive
from flowlab.studies.keys import OF_CHAINS, Chained, Dimension, Side, Threads
from flowlab.studies.phi4.flows import Hopping


def _idle(keys: Mapping[str, Any]) -> dict[str, str]:
    return {} if keys["step_size"] is None else dict.fromkeys(("acceptance", "tuning"), "where step_size is given")


@study("phi4-hmc", one_of=(("beta", "kappa"),), idle=_idle, without=OF_CHAINS)
def phi4_hmc(
    *,
    L: Side = 8,
    d: Dimension = 2,
    couplings: Hopping = Hopping(),
    trajectory: Count | None = None,
    step_size: Positive | None = None,
    acceptance: Inside = 0.8,
    tuning: Count = 200,
    running: Chained = Chained(steps=500),
    threads: Threads = 1,
    seed: int = 0,
    warm: bool = False,
) -> ChainRun:
    """Hybrid Monte Carlo of lattice phi^4: observables with the errors that their memory leaves them.

    Keys:
        L [sites]: side, which may be odd.
        trajectory: leapfrog steps in a trajectory; none is 3/2 L, at least 6.
        step_size: of the leapfrog, in units of its time; none is tuned.
        acceptance: to which the step size is tuned.
        tuning [trajectories]: in which it is tuned; no estimate uses them.
        every [trajectories]: in a step.
        steps: of the run.
    """
    system = couplings.system((L,) * d)
    leapfrogs = max(6, 3 * L // 2) if trajectory is None else trajectory
    chain = HMC(system, steps=leapfrogs, step_size=step_size, target_acceptance=acceptance, tuning=tuning)
    run = ChainRun(system, chain, seed=seed, threads=threads, **running.given)
    steps, dropped = running.steps, max(int(running.discard * running.steps), -(-chain.tuning // running.every))
    if steps - dropped < MIN_STEPS:
        raise ValueError(f"steps must be at least {dropped + MIN_STEPS}: {dropped} tune or are discarded, got {steps}")
    return run
