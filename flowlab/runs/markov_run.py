"""What runs of Markov chains have in common: a state that is checkpointed, measurements in parts on disk."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any

import torch
import xarray as xr
from torch import Tensor

from flowlab.core import System
from flowlab.runs.registry import neighbour
from flowlab.runs.run import Experiment
from flowlab.storage.store import Store


class MarkovRun(Experiment):
    """A chain as a run: seeded, streamed, stoppable, resumable; its measurements lie in ``samples/``.

    A subclass gives ``advance``, which measures once a step, and its measurements as Datasets, out and in.

    Args:
        system: what is sampled.
        chain: with ``state_dict(state)`` and ``load_state_dict(tensors)``.
        state: where it starts.
        steps: measurements in all.
        every: steps of the chain in a step of the run.
        keep_every: steps between two configurations that are kept.
        discard: fraction of the steps, from the beginning, that estimates leave out.
        seed, threads: see :class:`flowlab.Experiment`.

    Raises:
        ValueError: for a fraction outside [0, 1), or numbers of steps below 1.
    """

    seconds_between_checkpoints = 10.0

    def __init__(
        self,
        system: System,
        chain: Any,
        state: Any,
        *,
        steps: int,
        every: int,
        keep_every: int,
        discard: float,
        seed: int,
        threads: int,
    ) -> None:
        super().__init__(system, system, steps=steps, seed=seed, threads=threads)
        if not 0 <= discard < 1:
            raise ValueError(f"discard must lie in [0, 1), a fraction of the run, got {discard}")
        if keep_every < 1 or every < 1:
            raise ValueError(f"every and keep_every must be at least 1, got {every} and {keep_every}")
        self.chain, self.every, self.keep_every, self.discard = chain, int(every), int(keep_every), float(discard)
        self._identity |= {
            "chain": type(chain).__qualname__,
            "every": self.every,
            "keep_every": self.keep_every,
            "discard": self.discard,
        }
        self._chain_state = state

    @abstractmethod
    def _part(self, first: int) -> xr.Dataset:
        """The measurements after step ``first``, with the coordinate ``step``."""

    @abstractmethod
    def _take(self, parts: list[xr.Dataset]) -> None:
        """Replace the measurements by those in these parts."""

    @property
    @abstractmethod
    def _measurements(self) -> tuple[list[list[Any]], list[Any]]:
        """Lists that ``advance`` grows: those of what is measured at every step, that of what is kept now and then."""

    def describe(self) -> dict[str, Any]:
        return super().describe() | {"every": self.every, "keep_every": self.keep_every, "discard": self.discard}

    def at(self, **changes: Any) -> Experiment:
        """The same study with other keys, not started; its chains start afresh."""
        return neighbour(self, changes)

    def state_dict(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        arrays = self.chain.state_dict(self._chain_state)
        return {name: torch.as_tensor(array) for name, array in arrays.items()}, {}

    def load_state_dict(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        self._chain_state = self.chain.load_state_dict(tensors)

    def _return_to(self, mark: Any) -> None:
        super()._return_to(mark)
        measured, kept = self._measurements
        for series in measured:
            del series[self.step :]
        del kept[self.step // self.keep_every :]

    def restore(self, path: str | Path) -> None:
        super().restore(path)
        self._take(Store.open(path, write=False).read_parts(self.step))

    def _keep_besides(self, store: Store) -> None:
        if self.step > (measured := store.measured()):
            store.write_part(self.step, self._part(measured))
