"""Maximum likelihood on configurations that parallel tempering draws while the density trains."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from flowlab.analysis.representations import like
from flowlab.core import Density, System, named_generator
from flowlab.core.types import Report, silent
from flowlab.mcmc import ParallelTempering
from flowlab.mcmc.parallel_tempering import TemperingState
from flowlab.training.objectives.forward_kl import LOOKED_AT, ForwardKL
from flowlab.training.objectives.reverse_kl import Loss

CHUNK = 200
"""Steps of the chains between two reports of their first ones."""


class FreshForwardKL(ForwardKL):
    """The cross entropy of :class:`ForwardKL` on a pool of configurations that tempering goes on to renew.

    After ``burn_in`` steps the pool is filled, and then every ``renew_every`` steps of training the chains go on by
    ``sweeps`` and the newest configuration of every replica takes the place of its oldest one. The last ``held_out``
    replicas are never trained on: their configurations are what ``held_out_loss`` is recorded on. Where the chains are
    and the pool belong to the state of the run, so that a resumed run goes on as if it had not been interrupted.

    Args:
        chain: of the physical system, with ``replicas`` independent sets.
        T: temperature of the density's target, one of the chain's.
        held_out: replicas that are not trained on, at least 1; at least 1 more must be left.
        pool: configurations of each replica at a time.
        burn_in: steps of the chains before the first one.
        sweeps: steps of the chains between two configurations.
        renew_every: steps of training between two renewals.
        look_every, seed: see :class:`ForwardKL`; the seed is also of the chains.

    Raises:
        ValueError: for a temperature that the chain does not have, or numbers that leave nothing to train on.

    >>> from flowlab.densities import IndependentSpins
    >>> from flowlab.systems import Ising
    >>> target = Ising((2, 2), T=2.0)
    >>> chain = ParallelTempering(target, [2.0, 4.0], replicas=3)
    >>> objective = FreshForwardKL(chain, 2.0, held_out=1, pool=5, burn_in=10, sweeps=1)
    >>> density = IndependentSpins((2, 2))
    >>> objective.prepare(density, target, fresh=True)
    >>> loss = objective.loss(density, target, 10, generator=torch.Generator().manual_seed(0))
    >>> round(float(loss.loss), 4), int(objective.steps[0, 0])
    (2.7726, 16)
    """

    watched: tuple[str, Literal["rises", "falls"]] = ("held_out_loss", "falls")

    def __init__(
        self,
        chain: ParallelTempering,
        T: float,
        *,
        held_out: int = 2,
        pool: int = 200,
        burn_in: int = 2000,
        sweeps: int = 4,
        renew_every: int = 1,
        look_every: int = 20,
        seed: int = 0,
    ) -> None:
        super().__init__(torch.zeros(0), held_out=0.5, look_every=look_every, seed=seed)
        if float(T) not in chain.temperatures:
            raise ValueError(f"T must be one of the chain's temperatures {list(chain.temperatures)}, got {T}")
        if not 1 <= held_out < chain.replicas:
            raise ValueError(f"held_out must be at least 1 and leave one of {chain.replicas} replicas, got {held_out}")
        if min(pool, sweeps, renew_every) < 1 or burn_in < 0 or pool * held_out < 2:
            raise ValueError(
                f"pool, sweeps and renew_every must be at least 1, with 2 held-out configurations, and burn_in not "
                f"negative, got {pool}, {sweeps}, {renew_every} and {burn_in}"
            )
        self.chain, self.T, self.held_replicas, self.size = chain, float(T), int(held_out), int(pool)
        self.burn_in, self.sweeps, self.renew_every = int(burn_in), int(sweeps), int(renew_every)
        self._place = chain.temperatures.index(self.T)
        state = chain.init(generator=named_generator(seed, "fresh"))
        for name, array in state._asdict().items():
            self.register_buffer(name, torch.from_numpy(array))
        shape = (self.size, chain.replicas, *chain.system.shape)
        self.register_buffer("drawn", torch.zeros(shape, dtype=torch.int8))

    drawn: Tensor
    steps: Tensor

    def prepare(self, density: Density, target: System, *, fresh: bool, report: Report = silent) -> None:
        """Run the chains up to a full pool where that has not been done, and fit the density to it."""
        if int(self.steps.flatten()[0]) == 0:
            for first in range(0, self.burn_in, CHUNK):
                report(f"parallel tempering to train on: {first / self.burn_in:.0%}")
                self._go(min(CHUNK, self.burn_in - first))
            for place in range(self.size):
                self._renew(place)
            report("")
        if fresh:
            generator = named_generator(self.seed, "held out", device=like(density).device)
            with torch.no_grad():
                density.fit(target.reduce(self._trained_on(density), generator=generator))

    def unseen(self, samples: Tensor) -> Tensor:
        """All of those of a comparison, whose chains are others."""
        return samples

    def loss(self, density: Density, target: System, n: int, *, generator: torch.Generator | None = None) -> Loss:
        if int(self.steps.flatten()[0]) == 0:
            self.prepare(density, target, fresh=False)
        if int(self.count) % self.renew_every == 0:
            self._renew(int(self.count) // self.renew_every % self.size)
        device = like(density).device
        self._train = self.drawn[:, : -self.held_replicas].flatten(0, 1).to(device)
        if int(self.count) % self.look_every == 0:
            held = self.drawn[:, -self.held_replicas :].flatten(0, 1)[:LOOKED_AT]
            own = named_generator(self.seed, "held out", int(self.count), device=device)
            self._kept = target.reduce(held.to(device=device, dtype=torch.get_default_dtype()), generator=own)
        return super().loss(density, target, n, generator=generator)

    def _trained_on(self, density: Density) -> Tensor:
        found = self.drawn[:, : -self.held_replicas].flatten(0, 1)
        return found.to(device=like(density).device, dtype=torch.get_default_dtype())

    def _renew(self, place: int) -> None:
        """The chains go on, and where they are then takes the place of the oldest configurations."""
        self._go(self.sweeps)
        spins = self.chain.by_replica(self._state().spins)[0][:, self._place]
        drawn = self.drawn.clone()
        drawn[place] = torch.from_numpy(spins.reshape(drawn.shape[1:]))
        self.drawn = drawn

    def _go(self, steps: int) -> None:
        state, _, _ = self.chain.run(self._state(), steps, every=max(1, steps))
        for name, array in state._asdict().items():
            setattr(self, name, torch.from_numpy(array).to(self.drawn.device))

    def _state(self) -> TemperingState:
        return TemperingState._make(getattr(self, name).cpu().numpy() for name in TemperingState._fields)
