"""A run in a thread, on disk, interrupted, killed, watched, warm-started."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

import flowlab as fl
from flowlab.training.store import Store, StoreError, StoreLocked

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


# in the background


def test_start_pause_resume_stop(tmp_path):
    run = by_hand(slow, steps=10_000)
    run.attach(tmp_path / "run")
    run.start()
    until(lambda: run.step >= 3)
    run.pause()
    until(lambda: run.state == "paused")
    step = run.step
    assert run.sample(2).attrs["step"] == step  # readable while it holds
    time.sleep(0.05)
    assert run.step == step == len(run.data.step)
    run.resume()
    until(lambda: run.step > step and run.state == "running")
    run.stop()
    run.wait(10)
    assert run.state == "stopped" and run.error is None
    assert Store.open(tmp_path / "run", write=False).load_checkpoint().step == run.step
    assert not (tmp_path / "run" / "lock").exists()


def test_stop_right_after_start_is_not_lost():
    run = by_hand(slow, steps=10_000)
    run.start()
    run.stop()
    run.wait(10)
    assert run.state == "stopped" and run.step < 1000


def test_pause_and_stop_of_a_run_that_is_not_going_do_nothing():
    run = by_hand(steps=3)
    run.pause()
    run.stop()
    run.run(progress=False)
    assert run.state == "finished" and run.step == 3


def test_a_second_start_is_refused_and_the_first_goes_on():
    run = by_hand(slow, steps=20)
    run.start()
    with pytest.raises(RuntimeError, match="already training"):
        run.start()
    with pytest.raises(RuntimeError, match="already training"):
        run.run(progress=False)
    run.wait(10)
    assert run.state == "finished" and run.step == 20


def test_an_error_in_the_thread_is_kept_and_raised_by_wait():
    def broken(step: int) -> float:
        if step == 4:
            raise ZeroDivisionError("a target with a defect")
        return 1.0

    run = by_hand(broken)
    run.start()
    with pytest.raises(ZeroDivisionError, match="a defect"):
        run.wait(10)
    assert run.state == "failed" and run.step == 3 and isinstance(run.error, ZeroDivisionError)
    with pytest.raises(RuntimeError, match="within step 4"):
        run.start()
    assert run.state == "failed"


def test_wait_gives_up_after_its_timeout():
    run = by_hand(slow, steps=10_000)
    run.start()
    with pytest.raises(TimeoutError, match="of 10000"):
        run.wait(0.02)
    run.stop()
    run.wait(10)


@pytest.mark.filterwarnings("ignore::flowlab.estimators.LowESSWarning")
def test_looking_from_another_thread_sees_whole_steps_and_changes_nothing():
    quiet = study(steps=100)
    samples = [quiet.sample(3)]
    quiet.evaluate(20)  # what it imports takes as long as the run
    for _ in quiet.stream():
        samples.append(quiet.sample(3))
    watched = study(steps=100)
    watched.start()
    seen = []
    while watched.state == "running":
        seen.append(watched.sample(3))
        watched.layers(2)
        watched.evaluate(20)
        assert len(watched.data.step) <= 100
    watched.wait(10)
    assert len({dataset.attrs["step"] for dataset in seen}) >= 2
    for dataset in seen:
        xr.testing.assert_identical(dataset, samples[dataset.attrs["step"]])
    xr.testing.assert_identical(records(watched), records(quiet))


def test_looking_at_a_stream_that_nobody_draws_from_does_not_hang():
    run = by_hand()
    stream = run.stream()
    next(stream)
    found: list[int] = []
    looker = threading.Thread(target=lambda: found.append(run.sample(2).attrs["step"]), daemon=True)
    looker.start()
    looker.join(10)
    stream.close()
    assert found == [1] and run.state == "stopped"


def test_listeners_keep_the_newest_records():
    run = by_hand(steps=12)
    listener = run.listen(maxsize=5)
    run.run(progress=False)
    assert [listener.get_nowait()["step"] for _ in range(5)] == [8, 9, 10, 11, 12] and listener.empty()


# streaming


def test_stream_journals_before_it_yields(tmp_path):
    run = study(steps=4, out=tmp_path / "run")
    for record in run.stream():
        last = json.loads((tmp_path / "run" / "journal.jsonl").read_text().splitlines()[-1])
        assert last == {name: None if math.isnan(value) else value for name, value in record.items()}


def test_a_time_limit_does_not_alter_the_schedule(tmp_path):
    straight = by_hand(steps=40)
    straight.run(progress=False)
    run = by_hand(slow, steps=40)
    run.run(seconds=0.05, progress=False)
    assert run.state == "stopped" and 1 <= run.step < 40
    run.run(progress=False)
    assert run.state == "finished"
    xr.testing.assert_identical(records(run), records(straight))


def test_breaking_out_of_a_stream_saves_and_lets_it_go_on(tmp_path):
    run = study(steps=6, out=tmp_path / "run")
    for record in run.stream():
        if record["step"] == 2:
            break
    assert run.state == "stopped"
    assert fl.load(tmp_path / "run").step == 2
    assert run.run(progress=False).step[-1] == 6


def test_threads_hold_while_it_trains_only():
    before = torch.get_num_threads()
    run = study(steps=2, threads=before + 1)
    assert [torch.get_num_threads() for _ in run.stream()] == [before + 1] * 2
    assert torch.get_num_threads() == before
    with pytest.raises(ValueError, match="threads must be 0 or more, got -1"):
        study(threads=-1)


# divergence and early stopping


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_number_that_diverges_stops_the_run_and_names_the_last_good_checkpoint(tmp_path, bad):
    run = by_hand(lambda step: bad if step == 8 else 1.0)
    run.attach(tmp_path / "run")
    run.run(5, progress=False)
    weights = run.density.bias.clone()
    with pytest.raises(FloatingPointError, match=r"at step 8; the last good checkpoint is .*step-00000005"):
        run.run(progress=False)
    assert run.state == "failed" and run.density.bias.isfinite().all()
    again = by_hand()
    again.restore(tmp_path / "run")
    assert again.step == 5 and torch.equal(again.density.bias, weights)
    again.run(progress=False)
    assert again.state == "finished"


def test_an_absurd_learning_rate_is_found_out():
    run = study(lr=1e30, lr_flow=1e30, clip=1e30, steps=200)
    with pytest.raises(FloatingPointError, match=r"became .* at step \d+; nothing was saved; try a smaller"):
        run.run(progress=False)
    assert np.isfinite(run.data.loss).all()


def test_a_plateau_ends_the_run_before_its_horizon_and_equally_when_resumed(tmp_path):
    options = {"learning_rate": {"base": 1e-6}, "steps": 400, "patience": 10}
    straight, run = by_hand(**options), by_hand(**options)
    straight.run(progress=False)
    assert straight.state == "finished" and 20 <= straight.step < 400
    run.attach(tmp_path / "run")
    run.run(15, progress=False)
    resumed = by_hand(**options)
    resumed.restore(tmp_path / "run")
    resumed.run(progress=False)
    assert resumed.state == "finished"
    xr.testing.assert_identical(records(resumed), records(straight))
    ended = by_hand(**options)
    ended.restore(tmp_path / "run")
    assert ended.state == "finished" and ended.step == straight.step


def test_a_plateau_while_annealing_does_not_count():
    run = by_hand(
        learning_rate={"base": 1e-6},
        steps=100,
        patience=10,
        annealing=lambda progress: {"T": 2.4 if progress >= 0.5 else 100.0},
    )
    run.run(progress=False)
    assert run.state == "finished" and 70 <= run.step < 100


def test_patience_of_one_step_is_refused():
    with pytest.raises(ValueError, match="patience must be 0"):
        by_hand(patience=1)


def test_bound_and_ess_refer_to_the_final_target_while_annealing():
    run = by_hand(steps=1, annealing=lambda progress: {"T": 30.0})
    (record,) = run.stream()
    log_q = -16 * math.log(2)
    assert record["inverse_temperature"] == pytest.approx(1 / 30)
    assert record["loss"] == pytest.approx(log_q + record["energy_mean"] / 30, rel=1e-5)
    assert record["log_z_bound"] == pytest.approx(-log_q - record["energy_mean"] / 2.4, rel=1e-5)
    assert record["ess"] < 0.9


# on disk


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
    with pytest.raises(StoreError, match="not of a run like this one"):
        other.restore(tmp_path / "run")
    with pytest.raises(ValueError, match="built by hand"):
        fl.load(tmp_path / "run")


# elsewhere in the phase diagram


def test_at_is_a_warm_start_at_other_couplings(tmp_path):
    run = study(steps=10, anneal=0.5, seed=3)
    run.run(progress=False)
    other = run.at(T=2.5, steps=6)
    assert other.state == "ready" and other.step == 0 and other.steps == 6 and other.path is None
    assert float(other.target.couplings["T"]) == other.data.attrs["T"] == 2.5
    assert other.parent == {"study": "ising-xor", "keys": run.keys, "seed": 3, "step": 10, "copied": 1.0}
    assert other.annealing is None and run.annealing is not None
    for name, value in run.density.state_dict().items():
        assert torch.equal(value, other.density.state_dict()[name]), name
    assert run.at(beta=0.4, steps=6).seed == run.at(T="2.5", steps=6).seed == other.seed
    assert len({run.seed, other.seed, run.at(T=2.6, steps=6).seed, study(seed=4).at(T=2.5, steps=6).seed}) == 4
    other.attach(tmp_path / "at")
    loaded = fl.load(tmp_path / "at")  # before its first step: the weights are the copied ones
    assert torch.equal(loaded.density.base.density.output.weight, run.density.base.density.output.weight)
    for _ in other.stream():
        pass
    assert (other.data.inverse_temperature == 1 / 2.5).all()


def test_a_warm_started_run_resumes_bit_for_bit(tmp_path):
    run = study(steps=5)
    run.run(progress=False)
    straight, other = run.at(T=2.5, steps=8), run.at(T=2.5, steps=8)
    straight.run(progress=False)
    other.attach(tmp_path / "at")
    other.run(3, progress=False)
    resumed = fl.load(tmp_path / "at")
    assert resumed.parent == other.parent and resumed.seed == other.seed
    resumed.run(progress=False)
    xr.testing.assert_identical(records(resumed), records(straight))


def test_a_start_from_some_weights_says_how_many_and_one_from_next_to_none_anneals(tmp_path):
    few = study(base="independent", construction="xor", layers=2, anneal=0.5).at(layers=6)
    assert few.annealing is None and 0.3 < few.parent["copied"] < 0.4 and " % of the weights" in few._repr_html_()
    with pytest.warns(RuntimeWarning, match=r"only 1.9 % of the weights with L=8 are taken over"):
        larger = study(anneal=0.5).at(L=8)
    assert larger.annealing is not None
    larger.attach(tmp_path / "larger")
    again = fl.load(tmp_path / "larger")
    assert again.annealing is not None and again.parent == larger.parent
    with pytest.raises(ValueError, match="no weights of this run fit one with L=8, layers=0"):
        study(layers=0).at(L=8, layers=0)


def test_weights_or_records_that_are_missing_are_not_made_up(tmp_path):
    run = study(steps=4, out=tmp_path / "run")
    run.run(progress=False)
    journal = tmp_path / "run" / "journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(lines[:3]))
    with pytest.raises(StoreError, match=r"records .* are missing: journal.jsonl has 3 of the 4 steps"):
        fl.load(tmp_path / "run")
    journal.unlink()
    with pytest.raises(StoreError, match=r"has 0 of the 4 steps"):
        fl.load(tmp_path / "run")
    journal.write_text("".join(lines))
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    with pytest.raises(StoreError, match=r"the weights of .* are missing: it has 4 records and no checkpoint"):
        fl.load(tmp_path / "run")
    run.at(T=2.5).attach(tmp_path / "warm")
    shutil.rmtree(tmp_path / "warm" / "checkpoints")
    with pytest.raises(StoreError, match="it has a parent and no checkpoint"):
        fl.load(tmp_path / "warm")
    described = tmp_path / "warm" / "experiment.json"
    described.write_text(json.dumps(json.loads(described.read_text()) | {"parent": 5}))
    with pytest.raises(StoreError, match="must be null or describe a run, got 5"):
        fl.load(tmp_path / "warm")


@pytest.mark.parametrize(("seed", "message"), [(1.5, "a whole number, got 1.5"), (2**63, "must fit into 64 bits")])
def test_a_seed_that_is_no_seed_is_refused_before_there_is_a_run(seed, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        study(seed=seed, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert study(seed=np.int64(3)).seed == study(seed=3.0).seed == 3
    with pytest.raises(ValueError, match="must have a name"):
        study(out="")


def test_at_refuses_what_it_cannot_do():
    with pytest.raises(ValueError, match="built by hand"):
        by_hand().at(T=2.5)
    with pytest.raises(ValueError, match="has no key kappa; it has L, T"):
        study().at(kappa=1.0)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_a_device_that_is_not_here_is_refused():
    with pytest.raises(ValueError, match=r"device must be auto or one of .*cpu, got 'cuda'"):
        study(device="cuda")
    with pytest.raises(ValueError, match="got 'cuda'"):
        study().at(device="cuda")


# at the prompt


def test_a_run_says_what_it_is(tmp_path):
    run = study(steps=3, seed=5, out=tmp_path / "<run>")
    assert repr(run).startswith("<ising-xor L=4 T=2.4 layers=1 width=1 batch=20")
    assert "seed=5: ready at step 0 of 3 in " in repr(run)
    run.run(progress=False)
    n, bound = 16, float(run.data.log_z_bound[-1])
    assert f"finished at step 3 of 3, ln Z / N >= {bound / n:.5f} (exact {fl.exact.log_z(run.system) / n:.5f})" in repr(
        run
    )
    assert "&lt;run&gt;" in run._repr_html_() and "<run>" not in run._repr_html_()
    assert "from step 3 of ising-xor, seed 5" in run.at(T=2.5)._repr_html_()
    assert "Training on Probed(shape=(4, 4), T=2.4" in repr(by_hand())


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
def test_ctrl_c_ends_after_the_step_at_hand_saved(tmp_path, uninterrupted):
    with interrupted_by(signal.SIGINT, tmp_path / "run", 100) as child:
        said, _ = child.communicate(timeout=60)
    run = fl.load(tmp_path / "run")
    assert child.returncode == 0 and f"stopped at step {run.step} of 600" in said and "--resume" in said
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
    assert times[len(journal)] - times.get(run.step, 0.0) < 1.2  # a second, and the time of a checkpoint
    run.run(progress=False)
    xr.testing.assert_identical(records(run), uninterrupted)
    np.testing.assert_array_equal(xr.load_dataset(tmp_path / "run" / "data.nc").loss, uninterrupted.loss)
