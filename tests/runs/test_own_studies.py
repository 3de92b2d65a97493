"""Studies that a person writes: what is refused when they are defined."""

from __future__ import annotations

from typing import Literal

import pytest

import flowlab as fl


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


@pytest.mark.parametrize(
    ("function", "message"),
    [
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
