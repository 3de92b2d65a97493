"""Runs that take seconds, and one whose target calls back at every step."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import torch
import xarray as xr

import flowlab as fl

SMALL = {"L": 4, "T": 2.4, "layers": 1, "width": 1, "batch": 20, "device": "cpu"}


class Probed(fl.Ising):
    """An Ising model that calls ``hook`` with the number of the training step, before a step's loss."""

    def __init__(self, T: float, hook: Callable[[int], float]) -> None:
        super().__init__((4, 4), T)
        self.hook, self.calls = hook, [0]

    def log_weight(self, x: torch.Tensor) -> torch.Tensor:
        self.calls[0] += torch.is_grad_enabled()
        factor = self.hook(self.calls[0]) if torch.is_grad_enabled() else 1.0
        return factor * super().log_weight(x)


def by_hand(hook: Callable[[int], float] = lambda step: 1.0, T: float = 2.4, **options: object) -> fl.Training:
    options = {"steps": 100, "batch": 20, "learning_rate": {"base": 1e-2}} | options
    return fl.Training(Probed(T, hook), fl.IndependentSpins((4, 4)), fl.ReverseKL(), **options)


def slow(step: int) -> float:
    time.sleep(0.005)
    return 1.0


def study(**keys: object) -> fl.Training:
    return fl.experiment("ising-xor", **SMALL | {"steps": 30} | keys)


def records(run: fl.Experiment) -> xr.Dataset:
    return run.data.drop_vars("wall_time")


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)


def broken_off_everywhere(run: fl.Experiment) -> fl.Experiment:
    """Take ``run`` to its end although every step is broken off once, after all that it computes, and then redone."""
    advance, tried = run.advance, set()

    def breaks_once() -> dict[str, float]:
        record = advance()
        if run.step not in tried:
            tried.add(run.step)
            raise KeyboardInterrupt if run.step % 2 else ZeroDivisionError
        return record

    run.advance = breaks_once
    while run.state != "finished":
        with contextlib.suppress(KeyboardInterrupt, ZeroDivisionError):
            run.run(progress=False)
    assert len(tried) == run.step
    return run
