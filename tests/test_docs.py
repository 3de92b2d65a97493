"""The pages that people read first: what they show was run, and is short."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest

import flowlab as fl

ROOT = Path(__file__).parents[1]


def script(name: str) -> Any:
    """A module of benchmarks/."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def test_the_page_of_papers_is_that_of_the_studies() -> None:
    papers = script("papers")
    assert (ROOT / "docs" / "papers.md").read_text(encoding="utf-8") == papers.page()
    stated = {name for name, study in fl.runs.studies().items() if study.stated}
    assert stated == {name for _, names in papers.SOURCES.values() for name in names}
    for notebook in (ROOT / "notebooks").glob("*.ipynb"):
        assert f"### notebooks/{notebook.name}" in papers.page(), f"{notebook.name} ends in no table of verdicts"


def test_the_page_of_benchmarks_is_that_of_the_results(tmp_path: Path) -> None:
    page = script("page")
    assert (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8") == page.page()
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert page.readme(readme) == readme
    machine = {"cpu": "one", "cores": 2, "python": "3.11", "torch": "2", "commit": "abc", "date": "today", "load": 0.5}
    rows = {"quick": False, "runs": [{"L": 8, "ess": 0.98765}, {"L": 16, "ess": None}]}
    found = {"title": "A title", "machine": machine, "rows": rows, "columns": [["ess", 6, ".3f"]]}
    (tmp_path / "new.json").write_text(json.dumps(found), encoding="utf-8")
    made = page.page(tmp_path)
    assert "## A title" in made and "one, 2 cores, Python 3.11, torch 2, load 0.5, commit abc, today" in made
    assert "| quick |\n|---|\n| False |" in made and "| L | ess |\n|---|---|\n| 8 | 0.988 |\n| 16 |  |" in made


def test_the_readme_is_short_and_its_links_lead_somewhere() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text.count("\n") < 120
    for link in re.findall(r"\]\((?!http)([^)#]+)", text):
        assert (ROOT / link).exists(), link


def test_links_of_the_site_lead_somewhere() -> None:
    pages = [
        *(ROOT / "docs").rglob("*.md"),
        ROOT / "tutorials" / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "CHANGELOG.md",
    ]
    for page in pages:
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
            assert (page.parent / link).exists(), f"{page.relative_to(ROOT)}: {link}"
        for study in re.findall(r"#study-([\w-]+)", text):
            assert study in fl.runs.studies(), f"{page.relative_to(ROOT)}: {study}"


def test_every_study_is_in_the_table_of_its_system() -> None:
    assert set(re.findall(r"#study-([\w-]+)", (ROOT / "docs" / "studies.md").read_text(encoding="utf-8"))) == set(
        fl.runs.studies()
    )


def test_every_page_is_in_the_contents() -> None:
    listed = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs").rglob("index.md"))
    contents = re.findall(r"^```\{toctree\}(.*?)^```", listed, flags=re.DOTALL | re.MULTILINE)
    names = {line.rpartition("/")[2] for block in contents for line in block.split()}
    for block in contents:
        pages = [line for line in block.splitlines() if line and not line.startswith(":")]
        assert len(pages) == len(set(pages)), f"a page stands twice in the contents: {pages}"
    for page in (ROOT / "docs").rglob("*.md"):
        assert page.stem in names or page.stem == "index", page


def test_every_public_name_is_in_the_reference() -> None:
    """A page a room, which lists what the room names; every name with a line that says what it is."""
    for room in fl._ROOMS:
        page = (ROOT / "docs" / "api" / f"{room}.md").read_text(encoding="utf-8")
        module = importlib.import_module(f"flowlab.{room}")
        listed = re.findall(r"automodule:: ([\w.]+)", page)
        if room == "studies":
            assert "{studies}" in page
        elif not hasattr(module, "__all__"):
            assert f"{{modules}} {room}\n" in page
        else:
            assert listed == [f"flowlab.{room}"], room
            bare = [name for name in module.__all__ if not inspect.getdoc(getattr(module, name))]
            assert not bare, f"{room}: {bare} have no docstring"
    assert set(fl.__all__) == set(fl._SHOWN)


def test_code_of_methods_is_right_but_for_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fl.Experiment, "run", lambda run: run)
    pages = sorted((ROOT / "docs" / "methods").glob("*.md"))
    for page in pages:
        blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
        assert blocks or page.name == "index.md", page.name
        for block in blocks:
            exec(compile(block, str(page), "exec"), {})


def test_what_is_taken_elsewhere_on_the_first_pages_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs" / "first-ten-minutes.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "first-ten-minutes.md", "exec"), {"fl": fl, "run": fl.experiment("phi4-free", L=4)})
    assert {path.name for path in tmp_path.iterdir()} >= {"first.npy", "first.json.gz", "first.zip", "runs"}
    assert fl.load("first.zip").study == "phi4-free"


def test_formats_of_couplings_on_the_page_of_studies_are_those_that_are_read(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "studies.md").read_text(encoding="utf-8").split("### Couplings of your own")[1]
    for end in re.findall(r"`(\.\w+)`", text):
        with pytest.raises(FileNotFoundError):  # and not: must be a file .txt, ...
            fl.systems.couplings.read_couplings(tmp_path / f"J{end}")
    command = re.search(r"flowlab (run .*?) --out", text)
    assert command is not None
    (tmp_path / "glass.txt").write_text("i,j,J\n0 1 1 # a comment\n1 2 -1\n0 0.5\n", encoding="utf-8")
    keys = dict(word.split("=") for word in command[1].split()[2:])
    keys["couplings"] = f"file:{tmp_path / 'glass.txt'}"
    assert fl.experiment(command[1].split()[1], **keys).system.n_sites == 3
