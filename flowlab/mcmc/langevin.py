"""Overdamped Langevin dynamics of real fields, differentiable in the couplings."""

from __future__ import annotations

import copy
import math
from typing import NamedTuple, Self

import torch
from torch import Tensor

from flowlab.core import MarkovChain, System
from flowlab.mcmc.tensor_chain import beside, checked_continuous, opened, per_chain, seeded


class LangevinState(NamedTuple):
    """What the chains carry.

    Attributes:
        configurations: (n, *shape) fields; they may carry the graph back to the couplings.
        rng: uint8, the state of the chains' random generator.
    """

    configurations: Tensor
    rng: Tensor


class LangevinInfo(NamedTuple):
    """What one looks at after a step.

    Attributes:
        accepted: (n,) whether the step was accepted; always, where it is not adjusted.
        acceptance: (n,) with which probability.
    """

    accepted: Tensor
    acceptance: Tensor


class Langevin(MarkovChain[LangevinState, LangevinInfo]):
    """φ' = φ + ε ∂log_weight/∂φ + √(2ε) η with unit Gaussian η, for n chains at once.

    Where a coupling requires a gradient, so do the fields: the loop is backpropagated through. The stationary
    distribution is off by O(ε); ``adjusted`` puts a Metropolis decision behind each step (MALA), which makes it exact
    and is not differentiable.

    Args:
        system: of real fields. Gradients in the couplings go through its ``force(x)``, where it has one.
        step_size: ε, positive.
        adjusted: whether to accept or reject.
        dtype: of the fields.

    Raises:
        ValueError: for a system without real fields, or a step size that is not positive.

    Source: G. Parisi, Wu Yongshi 1981; the adjustment: P. J. Rossky, J. D. Doll, H. L. Friedman 1978.

    >>> from flowlab.systems import Phi4
    >>> kappa = torch.tensor(0.2, dtype=torch.float64, requires_grad=True)
    >>> chain = Langevin(Phi4((4, 4), kappa=0.1, lam=0.02), step_size=0.02)
    >>> state = chain.thermalise(chain.init(64, generator=torch.Generator().manual_seed(0)), 50)
    >>> state = chain.at(kappa=kappa).thermalise(state, 10)  # from the fields kept
    >>> state.configurations.square().mean().backward()
    >>> bool(kappa.grad > 0)
    True
    """

    state_type = LangevinState

    def __init__(
        self, system: System, step_size: float = 0.01, *, adjusted: bool = False, dtype: torch.dtype = torch.float64
    ) -> None:
        checked_continuous(system, "Langevin dynamics")
        if not (step_size > 0 and math.isfinite(step_size)):
            raise ValueError(f"step_size must be positive, got {step_size}")
        self.system, self.step_size, self.adjusted, self.dtype = system, float(step_size), adjusted, dtype

    def at(self, **couplings: float | Tensor) -> Self:
        """The same dynamics at other couplings, which may require a gradient; see :meth:`.System.at`."""
        other = copy.copy(self)
        other.system = self.system.at(**couplings)
        return other

    def init(self, n: int, *, generator: torch.Generator | None = None) -> LangevinState:
        """n chains that start at independent unit Gaussians."""
        if n < 1:
            raise ValueError(f"the number of chains must be at least 1, got {n}")
        own = seeded(generator, device := beside(self.system, generator))
        fields = torch.randn(n, *self.system.shape, dtype=self.dtype, generator=own, device=device)
        return LangevinState(fields, own.get_state())

    def thermalise(self, state: LangevinState, steps: int) -> LangevinState:
        """``steps`` steps from the fields of ``state``, whose own graph is let go: the gradient is of these alone.

        Raises:
            FloatingPointError: where the fields run away, with the mend.
        """
        state = state._replace(configurations=state.configurations.detach())
        for _ in range(steps):
            state, _ = self.step(state)
        return state

    def step(self, state: LangevinState) -> tuple[LangevinState, LangevinInfo]:
        """One step of every chain.

        Raises:
            FloatingPointError: where the fields run away, with the mend.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.adjusted):
            return self._step(state)

    def _step(self, state: LangevinState) -> tuple[LangevinState, LangevinInfo]:
        x = state.configurations
        own, drift = opened(state.rng, x.device), self._drift(x)
        noise = torch.randn(x.shape, dtype=x.dtype, generator=own, device=x.device)
        proposed = x + drift + math.sqrt(2 * self.step_size) * noise
        if not bool(torch.isfinite(proposed.detach().sum())):
            raise FloatingPointError(
                f"Langevin diverged at step size {self.step_size:g}: use a smaller step_size, "
                f"e.g. {self.step_size / 10:g}"
            )
        if not self.adjusted:
            certain = torch.ones(len(x), dtype=x.dtype, device=x.device)
            return LangevinState(proposed, own.get_state()), LangevinInfo(certain > 0, certain)
        there = (proposed - x - drift).square().flatten(1).sum(1)
        back = (x - proposed - self._drift(proposed)).square().flatten(1).sum(1)
        log_ratio = self.system.log_weight(proposed) - self.system.log_weight(x) + (there - back) / (4 * self.step_size)
        acceptance = log_ratio.nan_to_num(nan=-torch.inf).exp().clamp(max=1.0)
        accepted = torch.rand(len(x), dtype=x.dtype, generator=own, device=x.device) < acceptance
        fields = self.system.variables.principal(torch.where(per_chain(accepted, x), proposed, x))
        return LangevinState(fields, own.get_state()), LangevinInfo(accepted, acceptance)

    def _drift(self, x: Tensor) -> Tensor:
        """ε ∂log_weight/∂φ, with the graph to the couplings and to x where one of them requires a gradient."""
        return self.step_size * self.system.force(x)
