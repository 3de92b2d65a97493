"""Two-point functions and correlation lengths where a field is ordered: <|m|>² subtracted, or not defined."""

import numpy as np
import pytest

from flowlab.estimators import chain_observables, correlation_length, field_observables
from flowlab.estimators.observables.fields import momentum_two_point, time_slices, two_point

L, MASS, ORDER = 8, 1.2, 3.0


def free(n=4000, seed=0):
    """Free fields on an L x L lattice, G̃(q) = 1/(m² + 4 Σ sin²(q/2)): ξ = 1/m by the second moment."""
    white = np.random.default_rng(seed).normal(size=(n, L, L))
    hat = 4 * np.sin(np.pi * np.arange(L) / L) ** 2
    power = 1 / (MASS**2 + hat[:, None] + hat)
    return np.fft.ifftn(np.fft.fftn(white, axes=(1, 2)) * np.sqrt(power), axes=(1, 2)).real, power


@pytest.fixture
def ordered():
    fields, power = free()
    signs = np.random.default_rng(1).choice([-1.0, 1.0], len(fields))
    return fields + ORDER * signs[:, None, None], power


def columns(fields):
    waves = np.abs(np.fft.fftn(fields, axes=(1, 2))) ** 2 / L**2
    return {"magnetization": fields.mean((1, 2)), "structure_factor_1": (waves[:, 0, 1] + waves[:, 1, 0]) / 2}


def test_connected_functions_are_those_of_the_field_around_its_order(ordered):
    fields, power = ordered
    exact = np.fft.ifftn(power).real
    for function, expected in (
        (two_point, exact),
        (momentum_two_point, power),
        (time_slices, exact.sum(0)[: L // 2 + 1]),
    ):
        value, error = function(fields, connected=True)
        assert (np.abs(value - expected) < 4.5 * error).all(), function.__name__
        plain = function(fields)
        assert np.abs(plain.value - expected).max() > 20 * np.max(plain.error)


def test_each_correlation_length_belongs_to_one_phase(ordered):
    for fields, own, other in (
        (ordered[0], "correlation_length_connected", "correlation_length"),
        (free()[0], "correlation_length", "correlation_length_connected"),
    ):
        found = field_observables(columns(fields), n_sites=L * L, side=L)
        chain = chain_observables({k: v[:, None] for k, v in columns(fields).items()}, n_sites=L * L, side=L)
        for one in (found, chain):
            assert other not in one or np.isnan(one[other].value)
        for one in (found[own], chain[own]):
            assert abs(one.value - 1 / MASS) < 4 * one.error < 0.2


def test_three_ways_in_an_ordered_phase(ordered):
    found = correlation_length(ordered[0], connected=True)
    assert abs(found.second_moment.value - 1 / MASS) < 4 * found.second_moment.error < 0.2
    assert found.cosh_ratio.value < 1.2
    assert np.isnan(correlation_length(ordered[0]).second_moment.value)
