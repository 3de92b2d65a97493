"""Keys of a study, as a person or a command line gives them."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

import flowlab as fl
from flowlab.runs.keys import documented
from flowlab.runs.registry import find, neighbour
from flowlab.runs.schema import Study

SMALL = {"L": 4, "steps": 2, "batch": 10, "device": "cpu"}


def function(
    *,
    count: int = 3,
    T: float = 2.0,
    name: str = "a",
    fast: bool = False,
    maybe: bool | None = None,
    kind: Literal["x", "y"] = "x",
    seed: int = 0,
    warm: bool = False,
) -> fl.Experiment:
    """What it is.

    And more.
    """
    raise NotImplementedError


STUDY = Study("toy", function, {"beta": ("T", lambda beta: 1.0 / beta)})


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ({"count": "5"}, {"count": 5}),
        ({"count": 5.0}, {"count": 5}),
        ({"count": "1e3"}, {"count": 1000}),
        ({"T": "2.4"}, {"T": 2.4}),
        ({"T": 3}, {"T": 3.0}),
        ({"beta": "0.4"}, {"T": 2.5}),
        ({"name": "b"}, {"name": "b"}),
        ({"fast": "true"}, {"fast": True}),
        ({"fast": "0"}, {"fast": False}),
        ({"maybe": "none"}, {"maybe": None}),
        ({"maybe": None}, {"maybe": None}),
        ({"maybe": "False"}, {"maybe": False}),
        ({"kind": "y"}, {"kind": "y"}),
    ],
)
def test_values_are_converted(given, stored):
    found = STUDY.given(given)
    assert found == stored
    assert [type(value) for value in found.values()] == [type(value) for value in stored.values()]
    assert STUDY.normalise(given) == STUDY.defaults | stored


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"count": "6.5"}, "count must be a whole number, got '6.5'"),
        ({"count": 6.5}, "count must be a whole number, got 6.5"),
        ({"count": "many"}, "count must be a whole number, got 'many'"),
        ({"count": float("inf")}, "count must be a whole number, got inf"),
        ({"count": True}, "count must be a whole number, got True"),
        ({"T": "warm"}, "T must be a number, got 'warm'"),
        ({"T": None}, "T must be a number, got None"),
        ({"fast": "maybe"}, "fast must be true or false, got 'maybe'"),
        ({"maybe": 3}, "maybe must be true or false or none, got 3"),
        ({"kind": "z"}, "kind must be one of x, y, got 'z'"),
        ({"T": 2.0, "beta": 0.5}, "give T or beta, not both"),
        ({"beta": 0}, "beta gives no finite T, got 0"),
        ({"beta": "x"}, "beta must be a number, got 'x'"),
        ({"warm": True}, "toy has no key warm; it has count, T, name, fast, maybe, kind, beta"),
        ({"TT": 1, "L": 2}, "toy has no key L, TT; it has count, T, name"),
    ],
)
def test_what_makes_no_sense_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        STUDY.given(given)


def test_a_study_speaks_for_itself():
    assert STUDY.summary == "What it is."
    assert "seed" not in STUDY.defaults and "warm" not in STUDY.defaults


def test_every_key_of_every_study_is_documented_and_its_default_is_of_its_type():
    for study in fl.runs.studies().values():
        assert set(documented(study.function)) <= set(study.defaults), study.name
        for key in study.keys:
            assert key.meaning, f"{key.name} of {study.name}"
            assert study.given({key.name: key.default})[key.name] == key.default


def test_unknown_names_are_answered_with_those_that_exist():
    with pytest.raises(ValueError, match=r"there is no study 'none'; there are .*ising-xor"):
        find("none")
    with pytest.raises(ValueError, match="has no key kappa; it has L, T, h"):
        fl.experiment("ising-xor", kappa=1)
    with pytest.raises(ValueError, match="has no key name"):
        fl.experiment("ising-xor", name="first")


def test_an_experiment_knows_how_it_was_asked_for(tmp_path):
    run = fl.experiment("ising-xor", **SMALL, beta=0.4, seed=3, out=tmp_path / "run")
    assert (run.study, run.seed, run.parent) == ("ising-xor", 3, None)
    assert run.keys == find("ising-xor").defaults | SMALL | {"T": 2.5}
    again = fl.load(tmp_path / "run")
    assert (again.study, again.keys, again.seed, again.steps) == (run.study, run.keys, 3, 2)
    other = neighbour(run, {"T": 2.0})
    assert other.keys == run.keys | {"T": 2.0}


def test_of_two_keys_that_say_the_same_the_given_one_unsets_the_other():
    def made(*, beta: float | None = 0.5, kappa: float | None = None, seed: int = 0, warm: bool = False) -> None: ...

    study = Study("made", made, {}, one_of=(("beta", "kappa"),))
    assert study.normalise({}) == {"beta": 0.5, "kappa": None}
    assert study.normalise({"kappa": 0.3}) == {"beta": None, "kappa": 0.3}
    assert study.normalise({"kappa": 0.3, "beta": None}) == {"beta": None, "kappa": 0.3}
    with pytest.raises(ValueError, match="give beta or kappa, not both"):
        study.given({"beta": 0.5, "kappa": 0.3})


def test_a_script_that_is_run_again_goes_on(tmp_path):
    keys = {"L": 4, "T": 2.4, "layers": 1, "batch": 20, "steps": 4, "device": "cpu"}
    for steps in (1, 3, 0):
        run = fl.experiment("ising-xor", **keys, out=tmp_path / "run", resume=True)
        if steps:
            run.run(steps, progress=False)
    assert (run.state, run.step) == ("finished", 4)
    with pytest.raises(ValueError, match=r"holds a run with T=2.4, not 2.5, layers=1, not 4: give the keys"):
        fl.experiment("ising-xor", L=4, T=2.5, batch=20, steps=4, device="cpu", out=tmp_path / "run", resume=True)
    more = fl.experiment("ising-xor", **keys | {"steps": 6}, out=tmp_path / "run", resume=True)
    assert (more.state, more.steps) == ("stopped", 6) and fl.load(tmp_path / "run").steps == 4
    assert more.run(progress=False).sizes["step"] == 6 == fl.load(tmp_path / "run").steps
    with pytest.raises(ValueError, match="resume goes on with the run in a directory: give out"):
        fl.experiment("ising-xor", resume=True)


@pytest.mark.parametrize(("key", "value"), [("L", 2**62), ("lr", np.array([])), ("construction", np.zeros(2))])
def test_what_no_key_can_be_names_it(key, value):
    with pytest.raises(ValueError, match=rf"^{key} must be "):
        fl.experiment("ising-xor", **{key: value})
