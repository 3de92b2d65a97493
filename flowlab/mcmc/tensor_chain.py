"""What chains of tensors have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from flowlab.core import MarkovChain, System


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


class ClusterState(NamedTuple):
    """What the chains carry.

    Attributes:
        configurations: (n, *shape) float64.
        rng: uint8, the state of the chains' random generator.
    """

    configurations: Tensor
    rng: Tensor


class ClusterInfo(NamedTuple):
    """What one looks at after a sweep.

    Attributes:
        acceptance: (n,) ones: no cluster is refused.
        clusters: () clusters a chain, on average.
    """

    acceptance: Tensor
    clusters: Tensor


class AllClusters(MarkovChain[ClusterState, ClusterInfo]):
    """n chains on a torus, of which a step moves all clusters; a subclass says how, see :meth:`swept`."""

    state_type = ClusterState
    system: System

    def init(self, n: int, *, generator: torch.Generator | None = None) -> ClusterState:
        """n chains from random configurations."""
        if n < 1:
            raise ValueError(f"the number of chains must be at least 1, got {n}")
        own = seeded(generator)
        x = self.system.variables.random((n, *self.system.shape), generator=own)
        return ClusterState(x, own.get_state())

    def step(self, state: ClusterState) -> tuple[ClusterState, ClusterInfo]:
        """One sweep of every chain."""
        own, x = opened(state.rng), state.configurations
        new, count = self.swept(x, own)
        return ClusterState(new, own.get_state()), ClusterInfo(torch.ones(len(x)), torch.tensor(count / len(x)))

    @abstractmethod
    def swept(self, x: Tensor, own: torch.Generator) -> tuple[Tensor, int]:
        """(n, *shape) configurations after a sweep, and how many clusters there were in all."""


def joined(kept: Sequence[Tensor]) -> tuple[Tensor, int]:
    """Clusters of sites by kept bonds.

    Args:
        kept: for each side, (n, *shape) whether the bond to the next site along it is kept.

    Returns:
        (n, *shape) the number of the cluster of every site, and how many there are.

    >>> joined([torch.tensor([[True, False, False]]), ])
    (tensor([[0, 0, 1]]), 2)
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    site = torch.arange(kept[0].numel()).reshape(kept[0].shape)
    rows = torch.cat([site[bonds] for bonds in kept]).numpy()
    columns = torch.cat([site.roll(-1, side)[bonds] for side, bonds in enumerate(kept, start=1)]).numpy()
    graph = coo_array((np.ones(len(rows), dtype=np.int8), (rows, columns)), shape=(site.numel(),) * 2)
    count, label = connected_components(graph, directed=False)
    return torch.from_numpy(label.astype(np.int64)).reshape(site.shape), int(count)
