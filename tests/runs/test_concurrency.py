"""Runs beside each other in one process: each gives the numbers that it gives alone, and nothing global changes."""

from __future__ import annotations

import asyncio
import contextlib
import locale
import logging
import multiprocessing
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import flowlab as fl
from flowlab.runs.precision import default_dtype
from flowlab.runs.process import torch_threads
from tests.faults.runs import SWEEP, training
from tests.runs.small_runs import records


def around() -> dict[str, Any]:
    """All that a process has once."""
    return {
        "threads of torch": torch.get_num_threads(),
        "threads between operations": torch.get_num_interop_threads(),
        "default dtype": torch.get_default_dtype(),
        "gradients": (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu")),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "random numbers of torch": torch.get_rng_state().tolist(),
        "random numbers of numpy": str(np.random.get_state()),  # noqa: NPY002
        "random numbers of Python": random.getstate(),
        "errors of numpy": np.geterr(),
        "how numpy prints": np.get_printoptions(),
        # xarray puts some in front while it computes, each for one text, and of two threads one may leave its own
        "warnings": [str(each) for each in warnings.filters if each[1] is None],
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "logging": (logging.root.level, [*logging.root.handlers]),
        "locale": locale.setlocale(locale.LC_ALL),
        "streams": (sys.stdout, sys.stderr, sys.excepthook, threading.excepthook),
        "threads": {thread.name for thread in threading.enumerate() if thread.name.startswith("flowlab-training")},
        "options of xarray": str(xr.get_options()),
    }


@contextlib.contextmanager
def unchanged() -> Iterator[None]:
    before = around()
    yield
    after = around()
    for name in before:
        assert before[name] == after[name], f"{name}: {before[name]} then {after[name]}"


@pytest.fixture(scope="module")
def alone() -> dict[int, xr.Dataset]:
    found = {}
    for threads in (0, 1, 2):
        run = training(threads=threads)
        run.run(progress=False)
        found[threads] = records(run)
    return found


def test_what_is_compared_notices() -> None:
    """The control."""
    with pytest.raises(AssertionError, match="default dtype"), unchanged():
        torch.set_default_dtype(torch.float64)
    torch.set_default_dtype(torch.float32)
    with pytest.raises(AssertionError, match="warnings"), warnings.catch_warnings(), unchanged():
        warnings.simplefilter("ignore", ResourceWarning)
    state = torch.get_rng_state()
    with pytest.raises(AssertionError, match="random numbers of torch"), unchanged():
        torch.rand(1)
    torch.set_rng_state(state)


def test_two_runs_two_labs_and_a_sweep(tmp_path: Path, alone: dict[int, xr.Dataset]) -> None:
    expected = fl.sweep(**SWEEP).drop_vars("seconds")
    training().lab()  # what is imported on first use has filters of its own
    with unchanged():
        runs = {threads: training(threads=threads, out=tmp_path / str(threads)) for threads in (0, 2)}
        for run in runs.values():
            run.start()
        labs = [run.lab() for run in runs.values()]
        swept = fl.sweep(**SWEEP, out=tmp_path / "sweep")
        for threads, run in runs.items():
            run.wait(120)
            xr.testing.assert_identical(records(run), alone[threads])
        del labs
    xr.testing.assert_identical(swept.drop_vars("seconds"), expected)


def test_streams_in_turn_and_one_left_halfway(alone: dict[int, xr.Dataset]) -> None:
    with unchanged():
        runs = {threads: training(threads=threads) for threads in (2, 0, 1)}
        for _ in zip(*(run.stream() for run in runs.values()), strict=True):
            assert torch.get_num_threads() == 1
        left = training(threads=2).stream()
        next(left)
        assert torch.get_num_threads() == 1
        left.close()
    for threads, run in runs.items():
        xr.testing.assert_identical(records(run), alone[threads])


def test_asyncio_and_a_pool_of_threads(alone: dict[int, xr.Dataset]) -> None:
    async def streamed(run: fl.Experiment) -> None:
        for _ in run.stream():
            await asyncio.sleep(0)

    async def all_at_once(runs: list[fl.Training]) -> None:
        drained = asyncio.to_thread(runs[2].run, progress=False)
        await asyncio.gather(streamed(runs[0]), streamed(runs[1]), drained)

    with unchanged(), ThreadPoolExecutor(3) as pool:
        together, pooled = [training() for _ in range(3)], [training() for _ in range(3)]
        pool.submit(asyncio.run, all_at_once(together)).result()  # here a loop may be running
        [*pool.map(lambda run: run.run(progress=False), pooled)]
        [*pool.map(lambda run: run.evaluate(50), pooled)]
    for run in together + pooled:
        xr.testing.assert_identical(records(run), alone[0])


def _in_a_child(path: Path) -> None:
    torch.zeros(1)
    assert torch.get_default_dtype() == torch.float32
    torch.set_default_dtype(torch.float64)
    with default_dtype(torch.float32), torch_threads(2):
        pass
    run = training(out=path)
    assert run.run(progress=False).sizes["step"] == run.steps


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_that_is_forked_while_a_thread_computes(tmp_path: Path, alone: dict[int, xr.Dataset]) -> None:
    inside, leave = threading.Event(), threading.Event()

    def compute() -> None:
        with default_dtype(torch.float32), torch_threads(3):
            inside.set()
            leave.wait(60)

    with unchanged():
        thread = threading.Thread(target=compute)
        thread.start()
        inside.wait()
        try:
            child = multiprocessing.get_context("fork").Process(target=_in_a_child, args=(tmp_path / "run",))
            child.start()
            child.join(60)
            assert child.exitcode == 0
        finally:
            child.kill()
            leave.set()
            thread.join()
