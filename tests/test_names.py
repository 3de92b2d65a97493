"""What ``flowlab`` itself holds: what a person types, and rooms for the rest."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

import flowlab as fl

ROOT = Path(__file__).parents[1]
SOURCE = ast.parse(Path(fl.__file__).read_text(encoding="utf-8"))


def test_types_are_declared_of_the_names_that_are_shown() -> None:
    block = next(node for node in SOURCE.body if isinstance(node, ast.If))
    declared = {alias.name: node.module for node in block.body for alias in node.names}
    assert declared == {name: f"flowlab.{room}" for name, room in fl._SHOWN.items()}


def test_dir_is_short_and_everything_in_it_is_there() -> None:
    names = dir(fl)
    assert len(names) < 60 and not {"Any", "annotations", "importlib"} & set(names)
    for name in names:
        assert getattr(fl, name) is not None
        assert name in fl.__doc__, f"{name} is not in the table of contents"


@pytest.mark.parametrize("name", sorted(fl._MOVED))
def test_what_moved_to_its_room_still_works_and_warns(name: str) -> None:
    with pytest.warns(DeprecationWarning, match=rf"flowlab.{name} is flowlab\.[a-z]+\.\w+ now"):
        found = getattr(fl, name)
    assert found is getattr(importlib.import_module(f"flowlab.{fl._MOVED[name]}"), name)


@pytest.mark.parametrize(("old", "room"), [("Simulation", fl), ("Simulation", fl.runs)])
def test_what_has_another_name_still_works_and_warns(old: str, room: object) -> None:
    with pytest.warns(DeprecationWarning, match=r"Simulation is flowlab.runs.TemperingRun now"):
        assert getattr(room, old) is fl.runs.TemperingRun


def test_what_a_reader_of_the_tutorials_types_does_not_warn() -> None:
    texts = [
        ROOT / "README.md",
        *ROOT.glob("tutorials/*.ipynb"),
        *ROOT.glob("notebooks/*.ipynb"),
        *ROOT.glob("docs/*.md"),
    ]
    used = {name for text in texts for name in re.findall(r"\bfl\.(\w+)", text.read_text(encoding="utf-8"))}
    assert used <= {*dir(fl), *fl._KEPT}


def test_what_there_is_not_is_refused() -> None:
    with pytest.raises(AttributeError, match="flowlab has no 'Isng'"):
        fl.Isng  # noqa: B018
