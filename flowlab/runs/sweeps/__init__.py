"""One study over the values of some keys: many runs, one Dataset."""

from __future__ import annotations

import contextlib
import itertools
import json
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import torch
import xarray as xr

from flowlab.analysis.disorder.averages import average
from flowlab.core.datasets import Place, stacked
from flowlab.core.names import labelled
from flowlab.core.numbers import seed_of, whole_number
from flowlab.estimators import UntrustedWarning
from flowlab.hooks import above
from flowlab.runs.kind import Observables
from flowlab.runs.precision import name_of
from flowlab.runs.process import progress_bar
from flowlab.runs.registry import find
from flowlab.runs.schema import Study
from flowlab.runs.sweeps.scheduler import connected
from flowlab.runs.sweeps.workers import (
    Job,
    Outcome,
    SweepError,
    found_by,
    leave_where_imported,
    lineage,
    progress_of,
    refuse_other,
    run_jobs,
)
from flowlab.storage.files import WriterLock, saving, write_atomic
from flowlab.storage.identity import absolute
from flowlab.storage.netcdf import from_netcdf, to_netcdf

Point = Place


def sweep(
    study: str,
    over: Mapping[str, Sequence[Any]] | str | None = None,
    *,
    out: str | Path | None = None,
    workers: int | Executor = 1,
    chain: str | bool = False,
    warm: Mapping[str, Any] | None = None,
    evaluate: int | None = None,
    gather: Sequence[str] = (),
    observables: Observables | None = None,
    progress: bool = True,
    scheduler: str | None = None,
    **keys: Any,
) -> xr.Dataset:
    """Train and evaluate a study at every combination of some keys' values.

    Called again with the same ``out``, it goes on where it was: finished runs are read, half-done ones are taken up at
    their checkpoint, and the numbers are those of a sweep that was never interrupted. Every run trains on one thread
    (unless its key ``threads`` says more) and gives the same numbers by whichever worker.

    Args:
        study: its name. One that is a sweep itself (``ising-sweep``) takes its own keys and no such ``over``.
        over: key -> values, e.g. ``{"T": [2.0, 2.3], "seed": [0, 1]}``; all combinations run. Or the key of that name.
        out: directory; each run is kept in one of its own there (``T=2.0,seed=1``, for ``flowlab.load``), and
            ``sweep.nc`` is what this function returns, written after every run. None keeps no runs.
        workers: processes side by side, each on one thread; 1 is this process. Or a ``concurrent.futures.Executor``
            that sees the same files, e.g. ``dask.distributed.Client(...).get_executor()`` for a cluster.
        chain: a key along which runs are warm-started, in the order of its values: each from the run at the nearest
            earlier value (of text: the one just before). Separate chains, and branches of one, run side by side. True
            is the first key of ``over``.
        warm: keys that warm-started runs have instead, e.g. ``{"steps": 300}``.
        evaluate: samples of each evaluation, at least 2; 10,000 where None, or what a sweep has for itself.
        gather: names of variables that ``diagnose()`` or ``layers()`` of each run give and that are wanted besides; of
            what ``layers()`` gives for each sample, mean and error. ``"diagnose"`` and ``"layers"`` are all they give.
        observables: of one's own, name -> function of configurations, measured by each evaluation; with several
            workers functions of a module, which they import. A sweep that goes on knows them by their names.
        progress: show one line.
        scheduler: of dask, whose workers carry out the runs: its address, or "local" or "slurm" for ``workers`` of its
            own, see :func:`flowlab.runs.sweeps.scheduler.connected`. They must see ``out``.
        keys: of the study, the same for all; ``seed`` too, 0 where neither here nor in ``over``.

    Returns:
        Dataset with the keys of ``over`` as first dims, and coordinates: every variable of ``evaluate()`` with its
        error, curves too (:func:`.stacked`), and what ``gather`` names; ``steps``, ``seconds`` (of training), ``state``
        ("finished", "failed", and in a ``sweep.nc`` of a sweep that is not done "stopped" or "ready"), ``verdict``
        (whether each may be believed) and ``run``, the directory of each in ``out``: for the run at T = 2.0,
        ``flowlab.load(out / found.run.sel(T=2.0).item())``. What failed is NaN and named with its reason in the
        attribute ``errors``, JSON text as the attribute ``keys`` is: ``json.loads(found.errors)``.

    Raises:
        ValueError: for a study or keys that do not exist or values that do not fit, before anything is run.
        StoreError: where ``out`` cannot be written, or holds other runs.
        SweepError: where every run failed, with the first reason, or a worker was killed.
        KeyboardInterrupt: when interrupted, after everything has been saved.

    Warns:
        RuntimeWarning: where some runs failed. UntrustedWarning: where the verdict on some is "not to be trusted".

    >>> found = sweep("ising-xor", {"T": [3.0, 2.5]}, L=4, steps=3, batch=20, evaluate=100, progress=False)
    >>> dict(found.sizes), found.state.values.tolist(), found.steps.values.tolist()
    ({'T': 2}, ['finished', 'finished'], [3, 3])
    """
    if scheduler is not None and (out is None or not isinstance(workers, int)):
        raise ValueError("a scheduler needs out, a directory that its workers see, and workers as a number")
    how: dict[str, Any] = {"out": out, "warm": warm, "evaluate": evaluate, "gather": gather, "progress": progress}
    how["observables"] = _importable(observables, alone=scheduler is None and workers == 1)
    if isinstance(workers, Executor) or scheduler is None:
        return _swept(find(study), over, keys, workers, chain, **how)
    with connected(scheduler, workers) as executor:
        return _swept(find(study), over, keys, executor, chain, **how)


def _swept(
    named: Study,
    over: Mapping[str, Sequence[Any]] | str | None,
    keys: dict[str, Any],
    workers: int | Executor,
    chain: str | bool,
    *,
    out: str | Path | None,
    warm: Mapping[str, Any] | None,
    evaluate: int | None,
    gather: Sequence[str],
    observables: Observables | None,
    progress: bool,
) -> xr.Dataset:
    """See :func:`sweep`."""
    keys, over = (keys | {"over": over}, None) if isinstance(over, str) else (keys, over)
    _check_workers(named, workers)
    out = absolute(out) if out is not None and str(out) else out
    if named.sweep:
        if over or chain or warm or gather or observables:
            raise ValueError(f"{named.name} is a sweep itself: give its keys, {', '.join(named.defaults)}, and no over")
        own = keys if evaluate is None else keys | {"evaluate": evaluate}
        return _sweep_study(named, own, out=out, workers=workers, progress=progress)
    evaluate = _samples(evaluate, gather)
    axes = _axes(named, over, keys)
    along = _along(chain, axes, warm)
    with _directory(out) as folder:
        jobs, parents = _plan(named, axes, keys, along, dict(warm or {}), (evaluate, tuple(gather)), folder)
        for point, job in jobs.items():
            refuse_other(job, [jobs[before] for before in lineage(parents, point)])
        jobs = {point: job._replace(observables=observables) for point, job in jobs.items()}
        _try_out(named, list(jobs.values()))
        same = json.dumps(named.given({k: v for k, v in keys.items() if k != "seed"}))
        attrs = {"study": named.name, "keys": same, "n": evaluate, "chain": along or ""}
        return _Sweep(axes, jobs, folder, attrs).run(parents, workers, progress)


def _samples(evaluate: int | None, gather: Sequence[str]) -> int:
    """Of each evaluation; ValueError for too few, or for one name where a list of names is wanted."""
    n = 10_000 if evaluate is None else whole_number("evaluate", evaluate)
    if n < 2:
        raise ValueError(f"evaluate must be at least 2 samples, got {n}")
    if isinstance(gather, str):
        raise ValueError(f"gather must be a list of names, e.g. [{gather!r}], got {gather!r}")
    return n


def _importable(observables: Observables | None, *, alone: bool) -> Observables | None:
    """Them again; ValueError for one that other processes cannot import by its name."""
    for name, function in (observables or {}).items():
        if not alone and "<" in str(getattr(function, "__qualname__", "<")):
            raise ValueError(
                f"observables must be functions of a module where several workers run, got {name}={function}"
            )
    return observables


def _along(chain: str | bool, axes: Mapping[str, Any], warm: Mapping[str, Any] | None) -> str | None:
    """The key along which runs start from one another, None for no such key."""
    along = next(iter(axes)) if chain is True else chain or None
    if along is not None and (along not in axes or along == "seed"):
        raise ValueError(f"chain must be one of the keys in over ({', '.join(axes)}) other than seed, got {along!r}")
    if warm and along is None:
        raise ValueError("warm gives keys to warm-started runs: say along which key with chain")
    return along


def _sweep_study(named: Study, keys: dict[str, Any], **how: Any) -> xr.Dataset:
    """What a study returns that is a sweep itself."""
    seed = seed_of(keys.pop("seed", 0))
    given = named.given(keys)
    named.refuse_idle(given, named.defaults | given)
    result: xr.Dataset = named.call(named.defaults | given, seed=seed, **how)
    return result


def keep(dataset: xr.Dataset, out: str | Path | None) -> None:
    """Write ``sweep.nc`` in directory ``out``, whole or not at all; nothing where that is None."""
    if out is not None:
        with saving("sweep.nc", absolute(out)):
            write_atomic(absolute(out) / "sweep.nc", to_netcdf(dataset))


def found_in(out: str | Path) -> xr.Dataset:
    """What the sweep in directory ``out`` has found so far, its ``sweep.nc``; FileNotFoundError where there is none."""
    return from_netcdf((absolute(out) / "sweep.nc").read_bytes())


def draw(found: xr.Dataset, path: str | Path) -> None:
    """Write a page with figures of a sweep; of one over ``seed_J`` the means over instances too.

    Raises:
        ImportError: where plotly is not installed, with how to install it.
    """
    mean = average(found, "seed_J") if found.sizes.get("seed_J", 0) > 1 else None
    above["page of a sweep"](found, absolute(path), mean)


class _Sweep:
    """The runs of a sweep and what is known of them so far."""

    def __init__(self, axes: dict[str, list[Any]], jobs: dict[Point, Job], folder: Path, attrs: dict[str, Any]) -> None:
        self.axes, self.jobs, self.folder, self.attrs = axes, jobs, folder, attrs
        self.errors: dict[str, str] = {}
        found = {point: found_by(job) for point, job in jobs.items()}
        self.evaluations = {point: one for point, one in found.items() if one is not None}
        self.states = {point: "finished" if point in self.evaluations else "ready" for point in jobs}

    def run(self, parents: dict[Point, Point | None], workers: int | Executor, progress: bool) -> xr.Dataset:
        with progress_bar(len(self.jobs), "run", shown=progress) as bar:

            def done(point: Point, outcome: Outcome) -> None:
                self._take(point, outcome)
                bar.set_postfix_str(f"{self._name(point)} {outcome.state}", refresh=False)
                bar.update()
                if "ready" in self.states.values():  # the last one is written below
                    keep(self.dataset(), self.folder)

            def watch() -> None:
                if progress:
                    bar.set_postfix_str(self.steps(), refresh=bar.mininterval < 1)

            bar.update(len(self.evaluations))
            try:
                run_jobs(self.jobs, parents, self.evaluations.keys(), workers, done, watch)
            finally:
                for point, state in self.states.items():
                    if state == "ready" and progress_of(self.jobs[point].path)[0]:
                        self.states[point] = "stopped"
                keep(self.dataset(), self.folder)
        self._warn()
        return self.dataset()

    def steps(self) -> str:
        """How far the runs are together, as they have written down."""
        total = sum(int(job.keys.get("steps") or 0) for job in self.jobs.values())
        done = sum(progress_of(job.path)[0] for job in self.jobs.values())
        return f"{done} of {total} steps" if total else f"{done} steps"

    def _take(self, point: Point, outcome: Outcome) -> None:
        self.states[point] = outcome.state
        if outcome.state == "failed":
            self.errors[self._name(point)] = outcome.error
        kept = found_by(self.jobs[point]) if outcome.state == "finished" else None
        if kept is not None:
            known = self.evaluations | {point: kept}
            self.evaluations = {each: known[each] for each in self.jobs if each in known}  # whichever ended first

    def _name(self, point: Point) -> str:
        return Path(self.jobs[point].path).name

    def _warn(self) -> None:
        failed, runs = len(self.errors), len(self.jobs)
        if failed:
            name, why = next(iter(self.errors.items()))
            first = f"{name}: {why}"
            if failed == runs:
                raise SweepError(f"all {runs} runs failed; {first}")
            warnings.warn(f"{failed} of {runs} runs failed; {first}", RuntimeWarning, stacklevel=4)
        against = [point for point in self.evaluations if self._verdict(point).startswith("not to be trusted")]
        if against:
            first = f"{self._name(against[0])}: {self._verdict(against[0]).partition(': ')[2]}"
            text = f"{len(against)} of {runs} runs are not to be trusted (see the variable verdict); {first}"
            warnings.warn(text, UntrustedWarning, stacklevel=4)

    def _verdict(self, point: Point) -> str:
        """The verdict on a run's evaluation, empty where there is none."""
        found = self.evaluations.get(point)
        return "" if found is None else str(found.attrs.get("verdict", ""))

    def dataset(self) -> xr.Dataset:
        """All that is known so far, NaN where nothing is."""
        dims, shape = list(self.axes), tuple(len(values) for values in self.axes.values())
        done = {point: self._done(point) for point in self.jobs}
        variables: dict[str, Any] = {}
        steps, seconds = np.zeros(shape, dtype=np.int64), np.zeros(shape)
        states, names = np.full(shape, "", dtype=object), np.full(shape, "", dtype=object)
        for point in self.jobs:
            steps[point], seconds[point] = done[point]
            states[point], names[point] = self.states[point], self._name(point)
        verdicts = np.full(shape, "", dtype=object)
        for point in self.jobs:
            verdicts[point] = self._verdict(point)
        variables |= {"steps": (dims, steps), "seconds": (dims, seconds), "state": (dims, states)}
        variables |= {"verdict": (dims, verdicts), "run": (dims, names)}
        attrs = self.attrs | {"errors": json.dumps(self.errors)}
        return labelled(stacked(self.evaluations, self.axes).assign(variables).assign_attrs(attrs))

    def _done(self, point: Point) -> tuple[int, float]:
        found = self.evaluations.get(point)
        if found is not None:
            return int(found.attrs["step"]), float(found.attrs["seconds"])
        return (0, 0.0) if self.states[point] == "ready" else progress_of(self.jobs[point].path)


def _axes(study: Study, over: Mapping[str, Sequence[Any]] | None, keys: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Key -> its values, converted and checked."""
    if not over:
        raise ValueError("over must name at least one key and its values, e.g. {'T': [2.0, 2.3]}")
    axes = {}
    for key, values in over.items():
        if key in keys:
            raise ValueError(f"{key} is in over and given besides: give it once")
        if isinstance(values, str) or not hasattr(values, "__len__") or not len(values):
            raise ValueError(f"over[{key!r}] must be a list of values, got {values!r}")
        axes[key] = [_value(study, key, value) for value in values]
        if len(set(axes[key])) < len(axes[key]):
            raise ValueError(f"over[{key!r}] names a value twice: {values}")
    return axes


def _value(study: Study, key: str, value: Any) -> Any:
    if key == "seed":
        return seed_of(value)
    value = value.item() if isinstance(value, np.generic) else value
    given = study.given({key: value})
    return given[key] if key in given else value if key == "preset" else float(value)


def _plan(
    study: Study,
    axes: dict[str, list[Any]],
    keys: Mapping[str, Any],
    chain: str | None,
    warm: dict[str, Any],
    wanted: tuple[int, Sequence[str]],
    folder: Path,
) -> tuple[dict[Point, Job], dict[Point, Point | None]]:
    """The job of every point, of which an evaluation and more is ``wanted``, and the point that it starts from."""
    points = list(itertools.product(*(range(len(values)) for values in axes.values())))
    parents = {point: _parent(point, axes, chain) for point in points}
    values = {p: {key: axes[key][i] for key, i in zip(axes, p, strict=True)} for p in points}
    paths = {p: str(folder / ",".join(f"{k}={quote(str(v), safe='')}" for k, v in values[p].items())) for p in points}
    changes = study.given(warm)
    asked = {point: {key: v for key, v in {**keys, **values[point]}.items() if key != "seed"} for point in points}
    study.refuse_idle_everywhere(list(map(study.given, asked.values())), changes)
    jobs = {}
    for point in points:
        seed = seed_of(values[point].get("seed", keys.get("seed", 0)))
        jobs[point] = Job(
            study.name,
            study.normalise(asked[point]),
            seed,
            paths[point],
            None,
            {**warm, chain: values[point][chain]} if chain is not None else {},
            wanted[0],
            study.module,
            name_of(torch.get_default_dtype()),
            wanted[1],
        )
    return jobs, parents


def _try_out(study: Study, jobs: Sequence[Job]) -> None:
    """Build what is not on disk yet, to find values that do not fit before anything is run."""
    fresh = [job for job in jobs if not Path(job.path).exists()]
    for job in {json.dumps(job.keys): job for job in fresh}.values():  # whatever their seeds
        try:
            study.call(job.keys, seed=job.seed, warm=False)
        except ValueError as error:
            raise ValueError(f"{Path(job.path).name}: {error}") from None


def _parent(point: Point, axes: dict[str, list[Any]], chain: str | None) -> Point | None:
    """The point with the nearest earlier value of the key ``chain``, None for the first."""
    if chain is None:
        return None
    place = list(axes).index(chain)
    i, values = point[place], axes[chain]
    if i == 0:
        return None
    before = i - 1
    if all(isinstance(value, int | float) for value in values):
        before = min(reversed(range(i)), key=lambda j: abs(values[j] - values[i]))
    return (*point[:place], before, *point[place + 1 :])


def _check_workers(study: Study, workers: int | Executor) -> None:
    if isinstance(workers, Executor) or workers == 1:
        return
    if workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    leave_where_imported()
    if study.module == "__main__":
        raise ValueError(
            f"{study.name} is defined in a notebook or at a prompt, and {workers} worker processes cannot import it "
            "from there: write it into a module, e.g. my_studies.py, and import my_studies; or give workers=1"
        )


@contextlib.contextmanager
def _directory(out: str | Path | None) -> Iterator[Path]:
    """The directory of the runs, for one sweep at a time."""
    if out is None:
        with tempfile.TemporaryDirectory(prefix="flowlab-") as temporary:
            yield Path(temporary)
        return
    if not str(out):
        raise ValueError("the directory of a sweep must have a name, got ''")
    folder = Path(out)
    with saving("a sweep", folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = WriterLock(folder / "lock")
    try:
        yield folder
    finally:
        lock.release()
