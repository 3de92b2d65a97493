"""Annealed importance sampling as an experiment: ln Z and weighted configurations, batch after batch of chains."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import xarray as xr
from torch import Tensor

from flowlab import estimators
from flowlab.analysis.checks.check import Drawn
from flowlab.core import named_generator
from flowlab.core.generators import named_seed
from flowlab.core.names import about, named
from flowlab.core.numbers import seed_of, whole_number
from flowlab.estimators.weights import weights
from flowlab.mcmc import AnnealedImportance
from flowlab.runs.kind import Observables
from flowlab.runs.markov_run import MarkovRun
from flowlab.runs.precision import in_own_dtype
from flowlab.runs.process import torch_threads

DRAWN = ("log_w", "energy_per_site", "magnetization")


class AnnealedRun(MarkovRun):
    """Chains that are cooled, as a run: seeded, streamed, stoppable, resumable.

    A step cools ``chains`` chains from infinite temperature, independent of all others; their weights, energies and
    magnetizations lie in ``samples/`` on disk. The records hold ln Z and the ESS of each batch alone.

    Args:
        annealing: of an Ising model, see :class:`flowlab.mcmc.AnnealedImportance`.
        chains: how many in a step, at least 2.
        steps: of the run.
        keep_every: steps between two whose configurations are kept.
        seed, threads: see :class:`flowlab.Experiment`.

    Raises:
        ValueError: for fewer than 2 chains, or numbers of steps below 1.

    >>> from flowlab.systems import Ising
    >>> run = AnnealedRun(AnnealedImportance(Ising((4, 4), T=2.5), 20), chains=500, steps=4)
    >>> data = run.run(progress=False)
    >>> found = run.evaluate()
    >>> bool(abs(found.log_z - found.log_z_exact) < 4 * found.log_z_error)
    True
    """

    def __init__(
        self,
        annealing: AnnealedImportance,
        *,
        chains: int = 100,
        steps: int = 100,
        keep_every: int = 1,
        seed: int = 0,
        threads: int = 1,
    ) -> None:
        if chains < 2:
            raise ValueError(f"chains must be at least 2 for an error of ln Z, got {chains}")
        super().__init__(
            annealing.system, annealing, None, steps=steps, every=1, keep_every=keep_every, discard=0.0, seed=seed,
            threads=threads,
        )  # fmt: skip
        self.chains = int(chains)
        self._identity |= {"chains": self.chains}
        self._drawn: list[np.ndarray] = []
        self._kept: list[np.ndarray] = []

    def advance(self) -> dict[str, float]:
        found = self.chain.run(self.chains, generator=named_generator(self.seed, "anneal", self.step))
        self._drawn.append(np.stack([getattr(found, name) for name in DRAWN]))
        if (self.step + 1) % self.keep_every == 0:
            self._kept.append(found.configurations)
        return {"log_z": found.log_z, "log_z_error": found.log_z_error, "ess": found.ess}

    def headline(self) -> str:
        """ln Z per site from all chains so far, the exact value where known, and the ESS, in words."""
        if not self._drawn:
            return "no chains yet"
        log_w, n = np.concatenate(self._drawn, axis=1)[0], self.system.n_sites
        found = weights.log_z(log_w)
        exact = "" if self.log_z_exact is None else f" (exact {self.log_z_exact / n:.5f})"
        return f"ln Z / N = {found.value / n:.5f} ± {found.error / n:.5f}{exact}, ESS {weights.ess(log_w).value:.2g}"

    @in_own_dtype
    def seconds_per_step(self) -> float:
        with torch_threads(self.threads):
            self.chain.run(2, generator=named_generator(self.seed, "probe"))
            started = time.perf_counter()
            self.chain.run(self.chains, generator=named_generator(self.seed, "probe"))
        return time.perf_counter() - started + 3e-4  # and the journal

    @property
    def data(self) -> xr.Dataset:
        return self._steps.records.dataset(self.describe(), DESCRIBE)

    def describe(self) -> dict[str, Any]:
        return super().describe() | {"chains": self.chains, "sweeps": self.chain.steps}

    def sample(self, n: int, *, seed: int | None = None) -> xr.Dataset:
        """n of the configurations kept, drawn with replacement by their weights; ValueError where there is none yet.

        Every call draws afresh; its attribute ``seed``, given as ``seed``, gives the same ones again.
        """
        if (n := whole_number("the number of samples", n)) < 1:
            raise ValueError(f"the number of samples must be at least 1, got {n}")
        if not self._kept:
            raise ValueError(f"configurations are kept every {self.keep_every} steps, none so far: run it longer")
        log_w = np.concatenate([drawn[0] for drawn in self._drawn[self.keep_every - 1 :: self.keep_every]])
        w = np.exp(log_w - log_w.max())
        seed = self._fresh_seed(self.step) if seed is None else seed_of(seed)
        rng = np.random.default_rng(named_seed(seed, "sample", self.step))
        chosen = np.concatenate(self._kept)[rng.choice(len(w), size=n, p=w / w.sum())].astype(np.float64)
        names = about("configuration")
        attrs = self._attrs(self.step, seed)
        return xr.Dataset({"configuration": (("sample", *self.system.dims), chosen, names)}, attrs=attrs)

    def recent(self, n: int) -> xr.Dataset:
        """What the newest batches of chains ended in, at most n: ``configuration`` (step, chain, *dims), in order."""
        kept = self._kept[: self.step // self.keep_every]
        steps = [self.keep_every * (k + 1) for k in range(len(kept))][-n:]
        pictures = np.array(kept[-n:], dtype=np.int8).reshape(len(steps), self.chains, *self.system.shape)
        dims = ("step", "chain", *self.system.dims)
        return xr.Dataset({"configuration": (dims, pictures)}, {"step": steps}, self.describe())

    def _draws(self, n: int, seed: int) -> tuple[int, Drawn]:
        """At most n of the configurations kept, with the weights of their chains."""
        if not self._kept:
            raise TypeError(f"configurations are kept every {self.keep_every} steps, none so far")
        log_w = np.concatenate([drawn[0] for drawn in self._drawn[self.keep_every - 1 :: self.keep_every]])
        x = np.concatenate(self._kept).astype(np.float64)
        return self.step, Drawn(x[:n], log_w[:n], None, True)

    def weighted(self) -> xr.Dataset:
        """Every configuration kept with its ``log_weight``, that of its chain, beside a ``log_q`` of 0."""
        drawn = self._draws(self.step * self.chains, self.seed)[1]
        names = {"log_weight": drawn.log_w, "log_q": np.zeros(len(drawn.configurations))}
        variables: dict[str, Any] = {name: ("sample", values, about(name)) for name, values in names.items()}
        variables["configuration"] = (("sample", *self.system.dims), drawn.configurations, about("configuration"))
        return xr.Dataset(variables, attrs=self.describe())

    def evaluate(
        self, n: int = 10_000, *, seed: int | None = None, observables: Observables | None = None
    ) -> xr.Dataset:
        """ln Z, free energy, ESS and reweighted observables with errors; see :func:`flowlab.estimators.evaluation`.

        All chains so far are used: ``n`` says nothing here; ``seed``, the run's own where not given, is that of the
        bootstrap. ValueError before the first step.
        """
        if not self._drawn:
            raise ValueError("an evaluation needs chains: run a step first")
        seed = self.seed if seed is None else seed_of(seed)
        log_w, energy, magnetization = np.concatenate(self._drawn, axis=1)
        found = estimators.evaluation(
            log_w,
            np.zeros_like(log_w),
            {"energy_per_site": energy, "magnetization": magnetization},
            n_sites=self.system.n_sites,
            T=float(self.system.couplings["T"].detach()),
            side=max(self.system.shape),
            flip_symmetric=self.system.flip_symmetric,
            log_z_exact=self.log_z_exact,
            proposes=False,
            rng=np.random.default_rng(named_seed(seed, "evaluate", self.step)),
            attrs=self._attrs(self.step, seed) | {"n": log_w.size},
        )
        return self._beside(found, observables, n, seed)

    # on disk

    @property
    def _measurements(self) -> tuple[list[list[Any]], list[Any]]:
        return [self._drawn], self._kept

    def state_dict(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Nothing: every step starts from its own seed, and what it found lies in ``samples/``."""
        return {}, {}

    def load_state_dict(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        """Nothing to take up, see :meth:`state_dict`."""

    def _take(self, parts: list[xr.Dataset]) -> None:
        self._drawn = [row for part in parts for row in np.stack([part[name].values for name in DRAWN], axis=1)]
        self._kept = [row for part in parts for row in part["configuration"].values]

    def _part(self, first: int) -> xr.Dataset:
        kept = self._kept[first // self.keep_every :]
        spins = np.array(kept, dtype=np.int8).reshape(len(kept), self.chains, *self.system.shape)
        rows = np.array(self._drawn[first:])
        variables: dict[str, Any] = {
            name: (("step", "chain"), rows[:, i], {"units": named(name)[1]}) for i, name in enumerate(DRAWN)
        }
        variables["configuration"] = (("kept", "chain", *self.system.dims), spins, {"units": "1"})
        return xr.Dataset(variables, coords={"step": np.arange(first + 1, self.step + 1)})


DESCRIBE = ("log_z", "log_z_error", "ess", "wall_time")
