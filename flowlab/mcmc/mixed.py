"""Global proposals and local updates in turn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from flowlab.core import MarkovChain, System
from flowlab.mcmc.independence import IndependenceMetropolis, IndependenceState
from flowlab.mcmc.tensor_chain import opened, seeded


class MixedState(NamedTuple):
    """What the chains carry: the state of the proposals, and that of the local chain."""

    independence: IndependenceState
    local: Any

    @property
    def configurations(self) -> Tensor:
        """(n, *shape) spins or fields."""
        return self.independence.configurations


class MixedInfo(NamedTuple):
    """What one looks at after a step.

    Attributes:
        accepted: (n,) whether the proposal was accepted.
        acceptance: (n,) with which probability.
        local: what the local chain says of its last step.
    """

    accepted: Tensor
    acceptance: Tensor
    local: Any


class Mixed(MarkovChain[MixedState, MixedInfo]):
    """A proposal from a density, then ``local_steps`` of a local chain, for n chains at once.

    Local steps free a chain from a configuration that the density draws too rarely, at which proposals alone would be
    rejected for long; the proposals make the jumps that local steps cannot.

    Args:
        independence: the proposals.
        local: a chain of the same system, such as HMC for fields and a heat bath for spins; its state is a NamedTuple
            with ``configurations``.
        local_steps: of it after each proposal.

    Raises:
        ValueError: for two systems, or local_steps below 1.

    Source: the remedy that L. Del Debbio, J. Marsh Rossney, M. Wilson 2021 (arXiv:2105.12481) point to.
    """

    def __init__(
        self, independence: IndependenceMetropolis, local: MarkovChain[Any, Any], *, local_steps: int = 1
    ) -> None:
        if not _one_system(local.system, independence.system):
            raise ValueError(f"both chains must sample one system, got {independence.system!r} and {local.system!r}")
        if local_steps < 1:
            raise ValueError(f"local_steps must be at least 1, got {local_steps}")
        self.independence, self.local, self.local_steps = independence, local, int(local_steps)
        self.system, self.tuning = independence.system, -(-local.tuning // local_steps)

    def init(self, n: int, *, generator: torch.Generator | None = None) -> MixedState:
        """n chains that start at draws of the density.

        Raises:
            TypeError: for a local chain of other things, such as the replicas of parallel tempering.
        """
        own = seeded(generator, self.independence.device)
        proposals, local = self.independence.init(n, generator=own), self.local.init(n, generator=own)
        self.local.configurations(local)
        return MixedState(proposals, local)

    def step(self, state: MixedState) -> tuple[MixedState, MixedInfo]:
        """One proposal and ``local_steps`` local steps for every chain."""
        state_of_proposals, info = self.independence.step(state.independence)
        local, local_info = self.local.moved(state.local, state_of_proposals.configurations), None
        for _ in range(self.local_steps):
            local, local_info = self.local.step(local)
        x = self.local.configurations(local).to(state.configurations)
        own = opened(state_of_proposals.rng, self.independence.device)
        new = state_of_proposals._replace(configurations=x, log_w=self.independence.log_w(x, own), rng=own.get_state())
        return MixedState(new, local), MixedInfo(info.accepted, info.acceptance, local_info)

    def state_dict(self, state: MixedState) -> dict[str, Tensor]:
        """The tensors of a state by name, those of the local chain under ``local.``."""
        values = self.local.state_dict(state.local)
        local = {f"local.{name}": torch.as_tensor(value) for name, value in values.items()}
        return self.independence.state_dict(state.independence) | local

    def load_state_dict(self, tensors: Mapping[str, Any]) -> MixedState:
        """The state again; see :meth:`flowlab.core.MarkovChain.load_state_dict`."""
        local = {name.removeprefix("local."): tensors[name] for name in tensors if name.startswith("local.")}
        return MixedState(self.independence.load_state_dict(tensors), self.local.load_state_dict(local))


def _one_system(a: System, b: System) -> bool:
    """Whether two systems have one weight up to a constant: the same kind, lattice, couplings and tensors."""
    mine, theirs = ({**s.couplings, **dict(s.named_buffers())} for s in (a, b))
    return (
        type(a) is type(b)
        and a.shape == b.shape
        and mine.keys() == theirs.keys()
        and all(torch.equal(mine[name].detach().cpu(), theirs[name].detach().cpu()) for name in mine)
    )
