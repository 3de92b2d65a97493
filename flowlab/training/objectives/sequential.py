"""Sequential tempering: a population is cooled with the density that learns from it, and by it."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from flowlab.analysis.representations import like
from flowlab.core import Density, Draw, System, named_generator
from flowlab.core.numbers import whole_number
from flowlab.mcmc.population import Population
from flowlab.training.objectives.reverse_kl import Loss, Objective

KEPT = 0.5
"""Effective fraction of the population that one step to a colder temperature leaves, at least."""


class SequentialTempering(Objective):
    """Maximum likelihood on a population of configurations that is cooled along with the target.

    Every ``renew_every`` steps the population follows the temperature that is trained at. From β to β' = β + δ, so
    small that half of the weights exp(-δ E) count at least, configurations are drawn again in proportion to these
    weights, then swept ``sweeps`` times at β'. At the end of this the density proposes a new configuration in place of
    each, which is taken with probability min(1, p(x') q(x) / [p(x) q(x')]): where it has learned the hotter glass, it
    joins valleys that no sweep does. All moves leave p as it is: ``log_z_population``, N ln 2 + Σ ln of the mean
    weights, estimates ln Z. What the density says of ln Z by its own weights does not depend on the population.

    Records, at every renewal and NaN between: ``log_z_population``; ``replaced``, the accepted part of the proposals;
    and of these what is recorded of a batch. ``log_z_upper`` = E[log_weight - ln q] over the population is above ln Z
    as ``log_z_bound`` is below.

    Args:
        system: glass to be sampled: spins with pair couplings and fields.
        size: configurations of the population, even.
        sweeps: of the heat bath, at every temperature and every renewal.
        clusters: whether pairs exchange isoenergetic clusters after every sweep, see :class:`.Population`.
        renew_every: steps of training between two renewals.
        seed: of the population.

    Raises:
        TypeError: for a system without known pair couplings.
        ValueError: for numbers below 1, or a size that is odd or below 100.

    Source: L. Del Bono, F. Ricci-Tersenghi, F. Zamponi 2025, arXiv:2510.19544; the weights, K. Hukushima, Y. Iba 2003.

    >>> from flowlab.densities import MADE
    >>> from flowlab.systems import SpinGlass
    >>> glass = SpinGlass.edwards_anderson((3, 3), T=2.0, seed=1)
    >>> objective, density = SequentialTempering(glass, size=100), MADE((3, 3))
    >>> loss = objective.loss(density, glass, 10, generator=torch.Generator().manual_seed(0))
    >>> abs(loss.metrics["log_z_population"] - 7.05) < 0.5
    True
    """

    own_draws = False

    def __init__(
        self,
        system: System,
        *,
        size: int = 2000,
        sweeps: int = 4,
        clusters: bool = False,
        renew_every: int = 10,
        seed: int = 0,
    ) -> None:
        super().__init__()
        size, sweeps = whole_number("size", size), whole_number("sweeps", sweeps)
        renew_every = whole_number("renew_every", renew_every)
        if min(sweeps, renew_every) < 1 or size < 100 or size % 2:
            raise ValueError(
                "size must be even and at least 100, sweeps and renew_every at least 1, "
                f"got {size}, {sweeps} and {renew_every}"
            )
        self.sweeps, self.renew_every, self.seed = sweeps, renew_every, int(seed)
        self._moves = Population(system, clusters=clusters)
        first = torch.randint(2, (size, *system.shape), generator=named_generator(seed, "population"))
        self.register_buffer("population", (2 * first - 1).to(torch.int8))
        self.register_buffer("beta", torch.zeros((), dtype=torch.float64))
        self.register_buffer("log_z", torch.tensor(system.n_sites * math.log(2.0), dtype=torch.float64))
        self.register_buffer("count", torch.tensor(0))

    population: Tensor
    beta: Tensor
    log_z: Tensor
    count: Tensor

    def loss(self, density: Density, target: System, n: int, *, generator: torch.Generator | None = None) -> Loss:
        draw, log_weight, looked = None, None, {"log_z_population": math.nan, "replaced": math.nan}
        if int(self.count) % self.renew_every == 0:
            draw, log_weight, looked = self._renew(density, target, generator)
        self.count += 1
        chosen = torch.randint(len(self.population), (n,), generator=generator, device=self.population.device)
        x = self.population[chosen].to(like(density).dtype)
        log_q = density.log_prob(x)
        value = -log_q.mean()
        with torch.no_grad():
            metrics = {"log_z_upper": float((target.log_weight(x) - log_q).mean()) + float(target.log_z_offset)}
        return Loss(value, value.detach(), draw, log_weight, metrics | looked)

    @torch.no_grad()
    def _renew(
        self, density: Density, target: System, generator: torch.Generator | None
    ) -> tuple[Draw, Tensor, dict[str, float]]:
        """The population at the temperature of the target; the density's draws that were proposed to it."""
        x = self._cooled(target).to(like(density))
        draw = density.draw(len(x), generator=generator)
        log_weight = target.log_weight(draw.x)
        gain = log_weight - draw.log_q - target.log_weight(x) + density.log_prob(x)
        u = torch.rand(len(x), generator=generator, device=x.device, dtype=gain.dtype)
        taken = u.log() < gain
        here = taken.view(-1, *(1,) * (x.ndim - 1))
        self.population = torch.where(here, draw.x, x).to(torch.int8)
        found = {"log_z_population": float(self.log_z), "replaced": float(taken.double().mean())}
        return draw, log_weight, found

    def _cooled(self, target: System) -> Tensor:
        """The population after weights and sweeps, down (or up) to the temperature of the target."""
        beta = 1.0 / float(target.couplings["T"])
        rng = np.random.default_rng(named_generator(self.seed, "moves", int(self.count)).initial_seed())
        x = self.population
        while True:
            energy = -target.log_weight(x.double()).cpu().numpy() / beta
            step = _step(energy, beta - float(self.beta))
            log_w = -step * energy
            self.log_z += float(np.log(np.mean(np.exp(log_w - log_w.max()))) + log_w.max())
            if step:
                x = x[torch.from_numpy(_systematic(log_w, rng)).to(x.device)]
            there = step == beta - float(self.beta)
            self.beta.fill_(beta if there else float(self.beta) + step)
            spins = x.flatten(1).cpu().numpy().astype(np.int8)
            moved = self._moves.moved(spins, 1.0 / float(self.beta), self.sweeps, rng)
            x = torch.from_numpy(moved).reshape(x.shape).to(self.population.device)
            if there:
                return x


def _step(energy: np.ndarray, most: float) -> float:
    """The part of ``most`` at which weights exp(-step E) still keep half of their number."""
    centred = energy - energy.mean()

    def kept(step: float) -> float:
        w = np.exp(-step * centred - (-step * centred).max())
        return float(w.mean() ** 2 / np.square(w).mean())

    if kept(most) >= KEPT:
        return most
    low, high = 0.0, most
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if kept(middle) >= KEPT else (low, middle)
    return low


def _systematic(log_w: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Numbers of those that survive, each as often as its weight says up to one; neighbours are not related.

    >>> sorted(_systematic(np.log(np.array([2.0, 1.0, 1.0, 4.0])), np.random.default_rng(0)).tolist())[-2:]
    [3, 3]
    """
    w = np.exp(log_w - log_w.max())
    places = (rng.random() + np.arange(len(w))) / len(w)
    found = np.searchsorted(np.cumsum(w) / w.sum(), places).clip(max=len(w) - 1)
    return np.asarray(rng.permutation(found))
