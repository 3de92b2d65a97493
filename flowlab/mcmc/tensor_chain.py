"""What chains of tensors have in common."""

from __future__ import annotations

import torch
from torch import Tensor

from flowlab.core import System


def seeded(generator: torch.Generator | None, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator of a chain's own, on ``device``, seeded by one draw from ``generator``, which may live elsewhere."""
    home = "cpu" if generator is None else generator.device
    seed = int(torch.randint(2**63 - 1, (), generator=generator, device=home))
    return torch.Generator(device=device).manual_seed(seed)


def beside(system: System, generator: torch.Generator | None) -> torch.device:
    """Where a chain of tensors lives: where the system has its tables, else where its first random numbers are from."""
    here = torch.device("cpu") if generator is None else generator.device
    return next((table.device for table in system.buffers()), here)


def opened(rng: Tensor, device: torch.device | str = "cpu") -> torch.Generator:
    """The generator on ``device`` whose state ``rng`` is, uint8; what it draws does not change ``rng``."""
    generator = torch.Generator(device=device)
    generator.set_state(rng)
    return generator


def checked_continuous(system: System, what: str) -> None:
    """Raise ValueError unless the system has real fields or angles, which a force moves."""
    if system.variables.discrete:
        raise ValueError(
            f"{what} needs a system of real fields or angles, got {type(system).__name__} of {system.variables.name}"
        )


def per_chain(values: Tensor, like: Tensor) -> Tensor:
    """(n,) values with as many axes as (n, *shape) fields, to multiply them with."""
    return values.reshape(-1, *[1] * (like.ndim - 1))
