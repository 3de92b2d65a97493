"""The two-point function along any direction, against all displacements at once."""

import numpy as np
import pytest

from flowlab.estimators import two_point, two_point_along


@pytest.mark.parametrize("direction", [(0, 1), (1, 1), (1, -2), (2, 1)])
def test_it_is_the_two_point_function_at_multiples_of_a_direction(direction):
    x = np.random.default_rng(0).normal(size=(5, 6, 4))
    found, whole = two_point_along(direction)(x).mean(0), two_point(x).value
    assert len(found) > 2
    for k, value in enumerate(found):
        assert value == pytest.approx(whole[k * direction[0] % 6, k * direction[1] % 4])


def test_directions_that_lead_nowhere_are_refused():
    for direction in ((0, 0), (0.5, 1)):
        with pytest.raises(ValueError, match="direction"):
            two_point_along(direction)
    with pytest.raises(ValueError, match="axes"):
        two_point_along((1, 0))(np.ones((2, 4)))
