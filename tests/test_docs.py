"""The pages that people read first: what they show was run, and is short."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

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
