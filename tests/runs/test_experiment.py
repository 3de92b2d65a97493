"""A run in a thread, streamed, watched, at the prompt."""

from __future__ import annotations

import json
import math
import signal
import threading
import time
from collections.abc import Callable

import pytest
import torch
import xarray as xr

import flowlab as fl
from flowlab.storage.store import Store
from tests.runs.small_runs import by_hand, records, slow, study, until

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
    run.start()
    run.wait(10)
    assert run.state == "finished" and len(run.data.step) == 100


def test_wait_gives_up_after_its_timeout():
    run = by_hand(slow, steps=10_000)
    run.start()
    with pytest.raises(TimeoutError, match="of 10000"):
        run.wait(0.02)
    run.stop()
    run.wait(10)


def test_looking_from_another_thread_sees_whole_steps_and_changes_nothing():
    quiet = study(steps=100)
    samples = [quiet.sample(3, seed=1)]
    quiet.evaluate(20)  # what it imports takes as long as the run
    for _ in quiet.stream():
        samples.append(quiet.sample(3, seed=1))
    watched = study(steps=100)
    watched.start()
    seen = []
    while watched.state == "running":
        seen.append(watched.sample(3, seed=1))
        watched.layers(2)
        watched.evaluate(20)
        assert len(watched.data.step) <= 100
    watched.wait(10)
    assert seen[0].attrs["step"] < 100  # how many more there are while it runs, the machine decides
    seen.append(watched.sample(3, seed=1))
    assert seen[-1].attrs["step"] == 100
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


def test_a_finished_run_says_so_and_what_makes_no_sense_is_refused():
    run = study(steps=2)
    for keys in ({"steps": -1}, {"steps": 2.5}, {"seconds": math.nan}, {"seconds": -1.0}):
        with pytest.raises(ValueError, match=next(iter(keys))):
            run.run(**keys, progress=False)
    run.run(progress=False)
    for again in (lambda: run.run(100, progress=False), lambda: run.run(progress=False), run.start, run.resume):
        with pytest.warns(RuntimeWarning, match="this run is finished at step 2 of 2 and does nothing more"):
            again()
        run.wait()
    with pytest.raises(ValueError, match="threads must be from 0"):
        study(threads=3000)


def test_threads_hold_while_it_trains_only():
    before = torch.get_num_threads()
    run = study(steps=2, threads=before + 1)
    advance, within = run.advance, []
    run.advance = lambda: (within.append(torch.get_num_threads()), advance())[1]
    assert [torch.get_num_threads() for _ in run.stream()] == [before] * 2
    assert within == [before + 1] * 2
    with pytest.raises(ValueError, match=r"threads must be from 0 .* to 1024, got -1"):
        study(threads=-1)


def signalled(number: int) -> Callable[[int], float]:
    def hook(step: int) -> float:
        if step == 2:
            signal.raise_signal(number)
        return 1.0

    return hook


def test_an_interrupt_ends_a_loop_over_runs_when_the_one_at_hand_is_saved(tmp_path):
    began = []
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        for name in ("a", "b"):
            began.append(run := by_hand(signalled(signal.SIGINT), steps=6))
            run.attach(tmp_path / name)
            run.run(progress=False)
    assert [run.step for run in began] == [2] and (began[0].state, began[0].error) == ("stopped", None)
    kept = Store.open(tmp_path / "a", write=False)
    assert kept.load_checkpoint().step == 2 and len(kept.read_journal()) == 2


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="signals")
def test_other_signals_raise_their_status_and_handlers_of_a_user_stay():
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    before = [signal.getsignal(number) for number in numbers]
    for number, status in ((signal.SIGTERM, 143), (signal.SIGUSR1, 138)):
        run = by_hand(signalled(number), steps=6)
        with pytest.raises(SystemExit) as ended:
            run.run(progress=False)
        assert (ended.value.code, run.step, run.state) == (status, 2, "stopped")
    assert [signal.getsignal(number) for number in numbers] == before
    heard = []
    signal.signal(signal.SIGUSR1, lambda *_: heard.append("mine"))
    ignored = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        for number in (signal.SIGUSR1, signal.SIGINT):
            run = by_hand(signalled(number), steps=3)
            run.run(progress=False)
            assert run.state == "finished"
    finally:
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)
        signal.signal(signal.SIGINT, ignored)
    assert heard == ["mine"]


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
