"""Mean field against sums over all configurations, its own equation, and densities free to differ from site to site."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from flowlab.core import named_generator
from flowlab.densities import IndependentSpins, Z2Symmetrized
from flowlab.exact import configurations, kaufman
from flowlab.exact.mean_field_theory import mean_field
from flowlab.systems import Ising


def summed(shape: tuple[int, int], T: float, bias: torch.Tensor, z2: bool, J: float = 1.0) -> torch.Tensor:
    """<E> + T <ln q> of independent spins with these log-odds, over all configurations."""
    s = configurations(shape)
    one = torch.nn.functional.logsigmoid(bias * s).flatten(1).sum(1)
    other = torch.nn.functional.logsigmoid(-bias * s).flatten(1).sum(1)
    log_q = torch.logaddexp(one, other) - math.log(2) if z2 else one
    return (log_q.exp() * (Ising(shape, T, J=J).energy(s).double() + T * log_q)).sum()


@pytest.mark.parametrize("z2", [True, False])
@pytest.mark.parametrize("T", [1.0, 2.269185, 3.9, 6.0])
def test_it_is_the_sum_over_configurations_and_its_lowest(T, z2):
    found = mean_field((4, 3), 1 / T, z2=z2)
    log_odds = 2 * math.atanh(found.magnetization)
    near = [float(summed((4, 3), T, torch.full((4, 3), log_odds + d).double(), z2)) for d in (0.0, -0.2, 0.2)]
    assert found.free_energy == pytest.approx(near[0], abs=1e-9) and near[0] < min(near[1:])


def test_it_is_the_density_that_training_starts_from():
    found = mean_field((3, 3), 0.4)
    log_odds = 2 * math.atanh(found.magnetization)
    s = configurations((3, 3), dtype=torch.float32)
    with torch.no_grad():
        log_q = Z2Symmetrized(IndependentSpins((3, 3), bias=log_odds)).log_prob(s).double()
    bound = (log_q.exp() * (Ising((3, 3), 2.5).energy(s) + 2.5 * log_q)).sum()
    assert float(bound) == pytest.approx(found.free_energy, abs=1e-4)


@pytest.mark.parametrize("z2", [True, False])
@pytest.mark.parametrize(("shape", "T"), [((3, 3), 2.0), ((3, 3), 5.0), ((2, 4), 3.8)])
def test_unequal_magnetisations_find_nothing_lower(shape, T, z2):
    best = math.inf
    for start in range(3):
        noise = torch.randn(shape, generator=named_generator(start, "bias"), dtype=torch.float64)
        bias = (1 + 0.7 * noise).requires_grad_()
        optimiser = torch.optim.LBFGS([bias], max_iter=60, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

        def loss(bias=bias, optimiser=optimiser):
            optimiser.zero_grad()
            value = summed(shape, T, bias, z2)
            value.backward()
            return value

        optimiser.step(loss)
        best = min(best, float(loss().detach()))
    assert best == pytest.approx(mean_field(shape, 1 / T, z2=z2).free_energy, abs=1e-6)


@pytest.mark.parametrize("T", [0.3, 1.5, 2.269185, 3.5, 4.0, 20.0])
def test_without_the_bit_it_solves_its_equation_and_with_it_gains_at_most_ln_2(T):
    alone, both = mean_field((8, 16), 1 / T, z2=False), mean_field((8, 16), 1 / T)
    m = alone.magnetization
    assert m == pytest.approx(math.tanh(4 * m / T), abs=1e-4)
    assert (m > 0.1) == (T < 4)
    exact = -T * kaufman((8, 16), 1 / T).log_z
    assert exact - 1e-9 < both.free_energy < alone.free_energy <= both.free_energy + T * math.log(2) * (1 + 1e-9)
    assert both.free_energy_per_site == both.free_energy / 128


def test_an_antiferromagnet_is_the_ferromagnet_with_sublattices_turned():
    assert mean_field((4, 6), 0.4, J=-2.0) == mean_field((4, 6), 0.4, J=2.0)
    bias = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).double() * 2 * math.atanh(mean_field((2, 2), 0.4, -1.0)[1])
    expected = mean_field((2, 2), 0.4, J=-1.0).free_energy
    np.testing.assert_allclose(float(summed((2, 2), 2.5, bias, True, J=-1.0)), expected, atol=1e-9)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"beta": 0.0}, "beta must be a positive number, got 0.0"),
        ({"beta": math.nan}, "beta must be a positive number, got nan"),
        ({"shape": (1, 4)}, "shape must be two sides of at least 2"),
        ({"shape": (3, 4), "J": -1.0}, "not negative on an odd side, got J=-1.0"),
        ({"J": math.inf}, "J must be a finite number"),
    ],
)
def test_refused(keys, message):
    with pytest.raises(ValueError, match=message):
        mean_field(**{"shape": (4, 4), "beta": 0.4} | keys)
