"""Faults of processes: killed, stopped for a while, several at once, out of memory."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import textwrap
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import flowlab as fl
from flowlab.runs.sweeps.workers import evaluation
from flowlab.storage.store import Store, StoreLocked
from tests.faults.children import Said, alternate, child, sweep, sweep_by_workers, train, train_under_a_lab, want_memory
from tests.faults.runs import MEMORY, STEPS, Tried, goes_on, kept, sweep_goes_on, taken_up

Job = Callable[[Path, Path], None]
Judge = Callable[[Path, Said], str]


def until(holds: Callable[[], Any], process: BaseProcess, seconds: float = 600.0) -> None:
    """Wait until it holds, or the process has ended."""
    end = time.monotonic() + seconds
    while not holds() and process.is_alive():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.001)


def run_is_kept(path: Path, said: Said, kind: str) -> str:
    """Empty where all that was reported as saved is there and the run goes on, else what is wrong."""
    (record, checkpoint), (appended, saved, _) = kept(path), said.read()
    if record < appended or checkpoint < saved:
        return f"lost: record {record} of {appended}, checkpoint {checkpoint} of {saved}"
    return goes_on(taken_up(kind, path), kind)


def sweep_is_kept(path: Path, said: Said) -> str:
    """The same of a sweep."""
    evaluated = sum(evaluation(run) is not None for run in path.glob("T=*"))
    if evaluated < said.read()[2]:
        return f"lost: {evaluated} evaluations of {said.read()[2]}"
    return sweep_goes_on(path)


def running(kind: str, *saved: str) -> tuple[Job, Judge]:
    """A run of this kind that saves these after every step, and how it is judged."""
    return partial(train, kind=kind, saved=saved), partial(run_is_kept, kind=kind)


KILLED: dict[str, tuple[Job, Judge]] = {
    "killed in training": running("training"),
    "killed beside checkpoints": running("training", "checkpoints"),
    "killed beside snapshots": running("training", "snapshots"),
    "killed in growth by stages": running("in stages", "checkpoints"),
    "killed in a Markov chain": running("chain", "checkpoints"),
    "killed under a running lab": (train_under_a_lab, partial(run_is_kept, kind="training")),
    "killed in a sweep": (sweep, sweep_is_kept),
}


def killed(fault: str, tries: int, folder: Path) -> Tried:
    """Kill a process at random moments of its job, and judge what is left of each."""
    (job, judge), chance = KILLED[fault], random.Random(fault)
    lost, wrong = 0, []
    with child(job, folder / "timed", folder / "timed.said") as process:
        until((folder / "timed.said").exists, process)
        began = time.monotonic()
        process.join()
        lasted = time.monotonic() - began
    for number in range(tries):
        path, said = folder / str(number), Said(folder / f"{number}.said")
        with child(job, path, said.path) as process:
            until(said.path.exists, process)
            process.join(chance.uniform(0, lasted))
        if found := judge(path, said):
            wrong.append(f"try {number}: {found}")
            lost += found.startswith("lost")
    return Tried(tries, lost, tries - len(wrong), wrong)


def stopped_for_a_while(tries: int, folder: Path) -> Tried:
    """A laptop sleeps: SIGSTOP, and after a while SIGCONT. Meanwhile nobody else may write, and anybody may read."""
    chance, wrong = random.Random("stopped"), []
    for number in range(tries):
        path, said = folder / str(number), Said(folder / f"{number}.said")
        with child(partial(train, kind="training", saved=["checkpoints"]), path, said.path) as process:
            until(lambda said=said: said.read()[0] > chance.randrange(STEPS // 2), process)  # type: ignore[misc]
            os.kill(process.pid or 0, signal.SIGSTOP)
            kept(path)
            try:
                Store.open(path).close()
                wrong.append(f"try {number}: another process could write")
            except StoreLocked:
                pass
            time.sleep(0.2)
            os.kill(process.pid or 0, signal.SIGCONT)
            process.join(60)
        wrong += [f"try {number}: {found}"] if (found := run_is_kept(path, said, "training")) else []
    return Tried(tries, 0, tries - len(wrong), wrong)


def three_writers(tries: int, folder: Path) -> Tried:
    """Three processes take the same run on whenever they may."""
    wrong = []
    for number in range(tries):
        path, said = folder / str(number), [Said(folder / f"{number}-{i}.said") for i in range(3)]
        taken_up("training", path)
        with contextlib.ExitStack() as stack:
            processes = [stack.enter_context(child(alternate, path, one.path)) for one in said]
            for process in processes:
                process.join(600)
            if any(process.exitcode for process in processes):
                wrong.append(f"try {number}: one of them failed")
        if sum(one.read()[0] > 0 for one in said) < 2:
            wrong.append(f"try {number}: only one of them ever wrote")
        wrong += [f"try {number}: {found}"] if (found := run_is_kept(path, said[0], "training")) else []
    return Tried(tries, 0, tries - len(wrong), wrong)


def out_of_memory(tries: int, folder: Path) -> Tried:
    """A run of a sweep asks for more memory than there is: the other is finished, and this one when there is more."""
    wrong = []
    for number in range(tries):
        path, result = folder / str(number), folder / f"{number}.json"
        with child(want_memory, path, result) as process:
            process.join(600)
        states, errors = json.loads(result.read_text()) if result.exists() else ([], "it died")
        if states != ["finished", "failed"] or "memory" not in errors:
            wrong.append(f"try {number}: {states}, {errors}")
            continue
        found, whole = fl.sweep(**MEMORY, out=path), fl.sweep(**MEMORY)
        if not found.drop_vars("seconds").identical(whole.drop_vars("seconds")):
            wrong.append(f"try {number}: another sweep")
    return Tried(tries, 0, tries - len(wrong), wrong)


def a_worker_killed(tries: int, folder: Path) -> Tried:
    """As the kernel kills for want of memory: a worker of a sweep."""
    chance, wrong = random.Random("worker"), []
    for number in range(tries):
        path, said = folder / str(number), folder / f"{number}.said"
        with child(sweep_by_workers, path, said) as process:
            until(lambda path=path: [*path.glob("T=*/journal.jsonl")], process)  # type: ignore[misc]
            time.sleep(chance.uniform(0, 0.3))
            locks = [json.loads(lock.read_bytes())["pid"] for lock in path.glob("T=*/lock")]
            for pid in locks[:1]:
                os.kill(pid, signal.SIGKILL)
            process.join(600)
        raised = said.read_text() if said.exists() else ""
        if bool(locks) != raised.startswith("SweepError: a worker was killed, for want of memory perhaps"):
            wrong.append(f"try {number}: {len(locks)} killed, {raised!r}")
        wrong += [f"try {number}: {found}"] if (found := sweep_goes_on(path, chain=False)) else []
    return Tried(tries, 0, tries - len(wrong), wrong)


def kernel_restarted(tries: int, folder: Path) -> Tried:
    """A Jupyter kernel is restarted, at every other try without being asked to end, while a run goes under a lab."""
    from jupyter_client.manager import start_new_kernel

    wrong = []
    for number in range(tries):
        path = folder / str(number)
        cell = f"""
            import time
            from pathlib import Path
            from tests.faults.runs import taken_up
            run = taken_up("training", Path({str(path)!r}))
            advance = run.advance
            run.advance = lambda: (time.sleep(0.05 if run.step < 6 else 3.0), advance())[1]
            run.start()
            run.lab()
        """
        manager, client = start_new_kernel()
        try:
            client.execute_interactive(textwrap.dedent(cell), output_hook=lambda message: None, timeout=120)
            end = time.monotonic() + 60
            while kept(path)[0] < 3 + number and time.monotonic() < end:
                time.sleep(0.01)
            reached = kept(path)[0]
            manager.restart_kernel(now=bool(number % 2))
            if not 0 < reached <= kept(path)[0] < STEPS:
                wrong.append(f"try {number}: {reached} records before, {kept(path)[0]} after")
            wrong += [f"try {number}: {found}"] if (found := goes_on(fl.load(path), "training")) else []
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
    return Tried(tries, 0, tries - len(wrong), wrong)
