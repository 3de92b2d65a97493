"""A run without a network: the same names as an Experiment, and a thread that appends records."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from math import nan
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from flowlab.core import Spins


class FakeRun:
    def __init__(self, T: float = 2.5, steps: int = 40, fail_at: int = -1, pace: float = 0.005) -> None:
        self.T, self.steps, self.fail_at, self.pace = T, steps, fail_at, pace
        self.system = SimpleNamespace(
            shape=(4, 4), dims=("y", "x"), flip_symmetric=False, variables=Spins(), disordered=False
        )
        self.state, self.error, self.device = "ready", None, "cpu"
        self.step, self.rows = 0, []
        self.steps_per_second = self.seconds_left = nan
        self.asked: list[dict[str, object]] = []
        self.at_error: Exception | None = None
        self._go, self._stop = threading.Event(), threading.Event()
        self._go.set()

    def start(self) -> None:
        if self.state == "running":
            raise RuntimeError("training already")
        self._stop.clear()
        self.state = "running"
        self._thread = threading.Thread(target=self._train, daemon=True)
        self._thread.start()

    def _train(self) -> None:
        while self.step < self.steps and not self._stop.is_set():
            if self.step == self.fail_at:
                self.state, self.error = "failed", FloatingPointError("the loss became <nan> at step 7")
                return
            self.rows.append((20.0 - 5.0 / (self.step + 1), 0.1, 0.9))
            self.step += 1
            time.sleep(self.pace)
            self.state = "running" if self._go.is_set() else "paused"
            while not self._go.is_set() and not self._stop.is_set():
                time.sleep(0.005)
        self.state = "stopped" if self._stop.is_set() else "finished"

    def evaluate(self, n: int) -> xr.Dataset:
        return xr.Dataset(attrs={"verdict": "not checked: a run <without> a system", "reasons": "one\ntwo"})

    def pause(self) -> None:
        self._go.clear()

    def resume(self) -> None:
        self._go.set()
        self.state = "running"

    def stop(self) -> None:
        self._stop.set()

    @property
    def data(self) -> xr.Dataset:
        rows = np.array(list(self.rows)).reshape(-1, 3)
        columns = {name: ("step", rows[:, k]) for k, name in enumerate(("log_z_bound", "log_z_bound_error", "ess"))}
        attrs = dict(system="fake", n_sites=16, T=self.T, log_z_exact=20.0)
        return xr.Dataset(columns, coords={"step": np.arange(1, len(rows) + 1)}, attrs=attrs)

    def layers(self, n: int, *, seed: int) -> xr.Dataset:
        self.asked.append({"n": n, "seed": seed, "step": self.step})
        s = np.where(np.random.default_rng(seed).random((3, n, 4, 4)) < 0.5, -1.0, 1.0)
        grid = ("layer", "sample", "y", "x")
        return xr.Dataset(
            {
                "configuration": (grid, s),
                "magnetization": (grid[:2], s.mean((-1, -2))),
                "correlation": (("layer", "distance"), np.array([[1.0, 0.1 * k, 0.0] for k in range(3)])),
                "log_z_bound": ("layer", [17.0, 18.0, 19.0]),
                "log_z_bound_error": ("layer", [0.1, 0.1, 0.1]),
            },
            coords={"layer_name": ("layer", ["latent", "xor 1", "xor 2"]), "distance": np.arange(3)},
            attrs=dict(n_sites=16, T=self.T, log_z_exact=20.0, step=self.step),
        )

    def at(self, **changes: object) -> FakeRun:
        self.asked.append(changes)
        if self.at_error is not None:
            raise self.at_error
        return FakeRun(float(changes["T"]), steps=int(changes["steps"]), pace=self.pace)  # type: ignore[arg-type, call-overload]


@pytest.fixture
def make_run() -> Iterator[Callable[..., FakeRun]]:
    runs: list[FakeRun] = []

    def make(**options: float) -> FakeRun:
        runs.append(FakeRun(**options))  # type: ignore[arg-type]
        return runs[-1]

    yield make
    for run in runs:
        run.stop()


@pytest.fixture
def unmarked() -> Callable[[str], str]:
    """A line of HTML without what explains its terms."""
    return lambda line: re.sub(r"</?abbr[^>]*>", "", line)


@pytest.fixture
def until() -> Callable[[Callable[[], object]], None]:
    """Wait until something holds; fails after 30 seconds."""

    def wait(holds: Callable[[], object]) -> None:
        deadline = time.monotonic() + 30
        while not holds():
            assert time.monotonic() < deadline, "it never happened"
            time.sleep(0.01)

    return wait
