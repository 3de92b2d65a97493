"""Whatever happens to a run, nothing that was saved is lost and it goes on; ``make faults`` tries each fault often."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.faults import FAULTS
from tests.faults.runs import Tried


@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if fault.few])
def test_it_survives(name: str, tmp_path: Path) -> None:
    found = FAULTS[name].made(FAULTS[name].few, tmp_path)
    if not found.tries:
        pytest.skip("this machine cannot make it")
    assert found.good, found


def test_a_fault_that_was_not_survived_is_told() -> None:
    assert Tried(3, 0, 3).good
    assert not Tried(3, 1, 2, ["try 1: lost"]).good and not Tried(3, 0, 2, ["try 1: another stream"]).good
    assert not Tried(3, 0, 3, ["it wrote into another directory"]).good
