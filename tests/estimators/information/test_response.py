"""The response of local maps ends where they end."""

import numpy as np
import pytest

from flowlab.estimators.information.response import response


def local_field(z: np.ndarray) -> np.ndarray:
    """Odd spins turned along the sum of their neighbours above and to the left, and itself."""
    even = np.indices(z.shape[1:]).sum(0) % 2 == 0
    field = np.roll(z, 1, 1) + np.roll(z, 1, 2) + 0.5 * z
    return np.where(even, z, z * np.where(field > 0, 1.0, -1.0))


def flipped(z: np.ndarray, sites: np.ndarray) -> np.ndarray:
    other = z.reshape(len(z), -1).copy()
    other[np.arange(len(z)), sites] *= -1
    return other.reshape(z.shape)


def draw(n: int, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.choice([-1.0, 1.0], size=(n, *shape)), rng.integers(np.prod(shape), size=n)


def test_a_local_map_responds_within_its_range_alone():
    z, sites = draw(8000, (8, 8))
    found = response(local_field(z), local_field(flipped(z, sites)), sites)
    assert found.separation[:4] == pytest.approx([0, 1, np.sqrt(2), 2])
    assert found.reach == 1 and not found.probability.value[2:].any() and (found.probability.error[2:] < 2 / 8000).all()
    # half of the flips are even; each turns two of the four neighbours, half of the time
    assert found.probability.value[1] == pytest.approx(1 / 8, abs=4 * found.probability.error[1] + 1e-12)
    assert 0 < found.range.value < 1
    twice = response(local_field(local_field(z)[:, ::-1]), local_field(local_field(flipped(z, sites))[:, ::-1]), sites)
    assert twice.reach > 1


def test_range_of_a_known_displacement():
    z, sites = draw(500, (6, 8))
    moved = [np.roll(one, (2, -1), (1, 2)) for one in (z, flipped(z, sites))]
    found = response(*moved, sites)
    assert found.range.value == pytest.approx(np.sqrt(5)) and found.range.error == pytest.approx(0)
    assert found.reach == pytest.approx(np.sqrt(5)) and found.changed.value == 1
    assert found.probability.value.sum() == pytest.approx(1 / 8)  # one of the eight sites at that distance


def test_a_global_map_responds_everywhere():
    z, sites = draw(200, (4, 4))
    parity = [one * one.prod((1, 2), keepdims=True) for one in (z, flipped(z, sites))]
    found = response(*parity, sites)
    assert found.changed.value == 15 and found.reach == pytest.approx(np.sqrt(8))


def test_nothing_changes():
    one = np.ones((3, 4, 4))
    assert np.isnan(response(one, one, [0, 1, 2]).range.value)


def test_refused():
    one = np.ones((2, 4, 4))
    with pytest.raises(ValueError, match="flipped must be 2 site numbers below 16"):
        response(one, one, [0, 16])
    with pytest.raises(ValueError, match="before and after must have one shape"):
        response(one, one[:, :2], [0, 1])


def test_errors_are_those_of_a_mean_of_independent_flips():
    before, after = np.zeros((100, 4, 4)), np.zeros((100, 4, 4))
    after[:, 0, 0] = 1
    for y, x in ((0, 1), (0, 3), (1, 0), (3, 0)):
        after[:25, y, x] = 1  # all neighbours, in a quarter of them
    found = response(before, after, np.zeros(100, dtype=int)).probability
    assert found.value[1] == pytest.approx(0.25)
    assert found.error[1] == pytest.approx(np.sqrt(0.25 * 0.75 / 99))
