"""A trained model and a Markov chain at equal cost, in one table."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from flowlab.core import System, named_generator
from flowlab.core.names import about
from flowlab.core.numbers import seed_of
from flowlab.mcmc import HMC, HeatBath, Metropolis, PottsClusters, SwendsenWang, Wolff
from flowlab.runs import ChainRun
from flowlab.runs.chain_run import MIN_STEPS

KERNELS: dict[str, Callable[[Any], Any]] = {
    "wolff": Wolff,
    "swendsen_wang": SwendsenWang,
    "heat_bath": HeatBath,
    "metropolis": Metropolis,
    "potts_clusters": PottsClusters,
    "hmc": lambda system: HMC(system, steps=max(6, 3 * max(system.shape) // 2), tuning=200),
}
"""Chains by name, of a system."""
PILOT = 500
"""Draws that say how long they take, more of them until that is an eighth of the time."""


def compare(
    run: Any,
    chain: str | Callable[[System], Any] = "wolff",
    *,
    seconds: float = 60.0,
    chains: int = 64,
    seed: int | None = None,
) -> xr.Dataset:
    """What a trained model and a Markov chain say of a system, each after the same processor time of this process.

    The model draws and is weighed, the chain moves and forgets; both have one standard error. What training took stands
    beside, in ``seconds_of_training``.

    Args:
        run: that has trained a density.
        chain: "wolff", "swendsen_wang", "heat_bath", "metropolis" (of Ising models), "potts_clusters", "hmc" (of
            fields), or a function that makes a :class:`flowlab.MarkovChain` of a system.
        seconds: of each.
        chains: side by side.
        seed: of the draws and the chains, the run's own where not given.

    Returns:
        Dataset over ``method``: every observable that both have with its error, ``seconds``, ``draws`` (of the chain
        configurations between measurements, all chains together), and over no dim ``<name>_deviation``, the difference
        in joint errors. ``flowlab.exports.to_dataframe`` makes a table of it.

    Raises:
        TypeError: for a run that trains no density.
        ValueError: for an unknown chain, one that does not suit the system, or a time that is not positive.

    >>> from flowlab.runs import experiment
    >>> run = experiment("ising-coloured", L=4, beta=0.4, steps=20, batch=100)
    >>> _ = run.run(progress=False)
    >>> found = compare(run, "heat_bath", seconds=0.3)
    >>> found.method.values.tolist(), bool(abs(found.energy_per_site_deviation) < 6)
    (['model', 'heat_bath'], True)
    """
    if not seconds > 0:
        raise ValueError(f"seconds must be positive, got {seconds}")
    if isinstance(chain, str) and chain not in KERNELS:
        raise ValueError(f"chain must be one of {', '.join(KERNELS)}, or a function of a system, got {chain!r}")
    name = chain if isinstance(chain, str) else getattr(chain, "__name__", "chain")
    make = KERNELS[chain] if isinstance(chain, str) else chain
    run.reading()  # TypeError where there is no density
    seed = run.seed if seed is None else seed_of(seed)
    kernel = make(run.system)
    found = {"model": _model(run, seconds, seed), name: _chain(run.system, kernel, seconds, chains, seed)}
    return _table(found, run)


def _model(run: Any, seconds: float, seed: int) -> xr.Dataset:
    """An evaluation of as many draws as the time allows."""
    run.evaluate(PILOT, seed=seed + 1)  # which takes what is needed only once
    n, spent = PILOT // 4, 0.0
    while spent < seconds / 8:  # a few draws say little of what many take
        n, started = 4 * n, time.process_time()
        run.evaluate(n, seed=seed + 1)
        spent = time.process_time() - started
    n, started = max(2, int(n * seconds / spent)), time.process_time()
    found: xr.Dataset = run.evaluate(n, seed=seed)
    return found.assign_attrs(seconds=time.process_time() - started, draws=n)


def _chain(system: System, kernel: Any, seconds: float, chains: int, seed: int) -> xr.Dataset:
    """An evaluation of chains that moved for the time; to compile a kernel is no part of it."""
    kernel.run(kernel.init(2, generator=named_generator(seed, "warm up")), 1)
    started = time.process_time()
    run = ChainRun(system, kernel, chains=chains, steps=10**7, every=10, keep_every=10**6, seed=seed)
    least = MIN_STEPS + -(-int(getattr(kernel, "tuning", 0)) // run.every) + 1
    for _ in run.stream():
        if time.process_time() - started >= seconds and run.step - run._first() >= MIN_STEPS and run.step >= least:
            break
    found = run.evaluate()
    return found.assign_attrs(seconds=time.process_time() - started, draws=run.step * run.every * chains)


def _table(found: dict[str, xr.Dataset], run: Any) -> xr.Dataset:
    model, chain = found.values()
    names = [
        str(name)
        for name in model
        if name in chain and f"{name}_error" in model and f"{name}_error" in chain and model[name].ndim == 0
        and name not in ("acceptance", "tau_int")
    ]  # fmt: skip
    variables: dict[str, Any] = {}
    for name in names:
        for part in (name, f"{name}_error"):
            variables[part] = ("method", [float(one[part]) for one in found.values()], about(part))
        error = np.hypot(float(model[f"{name}_error"]), float(chain[f"{name}_error"]))
        variables[f"{name}_deviation"] = (float(model[name]) - float(chain[name])) / error if error else np.nan
    for part in ("seconds", "draws"):
        variables[part] = ("method", [one.attrs[part] for one in found.values()])
    trained = float(run.data["wall_time"][-1]) if run.step else 0.0
    return xr.Dataset(
        variables, {"method": list(found)}, run.describe() | {"seconds_of_training": trained, "step": run.step}
    )
