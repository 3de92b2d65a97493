"""What chains have in common whose state is a tuple of tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flowlab.core import MarkovChain, System
from flowlab.core.system import measured

State = TypeVar("State", bound=tuple[Any, ...])
Info = TypeVar("Info", bound=tuple[Any, ...])
Series = dict[str, NDArray[np.float64]]


class TensorChain(MarkovChain[State, Info]):
    """A batch of n chains whose State is a NamedTuple of tensors, ``configurations`` and ``rng`` among them.

    To write one: set ``system`` and ``state_type``, give ``init`` and ``step``; the Info has ``acceptance``, (n,).

    Attributes:
        system: what is sampled.
        state_type: the NamedTuple.
        tuning: steps after ``init`` in which the chain still adapts itself, to be left out of every estimate.
    """

    system: System
    state_type: ClassVar[Any]
    tuning: int = 0

    def run(self, state: State, sweeps: int) -> tuple[State, Series]:
        """``sweeps`` steps of every chain, each of them measured.

        Args:
            state: where to start; it is not changed.
            sweeps: how many steps.

        Returns:
            The new state, and name -> (sweeps, n): ``acceptance`` and all that :func:`.measured` finds.
        """
        if sweeps < 1:
            raise ValueError(f"sweeps must be at least 1, got {sweeps}")
        rows = []
        for _ in range(sweeps):
            state, info = self.step(state)
            found: Any = (state, info)
            rows.append({"acceptance": found[1].acceptance} | measured(self.system, found[0].configurations.detach()))
        return state, {name: torch.stack([row[name] for row in rows]).double().numpy() for name in rows[0]}

    def state_dict(self, state: State) -> dict[str, Tensor]:
        """The tensors of a state by name, as a safetensors file holds them."""
        return dict(zip(self.state_type._fields, state, strict=True))

    def load_state_dict(self, tensors: Mapping[str, Any]) -> State:
        """The state again, from tensors or arrays by name.

        Raises:
            ValueError: for missing tensors, or configurations of another lattice.
        """
        missing = sorted(set(self.state_type._fields) - set(tensors))
        if missing:
            raise ValueError(f"a state of {type(self).__name__} needs {', '.join(missing)} too")
        state = self.state_type(**{name: torch.as_tensor(tensors[name]) for name in self.state_type._fields})
        self.system.check_configurations(state.configurations)
        return state  # type: ignore[no-any-return]


def seeded(generator: torch.Generator | None) -> torch.Generator:
    """A generator of a chain's own, on the CPU, seeded by one draw from ``generator``, which may live elsewhere."""
    device = "cpu" if generator is None else generator.device
    return torch.Generator().manual_seed(int(torch.randint(2**63 - 1, (), generator=generator, device=device)))


def opened(rng: Tensor) -> torch.Generator:
    """The generator whose state ``rng`` is, uint8; what it draws does not change ``rng``."""
    generator = torch.Generator()
    generator.set_state(rng)
    return generator


def checked_continuous(system: System, what: str) -> None:
    """Raise ValueError unless the system has real fields or angles, which a force moves."""
    if system.variables.discrete:
        raise ValueError(
            f"{what} needs a system of real fields or angles, got {type(system).__name__} of {system.variables.name}"
        )


def columns(values: Tensor, like: Tensor) -> Tensor:
    """(n,) values with as many axes as (n, *shape) fields, to multiply them with."""
    return values.reshape(-1, *[1] * (like.ndim - 1))
