"""A package that must not be passed on, or is not the one that was tested, is found; so is what it needs."""

from __future__ import annotations

import re
from email.message import Message
from types import SimpleNamespace
from typing import Any

import pytest
from packaging.specifiers import SpecifierSet

from tests.audit import ROOT, faults, installed, licence, needed, pinned
from tests.hashes import lines


def package(name: str, version: str = "1.0", requires: tuple[str, ...] = (), **said: str) -> Any:
    metadata = Message()
    metadata["Name"] = name
    for key, value in said.items():
        metadata[key.replace("_", "-")] = value
    return SimpleNamespace(metadata=metadata, version=version, requires=list(requires))


@pytest.mark.parametrize(
    ("said", "allowed"),
    [
        ({"License_Expression": "MIT AND LGPL-2.1-or-later"}, True),
        ({"Classifier": "License :: OSI Approved :: BSD License"}, True),
        ({"License": "Apache 2.0\n\nall the text"}, True),
        ({"License_Expression": "GPL-3.0-only"}, False),
        ({"Classifier": "License :: OSI Approved :: GNU Affero General Public License v3"}, False),
        ({"License": "MIT, all rights reserved"}, False),
        ({}, False),
    ],
)
def test_a_licence_that_does_not_allow_it_is_a_fault(said: dict[str, str], allowed: bool) -> None:
    one = package("one", **said)
    found = list(faults(["one"], {"one": one}, {"one": "1.0"}))
    assert found == ([] if allowed else [f"one has the licence {licence(one)!r}"])


def test_what_was_not_tested_is_a_fault() -> None:
    pins = pinned("# the set\none==1.0\nTwo_Words==2.0  # why\n")
    assert pins == {"one": "1.0", "two-words": "2.0"}
    among = {name: package(name, "1.0+cpu", License="MIT") for name in ("one", "two-words", "three")}
    assert list(faults([*among, "four"], among, pins)) == [
        "two-words 1.0 is installed, 2.0 was tested",
        "three 1.0 is installed, and constraints.txt lacks it",
        "four is needed and not installed",
    ]


def test_what_is_needed_follows_extras_and_leaves_out_other_machines() -> None:
    among = {
        "lab": package("lab", requires=("draws[pdf]>=1", "old; python_version < '3'", "tests; extra == 'dev'")),
        "draws": package("draws", requires=("paper; extra == 'pdf'", "lab")),
    }
    assert needed("lab", [], among) == ["draws", "paper"]
    assert needed("lab", ["dev"], among) == ["draws", "paper", "tests"]


def test_what_was_tested_installs_on_the_oldest_python_that_flowlab_names() -> None:
    """A machine may have 3.11.2: a file for 3.11.5 and later is none that pip finds there."""
    oldest = re.search(r'^requires-python = ">=(\d+\.\d+)"$', (ROOT / "pyproject.toml").read_text("utf-8"), re.M)
    assert oldest is not None
    pins, among = pinned((ROOT / "constraints.txt").read_text("utf-8")), installed()
    asked = {name: among[name].metadata.get("Requires-Python", "") for name in pins if name in among}
    assert len(asked) > 50
    assert [name for name, said in asked.items() if f"{oldest[1]}.0" not in SpecifierSet(said)] == []


def test_hashes_are_of_the_versions_that_were_tested() -> None:
    """After a change of constraints.txt: make hashes."""
    found = re.findall(r"^(\S+==\S+) --hash=sha256:[0-9a-f]{64}$", (ROOT / "hashes.txt").read_text("utf-8"), re.M)
    assert pinned("\n".join(found)) == pinned((ROOT / "constraints.txt").read_text("utf-8"))


def test_what_pip_would_install_has_its_hash_and_no_build_of_this_machine() -> None:
    file = {
        "download_info": {"archive_info": {"hashes": {"sha256": "ab"}}},
        "metadata": {"name": "torch", "version": "2.0+cpu"},
    }
    itself = {"download_info": {"dir_info": {}}, "metadata": {"name": "flowlab", "version": "1"}}
    assert list(lines([file, itself])) == ["torch==2.0 --hash=sha256:ab"]
