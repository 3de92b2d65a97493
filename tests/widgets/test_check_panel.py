"""run.check() live in a panel."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import xarray as xr

import flowlab as fl
from flowlab.analysis.checks import check as checks
from flowlab.widgets import CheckPanel


def table(reference: float, seconds: float = 1.0) -> xr.Dataset:
    row = {"value": 1.0, "raw": 1.2, "reference": reference, "z": (reference - 1) / 0.1, "z_raw": 2.0}
    row |= {f"{name}_error": 0.1 for name in ("value", "raw", "reference")}
    data = xr.Dataset({name: ("quantity", [value]) for name, value in row.items()}, {"quantity": ["energy_per_site"]})
    return data.assign_attrs(seconds=seconds, chain="clusters")


class Checked:
    """A run whose check gives two tables, and one more each time that it is watched until it is stopped."""

    state, error, step, chains, checked = "finished", None, 7, 4, None
    system = SimpleNamespace()

    def check(self, seconds: float, *, watch: Callable[[xr.Dataset | None], bool]) -> xr.Dataset:
        watch(None)
        watch(table(2.0))
        while watch(table(1.1)):
            time.sleep(0.01)
        verdict = {"verdict": "consistent: they agree", "reasons": "", "step": 7}
        return table(1.05).assign_attrs(verdict)


def test_looks_arrive_and_stop_gives_the_verdict(until) -> None:
    panel = CheckPanel(Checked())
    panel.update()
    assert "not checked yet" in panel.verdict.value
    panel.start.click()
    until(lambda: len(panel.tables) > 2)
    panel.update()
    assert panel.start.disabled
    assert "clusters" in panel.verdict.value
    assert "1.1" in panel.table.value
    chains = next(trace for trace in panel.live.figure.data if trace.name == "chains")
    assert list(chains.y)[:2] == [2.0, 1.1]
    panel.stop.click()
    until(lambda: not panel.is_working)
    panel.update()
    assert "<b>consistent</b>: they agree" in panel.verdict.value
    assert "1.05" in panel.table.value
    assert not panel.start.disabled


def test_what_differs_is_marked_and_an_error_is_said(until) -> None:
    run = Checked()
    run.checked = table(2.0).assign_attrs(verdict="not to be trusted: energy", reasons="energy", step=3)
    panel = CheckPanel(run)
    panel.update()
    assert "<b>10.0</b>" in panel.table.value
    assert "the run is at step 7 now" in panel.verdict.value

    def fail(seconds: float, **_: object) -> xr.Dataset:
        raise ValueError("no chains")

    run.check = fail
    panel.start.click()
    until(lambda: not panel.is_working)
    panel.update()
    assert "no chains" in panel.message.value


def test_a_check_that_is_watched_finds_the_same_and_ends_when_told(monkeypatch) -> None:
    monkeypatch.setattr(checks, "BETWEEN_TABLES", 0.0)
    run = fl.experiment("phi4-free", L=4, steps=5, batch=50)
    seen: list[xr.Dataset | None] = []

    def watch(found: xr.Dataset | None) -> bool:
        seen.append(found)
        return found is None

    began = time.monotonic()
    found = run.check(60.0, n=1000, watch=watch)
    assert time.monotonic() - began < 30
    assert seen[0] is None
    last = seen[-1]
    assert last is not None
    for name in ("value", "reference", "z"):
        np.testing.assert_array_equal(last[name], found[name])
