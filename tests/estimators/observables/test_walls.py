"""Walls of named configurations against an independent count, and dimensions of known curves."""

import json
from pathlib import Path

import numpy as np
import pytest

from flowlab.estimators.observables.walls import box_sizes, wall_bonds, wall_clusters, wall_dimension, wall_length

CASES = json.loads((Path(__file__).parents[2] / "data" / "public_kramers_wannier.json").read_text())["cases"]
NAMED = [case for case in CASES if "spins" in case]


def grid(rows: list[str]) -> np.ndarray:
    return np.array([[int(c) for c in row] for row in rows])


@pytest.mark.parametrize("case", NAMED, ids=lambda c: f"{c['name']}-{c['n']}x{c['m']}")
def test_walls_of_named_configurations(case):
    s = 2.0 * grid(case["spins"]) - 1
    right, down = wall_bonds(s)
    np.testing.assert_array_equal(right, grid(case["right"]))
    np.testing.assert_array_equal(down, grid(case["down"]))
    assert wall_length(s) == case["n_walls"] and case["energy"] == -2 * s.size + 2 * wall_length(s)
    cluster, edges = wall_clusters(s[None])
    assert len(edges) == case["wall_components"] and edges.sum() == case["n_walls"]
    assert (cluster >= 0).sum() == case["straight_corners"] + case["turning_corners"] + case["crossings"]


def test_walls_give_the_partition_function():
    case = next(c for c in CASES if c["name"] == "partition_functions" and (c["n"], c["m"]) == (3, 4))
    states = ((np.arange(2**12)[:, None] >> np.arange(12)) & 1).reshape(-1, 3, 4) * 2 - 1
    energy = -2 * 12 + 2 * wall_length(states)
    assert np.log(np.exp(-case["beta"] * energy).sum()) == pytest.approx(case["lnZ_pp"])


def test_straight_walls_are_lines_and_a_checkerboard_fills_the_plane():
    strip = np.ones((3, 16, 16))
    strip[0, :, 3:9] = strip[1, :, 6:11] = strip[2, 2:12] = -1
    for which in ("largest", "all"):
        value, error = wall_dimension(strip, which=which)
        assert value == pytest.approx(1) and error == pytest.approx(0)
    board = np.where(np.indices((16, 16)).sum(0) % 2, 1.0, -1.0)
    assert wall_dimension([board] * 2).value == pytest.approx(2)


def test_the_largest_wall_is_told_from_the_dust_around_it():
    s = np.ones((20, 16, 16))
    s[:, :, 4:12] = -1
    rng = np.random.default_rng(0)
    for one in s:
        one[rng.integers(16, size=12), np.tile([1, 6, 9, 14], 3)] *= -1
    assert wall_dimension(s, which="all").value > 1.15
    assert wall_dimension(s).value == pytest.approx(1, abs=0.02)


def test_a_known_fractal():
    """A dyadic staircase of squares, the Sierpinski gasket mod 2, has ln 3 / ln 2 occupied blocks per halving."""
    y, x = np.indices((64, 64))
    s = np.where((y & x) == 0, -1.0, 1.0)
    s = np.kron(s, np.ones((2, 2)))  # so that touching corners of the gasket share a wall's corner
    found = wall_dimension([s, s])
    assert found.value == pytest.approx(np.log2(3), abs=0.1)


def test_no_walls_no_dimension():
    assert np.isnan(wall_dimension(np.ones((5, 8, 8))).value)
    assert box_sizes((5, 5)) == [1] and np.isnan(wall_dimension(np.eye(5)[None].repeat(3, 0)).value)


def test_refused():
    with pytest.raises(ValueError, match=r"s must have shape \(k, n, m\), got \(4, 4\)"):
        wall_clusters(np.ones((4, 4)))
    with pytest.raises(ValueError, match='which must be "largest" or "all"'):
        wall_dimension(np.ones((2, 4, 4)), which="some")
