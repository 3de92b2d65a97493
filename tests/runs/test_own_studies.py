"""Studies that a person writes: what is refused when they are defined, and how other processes find them."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

import flowlab as fl
from flowlab.cli import main
from flowlab.runs import registry


def run_of(seed: int, **keys: object) -> fl.Training:
    """A small run."""
    return fl.Training(
        fl.Ising((4, 4), T=4.0), fl.MADE((4, 4)), fl.ReverseKL(), steps=2, batch=10, learning_rate=1e-3, seed=seed
    )


def without_warm(*, L: int = 4, seed: int = 0): ...
def without_both(*, L: int = 4): ...
def without_hint(*, L=4, seed: int = 0, warm: bool = False): ...
def without_default(*, L: int, seed: int = 0, warm: bool = False): ...
def a_list(*, sides: list[int] = [4], seed: int = 0, warm: bool = False): ...  # noqa: B006
def a_tuple(*, shape: tuple[int, int] = (4, 4), seed: int = 0, warm: bool = False): ...
def a_dictionary(*, rates: dict[str, float] | None = None, seed: int = 0, warm: bool = False): ...
def any_keys(*, seed: int = 0, warm: bool = False, **keys: int): ...
def a_wrong_default(*, L: int = 4.5, seed: int = 0, warm: bool = False): ...  # type: ignore[assignment]
def with_out(*, out: str = "", seed: int = 0, warm: bool = False): ...
def a_hint_from_nowhere(*, L: Nowhere = 4, seed: int = 0, warm: bool = False): ...  # type: ignore[name-defined]  # noqa: F821


without_words = types.FunctionType(without_default.__code__, globals(), "without_words")
without_words.__kwdefaults__ = {"seed": 0, "warm": False}
without_words.__annotations__ = {"L": int, "seed": int, "warm": bool}  # as in a module without postponed hints


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (without_words, r"key L needs a default, e.g. L: int = \.\.\."),
        (without_warm, r"must take warm: bool = False: add it to its arguments"),
        (without_both, r"must take seed: int = 0 and warm: bool = False"),
        (without_hint, r"key L needs a hint, e.g. L: float = 1.0"),
        (without_default, r"key L needs a default, e.g. L: int = \.\.\."),
        (a_list, r"the hint of key sides must be int, float, .* got list\[int\]"),
        (a_tuple, r"the hint of key shape must be int"),
        (a_dictionary, r"the hint of key rates must be int"),
        (any_keys, r"\*\*keys: 'int' has no name that a person could give"),
        (a_wrong_default, r"the default of a key must fit its hint: L must be a whole number, got 4.5"),
        (with_out, r"out cannot be a key"),
        (a_hint_from_nowhere, r"a hint is not known where the function is defined: .*Nowhere"),
    ],
)
def test_a_function_that_cannot_be_a_study_is_told_what_to_write(function, message):
    with pytest.raises(TypeError, match=f"study 'own'.*{message}"):
        fl.study("own")(function)
    assert "own" not in fl.runs.studies()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"aliases": {"beta": ("T", lambda beta: 1 / beta)}}, "alias beta names T"),
        ({"presets": {"large": {"M": 8}}}, "preset large names M"),
        ({"one_of": (("L", "M"),)}, "one_of names M"),
        ({"defaults": {"M": 8}}, "defaults names M"),
    ],
)
def test_options_name_keys_of_the_function(options, message):
    def own(*, L: int = 4, seed: int = 0, warm: bool = False): ...

    with pytest.raises(TypeError, match=message):
        fl.study("own", **options)(own)


def test_a_name_that_is_taken_is_refused_and_the_same_function_again_is_not():
    def again(seed_of_its_own: int):
        def own(*, kind: Literal["a", "b"] = "a", T: float | None = None, seed: int = 0, warm: bool = False):
            return run_of(seed_of_its_own)

        return own

    fl.study("own")(again(1))
    fl.study("own")(again(2))
    assert fl.experiment("own").seed == 2
    with pytest.raises(ValueError, match=r"there is a study 'own' already, .*again.*: give this one another name"):

        @fl.study("own")
        def other(*, L: int = 4, seed: int = 0, warm: bool = False): ...

    with pytest.raises(ValueError, match=r"there is a study 'ising-xor' already, ising_xor of flowlab\.studies\.ising"):

        @fl.study("ising-xor")
        def mine(*, L: int = 4, seed: int = 0, warm: bool = False): ...


def test_what_returns_no_run_is_told_so():
    @fl.study("own")
    def own(*, L: int = 4, seed: int = 0, warm: bool = False): ...

    with pytest.raises(TypeError, match=r"study 'own' must return its run, e.g. a fl.Training, got None"):
        fl.experiment("own")


MODULE = '''
import flowlab as fl

@fl.study("own-hot")
def own_hot(*, L: int = 4, T: float = 4.0, seed: int = 0, warm: bool = False):
    """Hot spins."""
    density = fl.MADE((L, L), generator=fl.core.named_generator(seed, "weights"))
    return fl.Training(fl.Ising((L, L), T), density, fl.ReverseKL(), steps=3, batch=10, learning_rate=1e-3, seed=seed)
'''


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A folder, in which one works, with own_module.py."""
    (tmp_path / "own_module.py").write_text(MODULE)
    monkeypatch.delitem(sys.modules, "own_module", raising=False)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(tmp_path)


def forget() -> None:
    del registry._studies["own-hot"], sys.modules["own_module"]


def test_a_run_of_an_own_study_names_its_module_and_is_loaded_where_that_is_imported(module, monkeypatch):
    monkeypatch.syspath_prepend(".")
    importlib.import_module("own_module")
    fl.experiment("own-hot", out="run").run(progress=False)
    assert json.loads(Path("run/experiment.json").read_text())["module"] == "own_module"
    again = fl.load("run", imports=["own_module"])
    assert again.step == 3 and again.at(T=3.0).keys["T"] == 3.0
    forget()
    wanted = r"study 'own-hot' is defined in own_module: .*imports=\['own_module'\].*--import own_module"
    with pytest.raises(ValueError, match=wanted):
        fl.load("run")
    assert "own_module" not in sys.modules  # a directory never imports code
    with pytest.raises(ValueError, match="there is no module own_modul to import"):
        fl.load("run", imports=["own_modul"])
    assert fl.load("run", imports=["own_module"]).step == 3


def test_the_command_line_imports_what_it_is_told(module, capsys):
    told = ("--import", "own_module")
    assert main(["run", "own-hot", *told, "--out", "run", "--quiet"]) == 0
    forget()
    assert main(["evaluate", "run", "-n", "100"]) == 2
    assert "--import own_module" in capsys.readouterr().err
    assert main(["evaluate", "run", "-n", "100", "--json", *told]) == 0
    assert json.loads(capsys.readouterr().out)["study"] == "own-hot"
    forget()
    assert main(["sweep", "own-hot", "T=3.0,4.0", "-n", "100", *told, "--out", "swept", "--quiet"]) == 0
    assert "2 of 2 runs finished" in capsys.readouterr().out


@pytest.mark.slow
def test_the_studies_of_a_script_are_known_to_its_workers(tmp_path):
    sweep = "fl.sweep('own-hot', {'T': [4.0]}, workers=2, evaluate=100, progress=False).state.values.tolist()"
    (tmp_path / "own_script.py").write_text(f"{MODULE}\nif __name__ == '__main__':\n    print({sweep})\n")
    paths = os.pathsep.join([str(Path(fl.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": paths}
    command = [sys.executable, "own_script.py"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert "['finished']" in ended.stdout, ended.stderr


def test_a_study_of_a_notebook_cell_sweeps_in_this_process_only(monkeypatch):
    monkeypatch.setitem(sys.modules, "__main__", types.ModuleType("__main__"))  # which has no file

    def own_cell(*, L: int = 4, seed: int = 0, warm: bool = False):
        return run_of(seed)

    own_cell.__module__ = "__main__"
    fl.study("own-cell")(own_cell)
    found = fl.sweep("own-cell", {"seed": [0, 1]}, evaluate=100, progress=False)
    assert found.state.values.tolist() == ["finished", "finished"]
    refused = "own-cell is defined in a notebook or at a prompt, and 2 worker processes cannot import it from there"
    with pytest.raises(ValueError, match=refused):
        fl.sweep("own-cell", {"seed": [0, 1]}, workers=2, evaluate=100, progress=False)


def test_a_run_of_a_notebook_cell_is_told_to_run_that_cell_first(tmp_path):
    @fl.study("own-cell")
    def own_cell(*, L: int = 4, seed: int = 0, warm: bool = False):
        return run_of(seed)

    run = fl.experiment("own-cell")
    run.module = "__main__"
    run.attach(tmp_path / "run")
    del registry._studies["own-cell"]
    with pytest.raises(ValueError, match="'own-cell' was defined in a notebook or at a prompt: run that cell first"):
        fl.load(tmp_path / "run")


def test_installed_entry_points_are_looked_up_once(monkeypatch):
    class Entry:
        def __init__(self, value: str) -> None:
            self.value = value

        def load(self) -> None:
            if self.value == "broken":
                raise ImportError("no such thing")

            @fl.study("own-installed")
            def own_installed(*, L: int = 4, seed: int = 0, warm: bool = False): ...

    monkeypatch.setattr(registry, "_asked", False)
    monkeypatch.setattr(registry, "entry_points", lambda group: [Entry("broken"), Entry("fine")])
    with pytest.warns(RuntimeWarning, match="the studies of broken, an installed entry point, are left out: no such"):
        assert "own-installed" in fl.runs.studies()
    assert "own-installed" in fl.runs.studies()  # and no warning again


@dataclass(frozen=True)
class Trained:
    steps: int
    batch: int = 20


def twice(*, steps: int = 3, training: Trained = Trained(9), seed: int = 0, warm: bool = False): ...
def without(*, training: Trained, seed: int = 0, warm: bool = False): ...


def test_a_dataclass_stands_for_its_fields_as_keys():
    @fl.study("shared-keys", aliases={"sweeps": ("steps", float)}, presets={"long": {"steps": 9}})
    def shared(*, L: int = 4, training: Trained = Trained(5), seed: int = 0, warm: bool = False) -> fl.Training:
        """Independent spins.

        Keys:
            batch [draws]: in a step.
        """
        how = {"steps": training.steps, "batch": training.batch, "learning_rate": 0.1}
        return fl.Training(fl.Ising((L, L), T=3.0), fl.IndependentSpins((L, L)), fl.ReverseKL(), seed=seed, **how)

    keys = {key.name: key for key in fl.runs.studies()["shared-keys"].keys}
    assert {name: key.default for name, key in keys.items()} == {"L": 4, "steps": 5, "batch": 20}
    assert keys["batch"].unit == "draws"
    run = fl.experiment("shared-keys", batch="10", preset="long")
    assert (run.steps, run.batch, run.keys) == (9, 10, {"L": 4, "steps": 9, "batch": 10})
    assert run.at(sweeps=3).steps == 3 and shared(steps=2).steps == 2
    with pytest.raises(ValueError, match="shared-keys has no key training; it has L, steps, batch, sweeps"):
        fl.experiment("shared-keys", training=3)


@pytest.mark.parametrize(
    ("function", "message"), [(twice, "takes steps twice"), (without, "key steps needs a default, e.g. steps: int =")]
)
def test_fields_of_a_dataclass_need_names_of_their_own_and_defaults(function, message):
    with pytest.raises(TypeError, match=message):
        fl.study("another")(function)
