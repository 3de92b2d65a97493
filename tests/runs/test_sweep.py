"""Sweeps: the same numbers however they are run, interrupted or not; failures kept apart; refusals before any work."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from concurrent.futures import Executor, Future
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import flowlab as fl
from flowlab.cli import main
from flowlab.estimators import scalars
from flowlab.figures.sweeps import quantities
from flowlab.runs.sweeps import found_in, sweep
from flowlab.runs.sweeps.workers import SweepError
from flowlab.storage.netcdf import from_netcdf
from flowlab.storage.store import StoreError

SMALL = dict(L=4, layers=1, width=1, steps=8, batch=20, device="cpu", evaluate=100, progress=False)
TEMPERATURES = [2.3, 2.6, 2.0]


def chained(out: Path | None, **keys: object) -> xr.Dataset:
    return sweep("ising-xor", {"T": TEMPERATURES}, chain=True, warm={"steps": 4}, out=out, **SMALL | keys)


def assert_same(found: xr.Dataset, expected: xr.Dataset) -> None:
    xr.testing.assert_identical(found.drop_vars("seconds"), expected.drop_vars("seconds"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, xr.Dataset]:
    out = tmp_path_factory.mktemp("sweep") / "whole"
    return out, chained(out)


def test_every_run_is_an_ordinary_one_and_its_numbers_are_in_the_dataset(whole):
    out, found = whole
    assert found.T.values.tolist() == TEMPERATURES and found.ess.dims == ("T",)
    assert found.steps.values.tolist() == [8, 4, 4] and (found.seconds > 0).all()
    assert set(found.state.values) == {"finished"} and found.attrs["errors"] == "{}"
    assert found.free_energy.attrs["units"] == "J"
    assert {path.name for path in out.iterdir()} == {"sweep.nc", *(f"T={T}" for T in TEMPERATURES)}
    for T in TEMPERATURES:
        run = fl.load(out / found.run.sel(T=T).item())
        assert run.state == "finished" and run.keys["T"] == T
        for name, value in scalars(run.evaluate(100)).items():
            np.testing.assert_equal(float(found[name].sel(T=T)), np.nan if value is None else value, err_msg=name)
    xr.testing.assert_identical(from_netcdf((out / "sweep.nc").read_bytes()), found)
    found.to_netcdf(out / "mine.nc", engine="h5netcdf")
    xr.testing.assert_identical(xr.load_dataset(out / "mine.nc"), xr.load_dataset(out / "sweep.nc"))
    (out / "mine.nc").unlink()
    assert json.loads(found.attrs["keys"])["L"] == 4


def test_a_chain_starts_each_run_from_the_nearest_value_before(whole):
    out, _ = whole
    parents = {T: fl.load(out / f"T={T}").parent for T in TEMPERATURES}
    assert parents[2.3] is None
    assert [(parents[T]["keys"]["T"], parents[T]["step"]) for T in (2.6, 2.0)] == [(2.3, 8), (2.3, 8)]


def test_two_workers_give_the_same_numbers(whole):
    assert_same(chained(None, workers=2), whole[1])


def test_workers_of_a_script_without_a_main_guard_end_in_one_line(tmp_path):
    script = tmp_path / "unguarded.py"
    how = "workers=2, L=4, layers=1, steps=2, batch=20, device='cpu', evaluate=20, progress=False"
    script.write_text(f"import flowlab as fl\nfl.sweep('ising-xor', {{'T': [2.3, 2.6]}}, {how})\n")
    found = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120)
    assert found.returncode == 1 and found.stderr.count("Traceback") == 1, found.stderr
    assert found.stderr.splitlines()[-1].endswith("must therefore call sweep() under if __name__ == '__main__':")


def test_interrupted_and_called_again_it_gives_the_same_numbers(whole, tmp_path, monkeypatch):
    advance, count = fl.Training.advance, iter(range(100))

    def interrupted(run: fl.Training) -> dict[str, float]:
        if next(count) == 10:
            signal.raise_signal(signal.SIGINT)
        return advance(run)

    monkeypatch.setattr(fl.Training, "advance", interrupted)
    with pytest.raises(KeyboardInterrupt):
        chained(tmp_path / "out")
    half = from_netcdf((tmp_path / "out" / "sweep.nc").read_bytes())
    assert half.state.values.tolist() == ["finished", "stopped", "ready"] and half.steps.values.tolist() == [8, 3, 0]
    assert np.isfinite(half.ess.values).tolist() == [True, False, False]

    killed = tmp_path / "out" / "T=2.0"  # between the description of a run and its first checkpoint
    killed.mkdir()
    shutil.copy(whole[0] / "T=2.0" / "experiment.json", killed)
    assert_same(chained(tmp_path / "out"), whole[1])


def test_a_finished_sweep_is_read_and_trains_nothing(whole, monkeypatch):
    monkeypatch.setattr(fl.Training, "advance", lambda run: pytest.fail("trained again"))
    xr.testing.assert_identical(chained(whole[0]), whole[1])
    with pytest.raises(StoreError, match=r"T=2.3 holds another run \(steps=8, not 9\): choose another directory"):
        chained(whole[0], steps=9)
    with pytest.raises(StoreError, match=r"holds another run .*seed 0"):
        chained(whole[0], seed=1)


def failing(evaluate):
    """``evaluate``, which breaks for a batch of 30."""

    def broken(run: fl.Training, n: int) -> xr.Dataset:
        if run.batch == 30:
            raise FloatingPointError("broken")
        return evaluate(run, n)

    return broken


def test_what_fails_is_recorded_and_the_chain_goes_round_it(tmp_path, monkeypatch):
    settings = {key: value for key, value in SMALL.items() if key != "batch"} | {"steps": 2}
    over = {"batch": [20, 30, 40]}
    monkeypatch.setattr(fl.Training, "evaluate", failing(fl.Training.evaluate))
    with pytest.warns(RuntimeWarning, match="1 of 3 runs failed; batch=30: FloatingPointError: broken"):
        found = sweep("ising-xor", over, chain="batch", out=tmp_path / "chain", **settings)
    assert found.state.values.tolist() == ["finished", "failed", "finished"]
    assert np.isfinite(found.ess.values).tolist() == [True, False, True]
    assert json.loads(found.attrs["errors"]).keys() == {"batch=30"}
    assert fl.load(tmp_path / "chain" / "batch=40").parent["keys"]["batch"] == 20
    with pytest.raises(SweepError, match="all 1 runs failed; batch=30: FloatingPointError: broken"):
        sweep("ising-xor", {"batch": [30]}, **settings)


def test_curves_are_kept_and_what_is_asked_for_besides(tmp_path, monkeypatch):
    small = dict(N=8, temperatures="0.5,1", replicas=3, steps=60, samples=40, progress=False)
    found = sweep(
        "sk-pt", {"N": [6, 8], "seed_J": [0, 1]}, out=tmp_path, **{k: v for k, v in small.items() if k != "N"}
    )
    assert found.overlap_distribution.dims == ("N", "seed_J", "kept_temperature", "overlap")
    run = fl.load(tmp_path / found.run.sel(N=6, seed_J=1).item()).evaluate()
    own = found.sel(N=6, seed_J=1)
    np.testing.assert_array_equal(own.energy_per_site.sel(temperature=run.temperature), run.energy_per_site)
    assert own.site_magnetization.isnull().sum() == 2 * 2 and not own.log_z.sel(temperature=0.5).isnull()
    assert quantities(found) == [name for name in quantities(found) if found[name].dims == ("N", "seed_J")]
    assert own.log_z.attrs == found.log_z.attrs and found.log_z.attrs["units"] == "nats"

    layered = {"over": {"T": [2.0]}, "out": tmp_path / "layers", **SMALL}
    with pytest.raises(SweepError, match=r"gather names bound_by_layer, .* layers\(\) gives log_z_bound"):
        sweep("ising-xor", gather=["bound_by_layer", "log_z_bound"], **layered)
    monkeypatch.setattr(fl.Training, "advance", lambda run: pytest.fail("trained again"))
    wanted = ["delta_free_energy_per_site", "magnetization", "log_z_bound"]
    found = sweep("ising-xor", gather=wanted, **layered)
    assert found.delta_free_energy_per_site.dims == ("T", "layer") and "delta_free_energy_per_site_error" in found
    assert found.log_z_bound.dims == found.magnetization.dims == ("T",)  # of the evaluation
    monkeypatch.setattr(fl.Training, "evaluate", lambda run, n: pytest.fail("evaluated again"))
    xr.testing.assert_identical(sweep("ising-xor", gather=wanted, **layered), found)


class Elsewhere(Executor):
    """Receives jobs the way another machine does: as plain values."""

    def submit(self, fn, /, *args, **kwargs):
        job = type(args[0])(*json.loads(json.dumps(args[0])))
        future: Future = Future()
        future.set_result(fn(job))
        return future


def test_dims_are_the_keys_as_they_were_spelled_and_an_executor_gets_plain_values(tmp_path):
    over = {"beta": [0.4], "base": ["local"], "seed": np.array([3])}
    found = sweep("ising-xor", over, out=tmp_path, workers=Elsewhere(), **SMALL | {"steps": 2})
    assert dict(found.sizes) == {"beta": 1, "base": 1, "seed": 1} and found.base.values.tolist() == ["local"]
    run = fl.load(tmp_path / "beta=0.4,base=local,seed=3")
    assert (run.keys["T"], run.seed) == (2.5, 3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"over": None}, "over must name at least one key"),
        ({"over": {"T": "2.3"}}, "must be a list of values, got '2.3'"),
        ({"over": {"T": []}}, "must be a list of values"),
        ({"over": {"T": [2, 2.0]}}, "names a value twice"),
        ({"over": {"T": [2.0], "beta": [0.5]}}, "give T or beta, not both"),
        ({"over": {"L": [4]}}, "L is in over and given besides"),
        ({"over": {"kappa": [1]}}, "has no key kappa"),
        ({"over": {"seed": [0.5]}}, "seed must be a whole number, got 0.5"),
        ({"chain": "lr"}, r"chain must be one of the keys in over \(T\) other than seed, got 'lr'"),
        ({"over": {"seed": [1, 2]}, "chain": True}, "other than seed, got 'seed'"),
        ({"warm": {"steps": 3}}, "say along which key with chain"),
        ({"warm": {"step": 3}, "chain": "T"}, "has no key step"),
        ({"evaluate": 1}, "evaluate must be at least 2 samples, got 1"),
        ({"over": {"T": [2.3, -1.0]}}, "T must be positive, got -1.0"),
        ({"over": {"kernel": [3, 4]}}, "kernel must be odd, at least 3, got 4"),
        ({"over": {"T": 2.3}}, r"over\['T'\] must be a list of values, got 2.3"),
        ({"evaluate": 20.5}, "evaluate must be a whole number, got 20.5"),
        ({"seed": 2**64}, "seed must fit into 64 bits"),
        ({"out": ""}, "the directory of a sweep must have a name"),
        ({"workers": 0}, "workers must be at least 1, got 0"),
        ({"study": "ising-sweep"}, "ising-sweep is a sweep itself: give its keys"),
        ({"study": "ising-sweeps"}, "there is no study 'ising-sweeps'"),
    ],
)
def test_what_makes_no_sense_is_refused_before_any_work(given, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        sweep(**{"study": "ising-xor", "over": {"T": [2.3]}, "out": tmp_path / "out"} | SMALL | given)
    assert not list(tmp_path.glob("out/*"))


def test_a_chain_is_not_mixed_with_another_or_none(tmp_path):
    how = SMALL | {"steps": 1, "evaluate": 20}
    for first, second in (("T", False), (False, "T")):
        out = tmp_path / f"first {first}"
        sweep("ising-xor", {"T": [2.3, 2.6]}, chain=first, out=out, **how)
        with pytest.raises(StoreError, match=r"T=2.6 holds a run of another chain: choose another directory"):
            sweep("ising-xor", {"T": [2.3, 2.6]}, chain=second, out=out, **how)


def test_a_sweep_is_no_experiment():
    with pytest.raises(ValueError, match=r"ising-sweep is not one run but many: use flowlab\.sweep"):
        fl.experiment("ising-sweep")


def test_a_quoted_value_has_commas_of_its_own(tmp_path, capsys):
    words = ["phi4-flow", "L=4", "beta=0.5,0.6", 'blocks="rqs,rqs"', "steps=1", "batch=20", "device=cpu", "-n", "20"]
    assert main(["sweep", *words, "--out", str(tmp_path), "--quiet"]) == 0
    assert fl.load(tmp_path / "beta=0.6").keys["blocks"] == "rqs,rqs"


def test_command_line(tmp_path, capsys, monkeypatch):
    words = ["sweep", "ising-xor", "T=2.3,2.6", "batch=20,30", "L=4", "layers=1", "steps=2", "device=cpu", "-n", "100"]
    words += ["--out", str(tmp_path), "--quiet"]
    monkeypatch.setattr(fl.Training, "evaluate", failing(fl.Training.evaluate))
    assert main(words) == 1
    out, err = capsys.readouterr()
    assert out.count("finished") == 3 and f"2 of 4 runs finished: {tmp_path / 'sweep.nc'}" in out
    failed, low = err.splitlines()  # the other two are hardly trained
    assert failed.startswith("flowlab: warning: 2 of 4 runs failed; T=2.3,batch=30: FloatingPointError")
    assert low.startswith("flowlab: warning: 2 of 4 runs are not to be trusted (see the variable verdict); ")
    assert main(words) == 2
    assert "already holds a sweep: give --resume to go on with it" in capsys.readouterr().err
    assert main([*words, "--resume"]) == 1
    assert capsys.readouterr().out == out
    assert main(["sweep", "ising-sweep", "--chain", "T", "--out", str(tmp_path / "b")]) == 2
    assert "a sweep itself: give its keys, L, T_min" in capsys.readouterr().err


KILLED_AT = """
import os, sys
from flowlab.cli import main
from flowlab.training import Training
advance, count = Training.advance, iter(range(10_000))
def killed(run):
    if next(count) == int(sys.argv[1]):
        os.kill(os.getpid(), 9)
    return advance(run)
Training.advance = killed
main(sys.argv[2:])
"""


def test_killed_twice_and_resumed_it_is_the_sweep_that_was_not_killed(tmp_path, capsys):
    words = ["sweep", "ising-xor", "L=4", "layers=1", "width=1", "steps=8", "batch=20", "device=cpu", "seed=0..2"]
    words += ["-n", "100", "--quiet", "--resume", "--gather", "magnetization,delta_free_energy_per_site", "--out"]
    for after in ("11", "6"):
        done = subprocess.run([sys.executable, "-c", KILLED_AT, after, *words, str(tmp_path / "killed")], check=False)
        assert done.returncode == -9
    page = tmp_path / "sweep.html"
    assert main([*words, str(tmp_path / "killed"), "--plot", str(page)]) == main([*words, str(tmp_path / "whole")]) == 0
    assert "Each point is a run; against seed" in page.read_text()
    found, whole = (found_in(tmp_path / name) for name in ("killed", "whole"))
    assert found.seed.values.tolist() == [0, 1, 2] and found.delta_free_energy_per_site.dims == ("seed", "layer")
    assert_same(found, whole)


def test_a_range_goes_up(capsys):
    assert main(["sweep", "sk-pt", "seed_J=3..1", "--out", "nowhere"]) == 2
    assert "seed_J must go up from the first value to the last" in capsys.readouterr().err


def columns_agree(x):
    return (x * np.roll(x, 1, 2)).mean((1, 2))


def test_observables_of_ones_own_are_measured_by_every_run(tmp_path):
    how = dict(out=tmp_path, **SMALL | {"steps": 2})
    first = sweep("ising-xor", {"T": [2.5, 3.0]}, **how)
    found = sweep("ising-xor", {"T": [2.5, 3.0]}, observables={"columns": columns_agree}, **how)
    assert found["columns"].dims == ("T",) and np.isfinite(found["columns"]).all()
    xr.testing.assert_identical(found[["log_z", "steps"]], first[["log_z", "steps"]])
    direct = fl.load(tmp_path / "T=2.5").evaluate(100, observables={"columns": columns_agree})
    assert float(direct["columns"]) == float(found["columns"][0])
    with pytest.raises(ValueError, match="observables must be functions of a module"):
        sweep("ising-xor", {"T": [2.5]}, workers=2, observables={"m": lambda x: x.mean((1, 2))}, **SMALL)
