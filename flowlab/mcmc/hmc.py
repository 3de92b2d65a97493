"""Hybrid (Hamiltonian) Monte Carlo of real fields, many chains at once."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from flowlab.core import MarkovChain, System
from flowlab.mcmc.tensor_chain import beside, checked_continuous, opened, per_chain, seeded

JITTER = 0.2
"""Each trajectory of each chain has a step size within this fraction of the common one."""


class HMCState(NamedTuple):
    """What the chains carry.

    Attributes:
        configurations: (n, *shape) fields.
        step_size: () float64, the leapfrog's.
        trajectories: () int64, how many have been done.
        rng: uint8, the state of the chains' random generator.
    """

    configurations: Tensor
    step_size: Tensor
    trajectories: Tensor
    rng: Tensor


class HMCInfo(NamedTuple):
    """What one looks at after a trajectory.

    Attributes:
        accepted: (n,) whether it was accepted.
        acceptance: (n,) with which probability, min(1, exp(-delta_H)).
        delta_H: (n,) change of the Hamiltonian along it; <exp(-delta_H)> = 1 at equilibrium.
        energies: (n,) -log_weight of the configuration after it.
    """

    accepted: Tensor
    acceptance: Tensor
    delta_H: Tensor
    energies: Tensor


class HMC(MarkovChain[HMCState, HMCInfo]):
    """Leapfrog trajectories of H = ½ Σ π² - log_weight(φ) with fresh Gaussian π, then a Metropolis decision.

    The step size is tuned in the first ``tuning`` trajectories and frozen after them. The length of a trajectory is
    random, so that no mode has a period in step with it: half to one and a half times ``steps`` leapfrogs, the same for
    all chains, with a step size within 20 % of the common one for each. Where the system has the symmetry φ -> -φ, each
    chain changes sign with probability 1/2 after each trajectory.

    Args:
        system: of real fields or angles; its ``force(x)``, the gradient of log_weight, or else autograd.
        steps: leapfrog steps in a trajectory, on average.
        step_size: of the leapfrog; None tunes it.
        target_acceptance: what it is tuned to.
        tuning: trajectories in which it is tuned; none for a given step size.
        flips: whether to flip signs; None where the system is symmetric.
        dtype: of the fields.

    Raises:
        ValueError: for a system of spins or states, numbers that make no sense, flips of what is not symmetric.

    Source: S. Duane, A. D. Kennedy, B. J. Pendleton, D. Roweth 1987.

    >>> from flowlab.systems import Phi4
    >>> chain = HMC(Phi4((4, 4), kappa=0.2, lam=0.02), steps=5, tuning=20)
    >>> state, found = chain.run(chain.init(8, generator=torch.Generator().manual_seed(0)), 40)
    >>> found["action_per_site"].shape, bool(found["acceptance"][20:].mean() > 0.6)
    ((40, 8), True)
    """

    state_type = HMCState

    def __init__(
        self,
        system: System,
        *,
        steps: int = 10,
        step_size: float | None = None,
        target_acceptance: float = 0.8,
        tuning: int = 100,
        flips: bool | None = None,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        checked_continuous(system, "HMC")
        if int(steps) != steps or steps < 1:
            raise ValueError(f"steps must be a whole number of at least 1, got {steps}")
        if step_size is not None and not step_size > 0:
            raise ValueError(f"step_size must be positive, or None to tune it, got {step_size}")
        if not 0 < target_acceptance < 1:
            raise ValueError(f"target_acceptance must lie between 0 and 1, got {target_acceptance}")
        if tuning < 0 or (step_size is None and tuning < 1):
            raise ValueError(f"tuning must be at least 1 trajectory where step_size is not given, got {tuning}")
        if flips and not system.flip_symmetric:
            raise ValueError(f"flips need a system with log_weight(-x) = log_weight(x), {system.title} is not")
        self.system, self.steps, self.target_acceptance, self.dtype = system, int(steps), target_acceptance, dtype
        self.step_size = step_size
        self.tuning = int(tuning) if step_size is None else 0
        self.flips = system.flip_symmetric if flips is None else flips
        self._force = system.force

    def records(self, state: HMCState) -> dict[str, float]:
        return {"step_size": float(state.step_size)}

    def init(self, n: int, *, generator: torch.Generator | None = None) -> HMCState:
        """n chains that start at independent Gaussians of standard deviation 1/2, within reach of most potentials."""
        if n < 1:
            raise ValueError(f"the number of chains must be at least 1, got {n}")
        own = seeded(generator, device := beside(self.system, generator))
        fields = 0.5 * torch.randn(n, *self.system.shape, dtype=self.dtype, generator=own, device=device)
        first = torch.tensor(self.step_size or 0.5 * self.system.n_sites**-0.25, dtype=torch.float64, device=device)
        return HMCState(fields, first, torch.zeros((), dtype=torch.int64), own.get_state())

    @torch.no_grad()
    def step(self, state: HMCState) -> tuple[HMCState, HMCInfo]:
        """One trajectory of every chain."""
        x = state.configurations
        n, device, own = len(x), x.device, opened(state.rng, x.device)
        momenta = torch.randn(x.shape, dtype=x.dtype, generator=own, device=device)
        jitter = 1 + JITTER * (2 * torch.rand(n, dtype=x.dtype, generator=own, device=device) - 1)
        steps = int(torch.randint(-(-self.steps // 2), 3 * self.steps // 2 + 1, (), generator=own, device=device))
        proposed, last = self.trajectory(x, momenta, per_chain(state.step_size * jitter, x).to(x.dtype), steps)
        before, after = self.system.log_weight(x), self.system.log_weight(proposed)
        delta_H = before - after + 0.5 * (last.square() - momenta.square()).flatten(1).sum(1)
        delta_H = delta_H.nan_to_num(nan=torch.inf, posinf=torch.inf, neginf=torch.inf)  # a trajectory that diverged
        acceptance = (-delta_H).exp().clamp(max=1.0)
        accepted = torch.rand(n, dtype=x.dtype, generator=own, device=device) < acceptance
        fields = self.system.variables.principal(torch.where(per_chain(accepted, x), proposed, x))
        if self.flips:
            fields *= per_chain(2.0 * torch.randint(2, (n,), generator=own, device=device) - 1, x).to(x.dtype)
        new = HMCState(fields, self._tuned(state, acceptance), state.trajectories + 1, own.get_state())
        return new, HMCInfo(accepted, acceptance, delta_H, -torch.where(accepted, after, before))

    def trajectory(self, x: Tensor, momenta: Tensor, step_size: Tensor | float, steps: int) -> tuple[Tensor, Tensor]:
        """The fields and momenta after ``steps`` leapfrog steps; with -momenta it runs back to where it began.

        Args:
            x, momenta: (n, *shape).
            step_size: one, or (n, 1, ..) one a chain.
            steps: how many.
        """
        size = torch.as_tensor(step_size, dtype=x.dtype, device=x.device)
        x, momenta = x.clone(), torch.addcmul(momenta, 0.5 * size, self._force(x))
        for left in reversed(range(steps)):
            x.addcmul_(size, momenta)
            momenta.addcmul_(size if left else 0.5 * size, self._force(x))
        return x, momenta

    def _tuned(self, state: HMCState, acceptance: Tensor) -> Tensor:
        """A step in ln(step_size) towards the target, shorter each time, so that the last ones hardly move it."""
        done = int(state.trajectories)
        if done >= self.tuning:
            return state.step_size
        gain = (1 + done / 10) ** -0.75
        return state.step_size * torch.exp(gain * (acceptance.mean().double() - self.target_acceptance))
