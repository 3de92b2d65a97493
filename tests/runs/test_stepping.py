"""A step is whole or undone: broken off anywhere, a run goes on as if it had never been."""

from __future__ import annotations

import contextlib
import copy
import pickle

import numpy as np
import pytest
import torch
import xarray as xr

import flowlab as fl
from flowlab.core import named_generator
from flowlab.mcmc import AnnealedImportance, HeatBath, ParallelTempering
from flowlab.mcmc.hmc import HMC
from flowlab.storage.store import Store, StoreError
from tests.runs.small_runs import broken_off_everywhere, by_hand, records, study


def local(L: int) -> fl.densities.LocalAutoregressive:
    return fl.densities.LocalAutoregressive((L, L), generator=named_generator(L, "local"))


def grown() -> fl.Training:
    how = {"batch": 20, "learning_rate": {"base": 1e-2}}
    stages = [fl.training.Stage(fl.Ising((2, 2), T=3.0), local(2), fl.ReverseKL(), steps=3, **how)]
    return fl.Training(fl.Ising((4, 4), T=3.0), local(4), fl.ReverseKL(), steps=3, stages=stages, **how)


ISING, FIELD = fl.Ising((4, 4), T=2.5), fl.Phi4((4, 4), kappa=0.2, lam=0.02)
RUNS = {
    "in two stages": grown,
    "heat bath": lambda: fl.runs.ChainRun(ISING, HeatBath(ISING), chains=4, steps=8, every=2, keep_every=3),
    "hmc": lambda: fl.runs.ChainRun(FIELD, HMC(FIELD, tuning=4), chains=4, steps=8, every=2, keep_every=3),
    "tempering": lambda: fl.runs.TemperingRun(
        ISING,
        ParallelTempering(ISING, [2.5, np.inf], replicas=3),
        temperatures=(2.5,),
        steps=24,
        keep_every=3,
        discard=0,
    ),
    "annealed": lambda: fl.runs.AnnealedRun(AnnealedImportance(ISING, 10), chains=4, steps=5, keep_every=2),
}


@pytest.mark.parametrize("kind", RUNS)
def test_a_run_broken_off_at_every_step_is_as_one_that_never_was(kind, tmp_path):
    straight, broken = RUNS[kind](), RUNS[kind]()
    straight.run(progress=False)
    broken.attach(tmp_path / "run")
    broken_off_everywhere(broken)
    again = RUNS[kind]()
    again.restore(tmp_path / "run")
    for run in (broken, again):
        xr.testing.assert_identical(records(run), records(straight))
        torch.testing.assert_close(run.state_dict(), straight.state_dict(), rtol=0, atol=0, equal_nan=True)
        xr.testing.assert_identical(run.evaluate(50), straight.evaluate(50))
        xr.testing.assert_identical(run.sample(5, seed=2), straight.sample(5, seed=2))
    first, second = straight.sample(50), straight.sample(50)
    assert not np.array_equal(first.configuration, second.configuration)
    xr.testing.assert_identical(straight.sample(50, seed=first.attrs["seed"]), first)
    assert straight.evaluate(50, seed=3).attrs["seed"] in (3, straight.seed)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_an_interrupt_within_a_step_leaves_the_last_whole_one(tmp_path, error):
    def breaks(call: int) -> float:
        if call == 3:
            raise error
        return 1.0

    straight, run = by_hand(steps=6), by_hand(breaks, steps=6)
    straight.run(progress=False)
    run.attach(tmp_path / "run")
    found = []
    with pytest.raises(error):
        found.extend(run.stream())
    assert run.step == 2 and len(Store.open(tmp_path / "run", write=False).read_journal()) == 2
    assert run.sample(2).attrs["step"] == 2
    found.extend(run.stream())
    assert [record["step"] for record in found] == [1, 2, 3, 4, 5, 6]
    xr.testing.assert_identical(records(run), records(straight))


def test_a_full_disk_within_a_step_loses_nothing(tmp_path, monkeypatch):
    run, straight = study(steps=4, out=tmp_path / "run"), study(steps=4)
    append, left = Store.append, [2]

    def full(store: Store, record: dict[str, float]) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise StoreError("no space left")
        append(store, record)

    monkeypatch.setattr(Store, "append", full)
    with pytest.raises(StoreError, match="no space"):
        run.run(progress=False)
    assert run.step == 1
    run.run(progress=False)
    straight.run(progress=False)
    xr.testing.assert_identical(records(run), records(straight))
    xr.testing.assert_identical(records(fl.load(tmp_path / "run")), records(straight))


def test_what_comes_before_the_first_step_is_undone_too():
    """Fitting the samples moves the weights: half done, or done twice, it would begin elsewhere."""
    keys = {"N": 8, "T": 0.7, "samples": 400, "steps": 3, "batch": 20, "device": "cpu"}
    straight, run = fl.experiment("sk-forward", **keys), fl.experiment("sk-forward", **keys)
    fit = run.density.fit

    def half_done(x: torch.Tensor) -> None:
        fit(x)
        raise KeyboardInterrupt

    before = {name: value.clone() for name, value in run.density.state_dict().items()}
    run.density.fit = half_done
    with contextlib.suppress(KeyboardInterrupt):
        run.run(progress=False)
    assert run.step == 0 and all(torch.equal(value, before[name]) for name, value in run.density.state_dict().items())
    run.density.fit = fit
    straight.run(progress=False)
    xr.testing.assert_identical(run.run(progress=False).drop_vars("wall_time"), records(straight))


def test_a_copy_or_a_pickle_of_a_run_says_what_to_do_instead(tmp_path):
    run, kept = by_hand(), study(out=tmp_path / "run")
    for copied in (copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match=r"cannot be copied: run.attach\('runs/name'\) keeps it and restore"):
            copied(run)
        with pytest.raises(TypeError, match=r"run.save\(\) keeps it in .*run and fl.load\(path\).*run.at\(T=\.\.\.\)"):
            copied(kept)
    with pytest.raises(TypeError, match=r"cannot be pickled: run.save\(\) keeps it in .* and fl.load\(path\) reads it"):
        pickle.dumps([kept])
