"""Lattice geometry: neighbours, windows, checkerboards and distances on every kind of torus."""

from __future__ import annotations

import copy
import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch

import flowlab as fl
from flowlab.systems.lattice import Lattice, bipartite, checkerboard, distances, neighbours, plane, window

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
    for function in (plane, distances):
        with pytest.raises(ValueError, match="shape must be two sides of at least 2, got"):
            function(shape)
    if shape not in ((4,), (2, 2, 2)):
        with pytest.raises(ValueError, match="shape must be one, two or three sides of at least 2, got"):
            neighbours(shape)


@pytest.mark.parametrize("shape", [(7, 8), (8, 7), (3, 3), (0, 2)], ids=str)
def test_checkerboard_needs_even_sides(shape: Any) -> None:
    for function in (bipartite, checkerboard):
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


def test_a_lattice_is_checked_once_and_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    system = fl.Ising(L=4, T=2.0)
    assert type(system.shape) is Lattice and system.shape == (4, 4) and system.shape.dims == system.dims
    assert plane(system.shape) is system.shape and Lattice(system.shape) is system.shape
    made = []
    monkeypatch.setattr(Lattice, "__new__", lambda cls, shape: shape if type(shape) is cls else made.append(shape))
    made_with = [
        fl.densities.PixelCNN(system.shape),
        fl.flows.XorCoupling(system.shape),
        fl.densities.RowRNN(system.shape),
        system.at(T=3.0),
    ]
    assert made == [] and all(type(one.shape) is Lattice for one in (made_with[0], made_with[2], made_with[3]))


def test_a_lattice_is_a_tuple_of_its_sides() -> None:
    assert copy.deepcopy(Lattice(4)) == (4, 4) and json.dumps(Lattice((2, 3, 4))) == "[2, 3, 4]"
    assert Lattice((4, 6)).bipartite and not Lattice((4, 3)).bipartite
    with pytest.raises(ValueError, match="one, two or three sides of at least 2"):
        Lattice((2, 2, 2, 2))
