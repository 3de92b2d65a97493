"""Any batch of Markov chains as an experiment: observables with their memory, and configurations."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import xarray as xr

from flowlab.analysis.checks.check import Drawn
from flowlab.core import MarkovChain, System, named_generator
from flowlab.core.generators import named_seed
from flowlab.core.names import about, named
from flowlab.core.numbers import seed_of, whole_number
from flowlab.estimators.estimate import Estimate
from flowlab.estimators.observables.glasses import FERROMAGNETIC, FORMULAS, glass_observables
from flowlab.estimators.series.chains import ChainEstimate, chain_agreement, chain_observables
from flowlab.estimators.weights.evaluation import NOT_DEFINED
from flowlab.estimators.weights.evidence import Evidence, verdict
from flowlab.runs.kind import Observables
from flowlab.runs.markov_run import MarkovRun
from flowlab.runs.precision import in_own_dtype
from flowlab.runs.process import torch_threads

SHORTEST = 50
"""Autocorrelation times of the slowest observable that a chain should be long."""
SEVERAL, FORGOTTEN, SHORTEST_OF_SEVERAL = 10, 5, 20
"""So many chains, begun so many of them before what is measured, should be 20 of them long: tau is known from all.

Of 10, 30 and 300 chains with tau = 4 that long, one error held .66 to .70 of 300 means, 1.96 of them .95 to .96."""
MIN_STEPS = 4


class ChainRun(MarkovRun):
    """Chains of one system as a run: seeded, streamed, stoppable, resumable.

    A step of the run is ``every`` steps of every chain, all of them measured. On disk the measurements lie in
    ``samples/``, in memory they are ``measured``.

    Args:
        system: what is sampled.
        chain: a :class:`flowlab.MarkovChain`; its first ``tuning`` steps are left out of estimates.
        chains: how many, n.
        steps: of the run.
        every: steps of the chains in a step of the run.
        keep_every: steps of the run between two times at which the configurations of all chains are kept.
        discard: fraction of the steps, from the beginning, that estimates leave out.
        seed, threads: see :class:`flowlab.Experiment`.

    Raises:
        ValueError: for a fraction outside [0, 1), or numbers below 1.

    >>> from flowlab.mcmc.hmc import HMC
    >>> from flowlab.systems import Phi4
    >>> system = Phi4((4, 4), kappa=0.2, lam=0.02)
    >>> run = ChainRun(system, HMC(system, tuning=20), chains=8, steps=20, every=5)
    >>> data = run.run(progress=False)
    >>> bool(data.acceptance[-1] > 0.5), run.measured.magnetization.dims
    (True, ('sweep', 'chain'))
    """

    def __init__(
        self,
        system: System,
        chain: MarkovChain[Any, Any],
        *,
        chains: int = 64,
        steps: int,
        every: int = 10,
        keep_every: int = 10,
        discard: float = 0.1,
        seed: int = 0,
        threads: int = 1,
    ) -> None:
        super().__init__(
            system,
            chain,
            chain.init(chains, generator=named_generator(seed, "chain")),
            steps=steps,
            every=every,
            keep_every=keep_every,
            discard=discard,
            seed=seed,
            threads=threads,
        )
        self.chains = int(chains)
        self._identity |= {"chains": self.chains}
        self._kept_type = np.int8 if system.variables.discrete else np.float32
        self._series: list[dict[str, np.ndarray]] = []
        self._kept: list[np.ndarray] = []

    def advance(self) -> dict[str, float]:
        self._chain_state, found = self.chain.run(self._chain_state, self.every)
        self._series.append({name: np.asarray(values, dtype=np.float64) for name, values in found.items()})
        if (self.step + 1) % self.keep_every == 0:
            self._kept.append(self._where(self._chain_state))
        record = {
            name: float(values.mean()) for name, values in found.items() if name in ("acceptance", "magnetization")
        }
        for kind in ("energy", "action"):
            if f"{kind}_per_site" in found:
                record[f"{kind}_mean"] = float(found[f"{kind}_per_site"].mean()) * self.system.n_sites
        if "magnetization" in found and not self.system.disordered:
            record["abs_magnetization"] = float(np.abs(found["magnetization"]).mean())
        own: dict[str, float] = self._ask("records")
        return record | own

    def _ask(self, name: str, state: Any = None) -> Any:
        """What the chain says of where it is; one that does not derive from MarkovChain has that one's defaults."""
        own, state = getattr(self.chain, name, None), self._chain_state if state is None else state
        return getattr(MarkovChain, name)(self.chain, state) if own is None else own(state)

    def _where(self, state: Any) -> np.ndarray:
        """(chains, *shape) as they are kept."""
        return np.asarray(self._ask("configurations", state).detach().cpu().numpy().astype(self._kept_type))

    def headline(self) -> str:
        records = self._steps.records
        known = set(records.names)
        means = {"E": "energy_mean", "S": "action_mean"}
        words = [
            f"{letter} / N = {records.newest(name) / self.system.n_sites:.4f}"
            for letter, name in means.items()
            if name in known
        ]
        words += [f"acceptance {records.newest('acceptance'):.3g}"] if "acceptance" in known else []
        words += [f"|m| = {records.newest('abs_magnetization'):.3g}"] if "abs_magnetization" in known else []
        return ", ".join(words)

    @in_own_dtype
    def seconds_per_step(self) -> float:
        state = self.chain.init(self.chains, generator=named_generator(self.seed, "probe"))
        with torch_threads(self.threads):
            state, _ = self.chain.run(state, self.every)
            started = time.perf_counter()
            for _ in range(5):
                state, _ = self.chain.run(state, self.every)
        return (time.perf_counter() - started) / 5 + 3e-4  # and the journal

    # looking

    @property
    def data(self) -> xr.Dataset:
        kind = "action" if self.system.temperature is None else "energy"
        return self._steps.records.dataset(self.describe(), (f"{kind}_mean", *COLUMNS))

    def describe(self) -> dict[str, Any]:
        return super().describe() | {"chains": self.chains}

    def _first(self) -> int:
        """The first step of the run that estimates use."""
        tuned = -(-int(getattr(self.chain, "tuning", 0)) // self.every)
        return max(int(self.discard * len(self._series)), tuned)

    @property
    def measured(self) -> xr.Dataset:
        """Every series, (sweep, chain), without what is discarded.

        Raises:
            ValueError: where too few steps have been done for that.
        """
        rows = self._series[self._first() :]
        if len(rows) < MIN_STEPS:
            tuned = f" after {self.chain.tuning} sweeps of tuning" if getattr(self.chain, "tuning", 0) else ""
            raise ValueError(f"estimates need {MIN_STEPS} measured steps{tuned}, got {len(rows)}: run it longer")
        variables = {}
        for name in rows[0]:
            values = np.concatenate([row[name] for row in rows])
            variables[name] = (("sweep", "chain"), values, about(name))
        return xr.Dataset(variables, attrs=self.describe())

    def sample(self, n: int, *, seed: int | None = None) -> xr.Dataset:
        """n of the configurations kept, drawn with replacement; ValueError where none has been kept yet.

        Every call draws afresh; its attribute ``seed``, given as ``seed``, gives the same ones again.
        """
        if (n := whole_number("the number of samples", n)) < 1:
            raise ValueError(f"the number of samples must be at least 1, got {n}")
        kept = self._kept[self._first() // self.keep_every :]
        if not kept:
            raise ValueError(f"configurations are kept every {self.keep_every} steps, none so far: run it longer")
        found = np.concatenate(kept)
        seed = self._fresh_seed(self.step) if seed is None else seed_of(seed)
        rng = np.random.default_rng(named_seed(seed, "sample", self.step))
        chosen = found[rng.integers(len(found), size=n)].astype(np.float64)
        names = about("configuration")
        attrs = self._attrs(self.step, seed)
        return xr.Dataset({"configuration": (("sample", *self.system.dims), chosen, names)}, attrs=attrs)

    def recent(self, n: int) -> xr.Dataset:
        """Where every chain has been and is: ``configuration`` (step, chain, *dims), at most the newest n, in order.

        Those that were kept, of the steps that estimates discard too, and the present one.
        """
        step, state = self.step, self._chain_state
        kept = self._kept[: step // self.keep_every]
        steps = [self.keep_every * (k + 1) for k in range(len(kept))]
        if step not in steps:
            kept, steps = [*kept, self._where(state)], [*steps, step]
        return self._film(kept[-n:], steps[-n:])

    @in_own_dtype
    def moves(self, n: int) -> xr.Dataset:
        """The next n single steps of every chain from where it is, as in :meth:`recent`; the run stays there."""
        state = self._chain_state
        found = [self._where(state)]
        for _ in range(n):
            state, _info = self.chain.step(state)
            found.append(self._where(state))
        return self._film(found, list(range(n + 1)))

    def _film(self, pictures: list[np.ndarray], steps: list[int]) -> xr.Dataset:
        dims = ("step", "chain", *self.system.dims)
        return xr.Dataset({"configuration": (dims, np.stack(pictures))}, {"step": steps}, self.describe())

    def _draws(self, n: int, seed: int) -> tuple[int, Drawn]:
        """At most n of the configurations kept, two autocorrelation times of the slowest observable apart."""
        tau = float(self.evaluate().tau_int)
        apart = 1 if math.isnan(tau) else math.ceil(2 * tau / (self.every * self.keep_every))
        kept = self._kept[self._first() // self.keep_every :][::-apart]
        if not kept:
            raise TypeError(f"configurations are kept every {self.keep_every} steps, none so far")
        return self.step, Drawn(np.concatenate(kept)[:n].astype(np.float64), None, None, False)

    def evaluate(
        self, n: int = 10_000, *, seed: int | None = None, observables: Observables | None = None
    ) -> xr.Dataset:
        """Every observable with its error and ``tau_int_<name>`` in steps of the chain, by the Gamma method.

        Also ``tau_int``, that of the slowest one, named in its attribute ``observable``. All measurements are used:
        ``n`` and ``seed`` say nothing here. The attribute ``warnings`` says in words where the chains are too short or
        disagree.
        """
        measured = self.measured
        T = self.system.temperature
        found = chain_observables(
            {str(name): values.values for name, values in measured.data_vars.items()},
            n_sites=self.system.n_sites,
            side=max(self.system.shape),
            T=None if T is None else float(T.detach()),
        )
        glass = self.system.disordered and self.system.variables.discrete
        if glass:
            found = {name: one for name, one in found.items() if name not in FERROMAGNETIC}
        variables: dict[str, xr.Variable] = {}
        for name, one in found.items():
            variables |= _pair(name, one.value, one.error, reason=NOT_DEFINED.get(name, ""))
            variables |= _pair(f"tau_int_{name}", one.tau_int, one.tau_int_error)
        if glass:
            for name, (value, error) in self._overlaps().items():
                reason = "no configurations of two chains were kept"
                variables |= _pair(name, value, error, reason=reason, **FORMULAS[name])
        physical = {name: one.tau_int for name, one in found.items() if name not in ("acceptance", "accepted")}
        slowest = max(physical, key=lambda name: -1.0 if math.isnan(physical[name]) else physical[name])
        variables |= _pair("tau_int", found[slowest].tau_int, found[slowest].tau_int_error, observable=slowest)
        length = measured.sizes["sweep"]
        own = {"n": length * self.chains, "step": self.step} | verdict(self._evidence(measured, found, slowest)).attrs
        return self._beside(xr.Dataset(variables, attrs=self.describe() | own), observables, n, seed)

    def _overlaps(self) -> dict[str, Estimate]:
        """Of configurations of different chains, from those that were kept."""
        kept = self._kept[self._first() // self.keep_every :]
        chains = np.stack(kept, 1).reshape(self.chains, len(kept), -1) if kept else np.empty((0, 0, 0))
        return glass_observables(chains, rng=np.random.default_rng(named_seed(self.seed, "overlaps", self.step)))

    def _evidence(self, measured: xr.Dataset, found: dict[str, ChainEstimate], slowest: str) -> list[Evidence]:
        """Are the chains long enough, and do they agree?"""
        notes, length, tau = [], measured.sizes["sweep"], found[slowest].tau_int
        forgotten = self.chains >= SEVERAL and self.step * self.every - length >= FORGOTTEN * tau
        shortest = SHORTEST_OF_SEVERAL if forgotten else SHORTEST
        if tau * shortest > length:
            notes.append(
                f"chains of {length} steps are {length / tau:.0f} autocorrelation times of the {named(slowest)[0]} "
                f"long, at least {shortest} are needed: run it longer"
            )
        for name in ("action_per_site", "energy_per_site", "magnetization"):
            if name in measured and self.chains > 1:
                values = measured[name].values
                agreement = chain_agreement(np.abs(values) if name == "magnetization" else values)
                if agreement.value > 1 + 5 * agreement.error:
                    what = "|magnetization|" if name == "magnetization" else named(name)[0]
                    notes.append(f"chains differ in {what}: χ² = {agreement.value:.2g} per degree of freedom")
        if notes:
            return [Evidence(note, fails=True) for note in notes]
        long = f"{length / tau:.3g} autocorrelation times of the {named(slowest)[0]} long"
        return [Evidence(f"{self.chains} chains agree, each {long}", independent=self.chains > 1)]

    # on disk

    @property
    def _measurements(self) -> tuple[list[list[Any]], list[Any]]:
        return [self._series], self._kept

    def _take(self, parts: list[xr.Dataset]) -> None:
        self._kept = [row for part in parts for row in part["configuration"].values]
        self._series = [
            {str(name): one.values[row] for name, one in part.data_vars.items() if name != "configuration"}
            for part in parts
            for row in range(part.sizes["step"])
        ]

    def _part(self, first: int) -> xr.Dataset:
        rows, kept = self._series[first:], self._kept[first // self.keep_every :]
        fields = np.array(kept, dtype=self._kept_type).reshape(len(kept), self.chains, *self.system.shape)
        variables: dict[str, Any] = {
            name: (("step", "sweep", "chain"), np.array([row[name] for row in rows]), {"units": named(name)[1]})
            for name in rows[0]
        }
        variables["configuration"] = (("kept", "chain", *self.system.dims), fields, {"units": "1"})
        return xr.Dataset(variables, coords={"step": np.arange(first + 1, self.step + 1)})


def _pair(name: str, value: float, error: float, *, reason: str = "", **attrs: str) -> dict[str, xr.Variable]:
    """A number and its error, with what they are."""
    why = {"reason": reason or "it is not defined for these chains"} if math.isnan(value) else {}
    return {
        name: xr.Variable((), float(value), about(name, **attrs, **why)),
        f"{name}_error": xr.Variable((), float(error), about(f"{name}_error")),
    }


COLUMNS = ("magnetization", "abs_magnetization", "acceptance", "step_size", "wall_time")
"""Of the records, besides the mean energy or action."""
