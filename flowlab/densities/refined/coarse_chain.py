"""Markov chains that draw the fields of a coarse lattice, for :class:`CoarseFields`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from flowlab.core import Density, System, named_generator
from flowlab.core.arguments import checked
from flowlab.mcmc.hmc import HMC, HMCState
from flowlab.mcmc.langevin import Langevin, LangevinState
from flowlab.mcmc.tensor_chain import beside, seeded

WARM_UP, LONGEST = 100, 6400
"""Trajectories from the start to equilibrium: at least (two thirds of these tune the step size), and at most."""
FEWEST = 32
"""Chains that are thermalised together, at least, so that a memory of their start can be seen."""
AGREEMENT = 3.0
"""Standard errors by which chains may differ that started otherwise."""


KEPT = 0.9
"""Share of a gradient that Langevin steps should keep."""
MOST_STEPS = 3200


class PathwiseGradientWarning(UserWarning):
    """A gradient that is cut off after some Langevin steps lacks part of itself."""


class ThermalisationWarning(UserWarning):
    """Chains still remember how they started."""


class ChainFields(nn.Module):
    """Fields of chains, which go where a density goes and stay in double precision."""

    fields: Tensor

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        device = fn(self.fields.new_empty(0)).device
        return super()._apply(lambda tensor: tensor.to(device), recurse)  # type: ignore[no-untyped-call]


def chains_of(density: Density) -> int | None:
    """The number of chains that draw the coarsest fields of a density, None where none do."""
    chains = (part for part in density.modules() if isinstance(part, ChainFields))
    sampler = next(chains, None)  # others inside are for evaluations
    return None if sampler is None else len(sampler.fields)


class CoarseHMC(ChainFields):
    """Fields from n Hybrid Monte Carlo chains that go on from draw to draw, at the couplings of each draw.

    The fields of one draw come from different chains and are independent; those of successive draws are
    ``trajectories`` apart where the draw is one for training (gradients enabled), ``apart`` else. The sampler of
    ``chains`` fields has its chains in ``state_dict``, so that a run goes on where it was; for another number of
    fields other chains are thermalised and kept for the next call of that size. How long that takes the chains say
    themselves, see :func:`thermalised`.

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

    step_size: Tensor
    done: Tensor

    @checked
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
        """n fields (n, *shape) in double precision, where the generator is.

        Warns:
            ThermalisationWarning: where the chains still remember their start when they should not.
        """
        couplings = {name: value.detach().cpu() for name, value in system.couplings.items()}
        chain = HMC(system.at(**couplings), steps=self.steps, tuning=2 * WARM_UP // 3)
        rng = seeded(generator, beside(system, generator))
        if n == len(self.fields) and self.done[0]:
            state = HMCState(self.fields, self.step_size, self.done[0], rng.get_state())
        elif n in self._others:
            state = self._others[n]._replace(rng=rng.get_state())
        else:
            state = thermalised(chain, n, rng)
        for _ in range(self.trajectories if torch.is_grad_enabled() else self.apart):
            state, _ = chain.step(state)
        if n == len(self.fields):
            self.fields, self.step_size = state.configurations, state.step_size
            self.done = state.trajectories.expand(n).clone()
        else:
            self._others = {n: state}
        return state.configurations.clone()

    def extra_repr(self) -> str:
        return f"chains={len(self.fields)}, trajectories={self.trajectories}, apart={self.apart}"


class CoarseLangevin(ChainFields):
    """Fields from n Langevin chains that carry a gradient in the couplings: for training, not for evaluation.

    The chains start at unit Gaussians, take ``thermalise`` steps once, and ``steps`` steps before each draw, through
    which gradients flow: a share of them, see :func:`kept_shares`. Where no gradient is wanted, :class:`CoarseHMC`
    draws the fields: its distribution is exact.

    Args:
        system: gives the lattice.
        chains: number of fields of a training batch.
        step_size: ε of the dynamics.
        thermalise, steps: as above; see :func:`enough_steps`.

    Raises:
        ValueError: for numbers below 1, or a step size that is not positive.

    >>> from flowlab.systems.phi4 import Phi4
    >>> kappa = torch.tensor(0.2, dtype=torch.float64, requires_grad=True)
    >>> system = Phi4((4, 4), kappa=kappa, lam=0.02)
    >>> CoarseLangevin(system, chains=8)(system, 8, torch.Generator().manual_seed(0)).requires_grad
    True
    """

    done: Tensor

    @checked
    def __init__(
        self,
        system: System,
        *,
        chains: int = 128,
        step_size: float = 0.01,
        thermalise: int = 1000,
        steps: int = 50,
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
        """n fields (n, *shape) in double precision, where the generator is.

        Raises:
            FloatingPointError: where the dynamics runs away, with the mend.
        """
        if not torch.is_grad_enabled():
            fields: Tensor = self.exact(system, n, generator)
            return fields
        chain = Langevin(system, self.step_size)
        state = chain.init(n, generator=generator)
        if n == len(self.fields) and self.done[0]:
            state = LangevinState(self.fields, state.rng)
        else:
            with torch.no_grad():
                state = chain.thermalise(state, self.thermalise)
        state = chain.thermalise(state, self.steps)
        if n == len(self.fields):
            self.fields, self.done = state.configurations.detach(), self.done + self.steps
        return state.configurations

    def warn(self, system: System, names: Iterable[str]) -> None:
        """Warn where less than 90 % of the gradient in one of these couplings is kept."""
        kept = kept_shares(equilibrium(system), names, self.step_size, self.steps)
        lost = {name: share for name, share in kept.items() if share < KEPT}
        if lost:
            warnings.warn(
                f"a pathwise gradient through {self.steps} Langevin steps of {self.step_size:g} keeps only "
                + ", ".join(f"{share:.0%} of that in {name}" for name, share in lost.items())
                + ": take more steps (langevin_steps in the studies), or gradient='score', which keeps all of it",
                PathwiseGradientWarning,
                stacklevel=2,
            )

    def extra_repr(self) -> str:
        return f"chains={len(self.fields)}, step_size={self.step_size}, steps={self.steps}"


def equilibrium(system: System, n: int = 1024) -> tuple[System, Tensor]:
    """The system at its couplings without a gradient, on the CPU, and n of its fields, always the same."""
    with torch.no_grad():
        frozen = system.at(**{name: value.detach().cpu() for name, value in system.couplings.items()})
        chain = HMC(frozen, tuning=2 * WARM_UP // 3)
        return frozen, thermalised(chain, n, named_generator(0, "equilibrium")).configurations


def kept_shares(start: tuple[System, Tensor], names: Iterable[str], step_size: float, steps: int) -> dict[str, float]:
    """Of the derivative of <O> in a coupling g, O = ∂log_weight/∂g, the share that goes through steps of Langevin.

    The whole is Var(O), by :func:`equilibrium`'s fields, from which the steps begin; good to some 10 per cent. For free
    fields, mode by mode, 1 - (1 - ε m)^(2 steps) with the rate m of the mode.
    """
    system, fields = start
    found = {}
    for name in names:
        value = system.couplings[name]
        g = value.clone().requires_grad_()
        chain = Langevin(system.at(**{name: g}), step_size)
        begin = chain.init(len(fields), generator=named_generator(0, "langevin"))._replace(configurations=fields)
        x = chain.thermalise(begin, steps).configurations
        h = 1e-3 * max(abs(float(value)), 0.01)
        tied = (system.at(**{name: value + h}).log_weight(x) - system.log_weight(x)) / h
        (kept,) = torch.autograd.grad(tied.mean(), g)
        found[name] = float(kept / tied.detach().var())
    return found


def enough_steps(system: System, names: Iterable[str], step_size: float) -> int:
    """50, 100, 200, .. Langevin steps, as many as keep 90 % of the gradient in these couplings, at most 3200.

    >>> from flowlab.systems.phi4 import Phi4
    >>> enough_steps(Phi4((2,), kappa=0.0, lam=0.0), ["kappa"], 0.02)
    50
    """
    start, steps = equilibrium(system), 50
    while steps < MOST_STEPS and min(kept_shares(start, names, step_size, steps).values(), default=1.0) < KEPT:
        steps *= 2
    return steps


def thermalised(chain: HMC, n: int, generator: torch.Generator | None = None) -> HMCState:
    """n chains that have forgotten how they started: every other one around zero, the rest with all fields of one sign.

    They run for 100 trajectories, 200, 400, .. until the action and M² have the same mean over both kinds within three
    standard errors, from the last half of the time. The chains are independent, so these errors are honest.

    Warns:
        ThermalisationWarning: where they still differ after 6400 trajectories.
    """
    state = chain.init(max(n, FEWEST), generator=generator)
    state.configurations[::2] += 1
    for _ in range(WARM_UP // 2):
        state, _ = chain.step(state)
    while True:
        fields, length = state.configurations, int(state.trajectories)
        sums = torch.zeros(2, len(fields), dtype=torch.float64, device=fields.device)
        for _ in range(length):
            state, found = chain.step(state)
            sums += torch.stack([found.energies, state.configurations.flatten(1).sum(1).square()])
        ordered, rough = sums[:, ::2] / length, sums[:, 1::2] / length
        errors = (ordered.var(1) / ordered.shape[1] + rough.var(1) / rough.shape[1]).sqrt()
        apart = (ordered.mean(1) - rough.mean(1)).abs() / errors
        if bool((apart <= AGREEMENT).all()):
            break
        if int(state.trajectories) >= LONGEST:
            warnings.warn(
                f"after {int(state.trajectories)} trajectories the chains of {chain.system.title} still remember their "
                f"start: with all fields of one sign or of both, action and M² differ by {float(apart[0]):.2g} and "
                f"{float(apart[1]):.2g} standard errors; take a smaller coarse lattice, or couplings farther from the "
                "transition",
                ThermalisationWarning,
                stacklevel=2,
            )
            break
    return state._replace(configurations=state.configurations[:n].clone())
