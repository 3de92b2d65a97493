"""One number for a square lattice, as a person types it."""

from __future__ import annotations

import pytest

import flowlab as fl
from flowlab.core.made import describe, make

LATTICES = {
    "Ising": {"T": 2.2},
    "Potts": {"T": 1.0},
    "TriangularIsing": {"T": 1.0},
    "Phi4": {"kappa": 0.2, "lam": 0.5},
    "FreeField": {"mass": 0.5},
}


@pytest.mark.parametrize("name", LATTICES)
def test_a_side_is_a_square(name):
    kind, keys = getattr(fl, name), LATTICES[name]
    made = kind(L=6, **keys)
    assert made.shape == kind(6, **keys).shape == kind(shape=6, **keys).shape == (6, 6)
    assert make(describe(made)).shape == (6, 6)
    with pytest.raises(TypeError, match="give the shape or the side L, not both"):
        kind((6, 6), L=6, **keys)
    with pytest.raises((TypeError, ValueError), match=r"shape must be .*, got 4\.5"):
        kind(4.5, **keys)
    with pytest.raises(ValueError, match=r"shape must be .* at least 2, got 1"):
        kind(L=1, **keys)


def test_glasses_too():
    assert fl.SpinGlass.edwards_anderson(4, T=1.0).shape == (4, 4)


def test_exact_answers_take_beta_or_T():
    assert fl.exact.kaufman(8, T=2.5) == fl.exact.kaufman((8, 8), 0.4)
    assert fl.exact.onsager(T=2.5) == fl.exact.onsager(0.4)
    assert fl.exact.mean_field(8, T=2.5) == fl.exact.mean_field((8, 8), 0.4)
    for given in ({}, {"beta": 0.4, "T": 2.5}):
        with pytest.raises(ValueError, match="give beta or T, one of the two"):
            fl.exact.kaufman(8, **given)
    with pytest.raises(ValueError, match=r"T must be a positive number, got -1\.0"):
        fl.exact.onsager(T=-1.0)
