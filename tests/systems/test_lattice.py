"""Lattice geometry: neighbours, windows, checkerboards and distances on every kind of torus."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch

from flowlab.systems.lattice import check_even_shape, check_shape, checkerboard, distances, neighbours, window

SHAPES = [(2, 2), (2, 3), (3, 3), (4, 6), (5, 4), (7, 8)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_neighbours_are_symmetric(shape: tuple[int, int]) -> None:
    table = neighbours(shape)
    n, m = shape
    assert table.shape == (n * m, 4)
    bonds = Counter((site, int(other)) for site in range(n * m) for other in table[site])
    assert all(bonds[site, other] == bonds[other, site] for site, other in bonds)
    assert all(site != other for site, other in bonds)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_neighbours_are_above_below_left_right(shape: tuple[int, int]) -> None:
    n, m = shape
    for site, row in enumerate(neighbours(shape).tolist()):
        y, x = divmod(site, m)
        sides = [((y - 1) % n, x), ((y + 1) % n, x), (y, (x - 1) % m), (y, (x + 1) % m)]
        assert row == [y * m + x for y, x in sides]


def test_bonds_double_on_a_side_of_two() -> None:
    assert sorted(neighbours((2, 2))[0].tolist()) == [1, 1, 2, 2]
    assert sorted(neighbours((2, 3))[0].tolist()) == [1, 2, 3, 3]
    assert len(set(neighbours((3, 3))[0].tolist())) == 4


def test_window_is_a_roll() -> None:
    field = torch.arange(20).reshape(4, 5)
    offsets = [(0, 0), (-1, 2), (3, -4)]
    gathered = field.flatten()[window((4, 5), offsets)]
    for column, (dy, dx) in enumerate(offsets):
        assert torch.equal(gathered[:, column].reshape(4, 5), field.roll((-dy, -dx), (0, 1)))


@pytest.mark.parametrize("shape", [(2, 2), (4, 6), (8, 2)], ids=str)
def test_checkerboard_separates_neighbours(shape: tuple[int, int]) -> None:
    even = checkerboard(shape).flatten()
    assert bool(even[0])
    assert int(even.sum()) * 2 == even.numel()
    assert bool((even[neighbours(shape)] != even[:, None]).all())


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_distances(shape: tuple[int, int]) -> None:
    n, m = shape
    distance = distances(shape)
    for y in range(n):
        for x in range(m):
            images = [np.hypot(y + a * n, x + b * m) for a in (-1, 0, 1) for b in (-1, 0, 1)]
            assert distance[y, x] == pytest.approx(min(images))


@pytest.mark.parametrize("shape", [(1, 4), (4,), (2, 2, 2), (4, 3.5), (-4, 4), (0, 0)], ids=str)
def test_shapes_that_are_no_lattice(shape: Any) -> None:
    for function in (check_shape, neighbours, distances):
        with pytest.raises(ValueError, match="shape must be two sides of at least 2, got"):
            function(shape)


@pytest.mark.parametrize("shape", [(7, 8), (8, 7), (3, 3), (0, 2)], ids=str)
def test_checkerboard_needs_even_sides(shape: Any) -> None:
    for function in (check_even_shape, checkerboard):
        with pytest.raises(ValueError, match="shape must be two even sides for a checkerboard, got"):
            function(shape)


@pytest.mark.parametrize("shape", [(4,), (2, 4, 6)], ids=str)
def test_neighbours_on_a_checkerboard_differ_in_any_dimension(shape: Any) -> None:
    even = checkerboard(shape)
    for side in range(len(shape)):
        assert (even != even.roll(1, side)).all()
    with pytest.raises(ValueError, match="even sides for a checkerboard"):
        checkerboard((3, *shape[1:]))


def test_checkerboard_error_names_the_shape() -> None:
    with pytest.raises(ValueError, match=r"checkerboard, got \(7, 8\)$"):
        checkerboard((7, 8))
