"""What a person reads about a study, and what a form is made of."""

from __future__ import annotations

import re
from typing import Annotated, Literal

import pytest

import flowlab as fl
from flowlab.cli import main
from flowlab.manual import described
from flowlab.runs.keys import Count, Meaning, Positive
from flowlab.runs.schema import Study


def toy(
    *,
    L: Count = 8,
    lr: Annotated[Positive, Meaning("learning rate", "1 / step")] | None = None,
    kind: Literal["a", "b"] = "a",
    seed: int = 0,
    warm: bool = False,
) -> None:
    """A toy.

    It has a :func:`long` story.

    Keys:
        L [sites]: side, of
            a square.
        kind: see :class:`flowlab.systems.Ising` and ``L``.

    Returns:
        nothing: at all.
    """


STUDY = Study("toy", toy, {"size": ("L", lambda size: size)}, {"large": {"L": 64}})


def test_a_key_is_known_by_signature_and_docstring():
    side, rate, kind = STUDY.keys
    assert (side.name, side.type, side.default, side.least, side.most) == ("L", int, 8, 1, None)
    assert (side.meaning, side.unit, side.range) == ("side, of a square.", "sites", "at least 1")
    assert (rate.type, rate.optional, rate.meaning, rate.unit) == (float, True, "learning rate", "1 / step")
    assert (kind.type, kind.choices, kind.unit) == (str, ("a", "b"), "")


def test_help_says_all_of_it():
    text = described(STUDY)
    assert text.startswith("toy: A toy.\n\nIt has a long story.\n\nkeys:\n")
    assert "  L = 8                       [sites] side, of a square (whole; at least 1)\n" in text
    assert "  lr = none                   [1 / step] learning rate (positive; none)\n" in text
    assert "see Ising and L (a, b)" in text
    assert "  size, in place of L" in text and "preset=large" in text and "L=64" in text


def test_help_is_there_from_python_and_from_the_command_line(capsys):
    fl.help("phi4-flow")
    said = capsys.readouterr().out
    assert main(["help", "phi4-flow"]) == 0
    assert capsys.readouterr().out == said and "beta and kappa" in said
    fl.help()
    assert re.search(r"  phi4-flow +The flow", capsys.readouterr().out)
    with pytest.raises(ValueError, match="did you mean 'phi4-flow'"):
        fl.help("phi4flow")
    assert main(["help", "phi4flow"]) == 2
    fl.help(fl.Ising)
    assert "class Ising" in capsys.readouterr().out
