"""The command line: list, run, resume, evaluate, and its refusals in one line."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest

import flowlab as fl
from flowlab.cli import main
from flowlab.storage.store import Store

SMALL = ["L=4", "T=2.4", "layers=1", "width=1", "batch=20", "device=cpu"]
SCALARS = {
    "log_z", "log_z_bound", "log_z_exact", "free_energy", "free_energy_bound", "free_energy_per_site",
    "free_energy_bound_per_site", "ess", "emdm", "acceptance", "tau_int", "energy_per_site", "abs_magnetization",
    "susceptibility", "susceptibility_connected", "binder",
}  # fmt: skip


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that a refused command prints."""
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("flowlab: ") and err.count("\n") == 1, (out, err)
    return err


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cli") / "run"
    keys = ["L=4", "T=2.4", "layers=2", "batch=200", "device=cpu"]
    assert main(["run", "ising-xor", *keys, "--steps", "400", "--seed", "3", "--out", str(path), "--quiet"]) == 0
    return path


def test_list_shows_every_study_with_its_keys(capsys):
    assert main(["list", "--keys"]) == 0
    said = capsys.readouterr().out
    for study in fl.runs.studies().values():
        assert study.name in said and study.summary in said
        assert all(f"{key}=" in said for key in study.defaults)
    assert "beta for T" in said and "z2=none" in said


def test_list_has_a_sentence_for_every_study_in_few_lines(capsys):
    assert main(["list"]) == 0
    said = capsys.readouterr().out
    words = " ".join(said.split())
    for study in fl.runs.studies().values():
        assert f"\n  {study.name} " in f"\n{said}" and study.summary in words
    assert max(map(len, said.splitlines())) <= 110 and len(said.splitlines()) < 4 * len(fl.runs.studies())


def test_run_and_evaluate_agree_with_the_exact_value(trained, capsys):
    assert main(["evaluate", str(trained), "-n", "5000", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    exact = fl.exact.log_z(fl.Ising((4, 4), 2.4))
    assert found["log_z_exact"] == pytest.approx(exact, rel=1e-12)
    assert abs(found["log_z"] - exact) < 4 * found["log_z_error"] and found["log_z_error"] < 0.01
    assert found["log_z_bound"] - exact < 4 * found["log_z_bound_error"]
    assert found["ess"] > 0.9
    assert (found["n"], found["step"], found["study"], found["seed"]) == (5000, 400, "ising-xor", 3)
    kept = Store.open(trained, write=False).read_dataset("evaluation.nc")
    assert float(kept.log_z) == found["log_z"] and kept.attrs["step"] == 400


def test_evaluate_takes_a_seed(trained, capsys):
    found = []
    for more in ([], [], ["--seed", "5"]):
        main(["evaluate", str(trained), "-n", "500", "--json", *more])
        found.append(json.loads(capsys.readouterr().out))
    assert found[0] == found[1] and found[0]["log_z"] != found[2]["log_z"] and found[2]["seed"] == 5


def test_json_is_flat_and_has_the_documented_names_with_errors(trained, capsys):
    main(["evaluate", str(trained), "-n", "500", "--json"])
    found = json.loads(capsys.readouterr().out, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert set(found) >= SCALARS
    assert set(found) >= {f"{name}_error" for name in SCALARS - {"log_z_exact"}}
    assert all(value is None or isinstance(value, int | float | str) for value in found.values())


def test_evaluate_in_words(trained, capsys):
    assert main(["evaluate", str(trained), "-n", "500"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("ising-xor, step 400 of 400, 500 samples\n")
    assert all(f"  {name} " in said for name in SCALARS) and " ± " in said and "_error" not in said


def test_evaluate_of_a_run_built_by_hand(tmp_path, capsys):
    keys = {"steps": 1, "batch": 20, "learning_rate": 1e-3}
    run = fl.Training(fl.Ising((2, 2), T=3.0), fl.MADE((2, 2)), fl.ReverseKL(), **keys)
    run.attach(tmp_path / "run")
    assert main(["evaluate", str(tmp_path / "run"), "-n", "100"]) == 0
    assert capsys.readouterr().out.startswith("by hand, step 0 of 1, 100 samples\n")


def test_evaluate_in_words_where_no_ln_z_is_exact(tmp_path, capsys):
    out = tmp_path / "run"
    fl.experiment("phi4-flow", L=12, beta=0.616, lam=0.5, steps=1, batch=20, device="cpu", out=out)
    assert main(["evaluate", str(out), "-n", "100"]) == 0
    assert re.search(r"\n  log_z_exact +none\n", capsys.readouterr().out)


def test_evaluate_counts_what_was_measured_and_not_what_was_asked_for(tmp_path, capsys):
    out = str(tmp_path / "run")
    run = fl.experiment("ising-chain", L=4, chains=4, every=2, steps=20, samples=40, out=out)
    run.run(progress=False)
    measured = run.measured.sizes["sweep"] * 4
    assert main(["evaluate", out, "-n", "10", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n"] == measured != 10
    assert main(["evaluate", out, "-n", "10"]) == 0
    assert f"step 20 of 20, {measured} samples\n" in capsys.readouterr().out


def test_evaluate_hides_the_errors_of_numbers_and_no_number(tmp_path, capsys):
    fl.experiment("phi4-ir-matching", coarse=4, L=8, steps=1, batch=16, device="cpu", out=tmp_path / "run")
    assert main(["evaluate", str(tmp_path / "run"), "-n", "20"]) == 0
    said = capsys.readouterr().out
    assert "  round_trip_error " in said and "ess_error" not in said


def test_evaluate_says_the_verdict_and_why_and_strict_makes_it_an_exit_status(tmp_path, capsys):
    run = fl.experiment("ising-xor", L=8, T=1.0, layers=0, base="independent", device="cpu", out=tmp_path / "run")
    assert run.step == 0
    command = ["evaluate", str(tmp_path / "run"), "-n", "2000"]
    assert main([*command, "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["verdict"].startswith("not to be trusted: ln Z is ")
    assert "flowlab: warning: the 2000 weights are worth " in err
    assert main([*command, "--strict"]) == 3
    assert "  not to be trusted: ln Z is " in capsys.readouterr().out


def test_an_evaluation_of_a_run_that_is_being_written_is_printed_all_the_same(tmp_path, capsys):
    fl.experiment("ising-xor", L=4, T=2.4, layers=1, steps=2, batch=20, device="cpu", out=tmp_path / "run")
    with Store.open(tmp_path / "run"):
        assert main(["evaluate", str(tmp_path / "run"), "-n", "500", "--json"]) == 0
    out, err = capsys.readouterr()
    assert "log_z" in json.loads(out) and "the evaluation is not kept: run" in err
    assert not (tmp_path / "run" / "evaluation.nc").exists()


def test_resume_goes_on_to_the_same_records(tmp_path, capsys):
    out = str(tmp_path / "run")
    assert (
        main(["run", "ising-xor", *SMALL, "steps=60", "--seed", "1", "--seconds", "1e-3", "--out", out, "--quiet"]) == 0
    )
    said = capsys.readouterr().out
    stopped = fl.load(out)
    assert f"stopped at step {stopped.step} of 60" in said and f"flowlab run ising-xor --resume --out {out}" in said
    assert 0 < stopped.step < 60
    assert main(["run", "ising-xor", "--resume", "--out", out, "--quiet"]) == 0
    assert f"finished at step 60 of 60: {out}" in capsys.readouterr().out
    straight = fl.experiment("ising-xor", seed=1, L=4, T=2.4, layers=1, width=1, batch=20, device="cpu", steps=60)
    np.testing.assert_array_equal(fl.load(out).data.loss, straight.run(progress=False).loss)


def test_the_same_command_starts_goes_on_reports_and_refuses_other_keys(tmp_path, capsys):
    out = str(tmp_path / "run")
    line = ["run", "ising-xor", *SMALL, "--seed", "1", "--steps", "30", "--out", out, "--quiet", "--resume"]
    assert main([*line, "--seconds", "1e-3", "--strict"]) == 3
    assert f"go on with: flowlab run ising-xor --resume --out {out}" in capsys.readouterr().out
    for _ in range(2):
        assert main([*line, "--strict"]) == 0
        assert capsys.readouterr() == (f"finished at step 30 of 30: {out}\n", "")
    straight = fl.experiment("ising-xor", seed=1, L=4, T=2.4, layers=1, width=1, batch=20, device="cpu", steps=30)
    np.testing.assert_array_equal(fl.load(out).data.loss, straight.run(progress=False).loss)
    other = ["L=4", "T=2.5", "layers=1", "width=1", "batch=20", "device=cpu"]
    said = refused(capsys, "run", "ising-xor", *other, "--seed", "2", "--resume", "--out", out)
    assert "holds a run with T=2.4, not 2.5, seed=1, not 2: give the keys that it was started with" in said
    assert "width=1, not 4" in refused(capsys, "run", "ising-xor", *SMALL[:3], "--seed", "1", "--resume", "--out", out)
    assert "is a run of ising-xor, got ising-van" in refused(capsys, "run", "ising-van", "--resume", "--out", out)
    said = refused(capsys, "run", "ising-xor", "--steps", "20", "--resume", "--out", out)
    assert "steps=30, not 20 (only a finished run gets more)" in said


def test_a_finished_run_that_is_given_more_steps_is_extended_once(tmp_path, capsys):
    out = str(tmp_path / "run")
    line = ["run", "ising-xor", *SMALL, "--out", out, "--quiet", "--resume"]
    assert main([*line, "--steps", "5"]) == 0
    for _ in range(2):
        assert main([*line, "--steps", "8", "--restart"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [f"finished at step 8 of 8: {out}"] * 2
    rate = fl.load(out).data.learning_rate.values
    assert rate[5] == rate[0] > rate[4]
    assert main([*line, "--steps", "5"]) == 0  # as it was started
    assert "8 of 8" in capsys.readouterr().out


def test_seconds_choose_a_horizon_that_is_kept(tmp_path, capsys):
    out = tmp_path / "run"
    assert main(["run", "ising-xor", *SMALL, "--seconds", "0.4", "--out", str(out), "--quiet"]) == 0
    kept = json.loads((out / "experiment.json").read_text())
    steps = kept["keys"]["steps"]
    assert kept["steps"] == steps == fl.load(out).steps and 5 < steps < 2000
    assert f" of {steps}: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ising"], "there is no study 'ising' (did you mean 'ising-xor'?); there are glass-autoregressive"),
        (["ising-xor", "kappa=1"], "ising-xor has no key kappa; it has L, T, h, layers"),
        (["ising-xor", "L=6.5"], "L must be a whole number, got '6.5'"),
        (["ising-xor", "L=7"], "L must be even for a checkerboard, got 7"),
        (["ising-xor", "T=-1"], "T must be positive, got -1"),
        (["ising-xor", "T=2", "beta=0.5"], "give T or beta, not both"),
        (["ising-xor", "beta=0"], "beta gives no finite T"),
        (["ising-xor", "z2=perhaps"], "z2 must be true or false or none, got 'perhaps'"),
        (["ising-xor", "L"], "keys are given as key=value, got 'L'"),
        (["ising-xor", "L=4", "L=6"], "L is given twice"),
        (["ising-xor", "seed=3"], "seed is given as --seed 3"),
        (["ising-xor", "steps=3", "--steps", "4"], "give steps=N or --steps N, not both"),
        (["ising-xor", "--steps", "0"], "steps must be at least 1, got 0"),
        (["ising-xor", "--seconds", "-1"], "--seconds must be positive, got -1"),
        (["ising-xor", "--resume"], "there is no run in"),
        (["ising-xor", "L=4", "--restart"], "--restart is of a run that is extended"),
    ],
)
def test_a_run_that_makes_no_sense_is_refused_and_leaves_nothing(tmp_path, capsys, arguments, message):
    assert message in refused(capsys, "run", *arguments, "--out", str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_second_run_in_the_same_directory_is_refused(trained, capsys):
    said = refused(capsys, "run", "ising-xor", *SMALL, "--out", str(trained))
    assert "already holds a run of ising-xor" in said and "--resume" in said


def test_evaluate_refuses_too_few_samples_and_what_is_no_run(trained, tmp_path, capsys):
    assert "at least 2 samples, got 1" in refused(capsys, "evaluate", str(trained), "-n", "1")
    assert "there is no run in" in refused(capsys, "evaluate", str(tmp_path))


def test_a_divergence_ends_with_its_step_and_status_2(tmp_path, capsys):
    run = [
        "run",
        "ising-xor",
        *SMALL,
        "lr=1e30",
        "lr_flow=1e30",
        "clip=1e30",
        "--out",
        str(tmp_path / "run"),
        "--quiet",
    ]
    said = refused(capsys, *run)
    assert " at step " in said and "the last good checkpoint is" in said
    assert fl.load(tmp_path / "run").step == 0


def test_a_store_of_a_newer_version_and_a_damaged_one_are_refused(tmp_path, capsys):
    fl.experiment("ising-xor", L=4, layers=1, device="cpu", out=tmp_path / "run")
    described = tmp_path / "run" / "experiment.json"
    meta = json.loads(described.read_text())
    described.write_text(json.dumps(meta | {"format": 99}))
    assert "was written by format 99" in refused(capsys, "evaluate", str(tmp_path / "run"))
    described.write_text(json.dumps(meta | {"keys": meta["keys"] | {"L": 6}}))
    assert "is not of a run like this one" in refused(capsys, "evaluate", str(tmp_path / "run"))
    described.write_text(json.dumps({key: value for key, value in meta.items() if key != "keys"}))
    assert "must have keys and a whole seed" in refused(capsys, "evaluate", str(tmp_path / "run"))
    described.write_text("{")
    assert "cannot be read" in refused(capsys, "evaluate", str(tmp_path / "run"))


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path(self.path),)  # type: ignore[attr-defined]


def test_a_pickle_is_refused_and_never_run(tmp_path, capsys):
    fl.experiment("ising-xor", L=4, layers=1, device="cpu", out=tmp_path / "run")
    bomb = Bomb()
    bomb.path = str(tmp_path / "exploded")  # type: ignore[attr-defined]
    state = pickle.dumps(bomb)
    (folder,) = (tmp_path / "run" / "checkpoints").glob("step-*")
    (folder / "state.pt").write_bytes(state)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["state.pt"] = {"sha256": hashlib.sha256(state).hexdigest(), "bytes": len(state)}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert "pickled objects are never loaded" in refused(capsys, "evaluate", str(tmp_path / "run"))
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("module", ["flowlab", "flowlab.cli"])
def test_the_module_is_the_command(module):
    command = [sys.executable, "-m", module, "run", "ising-xor"]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert found.returncode == 2 and "flowlab run" in found.stderr and "--out" in found.stderr


def test_the_installed_command_is_this_one():
    code = "from flowlab.cli import main; raise SystemExit(main())"
    found = subprocess.run([sys.executable, "-c", code, "run", "ising-xor"], capture_output=True, text=True, timeout=60)
    assert found.returncode == 2 and "--out" in found.stderr and "Traceback" not in found.stderr


def answers(address: str, seconds: float = 30) -> bool:
    """Whether a page is there; a server prints its address a moment before it listens."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(urllib.error.URLError), urllib.request.urlopen(address, timeout=10) as answer:
            return bool(answer.status == 200)
        time.sleep(0.2)
    return False


def test_app_serves_the_gallery_on_loopback_and_only_with_its_token(tmp_path):
    command = [sys.executable, "-c", "from flowlab.cli import main; main()", "app", str(tmp_path), "--no-browser"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        address = re.compile(r"http://127\.0\.0\.1:\d+/\?token=\w{20,}")
        printed = next(found[0] for line in server.stderr if (found := address.search(line)))
        with urllib.request.urlopen(printed.split("?")[0], timeout=30) as refused:
            assert "/login" in refused.url
        with urllib.request.urlopen(printed, timeout=60) as page:
            assert "application/vnd.jupyter.widget-view+json" in page.read().decode()
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(20)
        server.stderr.close()


def test_lab_answers_on_loopback_and_only_with_its_token(tmp_path):
    """JupyterLab as ``flowlab lab`` starts it: the address it prints works, the same one without a token does not."""
    own = {name: str(tmp_path / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")}
    command = [sys.executable, "-c", "from flowlab.cli import main; main()", "lab", str(tmp_path), "--no-browser"]
    server = subprocess.Popen(command, env=os.environ | own, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        address = re.compile(r"http://127\.0\.0\.1:\d+/lab\?token=\w{20,}")
        printed = next(found[0] for line in server.stderr if (found := address.search(line)))
        status = printed.replace("/lab?", "/api/status?")
        assert answers(status)
        with pytest.raises(urllib.error.HTTPError, match="403") as refusal:
            urllib.request.urlopen(status.split("?")[0], timeout=10)
        refusal.value.close()
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(20)
        server.stderr.close()
