"""Which run lies in a directory: found from anywhere, compared before it is written, in its own precision."""

from __future__ import annotations

import json
import os
import shutil
import threading
from concurrent.futures import Future

import numpy as np
import pytest
import torch
import xarray as xr

import flowlab as fl
from flowlab.mcmc import HeatBath, ParallelTempering
from flowlab.runs.precision import default_dtype
from flowlab.runs.sweeps import workers
from flowlab.storage.store import Store, StoreError
from tests.runs.small_runs import records, slow, study

# where it lies


def test_a_run_stays_in_its_directory_wherever_the_process_goes(tmp_path, monkeypatch):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "b")
    theirs = fl.experiment("ising-xor", L=2, T=2.4, steps=5, batch=20, out="run")
    theirs.run(1, progress=False)
    monkeypatch.chdir(tmp_path / "a")
    run = study(steps=4, out="run")
    run.run(1, progress=False)
    loaded = fl.load("run")
    monkeypatch.chdir(tmp_path / "b")
    for own in (run, loaded):
        assert own.path == tmp_path / "a" / "run"
    run.run(progress=False)
    run.keep(run.evaluate(20), "evaluation.nc")
    assert fl.load(tmp_path / "a" / "run").step == 4 and (tmp_path / "a" / "run" / "evaluation.nc").exists()
    assert fl.load("run").keys == theirs.keys and not (tmp_path / "b" / "run" / "evaluation.nc").exists()


def test_the_home_of_the_user_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    run = study(out="~/runs/a")
    assert run.path == tmp_path / "runs" / "a" and fl.load("~/runs/a").keys == run.keys
    fl.sweep("ising-xor", {"T": [3.0]}, out="~/sweep", L=2, steps=1, batch=20, evaluate=20, progress=False)
    assert (tmp_path / "sweep" / "sweep.nc").exists() and (tmp_path / "sweep" / "T=3.0" / "evaluation.nc").exists()


# which run it is

GLASS = np.array([[0.0, 1.0], [1.0, 0.0]])


def built(system=None, density=None, **options) -> fl.Training:
    system = fl.Ising((2, 2), T=2.0) if system is None else system
    options = {"steps": 5, "batch": 10, "learning_rate": {"base": 1e-2}, "seed": 1} | options
    return fl.Training(system, density or fl.IndependentSpins(system.shape), fl.ReverseKL(), **options)


OTHERS = {
    "class": (
        lambda: built(fl.Potts((2, 2), T=2.0, q=2), fl.densities.IndependentPotts((2, 2), 2)),
        "system Ising, not Potts",
    ),
    "coupling": (lambda: built(fl.Ising((2, 2), T=2.0, J=0.5)), r"couplings J 1.0, not 0.5"),
    "shape": (lambda: built(fl.Ising((2, 4), T=2.0)), r"shape \[2, 2\], not \[2, 4\]"),
    "seed": (lambda: built(seed=2), "seed 1, not 2"),
    "rate": (lambda: built(learning_rate={"base": 1.0}), "learning_rate base 0.01, not 1.0"),
    "optimiser": (
        lambda: built(clip=0.5, betas=(0.8, 0.9)),
        r"clip inf, not 0.5, betas \[0.9, 0.999\], not \[0.8, 0.9\]",
    ),
    "batch": (lambda: built(batch=20, accumulate=2), "batch 10, not 20, accumulate 1, not 2"),
    "density": (lambda: built(density=fl.MADE((2, 2))), "density IndependentSpins, not MADE"),
}


@pytest.mark.parametrize("what", OTHERS)
def test_a_run_built_otherwise_is_not_restored(what, tmp_path):
    other, message = OTHERS[what]
    run = built()
    run.attach(tmp_path / "run")
    run.run(2, progress=False)
    with pytest.raises(StoreError, match=rf"run holds another run \({message}"):
        other().restore(tmp_path / "run")
    again = built()
    again.restore(tmp_path / "run")
    assert again.step == 2


def test_couplings_of_a_glass_the_chain_and_its_ladder_are_compared(tmp_path):
    run = built(fl.SpinGlass(GLASS, T=1.0))
    run.attach(tmp_path / "glass")
    with pytest.raises(StoreError, match=r"another run \(tensors _matrix \w+, not \w+\)"):
        built(fl.SpinGlass(-GLASS, T=1.0)).restore(tmp_path / "glass")
    ising = fl.Ising((4, 4), T=2.5)
    chain = fl.runs.ChainRun(ising, HeatBath(ising), chains=4, steps=8, every=2)
    chain.attach(tmp_path / "chain")
    with pytest.raises(StoreError, match=r"another run \(every 2, not 3, chains 4, not 5\)"):
        fl.runs.ChainRun(ising, HeatBath(ising), chains=5, steps=8, every=3).restore(tmp_path / "chain")

    def simulation(ladder: list[float]) -> fl.runs.TemperingRun:
        chain = ParallelTempering(ising, ladder, replicas=3)
        return fl.runs.TemperingRun(ising, chain, temperatures=(2.5,), steps=24)

    simulation([2.5, np.inf]).attach(tmp_path / "pt")
    with pytest.raises(StoreError, match=r"another run \(ladder \[2.5, 'inf'\], not \[2.5, 5.0, 'inf'\]\)"):
        simulation([2.5, 5.0, np.inf]).restore(tmp_path / "pt")
    simulation([2.5, np.inf]).restore(tmp_path / "pt")
    kept = json.loads((tmp_path / "pt" / "experiment.json").read_text())
    assert kept["built"]["run"] == "Simulation", "runs are kept under the name that the class had first"


class Own(fl.Ising):
    """An Ising model that keeps what it likes in its attributes."""

    def __init__(self, strength: float) -> None:
        super().__init__((2, 2), T=2.0)
        self._bonds = torch.eye(4).mul(strength).to_sparse()
        self.half, self.words = torch.ones(2, dtype=torch.bfloat16), np.array([None, "a"])


def test_the_tensors_of_ones_own_system_are_compared(tmp_path):
    built(Own(1.0)).attach(tmp_path / "run")
    built(Own(1.0)).restore(tmp_path / "run")
    with pytest.raises(StoreError, match=r"another run \(tensors _bonds \w+, not \w+\)"):
        built(Own(2.0)).restore(tmp_path / "run")


def test_a_run_of_an_earlier_version_is_restored_by_what_it_says(tmp_path):
    run = built()
    run.attach(tmp_path / "run")
    run.run(2, progress=False)
    described = tmp_path / "run" / "experiment.json"
    meta = json.loads(described.read_text())
    described.write_text(json.dumps({key: value for key, value in meta.items() if key not in ("built", "dtype")}))
    again = built()
    again.restore(tmp_path / "run")
    again.run(progress=False)
    with pytest.raises(StoreError, match=r"another run \(seed 1, not 2\)"):
        built(seed=2).restore(tmp_path / "run")


def test_a_directory_that_holds_another_run_by_now_is_left_alone(tmp_path):
    run = study(out=tmp_path / "run")
    run.run(2, progress=False)
    shutil.rmtree(tmp_path / "run")
    other = fl.experiment("ising-xor", L=2, T=3.0, steps=7, batch=20, out=tmp_path / "run")
    other.run(3, progress=False)
    for write in (run.save, lambda: run.run(progress=False), lambda: run.keep(run.evaluate(20), "evaluation.nc")):
        with pytest.raises(StoreError, match=r"run holds another run \(.*L 2, not 4, T 3.0, not 2.4"):
            write()
    assert fl.load(tmp_path / "run").step == 3
    with pytest.raises(StoreError, match=r"holds another run \(.*L 2, not 4"):
        study().restore(tmp_path / "run")


def test_the_versions_that_go_on_with_a_run_are_noted(tmp_path, monkeypatch):
    run = study(out=tmp_path / "run")
    run.run(2, progress=False)
    assert "resumed" not in Store.open(run.path, write=False).meta
    monkeypatch.setattr("flowlab.storage.store.versions", lambda: {"flowlab": "9.9"})
    loaded = fl.load(tmp_path / "run")
    assert "resumed" not in Store.open(run.path, write=False).meta  # the disk is left alone until it goes on
    for _ in range(2):
        loaded.run(1, progress=False)
    meta = Store.open(run.path, write=False).meta
    assert [(one["step"], one["versions"]) for one in meta["resumed"]] == [(2, {"flowlab": "9.9"})]
    assert meta["versions"]["flowlab"] != "9.9" and fl.load(tmp_path / "run").step == 4


# in which precision


@pytest.mark.parametrize("noted", [True, False])
def test_a_run_goes_on_in_its_own_precision(tmp_path, noted):
    with default_dtype(torch.float64):
        straight, run = study(steps=6), study(steps=6, out=tmp_path / "run")
        straight.run(progress=False)
        run.run(3, progress=False)
    described = tmp_path / "run" / "experiment.json"
    meta = json.loads(described.read_text())
    assert meta["dtype"] == "float64"
    if not noted:  # by an earlier version
        described.write_text(json.dumps({key: value for key, value in meta.items() if key != "dtype"}))
    again = fl.load(tmp_path / "run")
    again.run(progress=False)
    assert again.dtype == torch.float64 and {p.dtype for p in again.density.parameters()} == {torch.float64}
    xr.testing.assert_identical(records(again), records(straight))
    for read in ("sample", "evaluate"):
        xr.testing.assert_identical(getattr(again, read)(50, seed=1), getattr(straight, read)(50, seed=1))
    assert {p.dtype for p in again.at(T=2.6).density.parameters()} == {torch.float64}
    assert torch.get_default_dtype() == torch.float32
    with pytest.raises(RuntimeError, match=r"computes in torch.float64, .* torch.set_default_dtype\(torch.float64\)"):
        again.start()


def test_another_precision_is_another_run(tmp_path):
    with default_dtype(torch.float64):
        run = built()
        run.attach(tmp_path / "run")
    with pytest.raises(StoreError, match=r"another run \(dtype float64, not float32\)"):
        built().restore(tmp_path / "run")


def test_runs_of_two_precisions_do_not_disturb_each_other():
    with default_dtype(torch.float64):
        straight, run = study(steps=20), study(steps=20)
        straight.run(progress=False)
    quiet, behind = study(steps=60), study(steps=60)
    quiet.run(progress=False)
    behind.start()
    run.run(progress=False)
    behind.wait(60)
    xr.testing.assert_identical(records(run), records(straight))
    xr.testing.assert_identical(records(behind), records(quiet))
    assert torch.get_default_dtype() == torch.float32


def test_who_wants_another_precision_waits():
    order, entered = [], threading.Event()

    def other() -> None:
        with default_dtype(torch.float64):
            order.append(torch.get_default_dtype())

    with default_dtype(torch.float32):
        thread = threading.Thread(target=lambda: (entered.set(), other()))
        thread.start()
        entered.wait(5)
        slow(0)
        order.append(torch.get_default_dtype())
        with default_dtype(torch.float32):  # who is inside may come in again
            pass
    thread.join(5)
    assert order == [torch.float32, torch.float64] and torch.get_default_dtype() == torch.float32


# a sweep


class Elsewhere(workers._Here):
    """An executor whose workers do not see the folder: what they write is lost."""

    def submit(self, fn, /, *args, **kwargs) -> Future:
        future = super().submit(fn, *args, **kwargs)
        shutil.rmtree(args[0].path)
        return future


def test_a_sweep_says_finished_only_where_there_is_an_evaluation(tmp_path):
    keys = {"L": 2, "steps": 1, "batch": 20, "evaluate": 20, "progress": False}
    with pytest.raises(fl.runs.SweepError, match=r"all 2 runs failed; T=3.0: it left no evaluation in "):
        fl.sweep("ising-xor", {"T": [3.0, 2.5]}, chain="T", out=tmp_path / "a", workers=Elsewhere(), **keys)
    assert set(xr.load_dataset(tmp_path / "a" / "sweep.nc").state.values) == {"failed"}
    found = fl.sweep("ising-xor", {"T": [3.0]}, out=tmp_path / "b", **keys)
    assert found.state.item() == "finished"
    os.remove(tmp_path / "b" / "T=3.0" / "evaluation.nc")
    again = fl.sweep("ising-xor", {"T": [3.0]}, out=tmp_path / "b", **keys)
    assert again.state.item() == "finished" and again.log_z.item() == found.log_z.item()


def test_chains_of_a_finished_sweep_are_not_evaluated_again(tmp_path, monkeypatch):
    over, keys = {"T": [3.0]}, {"L": 4, "steps": 20, "chains": 4, "evaluate": 20, "progress": False}
    first = fl.sweep("ising-chain", over, out=tmp_path / "a", **keys)
    monkeypatch.setattr(workers, "run_job", lambda job: pytest.fail("it was finished"))
    xr.testing.assert_identical(fl.sweep("ising-chain", over, out=tmp_path / "a", **keys), first)
