"""Errors cover: each public estimator holds a known truth within 1 and 1.96 errors, or says that it cannot know."""

from __future__ import annotations

import inspect
import warnings

import pytest

import flowlab as fl
import tests.laws.coverage_of_spins
import tests.laws.coverage_of_weights  # noqa: F401
from tests.laws.coverage_registry import CASES, Case, covered

NOISE = 3.5  # standard deviations of a binomial with as many trials as repeats
MADE_OF_OTHERS = {
    "Agreement",
    "CorrelationLength",
    "ForwardCheck",
    "ModeCollapse",
    "ModeDropping",
    "Overlaps",
    "PowerLaw",
}
MADE_OF_OTHERS |= {"Response", "Thermodynamics", "TopologyDistance", "Triangles", "WallOverlap", "Work"}


@pytest.mark.parametrize("one", CASES, ids=lambda one: one.name)
def test_errors_cover(one: Case) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        at_one, at_two, known = covered(one)
    assert known >= one.known and (known == 1 or one.unknown)
    for found, nominal in ((at_one, 0.683), (at_two, 0.95)):
        # what has no error claims nothing: only claims can be wrong
        wrong, allowed = known * (1 - found), 1 - nominal
        noise = NOISE * (allowed * nominal / one.repeats) ** 0.5
        assert wrong < allowed + noise, f"{found:.2f} of {nominal} covered, {known:.2f} known"
        if nominal < 0.9 and not one.wide and known > 0.5:
            assert 1 - found > allowed - noise - 0.05, f"{found:.2f} of {nominal} covered: errors are too large"


def test_every_public_estimator_with_an_error_is_in_the_registry() -> None:
    named = {name for one in CASES for name in one.estimators}
    with_errors = set()
    for name in fl.estimators.__all__:
        function = getattr(fl.estimators, name)
        returned = str(inspect.signature(function).return_annotation) if inspect.isfunction(function) else ""
        if "Estimate" in returned or returned in MADE_OF_OTHERS:
            with_errors.add(name)
    assert len(with_errors) > 45
    assert with_errors - named == set()
    assert named - set(fl.estimators.__all__) == set()


def test_a_result_made_of_estimates_is_known_to_be_one() -> None:
    """Classes with estimates in them, so that what returns one cannot be overlooked above."""
    found = set()
    for name in fl.estimators.__all__:
        kind = getattr(fl.estimators, name)
        if inspect.isclass(kind) and any("Estimate" in str(a) for a in getattr(kind, "__annotations__", {}).values()):
            found.add(name)
    assert found <= MADE_OF_OTHERS | {"Estimate", "ChainEstimate"}
