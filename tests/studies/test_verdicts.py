"""Tables of verdicts: no yes and no no without seeds, and every row as it was measured."""

import pytest

from flowlab.estimators.criteria import exceeds
from flowlab.studies.papers.verdicts import HEAD, UNSAID, Verdicts


def test_each_of_several_findings_must_hold() -> None:
    table = Verdicts("smoke")
    high, low, open_ = exceeds([2.0, 2.1, 2.2], 1), exceeds([0.2, 0.1, 0.3], 1), exceeds([0.0, 1.0, 2.5], 1)
    assert table.measured("both", [high, high], "x") == "yes"
    assert table.measured("one is not", [high, open_, low], "x") == "no"
    assert table.measured("one is open", [high, open_], "x") == UNSAID
    assert table.measured("none at all", [], "x") == UNSAID


def test_runs_of_another_size_say_nothing() -> None:
    assert Verdicts("smoke").measured("at L = 64", exceeds([2.0, 2.1, 2.2], 1), "x", about=False) == UNSAID


def test_rows_are_cells_of_a_table() -> None:
    table = Verdicts("L = 6")
    table.measured("|m| is large", exceeds([0.5], 0.1), "|m|", also="one start")
    table.exactly("an identity", True, "by enumeration")
    table.unsaid("the rest", "not run")
    table.measured("of no run", exceeds([], 0.1), "ESS")
    assert table.markdown.startswith(HEAD)
    assert table.markdown.splitlines()[2:] == [
        "| \\|m\\| is large | \\|m\\| 0.500, 1 seed; one start | L = 6 | cannot be said at this size |",
        "| an identity | by enumeration | exact | yes |",
        "| the rest | not run | L = 6 | cannot be said at this size |",
        "| of no run | ESS nothing, 0 seeds | L = 6 | cannot be said at this size |",
    ]
    with pytest.raises(ValueError, match="statement must be a new one"):
        table.unsaid("the rest", "again")
