"""The course: exercises say what is right and what to think about, and every notebook is on the map."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tutorials.exercises import EXERCISES, check

FOLDER = Path(__file__).parents[1] / "tutorials"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def sources(path: Path, kind: str) -> list[str]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == kind]


def test_a_right_answer_and_wrong_ones(capsys: pytest.CaptureFixture[str]) -> None:
    for name, exercise in EXERCISES.items():
        if name == "1c":
            continue
        assert exercise.says(exercise.answer).startswith("Right. "), name
        assert exercise.says(...).startswith("Not answered yet"), name
        wrong = [wrong for wrong, _ in exercise.hints]
        said = [exercise.says(each) for each in (*wrong, -12345)]
        assert all(each.startswith("Think again. ") for each in said) and len(set(said)) == len(said), name
    assert EXERCISES["5b"].says(" Disorder ").startswith("Right")
    assert EXERCISES["2a"].says("six") == "A number is asked for, got 'six'."
    with pytest.raises(ValueError, match=r"name must be one of 1a, .* got '9z'"):
        check("9z", 1)


def test_the_one_that_is_worked_out_where_it_is_asked_for() -> None:
    import flowlab as fl

    log_z = fl.exact.kaufman((8, 8), beta=1 / 3.2).log_z
    says = EXERCISES["1c"].says
    assert says(-3.2 * log_z / 64).startswith("Right. It is below")
    assert says(-3.2 * log_z) == "Think again. That is F of all 64 spins; F/N is asked for."
    assert says(None).startswith("Not answered")


def test_every_exercise_is_in_its_notebook_with_its_solution_folded() -> None:
    asked = {}
    for path in NOTEBOOKS:
        found = re.findall(r'check\("(\w+)", \.\.\.\)', "\n".join(sources(path, "code")))
        asked |= dict.fromkeys(found, path.name)
        assert len(found) in ((0,) if path.name.startswith("00") else (2, 3)), path.name
        assert all(name[:-1] == path.name[1] for name in found)
        assert sum(text.startswith("<details>") for text in sources(path, "markdown")) == len(found)
    assert list(asked) == list(EXERCISES)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_tutorial_ends_with_a_lab_and_is_on_the_map(path: Path) -> None:
    assert re.search(r"\.lab\(.*\)$", sources(path, "code")[-1])
    assert f"]({path.name})" in (FOLDER / "README.md").read_text(encoding="utf-8")


def test_the_course_begins_with_the_lab() -> None:
    for path in NOTEBOOKS[:2]:
        assert ".lab()" in sources(path, "code")[0]
    assert "$" not in "".join(sources(NOTEBOOKS[0], "markdown"))
