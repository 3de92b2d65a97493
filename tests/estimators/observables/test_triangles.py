"""Triangles made by hand, of one valley, of a tree of states, and errors that know which triangles share a corner."""

from __future__ import annotations

import numpy as np
import pytest

from flowlab.core.names import TRIANGLE_KINDS
from flowlab.estimators.observables.triangles import triangle_fractions, triangles


def values(found):
    return {name: fraction.value for name, fraction in found.items()}


def noisy(pattern, rng, flip):
    return pattern * np.where(rng.random(pattern.shape) < flip, -1, 1)


def test_one_valley_and_its_mirror_image_give_one_to_three():
    rng = np.random.default_rng(0)
    s = noisy(rng.choice([-1, 1], 256) * rng.choice([-1, 1], (3000, 1)), rng, 0.02)
    found = triangles(s, n=50_000, convention="signed", rng=rng).fractions()
    for name, expected in [("equilateral", 0.25), ("isosceles", 0.75), ("inverted", 0.0), ("scalene", 0.0)]:
        assert found[name].value == pytest.approx(expected, abs=4 * found[name].error + 1e-3)
    assert 0 < found["equilateral"].error < 0.005
    folded = triangles(s, n=50_000, convention="folded", rng=rng).fractions()
    assert folded["equilateral"].value > 0.995  # one valley, no structure


def test_a_tree_of_states_is_ultrametric():
    rng = np.random.default_rng(1)
    ancestor = noisy(np.ones((2, 4096)), rng, 0.25)  # two families
    s = noisy(ancestor[rng.integers(2, size=1000)], rng, 0.05)
    found = values(triangles(s, n=20_000, rng=rng).fractions())
    assert found["equilateral"] == pytest.approx(0.25, abs=0.03)
    assert found["isosceles"] == pytest.approx(0.75, abs=0.03)


def test_distances_are_those_of_the_three_configurations():
    rng = np.random.default_rng(2)
    s = rng.choice([-1, 1], (50, 70))
    for convention, fold in (("signed", lambda q: q), ("folded", np.abs)):
        found = triangles(s, n=300, convention=convention, rng=rng)
        a, b, c = (s[column] for column in found.indices.T)
        q = np.stack([(a * b).mean(1), (a * c).mean(1), (b * c).mean(1)], axis=1)
        np.testing.assert_allclose(found.overlaps, q, atol=1e-14)
        np.testing.assert_allclose(found.distances, np.sort((1 - fold(q)) / 2, axis=1), atol=1e-14)
        np.testing.assert_allclose(found.cloud, np.diff(found.distances))
        assert found.mean_cloud()["d_mid - d_min"].value == pytest.approx(found.cloud[:, 0].mean())
        assert (np.diff(np.sort(found.indices)) > 0).all()


@pytest.mark.parametrize("shape", [(3, 40), (5, 1), (200, 7)])
def test_the_three_come_from_different_sets(shape):
    rng = np.random.default_rng(3)
    s = rng.choice([-1, 1], (*shape, 16))
    found = triangles(s, n=2000, rng=rng)
    assert (np.diff(np.sort(found.indices // shape[1])) > 0).all()
    assert len(np.unique(found.indices)) > 0.95 * shape[0] * shape[1]  # every one is used
    for block in np.unique(found.blocks):  # and by one block only
        inside = found.blocks == block
        assert not np.isin(found.indices[inside], found.indices[~inside]).any()


@pytest.mark.parametrize("shape", [(400,), (3, 200)])
def test_errors_cover(shape):
    # Four valleys: fractions follow from which valleys meet, and 20,000 triangles of 400 configurations know no more
    # than the configurations do.
    rng, pulls = np.random.default_rng(4), []
    patterns = rng.choice([-1, 1], (4, 64))
    for _ in range(120):
        x = rng.choice(4, p=[0.7, 0.1, 0.1, 0.1], size=shape)
        found = triangles(patterns[x], n=20_000, rng=rng).fractions(tol=0.0)["equilateral"]
        pulls.append((found.value - (0.7**3 + 3 * 0.1**3)) / found.error)
    assert abs(np.mean(pulls)) < 0.4
    assert 0.8 < np.std(pulls) < 1.2
    assert found.error > 3 * np.sqrt(0.346 * 0.654 / 20_000)


@pytest.mark.parametrize(
    ("sides", "kind"),
    [
        ([0.3, 0.32, 0.34], "equilateral"),
        ([0.3, 0.33, 0.35], "equilateral"),  # a difference of exactly tol
        ([0.1, 0.31, 0.35], "isosceles"),
        ([0.30, 0.34, 0.38], "isosceles"),  # both gaps small, not the sum: the long sides decide
        ([0.1, 0.14, 0.3], "inverted"),
        ([0.1, 0.2, 0.3], "scalene"),
        ([0.0, 0.0, 0.0], "equilateral"),
    ],
)
def test_each_kind_by_hand(sides, kind):
    found = values(triangle_fractions([sides, sides]))
    assert found == {name: float(name == kind) for name in TRIANGLE_KINDS}


def test_independent_triangles_have_binomial_errors():
    d = np.array([[0.3, 0.3, 0.3]] * 30 + [[0.1, 0.3, 0.3]] * 70)
    found = triangle_fractions(d)["equilateral"]
    assert found.value == pytest.approx(0.3)
    assert found.error == pytest.approx(np.sqrt(0.3 * 0.7 / 99), rel=0.02)
    assert triangle_fractions(d, blocks=np.arange(100) // 50)["equilateral"].error > 0.3


def test_bad_input_is_refused():
    rng, s = np.random.default_rng(0), np.ones((5, 4))
    with pytest.raises(ValueError, match=r"at least 3 configurations, got shape \(2, 4\)"):
        triangles(s[:2], rng=rng)
    with pytest.raises(ValueError, match=r"at least 3 independent sets .* got shape \(2, 9, 4\)"):
        triangles(np.ones((2, 9, 4)), rng=rng)
    with pytest.raises(ValueError, match="got 20 other values of 20"):
        triangles(0 * s, rng=rng)
    with pytest.raises(ValueError, match='"folded" or "signed", got \'both\''):
        triangles(s, convention="both", rng=rng)
    with pytest.raises(ValueError, match="at least 1 triangle, got 0"):
        triangles(s, n=0, rng=rng)
    for d, message in [([[0.1, 0.2]], r"\(n, 3\)"), ([[0.2, 0.1, 0.3]], "ordered"), ([[0.1, np.nan, 0.3]], "ordered")]:
        with pytest.raises(ValueError, match=message):
            triangle_fractions(d)
    with pytest.raises(ValueError, match="tol must not be negative"):
        triangle_fractions([[0.1, 0.2, 0.3]], tol=-0.1)
    with pytest.raises(ValueError, match=r"blocks must have shape \(1,\)"):
        triangle_fractions([[0.1, 0.2, 0.3]], blocks=[0, 1])
