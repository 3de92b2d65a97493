"""Markov chains that draw the fields of a coarse lattice, for :class:`CoarseFields`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from flowlab.core import System
from flowlab.mcmc.hmc import HMC, HMCState
from flowlab.mcmc.langevin import Langevin, LangevinState

WARM_UP = 100
"""Trajectories from Gaussian fields to equilibrium, the first two thirds of which tune the step size."""


class CoarseHMC(nn.Module):
    """Fields from n Hybrid Monte Carlo chains that go on from draw to draw, at the couplings of each draw.

    The fields of one draw come from different chains and are independent; those of successive draws are
    ``trajectories`` apart where the draw is one for training (gradients enabled), ``apart`` else. The sampler of
    ``chains`` fields has its chains in ``state_dict``, so that a run goes on where it was; for another number of
    fields other chains are thermalised and kept for the next call of that size.

    Args:
        system: gives the lattice; the couplings are those of the system in each call.
        chains: number of fields of a training batch.
        trajectories: between two draws in training.
        apart: between two draws else.
        steps: leapfrog steps in a trajectory, on average.

    Raises:
        ValueError: for numbers below 1.

    >>> from flowlab.systems.phi4 import Phi4
    >>> sampler = CoarseHMC(Phi4((4, 4), kappa=0.24, lam=0.02), chains=16)
    >>> sampler(Phi4((4, 4), kappa=0.25, lam=0.02), 16, torch.Generator().manual_seed(0)).shape
    torch.Size([16, 4, 4])
    """

    fields: Tensor
    step_size: Tensor
    done: Tensor

    def __init__(
        self, system: System, *, chains: int = 128, trajectories: int = 3, apart: int = 15, steps: int = 6
    ) -> None:
        super().__init__()
        for name, value in {"chains": chains, "trajectories": trajectories, "apart": apart}.items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.trajectories, self.apart, self.steps = int(trajectories), int(apart), int(steps)
        HMC(system, steps=steps)  # refuses what it cannot sample
        self.register_buffer("fields", torch.zeros(int(chains), *system.shape, dtype=torch.float64))
        self.register_buffer("step_size", torch.zeros((), dtype=torch.float64))
        self.register_buffer("done", torch.zeros(int(chains), dtype=torch.int64))  # handed on with the fields or not
        self._others: dict[int, HMCState] = {}

    def forward(self, system: System, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n fields (n, *shape) in double precision."""
        between = self.trajectories if torch.is_grad_enabled() else self.apart
        couplings = {name: value.detach() for name, value in system.couplings.items()}
        chain = HMC(system.at(**couplings), steps=self.steps, tuning=2 * WARM_UP // 3)
        seed = chain.init(1, generator=generator).rng
        if n == len(self.fields):
            state = HMCState(self.fields.double(), self.step_size.double(), self.done[0], seed)
            between += 0 if self.done[0] else WARM_UP
        else:
            between += 0 if n in self._others else WARM_UP
            state = self._others.get(n, HMCState(self.fields[:0].double(), self.step_size, self.done[0] * 0, seed))
            state = state._replace(rng=seed)
        if not int(state.trajectories):
            state = chain.init(n, generator=generator)
        for _ in range(between):
            state, _ = chain.step(state)
        if n == len(self.fields):
            self.fields, self.step_size = state.configurations, state.step_size
            self.done = state.trajectories.expand(n).clone()
        else:
            self._others = {n: state}
        return state.configurations.clone()

    def extra_repr(self) -> str:
        return f"chains={len(self.fields)}, trajectories={self.trajectories}, apart={self.apart}"


class CoarseLangevin(nn.Module):
    """Fields from n Langevin chains that carry a gradient in the couplings: for training, not for evaluation.

    The chains start at unit Gaussians, take ``thermalise`` steps once, and ``steps`` steps before each draw, through
    which gradients flow. Where no gradient is wanted, :class:`CoarseHMC` draws the fields: its distribution is exact.

    Args:
        system: gives the lattice.
        chains: number of fields of a training batch.
        step_size: ε of the dynamics.
        thermalise, steps: as above.

    Raises:
        ValueError: for numbers below 1, or a step size that is not positive.

    >>> from flowlab.systems.phi4 import Phi4
    >>> kappa = torch.tensor(0.2, dtype=torch.float64, requires_grad=True)
    >>> system = Phi4((4, 4), kappa=kappa, lam=0.02)
    >>> CoarseLangevin(system, chains=8)(system, 8, torch.Generator().manual_seed(0)).requires_grad
    True
    """

    fields: Tensor
    done: Tensor

    def __init__(
        self, system: System, *, chains: int = 128, step_size: float = 0.01, thermalise: int = 1000, steps: int = 50
    ) -> None:
        super().__init__()
        for name, value in {"chains": chains, "thermalise": thermalise, "steps": steps}.items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        Langevin(system, step_size)  # refuses what it cannot sample
        self.step_size, self.thermalise, self.steps = float(step_size), int(thermalise), int(steps)
        self.register_buffer("fields", torch.zeros(int(chains), *system.shape, dtype=torch.float64))
        self.register_buffer("done", torch.zeros(int(chains), dtype=torch.int64))
        self.exact = CoarseHMC(system, chains=1)

    def forward(self, system: System, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n fields (n, *shape) in double precision.

        Raises:
            FloatingPointError: where the dynamics runs away, with the mend.
        """
        if not torch.is_grad_enabled():
            fields: Tensor = self.exact(system, n, generator)
            return fields
        chain = Langevin(system, self.step_size)
        state = chain.init(n, generator=generator)
        if n == len(self.fields) and self.done[0]:
            state = LangevinState(self.fields.double(), state.rng)
        else:
            with torch.no_grad():
                state = chain.thermalise(state, self.thermalise)
        state = chain.thermalise(state, self.steps)
        if n == len(self.fields):
            self.fields, self.done = state.configurations.detach(), self.done + self.steps
        return state.configurations

    def extra_repr(self) -> str:
        return f"chains={len(self.fields)}, step_size={self.step_size}, steps={self.steps}"
