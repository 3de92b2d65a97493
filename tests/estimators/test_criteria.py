import math

import numpy as np
import pytest

from flowlab.estimators.criteria import between, exceeds, greater, within


def test_answers_hold_as_often_as_they_say() -> None:
    draws = np.random.default_rng(0).normal(size=(300, 2, 4)) * [[[1.0], [3.0]]]
    wrong = np.mean([greater(a, b).answer != "cannot be said at this size" for a, b in draws])
    assert wrong < 0.09, "of two equal means, 5 % are told apart"
    assert np.mean([exceeds(a, 0.0).answer == "yes" for a, _ in draws]) == pytest.approx(0.025, abs=0.02)


def test_numbers_are_those_of_the_means() -> None:
    assert exceeds([1.0, 2.0, 3.0], 5.0).value == 2.0
    found = greater([1.0, 2.0, 3.0], [0.0, 0.0, 3.0, math.nan])
    assert found.value == pytest.approx(1.0) and found.seeds == 3
    assert found.error == pytest.approx(math.hypot(1 / math.sqrt(3), math.sqrt(3) / math.sqrt(3)))


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 1.1], [1.0, math.nan, 1.1]])
def test_fewer_than_three_seeds_say_nothing(values: list[float]) -> None:
    assert exceeds(values, 0.0).answer == within(values, 9.0).answer == "cannot be said at this size"
    assert greater(values, [0.0, 0.1, 0.2]).answer == "cannot be said at this size"


def test_a_difference_may_be_denied() -> None:
    assert greater([0.1, 0.11, 0.12], [0.5, 0.51, 0.52]).answer == "no"
    assert within([0.5, 0.51, 0.52], 0.1).answer == "no" and within([0.05, 0.06, 0.055], 0.1).answer == "yes"


def test_a_fitted_number_lies_between_two_others_beyond_its_interval() -> None:
    assert between(8.5, 0.3, 5, 7, 10).answer == "yes" and between(8.5, 0.6, 5, 7, 10).answer != "yes"
    assert between(12.0, 0.3, 5, 7, 10).answer == between(4.0, 0.3, 5, 7, 10).answer == "no"
    assert between(8.5, math.nan, 2, 7, 10).answer == "cannot be said at this size"
    found = between(8.5, 0.3, 5, 7, 10)
    assert (found.value, found.error, found.seeds) == (8.5, 0.3, 5)
