"""A run on disk: saved, refused, interrupted, killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import flowlab as fl
from flowlab.storage.store import Store, StoreError, StoreLocked
from tests.runs.small_runs import SMALL, by_hand, records, slow, study, until


def test_save_is_refused_while_the_run_is_going(tmp_path):
    run = by_hand(slow)
    with pytest.raises(ValueError, match="has no directory"):
        run.save()
    run.attach(tmp_path / "run")
    for _ in run.stream(1):
        for refused in (run.save, lambda: run.attach(tmp_path / "other"), lambda: run.restore(tmp_path / "run")):
            with pytest.raises(RuntimeError, match=r"stop\(\) it first"):
                refused()


def test_the_second_writer_gets_a_clear_error(tmp_path):
    first = study(out=tmp_path / "run")
    stream = first.stream()
    next(stream)
    second = fl.load(tmp_path / "run")
    with pytest.raises(StoreLocked, match="is being written by this process"):
        second.run(progress=False)
    second.start()
    with pytest.raises(StoreLocked, match="is being written by this process"):
        second.wait(10)
    assert second.state == "failed"
    stream.close()
    assert fl.load(tmp_path / "run").run(progress=False).step[-1] == 30


def test_an_object_that_the_disk_has_overtaken_may_not_turn_it_back(tmp_path):
    run = study(out=tmp_path / "run")
    run.run(2, progress=False)
    fl.load(tmp_path / "run").run(5, progress=False)
    for action in (run.save, lambda: run.run(progress=False)):
        with pytest.raises(StoreError, match="gone on to step 7, this one is at step 2: load it again"):
            action()
    assert len(fl.load(tmp_path / "run").data.step) == 7


def test_a_refused_directory_is_left_alone(tmp_path):
    study(out=tmp_path / "run").run(3, progress=False)
    other = by_hand(steps=2)
    with pytest.raises(StoreError, match="already holds a run"):
        other.attach(tmp_path / "run")
    other.run(progress=False)
    assert fl.load(tmp_path / "run").step == 3


def test_a_failure_to_save_leaves_a_run_that_can_go_on(tmp_path, monkeypatch):
    run = study(steps=5, out=tmp_path / "run")

    def full(*_: object) -> None:
        raise StoreError("could not write: no space left; free space and resume")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "save_checkpoint", full)
        with pytest.raises(StoreError, match="free space and resume"):
            run.run(3, progress=False)
    assert run.state == "failed"
    run.run(progress=False)
    assert run.state == "finished" and fl.load(tmp_path / "run").step == 5


def test_records_from_before_it_had_a_directory_are_kept(tmp_path):
    run = study(steps=6)
    run.run(4, progress=False)
    run.attach(tmp_path / "run")
    loaded = fl.load(tmp_path / "run")
    assert loaded.state == "stopped"
    loaded.run(progress=False)
    run = study(steps=6)
    run.run(progress=False)
    xr.testing.assert_identical(records(loaded), records(run))


def test_a_run_of_another_shape_or_horizon_is_not_restored(tmp_path):
    run = by_hand(steps=5)
    run.attach(tmp_path / "run")
    with pytest.raises(StoreError, match="horizon of 5 steps, this run of 7"):
        by_hand(steps=7).restore(tmp_path / "run")
    other = fl.Training(
        fl.Ising((2, 2), 2.4), fl.MADE((2, 2)), fl.ReverseKL(), steps=5, batch=9, learning_rate={"base": 1}
    )
    with pytest.raises(StoreError, match=r"another run \(system Probed, not Ising, shape \[4, 4\], not \[2, 2\]"):
        other.restore(tmp_path / "run")
    with pytest.raises(ValueError, match="built by hand"):
        fl.load(tmp_path / "run")


# interrupted and killed


LONG = ["ising-xor", "L=4", "T=2.4", "layers=1", "width=1", "batch=20", "steps=600", "device=cpu"]
CHILD = "import sys; from flowlab.cli import main; sys.exit(main(sys.argv[1:]))"


@pytest.fixture(scope="module")
def uninterrupted():
    run = fl.experiment("ising-xor", **SMALL | {"steps": 600}, seed=7)
    run.run(progress=False)
    return records(run)


def interrupted_by(number: int, path: Path, after: int) -> subprocess.Popen:
    command = [sys.executable, "-c", CHILD, "run", *LONG, "--seed", "7", "--out", str(path), "--quiet"]
    child = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, text=True)
    journal = path / "journal.jsonl"
    until(lambda: child.poll() is not None or (journal.exists() and journal.read_bytes().count(b"\n") >= after))
    child.send_signal(number)
    return child


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGUSR1", 138)])
def test_a_signal_ends_after_the_step_at_hand_saved_with_its_status(tmp_path, uninterrupted, name, status):
    with interrupted_by(getattr(signal, name), tmp_path / "run", 100) as child:
        said, _ = child.communicate(timeout=60)
    run = fl.load(tmp_path / "run")
    assert child.returncode == status and f"stopped at step {run.step} of 600" in said and "--resume" in said
    assert 100 <= run.step < 600
    assert len(Store.open(tmp_path / "run", write=False).read_journal()) == run.step
    run.run(progress=False)
    xr.testing.assert_identical(records(run), uninterrupted)


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_kill_loses_at_most_the_last_second(tmp_path, uninterrupted):
    with interrupted_by(signal.SIGKILL, tmp_path / "run", 350) as child:
        assert child.wait(60) == -signal.SIGKILL
    journal = Store.open(tmp_path / "run", write=False).read_journal()
    times = {record["step"]: record["wall_time"] for record in journal}
    run = fl.load(tmp_path / "run")
    assert 350 <= len(journal) < 600 and run.step <= len(journal)
    # a second and the time of a checkpoint; more where checkpoints, gaps between records, would take 4 % of the time
    longest = max(np.diff(list(times.values())))
    assert times[len(journal)] - times.get(run.step, 0.0) < max(1.2, 25 * longest)
    run.run(progress=False)
    xr.testing.assert_identical(records(run), uninterrupted)
    np.testing.assert_array_equal(xr.load_dataset(tmp_path / "run" / "data.nc").loss, uninterrupted.loss)
