"""A training whose steps several processes take together: each has a portion of the batch, one of them the store."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import xarray as xr

from flowlab.core.generators import Portion, portioned
from flowlab.core.numbers import whole_number
from flowlab.core.types import silent
from flowlab.runs.kind import Observables, Together
from flowlab.runs.precision import default_dtype, undisturbed
from flowlab.runs.process import SAVED_FIRST, ProcessEnded, torch_threads
from flowlab.runs.registry import load
from flowlab.storage.older import rows_of
from flowlab.storage.store import Store

START = "import sys; from flowlab.training.processes import help_out; help_out(sys.argv[1])"
READY = b"ready\n"
SECONDS = 5
"""To wait for the end of a process that no longer answers."""


def together_or_refused(run: Any, count: int) -> Together:
    """What :func:`together` gives; ValueError, at once, for a training whose steps so many processes cannot take."""
    refuse(run, count)
    return together(run, count)


def refuse(run: Any, count: int) -> None:
    """Raise ValueError where the steps of a training cannot be taken by so many processes, or it not be built in them.

    Args:
        run: the :class:`.Training`.
        count: number of processes.
    """
    if whole_number("processes", count) < 1:
        raise ValueError(f"processes must be at least 1, got {count}")
    alone = f"processes must be 1, got {count}"
    if run.device.type != "cpu":
        raise ValueError(f"{alone}: this run is on {run.device}, and several processes share the cores of a CPU")
    for stage in run.stages:
        if not stage.density.divisible:
            raise ValueError(f"{alone}: a {type(stage.density).__name__} draws its batch as a whole")
        drawn = stage.objective.divisible(stage.batch // stage.accumulate)
        if not drawn:
            raise ValueError(f"{alone}: a loss of {type(stage.objective).__name__} is made of the batch as a whole")
        if drawn % count:
            raise ValueError(f"processes must divide the batch, {drawn} draws of each loss, got {count}")
    meta = run.meta()
    missing = meta.get("made", {}).get("missing")
    if missing:
        raise ValueError(f"{alone}: the others build this run again, and cannot, since {missing}")
    if "__main__" in modules_of(meta):
        raise ValueError(f"{alone}: parts of this run are defined in a notebook or a script, write them into a module")
    if not (dist.is_available() and dist.is_gloo_available()):
        raise ValueError(f"{alone}: this build of torch has no torch.distributed with gloo")


def modules_of(meta: Mapping[str, Any]) -> list[str]:
    """The modules that define what a run is built of.

    >>> modules_of({"study": None, "made": {"made": "my.module:Density", "with": {"f": {"function": "other:f"}}}})
    ['my.module', 'other']
    """
    if meta["study"] is not None:
        return [meta["module"]]
    return sorted(set(re.findall(r'"(?:made|function)": "([\w.]+):', json.dumps(meta["made"]))))


@contextlib.contextmanager
def together(run: Any, count: int) -> Iterator[Callable[..., contextlib.AbstractContextManager[None]]]:
    """The run again in other processes, at the step where it is, as long as it is wanted.

    Yields what a step is taken in: the others then take it too. They have no store and are ended at any moment: what
    they hold, this process holds as well.

    Args:
        run: the :class:`.Training`, as it is before its next step.
        count: number of processes, with this one.

    Raises:
        ProcessEnded: where one of the others ends, saying how.
    """
    threads = run.threads or max(1, torch.get_num_threads() // count)
    with tempfile.TemporaryDirectory(prefix="flowlab-") as folder, contextlib.ExitStack() as stack:
        with Store.create(Path(folder) / "run", run.meta()) as store:
            for row in rows_of(run._steps.records):
                store.append(row)
            store.save_checkpoint(run.step, *run.state_dict())
        run._loop.audience.report(f"starting {count - 1} more processes")
        told = {"folder": folder, "count": count, "threads": threads, "imports": modules_of(run.meta())}
        others: list[Other] = []
        for rank in range(1, count):
            others.append(Other(told | {"rank": rank}))
            stack.callback(others[-1].end)
        for other in others:
            other.begin()
        portion = joined(folder, 0, count)

        @contextlib.contextmanager
        def step(order: str = "step", **about: Any) -> Iterator[None]:
            try:
                for other in others:
                    other.tell({"order": order, **about})
                with torch_threads(threads), portioned(portion):
                    yield
                    agree(run, portion)
            except (RuntimeError, OSError) as error:
                for other in others:
                    other.tell_of_end(error, run.step)
                raise

        yield step


def joined(folder: str, rank: int, count: int) -> Portion:
    """The portion of one of the processes, once all have come, on this machine only."""
    gloo: Any = dist.ProcessGroupGloo  # which is a group of its own, beside the one that a process may have set up
    options = gloo._Options()
    options._devices = [gloo.create_device(hostname="127.0.0.1")]
    store = torch._C._distributed_c10d.FileStore(str(Path(folder) / "met"), count)
    return Portion(rank, count, gloo(store, rank, count, options))


def agree(run: Any, portion: Portion) -> None:
    """Raise RuntimeError unless all processes have the same last record and generators that stand alike."""
    last = run._steps.records.last()
    seen = hashlib.sha256(repr(sorted((k, float(v)) for k, v in last.items() if k != "wall_time")).encode())
    seen.update(run.stages[int(last.get("stage", 0))].generator.get_state().cpu().numpy().tobytes())
    digest = int.from_bytes(seen.digest()[:7], "little")
    if len(set(portion.whole(torch.tensor([digest])).tolist())) > 1:
        raise RuntimeError(
            f"the processes disagree after step {run.step}: a part of this run that says it is divisible draws or "
            "computes otherwise in each of them; go on with one process"
        )


class Other:
    """Another process that takes the steps.

    Args:
        told: all that it is told at its start, as JSON.
    """

    def __init__(self, told: Mapping[str, Any]) -> None:
        self.name = f"process {told['rank'] + 1} of {told['count']}"
        self._said = Path(told["folder"]) / f"{told['rank']}.txt"
        with self._said.open("wb") as said:
            self._process = subprocess.Popen(
                [sys.executable, "-c", START, json.dumps(told)], env=_environment(told), stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=said, start_new_session=True,
            )  # fmt: skip

    def begin(self) -> None:
        """Wait until it has built the run; ProcessEnded where it could not."""
        assert self._process.stdout is not None
        if self._process.stdout.readline() != READY:
            self._process.wait()
            raise ProcessEnded(f"{self.name} could not begin: {self._last_words()}")

    def tell(self, order: Mapping[str, Any]) -> None:
        """Have it do what this process does now."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()

    def tell_of_end(self, error: Exception, step: int) -> None:
        """Raise ProcessEnded with the reason where it has ended, which is what ``error`` comes from."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            status = self._process.wait(SECONDS if "gloo" in str(error) or isinstance(error, OSError) else 0)
            how = f"was killed by signal {-status}, for want of memory perhaps" if status < 0 else self._last_words()
            raise ProcessEnded(
                f"{self.name} ended in the step after {step}: it {how}. That step is undone, all before it are there: "
                "go on with any number of processes"
            ) from error

    def end(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _last_words(self) -> str:
        lines = self._said.read_text(errors="replace").strip().splitlines()
        return f"said {lines[-1]}" if lines else f"ended with status {self._process.returncode}"


def _environment(told: Mapping[str, Any]) -> dict[str, str]:
    """Of a process that imports what this one does, with its own number of threads."""
    changed = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(told["threads"]))
    changed["PYTHONPATH"] = os.pathsep.join(path or os.getcwd() for path in sys.path)
    return os.environ | changed


def help_out(text: str) -> None:
    """What such a process does, from its start to its end: the run that it is ``told`` of, step by step."""
    orders: queue.Queue[dict[str, Any]] = queue.Queue()
    told = json.loads(text)
    threading.Thread(target=_listen, args=(orders, told["folder"]), daemon=True).start()
    for name in SAVED_FIRST:  # the first process decides when they end
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    warnings.simplefilter("ignore")  # the first process says it
    run: Any = load(Path(told["folder"]) / "run", imports=told["imports"], device="cpu")
    with torch_threads(told["threads"]), default_dtype(run.dtype), undisturbed(run.device.type):
        run.stages[-1].prepare(False, silent)
        sys.stdout.buffer.write(READY)
        sys.stdout.flush()
        portion = joined(told["folder"], told["rank"], told["count"])
        while True:
            order = orders.get()
            with portioned(portion):
                if order.pop("order") == "step":
                    run._steps.take()
                else:
                    run.evaluate(order["n"], seed=order["seed"], **order["at"])
                agree(run, portion)


def _listen(orders: queue.Queue[dict[str, Any]], folder: str) -> None:
    """Take in what the first process says; end this one with it, also in the middle of a step."""
    for line in sys.stdin:
        orders.put(json.loads(line))
    shutil.rmtree(folder, ignore_errors=True)  # which a killed process has left
    os._exit(0)


def evaluated(
    run: Any, count: int, n: int, reference: Any, seed: int | None, observables: Observables | None,
    at: Mapping[str, float],
) -> xr.Dataset:  # fmt: skip
    """What :meth:`.Training.evaluate` returns, its draws by several processes.

    Raises:
        ValueError: for a run that has a comparison, and as :func:`refuse` does.
        RuntimeError: while the run is going.
    """
    if run.comparison is not None:
        raise ValueError(f"processes must be 1, got {count}: overlaps with a comparison are evaluated by one process")
    everywhere = run._together(count)
    with run._loop.idle("this run is training: stop() it first"), everywhere as step:
        with step("evaluate", n=n, seed=seed, at=dict(at)):
            found: xr.Dataset = run.evaluate(n, reference=reference, seed=seed, **at)
        run._loop.audience.report("")
    whole: xr.Dataset = run._beside(found, observables, n, seed, **at)
    return whole
