"""One run of a sweep, wherever it is carried out: in this process, in a spawned one, by an executor of the user's."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from multiprocessing import current_process, get_context, parent_process
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import xarray as xr

from flowlab.estimators.weights.evidence import shown
from flowlab.runs.kind import Observables
from flowlab.runs.process import interrupts_call, torch_threads
from flowlab.runs.registry import experiment, find, imported, load, studies
from flowlab.runs.run import Experiment
from flowlab.storage.files import has_writer
from flowlab.storage.identity import plain
from flowlab.storage.records import last_record
from flowlab.storage.store import Store, StoreError

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
EVALUATION, GATHERED = "evaluation.nc", "gathered.nc"
UNGUARDED = (
    "no worker could start: each imports the script again, which must therefore call sweep() under "
    "if __name__ == '__main__':"
)


class SweepError(RuntimeError):
    """A sweep came to nothing, or to an early end; the message says why."""


class Job(NamedTuple):
    """What a worker is told about a run: plain values only.

    Attributes:
        study, keys, seed: of the run where it starts cold.
        path: its directory.
        start: directory of the run to start from; None for a cold start.
        changes: keys that differ from that run's.
        evaluate: number of samples.
        module: where the study is registered, if not by flowlab.
        dtype: in which a run computes that starts cold.
        gather: names of what diagnose() and layers() give and is wanted besides the evaluation.
        observables: of the caller's own, name -> function.
    """

    study: str
    keys: dict[str, Any]
    seed: int
    path: str
    start: str | None
    changes: dict[str, Any]
    evaluate: int
    module: str
    dtype: str = "float32"
    gather: Sequence[str] = ()
    observables: Observables | None = None


class Outcome(NamedTuple):
    """How a run ended, and why where it failed."""

    state: Literal["finished", "stopped", "failed"]
    error: str = ""


def run_job(job: Job) -> Outcome:
    """Start or take up the run, train it to its end, and keep its evaluation in its directory."""
    try:
        if job.study not in studies():
            imported([job.module])
        with _busy, torch_threads(1), shown():  # the sweep tells of all its runs
            _stopped.discard(job.path)
            run = _taken_up(job)
            with interrupts_call(run.stop):
                for _ in () if run.state == "finished" else run.stream():
                    if _told_to_stop(job):
                        run.stop()
            if run.state != "finished":
                return Outcome("stopped")
            seconds = float(run.data.wall_time[-1]) if run.step else 0.0
            about = {"state": run.state, "seconds": seconds, "asked": job.evaluate}
            own: dict[str, Any] = {} if job.observables is None else {"observables": job.observables}
            found = run.evaluate(job.evaluate, **own).assign_attrs(about)
            if wanted := [name for name in job.gather if name not in found]:
                run.keep(gathered(run, wanted, job.evaluate).assign_attrs(about | {"gather": wanted}), GATHERED)
            run.keep(found, EVALUATION)
        return Outcome("finished")
    except Exception as error:
        return Outcome("failed", f"{type(error).__name__}: {error}")


def evaluation(path: str | Path) -> xr.Dataset | None:
    """The evaluation of a run that a sweep has finished, None where it has not."""
    try:
        kept = Store.open(path, write=False).read_dataset(EVALUATION)
    except StoreError:
        return None
    return kept if kept is not None and kept.attrs.get("state") == "finished" else None


def found_by(job: Job) -> xr.Dataset | None:
    """All that the job's run has found, None where it has not finished or was not asked for as much."""
    found = evaluation(job.path)
    if found is None or int(found.attrs.get("asked", found.attrs["n"])) != job.evaluate:
        return None  # chains measure as many as they are long, whatever was asked
    if not set(job.observables or ()) <= set(map(str, found)):
        return None
    wanted = [name for name in job.gather if name not in found]
    if not wanted:
        return found
    more = Store.open(job.path, write=False).read_dataset(GATHERED)
    if more is None or more.attrs["asked"] != job.evaluate or not set(wanted) <= set(more.attrs["gather"]):
        return None
    return found.merge(more, compat="override", combine_attrs="override")


def gathered(run: Any, names: Sequence[str], n: int) -> xr.Dataset:
    """What ``diagnose()`` and ``layers()`` of a run say, from n samples, of variables by name.

    Args:
        run: a finished one.
        names: of variables; "diagnose" and "layers" for all of them.
        n: number of samples.

    Raises:
        ValueError: for a name that neither knows, with those that there are.
    """
    found, left, known = xr.Dataset(), set(names), []
    for call, read in (("diagnose", _diagnosed), ("layers", _by_layer)):
        if not left:
            break
        given = read(run, n)
        wanted = list(given) if call in left else [name for name in given if name in left]
        wanted += [f"{name}_error" for name in wanted if f"{name}_error" in given and f"{name}_error" not in wanted]
        found = found.merge(given[wanted], compat="override", combine_attrs="drop")
        left -= {call, *map(str, given)}
        known.append(f"{call}() gives {_listed(given)}")
    if left:
        raise ValueError(
            f"gather names {', '.join(sorted(left))}, which neither evaluate() nor diagnose() nor layers() of "
            f"{run.study} gives; {'; '.join(known)}"
        )
    return found


def _listed(given: xr.Dataset) -> str:
    return ", ".join(str(name) for name in given if not str(name).endswith("_error")) or "nothing"


def _diagnosed(run: Any, n: int) -> xr.Dataset:
    found: xr.Dataset = run.diagnose(n) if hasattr(run, "diagnose") else xr.Dataset()
    return found


def _by_layer(run: Any, n: int) -> xr.Dataset:
    """What layers() says of each layer; mean and error of what it says of each sample."""
    if not hasattr(run, "layers"):
        return xr.Dataset()
    given: xr.Dataset = run.layers(min(n, 5000))
    found = given[[name for name in given if "sample" not in given[name].dims]]
    for name in given:
        if given[name].dims == ("layer", "sample"):
            found[name] = given[name].mean("sample", keep_attrs=True)
            found[f"{name}_error"] = given[name].std("sample", ddof=1) / given.sizes["sample"] ** 0.5
    return found


def progress_of(path: str | Path) -> tuple[int, float]:
    """Steps done by the run in a directory, and the seconds they took; zeros where there is no run."""
    last = last_record(Path(path) / "journal.jsonl")
    return (int(last["step"]), float(last["wall_time"])) if last else (0, 0.0)


def refuse_other(job: Job, before: Sequence[Job]) -> None:
    """StoreError where the job's directory holds a run of another study, other keys or another seed.

    Also where that started from none of the jobs ``before`` in its chain, though one of them has finished.
    """
    if not (Path(job.path) / "experiment.json").exists():
        return
    meta = Store.open(job.path, write=False).meta
    parent = meta.get("parent")
    warm = parent is not None
    wanted = plain(job.keys | (find(job.study).given(job.changes) if warm else {}))
    asked = (job.study, wanted, job.dtype)
    if (meta.get("study"), meta.get("keys"), meta.get("dtype", job.dtype)) != asked or not (
        warm or meta.get("seed") == job.seed
    ):
        kept = meta.get("keys") or {}
        other = [f"{key}={kept.get(key)}, not {value}" for key, value in wanted.items() if kept.get(key) != value]
        why = ", ".join(other) or f"{meta.get('study')} with seed {meta.get('seed')} in {meta.get('dtype', 'float32')}"
        raise StoreError(f"{job.path} holds another run ({why}): choose another directory for this sweep")
    known = [other for other in before if (Path(other.path) / "experiment.json").exists()]
    if parent is not None:
        chained = parent.get("keys") in [Store.open(other.path, write=False).meta.get("keys") for other in known]
    else:
        chained = all(evaluation(other.path) is None for other in known)
    if not chained:
        raise StoreError(f"{job.path} holds a run of another chain: choose another directory for this sweep")


def _taken_up(job: Job) -> Experiment:
    if (Path(job.path) / "experiment.json").exists():
        store = Store.open(job.path, write=False)
        if store.newest_checkpoint() is not None or store.recent():
            return load(job.path)
        shutil.rmtree(job.path)  # killed before its first checkpoint, in which alone a warm start's weights are kept
    if job.start is None:
        return experiment(job.study, seed=job.seed, out=job.path, **job.keys)
    parent: Any = load(job.start)
    run: Experiment = parent.at(**job.changes)
    run.attach(job.path)
    return run


# where it runs


def run_jobs(
    jobs: Mapping[Any, Job],
    parents: Mapping[Any, Any],
    finished: Set[Any],
    workers: int | Executor,
    done: Callable[[Any, Outcome], None],
    watch: Callable[[], object] = lambda: None,
) -> None:
    """Carry out the jobs that are not finished, each once its parent (None: nobody's) has ended.

    A job starts from the nearest of its parent, its parent's parent and so on that has finished. ``done`` hears of
    every end; ``watch`` is called every second meanwhile.

    Raises:
        KeyboardInterrupt: after an interrupt, when every run that was going has been saved.
        SweepError: where a worker process was killed.
    """
    finished, waiting = set(finished), [name for name in jobs if name not in finished]
    ended = {None, *finished}
    if not waiting:
        return
    with _executor(workers) as (executor, at_once):
        running: dict[Future[Outcome], Any] = {}
        while waiting or running:
            for name in [name for name in waiting if parents[name] in ended][: at_once - len(running)]:
                waiting.remove(name)
                start = next((jobs[p].path for p in lineage(parents, name) if p in finished), None)
                running[executor.submit(run_job, jobs[name]._replace(start=start))] = name
            for future in _ended({future: jobs[name].path for future, name in running.items()}, executor, watch):
                name = running.pop(future)
                outcome = _outcome(future)
                if outcome.state == "finished" and found_by(jobs[name]) is None:
                    outcome = Outcome(
                        "failed", f"it left no evaluation in {jobs[name].path}: do workers see that folder?"
                    )
                ended.add(name)
                if outcome.state == "finished":
                    finished.add(name)
                done(name, outcome)
                if outcome.state == "stopped":
                    raise KeyboardInterrupt


def _ended(
    running: Mapping[Future[Outcome], str], executor: Executor, watch: Callable[[], object]
) -> set[Future[Outcome]]:
    """Wait for some that have ended; on an interrupt, until what runs elsewhere is saved."""
    try:
        while not (ended := wait(running, timeout=1.0, return_when=FIRST_COMPLETED).done):
            watch()
    except BaseException:
        stop = getattr(executor, "stop", None)
        if stop is not None:
            for future in running:
                future.cancel()  # which ends none that is being carried out
            stop(list(running.values()))
            _wait_for_writers(running.values())
        raise
    return set(ended)


def _wait_for_writers(paths: Iterable[str], seconds: float = 60.0) -> None:
    """Wait until no process writes to these directories, or so long."""
    end = time.monotonic() + seconds
    while any(has_writer(Path(path) / "lock") for path in paths) and time.monotonic() < end:
        time.sleep(0.1)


def _outcome(future: Future[Outcome]) -> Outcome:
    """How a job ended, also where no worker survived it."""
    try:
        return future.result()
    except (BrokenExecutor, CancelledError):
        raise
    except Exception as error:
        return Outcome("failed", f"{type(error).__name__}: {error}")


def lineage(parents: Mapping[Any, Any], name: Any) -> Iterator[Any]:
    """The parent of a job, its parent's parent, and so on."""
    while (name := parents[name]) is not None:
        yield name


@contextlib.contextmanager
def _executor(workers: int | Executor) -> Iterator[tuple[Executor, int]]:
    """Something to submit jobs to, and how many it takes at once."""
    if isinstance(workers, Executor):
        yield workers, 10_000
    elif workers == 1:
        yield _Here(), 1
    else:
        from concurrent.futures import ProcessPoolExecutor

        with _environment(ONE_THREAD):
            context = get_context("spawn")
            began, stop = context.Event(), context.Event()
            pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(began, stop))
            try:
                yield pool, workers
            except BrokenExecutor as error:
                if not began.is_set():
                    raise SweepError(UNGUARDED) from None
                raise SweepError(
                    "a worker was killed, for want of memory perhaps. What was finished is kept: call sweep() again to "
                    "go on"
                ) from error
            finally:
                stop.set()  # on an error or an interrupt, what still runs is saved after the step at hand
                pool.shutdown(cancel_futures=True)


class _Here(Executor):
    """Carries out at once what is submitted, in this thread."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


_stop: Event | None = None
_orphaned, _busy = threading.Event(), threading.Lock()
_stopped: set[str] = set()
"""Directories of runs that are to be stopped."""


def leave_where_imported() -> None:
    """End this process where it is a worker that has not begun: it imports a script that calls sweep() unguarded."""
    if getattr(current_process(), "_inheriting", False):
        raise SystemExit(1)


def _begin(began: Event, stop: Event) -> None:
    """First thing in a worker process: the sweep alone decides when it stops."""
    global _stop
    _stop = stop
    began.set()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    """End this process when the sweep was killed, once the run at hand is saved."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    _orphaned.set()
    with _busy:
        os._exit(1)


def stop_runs(paths: Sequence[str]) -> None:
    """Let the runs in these directories that this process trains end after the step at hand."""
    _stopped.update(paths)


def _told_to_stop(job: Job) -> bool:
    return _orphaned.is_set() or (_stop is not None and _stop.is_set()) or job.path in _stopped


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Within it, spawned processes find these environment variables, before they import anything."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
