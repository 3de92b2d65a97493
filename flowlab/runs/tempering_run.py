"""Parallel tempering as an experiment: energies and configurations, streamed."""

from __future__ import annotations

import functools
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

from flowlab.analysis.reference import KeptReference
from flowlab.analysis.tempering import TemperingSamples, pack
from flowlab.core import System, named_generator
from flowlab.core.generators import named_seed
from flowlab.core.names import about, labelled
from flowlab.core.numbers import seed_of, whole_number
from flowlab.estimators.series.tempering import BLOCKS
from flowlab.mcmc import ParallelTempering
from flowlab.runs.kind import Observables
from flowlab.runs.markov_run import MarkovRun
from flowlab.runs.precision import in_own_dtype
from flowlab.runs.process import torch_threads
from flowlab.runs.run import Experiment
from flowlab.storage.samples import content_name
from flowlab.storage.store import StoreError

FEWEST = 3
"""Replicas that an evaluation needs."""


class TemperingRun(MarkovRun):
    """Parallel tempering of a spin system as a run: seeded, streamed, stoppable, resumable.

    A step is some steps of the chain and one measurement of all energies. ``data`` has the dims ``step, replica,
    temperature``; on disk the measurements lie in ``samples/``.

    Args:
        system: the spin system.
        chain: the parallel tempering of it.
        temperatures: at which configurations are kept, a part of the chain's.
        steps: measurements in all.
        every: steps of the chain between two measurements.
        keep_every: steps between two configurations that are kept.
        discard: fraction of the steps, from the beginning, that estimates leave out.
        seed, threads: see :class:`flowlab.Experiment`.

    Raises:
        ValueError: for a fraction outside [0, 1), temperatures that the chain does not have, or fewer than 3 replicas.
    """

    def __init__(
        self,
        system: System,
        chain: ParallelTempering,
        *,
        temperatures: tuple[float, ...],
        steps: int,
        every: int = 10,
        keep_every: int = 10,
        discard: float = 0.25,
        seed: int = 0,
        threads: int = 1,
    ) -> None:
        if chain.replicas < FEWEST:
            raise ValueError(f"replicas must be at least {FEWEST}, of which triangles are made, got {chain.replicas}")
        super().__init__(
            system,
            chain,
            chain.init(generator=named_generator(seed, "chain")),
            steps=steps,
            every=every,
            keep_every=keep_every,
            discard=discard,
            seed=seed,
            threads=threads,
        )
        missing = sorted(set(temperatures) - set(chain.temperatures))
        if missing:
            raise ValueError(f"the chain has no temperature {missing}, it has {list(chain.temperatures)}")
        self.temperatures = tuple(sorted(temperatures))
        self._identity["run"] = "Simulation"  # the name of this class when the first runs were kept
        self._identity |= {
            "ladder": chain.temperatures,
            "replicas": chain.replicas,
            "clusters": chain.clusters,
            "kept": self.temperatures,
        }
        self._kept = [chain.temperatures.index(T) for T in self.temperatures]
        self._energies: list[np.ndarray] = []
        self._bits: list[np.ndarray] = []
        self._trips: list[np.ndarray] = []

    def advance(self) -> dict[str, float]:
        keep = self._kept if (self.step + 1) % self.keep_every == 0 else []
        self._chain_state, energies, spins = self.chain.run(self._chain_state, self.every, every=self.every, keep=keep)
        self._energies.append(energies[0, 0])
        self._trips.append(self.chain.by_replica(self._chain_state.round_trips)[0])
        if keep:
            self._bits.append(pack(spins[0, 0]))
        coldest = energies[0, 0, :, 0]
        return {
            "energy_mean": float(coldest.mean()),
            "energy_lowest": float(coldest.min()),
            "round_trips": float(self._trips[-1].sum()),
        }

    def headline(self) -> str:
        T = self.temperatures[0]
        energy = self._steps.records.newest("energy_mean") / self.system.n_sites
        return f"E / N = {energy:.4f} at T = {T:g}, {self._steps.records.newest('round_trips'):.0f} round trips"

    @in_own_dtype
    def seconds_per_step(self) -> float:
        state = self.chain.init(generator=named_generator(self.seed, "probe"))
        with torch_threads(self.threads):
            state, _, _ = self.chain.run(state, 3 * self.every)
            started = time.perf_counter()
            self.chain.run(state, 10 * self.every)
        return (time.perf_counter() - started) / 10 + 3e-4  # and the journal

    # looking

    @property
    def data(self) -> xr.Dataset:
        """The records, ``energy`` (step, replica, temperature), and ``configuration_lowest`` of the lowest energy."""
        data = self._steps.records.dataset(self.describe(), DESCRIBE)
        n = data.sizes["step"]
        energies = np.array(self._energies[:n]).reshape(n, self.chain.replicas, len(self.chain.temperatures))
        data["energy"] = (("step", "replica", "temperature"), energies)
        for name in ("energy_mean", "energy_lowest"):
            data[name].attrs["at"] = "the lowest temperature"
        return labelled(data.assign(self._lowest).assign_coords(temperature=list(self.chain.temperatures)))

    @property
    def _lowest(self) -> dict[str, Any]:
        """Of all steps so far, those that estimates discard too; empty before the first."""
        state = self._chain_state
        best = int(state.lowest[0].argmin())
        if not np.isfinite(state.lowest[0, best]):
            return {}
        found = state.found[0, best].reshape(self.system.shape)
        energy = -float(self.system.at(T=1.0).log_weight(torch.from_numpy(found)[None].double()))
        return {"configuration_lowest": (self.system.dims, found, {"energy": energy})}

    @property
    def measured(self) -> TemperingSamples:
        """The run so far without what is discarded.

        Raises:
            ValueError: where too few steps have been done for that.
        """
        energies, bits, trips = list(self._energies), list(self._bits), list(self._trips)
        first = int(self.discard * len(energies))
        kept = bits[first // self.keep_every :]
        if len(energies) - first < BLOCKS or len(kept) < 4:
            raise ValueError(
                f"estimates need {BLOCKS} measured steps and 4 kept configurations a replica, got "
                f"{len(energies) - first} and {len(kept)}: run it longer"
            )
        return TemperingSamples(
            self.system,
            self.chain.temperatures,
            np.array(energies[first:]),
            self.temperatures,
            np.array(kept),
            trips[-1] - (trips[first - 1] if first else 0),
        )

    def recent(self, n: int) -> xr.Dataset:
        """Where every replica has been and is: ``configuration`` (step, replica, temperature, *dims), the newest n.

        Those that were kept, of the steps that estimates discard too, and the present one.
        """
        step, state = self.step, self._chain_state
        bits = self._bits[: step // self.keep_every]
        steps = [self.keep_every * (k + 1) for k in range(len(bits))][-n:]
        shape = (self.chain.replicas, len(self.temperatures), *self.system.shape)
        spins = self.chain.by_replica(state.spins)[0]
        pictures = [_unpacked(row, self.system.n_sites).reshape(shape) for row in bits[-n:]]
        if step not in steps:
            pictures, steps = [*pictures, spins[:, self._kept].reshape(shape)], [*steps, step]
        dims = ("step", "replica", "temperature", *self.system.dims)
        found = xr.Dataset({"configuration": (dims, np.stack(pictures[-n:]))}, attrs=self.describe())
        return found.assign_coords(step=steps[-n:], temperature=list(self.temperatures))

    def reference(self, T: float | None = None) -> xr.Dataset:
        """Configurations kept at temperature T (the lowest where not given); see :meth:`.TemperingSamples.dataset`."""
        return self.measured.dataset(self.temperatures[0] if T is None else T).assign_attrs(seed=self.seed)

    def sample(self, n: int, T: float | None = None, *, seed: int | None = None) -> xr.Dataset:
        """n of the configurations kept at temperature T (the lowest where not given), drawn with replacement.

        Every call draws afresh; its attribute ``seed``, given as ``seed``, gives the same ones again.
        """
        if (n := whole_number("the number of samples", n)) < 1:
            raise ValueError(f"the number of samples must be at least 1, got {n}")
        found = self.reference(T).configuration.stack(drawn=("replica", "sample")).transpose("drawn", ...)
        seed = self._fresh_seed(self.step) if seed is None else seed_of(seed)
        rng = np.random.default_rng(named_seed(seed, "sample", self.step))
        chosen = found.values[rng.integers(len(found), size=n)]
        names = about("configuration")
        attrs = self._attrs(self.step, seed)
        return xr.Dataset({"configuration": (("sample", *self.system.dims), chosen, names)}, attrs=attrs)

    def evaluate(
        self, n: int = 10_000, *, seed: int | None = None, observables: Observables | None = None
    ) -> xr.Dataset:
        """Thermodynamics, ln Z, overlaps and triangles at every temperature with errors; how well it thermalised.

        ``energy_lowest`` and ``configuration_lowest`` (*dims) are the lowest energy found, and where.

        ``n`` is the number of configurations at each temperature that overlaps are taken from, at most; ``seed``, the
        run's own where not given, chooses pairs and triples of them.
        """
        from flowlab.analysis.overlaps import tempering_overlaps

        seed = self.seed if seed is None else seed_of(seed)
        rng = np.random.default_rng(named_seed(seed, "evaluate", self.step))
        if (n := whole_number("the number of samples", n)) < 2:
            raise ValueError(f"an evaluation needs at least 2 samples, got {n}")
        found = tempering_overlaps(self.measured, n, rng).assign(self._lowest)
        if "configuration_lowest" in found:
            found["energy_lowest"].values[()] = found.configuration_lowest.attrs["energy"]
        found = labelled(found).assign_attrs(self._attrs(self.step, seed) | {"n": n})
        return self._beside(found, observables, n, seed)

    # on disk

    @property
    def _measurements(self) -> tuple[list[list[Any]], list[Any]]:
        return [self._energies, self._trips], self._bits

    def _take(self, parts: list[xr.Dataset]) -> None:
        self._energies = [row for part in parts for row in part["energy"].values]
        self._bits = [pack(row.reshape(*row.shape[:2], -1)) for part in parts for row in part["configuration"].values]
        if all("round_trips" in part for part in parts):
            self._trips = [row for part in parts for row in part["round_trips"].values]
        else:  # of an earlier version, which kept their sum over the replicas
            total = np.maximum(self._steps.records.column("round_trips"), 0)
            share = self.chain.by_replica(self._chain_state.round_trips)[0] / max(1.0, float(total[-1:].sum()))
            self._trips = list((total[:, None] * share).astype(np.int64))

    def _part(self, first: int) -> xr.Dataset:
        """The measurements after step ``first``."""
        kept = np.array(self._bits[first // self.keep_every :], dtype=np.uint8)
        shape = (len(kept), self.chain.replicas, len(self.temperatures), *self.system.shape)
        spins = np.zeros(shape, dtype=np.int8)
        if len(kept):
            spins[...] = _unpacked(kept, self.system.n_sites).reshape(shape)
        units = {"units": "J/k_B"}
        return xr.Dataset(
            {
                "energy": (("step", "replica", "temperature"), np.array(self._energies[first:]), {"units": "J"}),
                "configuration": (("kept", "replica", "kept_temperature", *self.system.dims), spins, {"units": "1"}),
                "round_trips": (("step", "replica"), np.array(self._trips[first:]), {"units": "1"}),
            },
            coords={
                "step": np.arange(first + 1, self.step + 1),
                "temperature": ("temperature", list(self.chain.temperatures), units),
                "kept_temperature": ("kept_temperature", list(self.temperatures), units),
            },
        )


def reference_of(path: str | Path, system: System) -> KeptReference:
    """The configurations that a run of tempering in directory ``path`` has kept, or that a training has in its own.

    They are read when first asked for; a StoreError says then where there are none, or of another system.
    """
    return KeptReference(system, f"the run in {path}", functools.partial(_kept_by, path))


def _kept_by(path: str | Path, system: System) -> TemperingSamples:
    run: Any = Experiment.load(path)
    if content_name(run.system, {}) != content_name(system, {}):
        raise StoreError(f"reference={path} is a run of another system: {run.system.title}, not {system.title}")
    if hasattr(run, "measured"):
        measured: TemperingSamples = run.measured
        return replace(measured, system=system)
    comparison = getattr(run, "comparison", None)
    if comparison is None:
        raise StoreError(f"reference={path} has no configurations of parallel tempering: name a run of tempering")
    run.reference()
    kept: TemperingSamples = comparison.run()
    return replace(kept, system=system)


def _unpacked(bits: np.ndarray, n_sites: int) -> np.ndarray:
    """Spins of ±1 from what :func:`flowlab.analysis.tempering.pack` made."""
    return 2 * np.unpackbits(bits, axis=-1, count=n_sites).astype(np.int8) - 1


DESCRIBE = ("energy_mean", "energy_lowest", "round_trips", "wall_time")
