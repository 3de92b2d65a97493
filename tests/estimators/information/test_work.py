"""Work along layers against the closed form of one majority mask, and Jarzynski's equality."""

import math

import numpy as np
import pytest

import flowlab as fl
from flowlab.estimators.information.work import work, work_distribution

T, SHAPE = 4.0, (4, 4)
EVEN = np.indices(SHAPE).sum(0) % 2 == 0


def majority_layer(n: int, rng: np.random.Generator) -> np.ndarray:
    """(2, n) log weight - ln q before and after the majority mask on fair even and tilted odd spins."""
    up = 1 / (1 + math.exp(-3 / T))
    p = np.where(EVEN, 0.5, up)
    z = np.where(rng.random((n, *SHAPE)) < p, 1.0, -1.0)
    log_q = np.log(np.where(z > 0, p, 1 - p)).sum((1, 2))
    field = sum(np.roll(z * EVEN, step, axis) for step in (1, -1) for axis in (1, 2))
    first = np.roll(z * EVEN, 1, 1)  # decides where the others cancel
    x = np.where(EVEN, z, z * np.sign(field + 0.5 * first))
    energy = [-(s * (np.roll(s, 1, 1) + np.roll(s, 1, 2))).sum((1, 2)) for s in (z, x)]
    return -np.array(energy) / T - log_q


def test_one_majority_layer_has_its_closed_form():
    found = work(majority_layer(40_000, np.random.default_rng(0)), T=T)
    up = 1 / (1 + math.exp(-3 / T))
    entropy = -up * math.log(up) - (1 - up) * math.log(1 - up)
    before = -T / 2 * (math.log(2) + entropy)
    after = -T * math.log(2) - T / 2 * math.log(math.cosh(1.5 / T))
    value, error = np.array(found.free_energy_bound) / 16
    assert (error < 4e-3).all()
    assert (np.abs(value - [before, after]) < 4 * error).all()
    change, uncertainty = found.change.value[0] / 16, found.change.error[0] / 16
    assert abs(change - (after - before)) < 4 * uncertainty and change < -50 * uncertainty
    assert found.change.value[0] == pytest.approx(found.free_energy_bound.value[1] - found.free_energy_bound.value[0])


def test_exponential_averages_agree_between_layers():
    found = work(majority_layer(40_000, np.random.default_rng(1)), T=T)
    exact = fl.exact.log_z(fl.Ising(SHAPE, T))
    assert (np.abs(found.log_z.value - exact) < 4 * found.log_z.error).all()
    assert abs(found.log_z_change.value[0]) < 4 * found.log_z_change.error[0]
    assert found.ess.value[1] > 2 * found.ess.value[0]


def test_error_of_the_change_knows_that_samples_are_paired():
    rng = np.random.default_rng(2)
    shared, own = rng.normal(size=4000), 0.1 * rng.normal(size=4000)
    found = work([5 * shared, 5 * shared + own])
    assert found.change.error[0] == pytest.approx(0.1 / math.sqrt(4000), rel=0.1)
    assert found.variance.value[0] == pytest.approx(0.01, abs=4 * found.variance.error[0])


def test_idle_layers_do_no_work():
    found = work(np.ones((3, 10)) * np.arange(10))
    assert not found.change.value.any() and not found.change.error.any() and not found.log_z_change.value.any()
    centres, spread = work_distribution(np.ones((3, 10)))
    assert centres.tolist() == [0.0] and spread.value.tolist() == [[1.0], [1.0]]


def test_distribution_of_energies_in_steps_has_steps_in_its_bins():
    done = np.array([[-8.0, -4.0, -4.0, 0.0, 4.0]])
    log_w = np.concatenate([np.zeros((1, 5)), -done / 2])
    centres, spread = work_distribution(log_w, T=2.0)
    np.testing.assert_allclose(centres, [-8, -4, 0, 4])
    np.testing.assert_allclose(spread.value, [[0.2, 0.4, 0.2, 0.2]])
    centres, spread = work_distribution(log_w, T=2.0, bins=2)
    np.testing.assert_allclose(spread.value, [[0.6, 0.4]])
    centres, spread = work_distribution(np.random.default_rng(0).normal(size=(2, 1000)), bins=10)
    assert len(centres) == 10 and spread.value.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("log_w", "T", "message"),
    [
        ([0.0, 1.0], 1.0, r"log_w must have shape \(layers \+ 1, n\), got \(2,\)"),
        ([[0.0, 1.0]], 0.0, "T must be positive, got 0.0"),
        ([[0.0, np.nan]], 1.0, "log_w must not be NaN"),
        ([[0.0, -np.inf]], 1.0, "log_w must be finite"),
    ],
)
def test_refused(log_w, T, message):
    with pytest.raises(ValueError, match=message):
        work(log_w, T=T)
