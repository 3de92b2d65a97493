"""What a mutant is: one change of what a module does, and none of what it only says."""

from __future__ import annotations

import ast
import importlib
import sys
from pathlib import Path

import pytest

from tests.mutants import ROOT, Instead, Mutant, changed, drawn, places

SAID = """
def step(n: int = 2) -> float:
    if n < 1:
        raise ValueError(f"n must be at least {0 + 1}, got {n}")
    warnings.warn("few", stacklevel=2)
    return -n * 0.5 if n and flag else True

class A:
    def __repr__(self):
        return "a" * 3
"""


def test_every_change_is_of_what_is_done_and_another_one() -> None:
    tree = ast.parse(SAID)
    changes = [change for _, change in places(tree)]
    assert changes == [
        "Lt -> LtE", "1 -> 2", "And -> Or", "Mult -> Div", "USub -> UAdd", "0.5 -> 1.5", "True -> False",
    ]  # fmt: skip
    texts = {ast.unparse(changed(tree, place)) for place in range(len(changes))}
    assert len(texts | {ast.unparse(tree)}) == len(changes) + 1
    assert "n <= 1" in ast.unparse(changed(tree, 0)) and "n <= 1" not in ast.unparse(tree)


def test_it_is_imported_in_place_of_its_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "halved.py").write_text("def half(x):\n    return x / 2\n")
    monkeypatch.setattr("tests.mutants.ROOT", tmp_path)
    monkeypatch.setattr(sys, "meta_path", [Instead(Mutant("halved.py", 0, 2, "Div -> Mult")), *sys.meta_path])
    monkeypatch.setitem(sys.modules, "halved", None)
    del sys.modules["halved"]
    assert importlib.import_module("halved").half(6) == 12


def test_they_are_drawn_by_a_seed_from_modules_with_tests_of_their_name() -> None:
    mutants = drawn(20, seed=3)
    assert mutants == drawn(20, seed=3) != drawn(20, seed=4)
    assert len(set(mutants)) == 20
    assert all((ROOT / test).exists() for one in mutants for test in [*one.own_tests, *one.others])
