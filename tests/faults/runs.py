"""Runs of a second, the uninterrupted ones that they are compared with, and what is counted of a fault."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import xarray as xr

import flowlab as fl
from flowlab.core import named_generator
from flowlab.mcmc import HeatBath
from flowlab.storage.store import Store

STEPS = 24
ISING = fl.Ising((4, 4), T=2.5)
SWEEP: dict[str, Any] = dict(
    study="ising-xor", over={"T": [3.0, 2.5]}, chain="T", L=2, layers=1, base="independent", steps=8, batch=8,
    evaluate=50, device="cpu", progress=False,
)  # fmt: skip
MEMORY = SWEEP | {"over": {"batch": [8, 4_000_000]}, "chain": False, "steps": 2}
del MEMORY["batch"]


class Tried(NamedTuple):
    """What came of the tries of a fault.

    Attributes:
        tries: how often it was made.
        lost: in how many of them something was lost that had been reported as saved.
        resumed: in how many the run went on as one that was never interrupted, bit for bit.
        wrong: what else was not as it should be, in words.
    """

    tries: int
    lost: int
    resumed: int
    wrong: Sequence[str] = ()

    @property
    def good(self) -> bool:
        return self.tries == self.resumed > 0 and not self.lost and not self.wrong


def training(**keys: Any) -> fl.Training:
    small = dict(L=2, layers=1, base="independent", steps=STEPS, batch=8, device="cpu", seed=3)
    return fl.experiment("ising-xor", **small | keys)


def in_stages() -> fl.Training:
    how: dict[str, Any] = {"batch": 8, "learning_rate": {"base": 1e-2}}

    def local(L: int) -> fl.densities.LocalAutoregressive:
        return fl.densities.LocalAutoregressive((L, L), generator=named_generator(L, "local"))

    stages = [fl.training.Stage(fl.Ising((2, 2), T=3.0), local(2), fl.ReverseKL(), steps=STEPS // 2, **how)]
    return fl.Training(
        fl.Ising((4, 4), T=3.0), local(4), fl.ReverseKL(), steps=STEPS // 2, stages=stages, seed=3, **how
    )


def chain() -> fl.runs.ChainRun:
    return fl.runs.ChainRun(ISING, HeatBath(ISING), chains=2, steps=STEPS, every=1, keep_every=3, seed=3)


RUNS: dict[str, Callable[[], fl.Experiment]] = {"training": training, "in stages": in_stages, "chain": chain}


def taken_up(kind: str, path: Path) -> fl.Experiment:
    """The run in ``path``, as a script has it that is started again."""
    if (path / "experiment.json").exists():
        return fl.load(path)
    run = RUNS[kind]()
    run.attach(path)
    return run


def outcome(run: fl.Experiment) -> tuple[xr.Dataset, Any]:
    """Records and weights of a run."""
    return run.data.drop_vars("wall_time"), run.state_dict()


@functools.cache
def straight(kind: str) -> tuple[xr.Dataset, Any]:
    """What the run gives that nothing interrupts."""
    run = RUNS[kind]()
    run.run(progress=False)
    return outcome(run)


def goes_on(run: fl.Experiment, kind: str) -> str:
    """Take a run to its end; empty where it is then the uninterrupted one, else what differs."""
    if run.state != "finished":
        run.run(progress=False)
    (records, state), (expected, wanted) = outcome(run), straight(kind)
    try:
        xr.testing.assert_identical(records, expected)
        torch.testing.assert_close(state, wanted, rtol=0, atol=0, equal_nan=True)
    except AssertionError as error:
        return f"another stream: {' '.join(str(error).split())[:200]}"
    return ""


def goes_on_in(path: Path, kind: str) -> str:
    """As :func:`goes_on`, of the run in a directory, which is left as it was."""
    copy = path.with_name(path.name + "-taken-up")
    shutil.copytree(path, copy)
    try:
        return goes_on(taken_up(kind, copy), kind)
    finally:
        shutil.rmtree(copy)


def kept(path: Path) -> tuple[int, int]:
    """The last step that is in the journal, and that of the newest checkpoint; 0 where there are none."""
    if not (path / "experiment.json").exists():
        return 0, 0
    store = Store.open(path, write=False)
    journal, checkpoint = store.read_journal(), store.load_checkpoint()
    return journal[-1]["step"] if journal else 0, checkpoint.step if checkpoint else 0


def sweep_goes_on(path: Path, **changes: Any) -> str:
    """Carry out the rest of a sweep; empty where it is then the uninterrupted one, else what differs."""
    found = fl.sweep(**SWEEP | changes, out=path).drop_vars("seconds")
    try:
        xr.testing.assert_identical(found, straight_sweep(**changes))
    except AssertionError as error:
        return f"another sweep: {' '.join(str(error).split())[:200]}"
    return ""


@functools.cache
def straight_sweep(**changes: Any) -> xr.Dataset:
    """What the sweep gives that nothing interrupts."""
    return fl.sweep(**SWEEP | changes).drop_vars("seconds")
