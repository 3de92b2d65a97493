"""A sweep on dask: a scheduler and two workers, processes in another folder, of which one is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import xarray as xr

import flowlab as fl
from flowlab.runs.sweeps import _Sweep
from flowlab.storage.checkpoint import step_of
from flowlab.storage.store import Store

pytest.importorskip("distributed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="signals"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
REPOSITORY = Path(fl.__file__).parents[1]
STUDY = '''
import time
import flowlab as fl

class Fated(fl.Training):
    def advance(self):
        if self.keys["case"] == 3 and self.step == 2:
            raise ArithmeticError("poisoned")
        if self.keys["case"] == 0:
            time.sleep(0.1)
        return super().advance()

@fl.study("fated")
def fated(*, case: int = 0, steps: int = 60, seed: int = 0, warm: bool = False):
    """The first case is slow, the fourth poisoned.

    Keys:
        case: which one.
        steps: of training.
    """
    density = fl.MADE((2, 2), generator=fl.core.named_generator(seed, "weights"))
    how = {"steps": steps, "batch": 20, "learning_rate": 1e-2, "seed": 100 * seed + case}
    return Fated(fl.Ising((2, 2), 2.5), density, fl.ReverseKL(), **how)
'''
CASES = {"case": list(range(12))}


@pytest.fixture
def processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, list[subprocess.Popen]]]:
    """A scheduler's file, and its two workers; they know where the study is, and are in another folder."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "fated_study.py").write_text(STUDY)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path / "own"))
    sys.modules.pop("fated_study", None)
    __import__("fated_study")
    file = tmp_path / "scheduler.json"
    path = os.pathsep.join([str(tmp_path / "own"), str(REPOSITORY)])
    how = {"cwd": tmp_path / "elsewhere", "env": os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}}
    how |= {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    dask = [sys.executable, "-m", "dask"]
    own = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    begun = [subprocess.Popen([*dask, "scheduler", "--scheduler-file", str(file), *own], **how)]
    try:
        patiently(file.exists)
        worker = [*dask, "worker", "--scheduler-file", str(file), "--no-nanny", "--nthreads", "1", "--no-dashboard"]
        begun += [subprocess.Popen([*worker, "--host", "127.0.0.1"], **how) for _ in range(2)]
        yield str(file), begun[1:]
    finally:
        for process in begun:
            process.kill()
            process.wait()


def patiently(holds: Callable[[], object]) -> None:
    """Two processes that import torch beside others may take minutes."""
    deadline = time.monotonic() + 400
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)


def numbers(found: xr.Dataset) -> xr.Dataset:
    """What must be the same wherever it was computed."""
    return found.drop_vars("seconds")


def test_a_sweep_survives_a_killed_worker_and_a_poisoned_run(tmp_path, monkeypatch, processes):
    scheduler, workers = processes
    slow, told = tmp_path / "there" / "case=0", []
    steps = _Sweep.steps
    monkeypatch.setattr(_Sweep, "steps", lambda sweep: told.append(steps(sweep)) or told[-1])

    def kill() -> None:
        """The worker that trains the slow run, when that has a checkpoint."""
        patiently(lambda: any(step_of(path) > 5 for path in slow.glob("checkpoints/step-*[0-9]")))
        os.kill(json.loads((slow / "lock").read_text())["pid"], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.warns(RuntimeWarning, match=r"1 of 12 runs failed; case=3: ArithmeticError: poisoned") as said:
        there = fl.sweep("fated", CASES, out=tmp_path / "there", scheduler=scheduler, evaluate=50)
    killer.join()
    assert sum("poisoned" in str(one.message) for one in said) == 1
    assert sorted(worker.poll() is None for worker in workers) == [False, True]
    with pytest.warns(RuntimeWarning, match=r"1 of 12 runs failed"):
        here = fl.sweep("fated", CASES, out=tmp_path / "here", progress=False, evaluate=50)
    xr.testing.assert_identical(numbers(there), numbers(here))
    assert json.loads(there.errors) == {"case=3": "ArithmeticError: poisoned"} == json.loads(here.errors)
    resumed = Store.open(slow, write=False).meta["resumed"]
    assert len(resumed) == 1 and 5 < resumed[0]["step"] < 60
    assert "resumed" not in Store.open(tmp_path / "there" / "case=3", write=False).meta
    seen = [int(words.split()[0]) for words in told]
    assert 0 < max(seen) <= 12 * 60 and len(set(seen)) > 2 and all(words.endswith(" of 720 steps") for words in told)


def test_an_interrupt_saves_what_workers_train(tmp_path, processes):
    scheduler, _ = processes
    out = tmp_path / "there"

    def interrupt() -> None:
        journal = out / "case=0" / "journal.jsonl"
        patiently(lambda: journal.exists() and journal.read_bytes().count(b"\n") > 3)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    other = threading.Thread(target=interrupt)
    other.start()
    with pytest.raises(KeyboardInterrupt):
        fl.sweep("fated", {"case": [0]}, out=out, scheduler=scheduler, evaluate=50, progress=False)
    other.join()
    run = fl.load(out / "case=0")
    assert 3 < run.step == len(Store.open(out / "case=0", write=False).read_journal()) < 60


def test_a_scheduler_that_is_not_there_or_sees_no_directory_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("flowlab.runs.sweeps.scheduler.SECONDS", 0.5)
    how = {"L": 4, "steps": 1, "batch": 20, "device": "cpu"}
    with pytest.raises(ValueError, match=r"no dask scheduler answers at tcp://127\.0\.0\.1:1"):
        fl.sweep("ising-xor", {"T": [2.5]}, scheduler="tcp://127.0.0.1:1", out=tmp_path, **how)
    with pytest.raises(ValueError, match="a scheduler needs out"):
        fl.sweep("ising-xor", {"T": [2.5]}, scheduler="local", **how)
