"""A sweep on many machines, by dask.distributed: workers that see the same files carry out its runs."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from typing import Any

from flowlab.extras import told
from flowlab.runs.sweeps.workers import stop_runs

LOCAL, SLURM = "local", "slurm"
SECONDS = 30
"""To wait for a scheduler to answer."""


class OnWorkers(Executor):
    """Hands jobs to the workers of a dask scheduler.

    A worker that is lost loses no run: the scheduler gives its job to another, which takes the run up at its
    checkpoint. A job that several workers in turn did not survive fails.

    Args:
        client: a ``distributed.Client``.
    """

    def __init__(self, client: Any) -> None:
        self._client, self._executor = client, client.get_executor(pure=False)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """See :class:`concurrent.futures.Executor`."""
        future: Future[Any] = self._executor.submit(fn, *args, **kwargs)
        return future

    def stop(self, paths: Sequence[str]) -> None:
        """Let the runs in these directories end after the step at hand, saved."""
        self._client.run(stop_runs, list(paths))


@contextlib.contextmanager
def connected(scheduler: str, workers: int) -> Iterator[OnWorkers]:
    """Workers of a scheduler, as long as it is wanted.

    Args:
        scheduler: its address, e.g. ``tcp://node1:8786``, or the file that ``dask scheduler --scheduler-file`` writes,
            whose name ends in .json; "local" starts ``workers`` processes on this machine, "slurm" as many jobs of a
            cluster, by what the file ``jobqueue.yaml`` of dask-jobqueue says of them.
        workers: how many to start.

    Raises:
        ImportError: where the extra ``cluster`` is not installed.
        ValueError: where nobody answers at that address, or a cluster is asked for that is not described.
    """
    with told("cluster"):
        dask: Any = importlib.import_module("distributed")
    with contextlib.ExitStack() as stack:
        if scheduler == LOCAL:
            own = {"threads_per_worker": 1, "dashboard_address": None, "host": "127.0.0.1"}
            address = stack.enter_context(dask.LocalCluster(n_workers=workers, **own))
        elif scheduler == SLURM:
            address = stack.enter_context(_slurm(workers))
        else:
            address = scheduler
        yield OnWorkers(stack.enter_context(_client(dask.Client, address)))


def _client(make: Callable[..., Any], address: Any) -> Any:
    """A client of the scheduler at an address; ValueError where none answers."""
    file = isinstance(address, str) and address.endswith(".json")
    try:
        return make(scheduler_file=address, timeout=SECONDS) if file else make(address, timeout=SECONDS)
    except (OSError, ValueError) as error:
        raise ValueError(f"no dask scheduler answers at {address}: {error}") from None


def _slurm(jobs: int) -> Any:
    """Workers that are jobs of SLURM, each of one core."""
    with told("cluster"):
        jobqueue: Any = importlib.import_module("dask_jobqueue")
    try:
        cluster = jobqueue.SLURMCluster(processes=1)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"~/.config/dask/jobqueue.yaml must say what a job of SLURM is (cores, memory, walltime): {error}"
        ) from None
    cluster.scale(jobs=jobs)
    return cluster
