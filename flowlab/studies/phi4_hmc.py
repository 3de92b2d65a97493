"""Lattice phi^4 by hybrid Monte Carlo: what flows are compared to."""

from __future__ import annotations

from flowlab.mcmc.hmc import HMC
from flowlab.studies.phi4 import phi4_system
from flowlab.training import study
from flowlab.training.chain_run import MIN_STEPS, ChainRun


@study("phi4-hmc", one_of=(("beta", "kappa"),))
def phi4_hmc(
    *,
    L: int = 8,
    d: int = 2,
    beta: float | None = None,
    kappa: float | None = None,
    lam: float = 0.5,
    chains: int = 64,
    trajectory: int | None = None,
    step_size: float | None = None,
    acceptance: float = 0.8,
    tuning: int = 200,
    every: int = 10,
    samples: int = 10_000,
    discard: float = 0.1,
    steps: int = 500,
    threads: int = 1,
    seed: int = 0,
    warm: bool = False,
) -> ChainRun:
    """Hybrid Monte Carlo of lattice phi^4: observables with the errors that their memory leaves them.

    Keys:
        L, d, beta, kappa, lam: side, number of dimensions and couplings, as in phi4-flow; sides may be odd.
        chains: that run side by side.
        trajectory: leapfrog steps in a trajectory; by default 3/2 L, at least 6.
        step_size, acceptance: of the leapfrog; where it is not given it is tuned to this acceptance.
        tuning: trajectories in which it is tuned; no estimate uses them.
        every: trajectories in a step.
        samples: configurations kept, over all chains.
        discard: fraction of the run that is left out as thermalisation.
        steps: horizon.
        threads: of torch.
    """
    if samples < 1:
        raise ValueError(f"samples must be at least 1, got {samples}")
    system = phi4_system((L,) * d, beta, kappa, lam)
    leapfrogs = max(6, 3 * L // 2) if trajectory is None else trajectory
    chain = HMC(system, steps=leapfrogs, step_size=step_size, target_acceptance=acceptance, tuning=tuning)
    run = ChainRun(
        system,
        chain,
        chains=chains,
        steps=steps,
        every=every,
        keep_every=max(1, int((1 - discard) * steps * chains / samples)),
        discard=discard,
        seed=seed,
        threads=threads,
    )
    dropped = max(int(discard * steps), -(-chain.tuning // every))
    if steps - dropped < MIN_STEPS:
        raise ValueError(f"steps must be at least {dropped + MIN_STEPS}: {dropped} tune or are discarded, got {steps}")
    return run
