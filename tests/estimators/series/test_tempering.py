"""Estimators for parallel tempering against exact draws of a small spin glass, where every answer is known."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.stats

from flowlab.estimators.series import tempering
from flowlab.estimators.series.tempering import (
    log_z_bennett,
    log_z_integration,
    round_trips,
    swap_acceptance,
    thermalisation,
    thermodynamics,
)

N = 8
TEMPERATURES = [0.5, 0.8, 1.2, 2.0, 4.0, math.inf]
BETAS = 1 / np.array(TEMPERATURES)
COUPLINGS = np.triu(np.random.default_rng(0).standard_normal((N, N)) / math.sqrt(N), 1)
STATES = np.array(list(itertools.product([-1, 1], repeat=N)))
LEVELS = -np.einsum("ni,ij,nj->n", STATES, COUPLINGS, STATES)
LOG_Z = np.log(np.exp(-BETAS[:, None] * LEVELS).sum(1))
P = np.exp(-BETAS[:, None] * LEVELS - LOG_Z[:, None])
ENERGY, SQUARE = P @ LEVELS, P @ LEVELS**2


def draws(seed: int, steps: int = 900, replicas: int = 2) -> np.ndarray:
    """(steps, replicas, K) energies of independent states."""
    rng = np.random.default_rng(seed)
    return np.stack([rng.choice(LEVELS, (steps, replicas), p=p) for p in P], -1)


def test_errors_cover_the_exact_values():
    pulls = {"energy": [], "heat": [], "bennett": [], "integration": []}
    for seed in range(60):
        arguments = draws(seed), TEMPERATURES, N
        found = thermodynamics(*arguments)
        heat = BETAS**2 * (SQUARE - ENERGY**2) / N
        known = {
            "energy": (found.energy_per_site, ENERGY / N),
            "heat": (found.specific_heat, heat),
            "bennett": (log_z_bennett(*arguments), LOG_Z),
            "integration": (log_z_integration(*arguments), LOG_Z),
        }
        for name, (estimate, value) in known.items():
            finite = slice(None, -1)
            pulls[name].append((estimate.value[finite] - value[finite]) / estimate.error[finite])
    for name, found in pulls.items():
        found = np.array(found)
        assert abs(found.mean(0)).max() < 0.6, name
        assert 0.8 < found.std() < 1.2, name


def test_at_infinite_temperature_all_is_known():
    for estimate in (f(draws(0), TEMPERATURES, N) for f in (log_z_bennett, log_z_integration)):
        assert estimate.value[-1] == pytest.approx(N * math.log(2)) and estimate.error[-1] == 0
    assert thermodynamics(draws(0), TEMPERATURES, N).specific_heat.value[-1] == 0


def test_bennett_joins_histograms_that_hardly_overlap():
    rng = np.random.default_rng(0)
    energies = np.stack([rng.normal(-60, 5, (3000, 2)), rng.normal(-25, 5, (3000, 2)), rng.normal(0, 5, (3000, 2))], -1)
    value, error = log_z_bennett(energies, [1 / 2.4, 1.0, math.inf], 10)
    exact = 10 * math.log(2) + 12.5 * np.array([2.4**2, 1.0, 0.0])
    assert (np.abs(value - exact)[:2] < 4 * error[:2]).all() and error[0] < 0.4


def test_swap_acceptance_of_independent_draws():
    found = swap_acceptance(draws(0, 5000), TEMPERATURES)
    for k in range(len(TEMPERATURES) - 1):
        gain = (BETAS[k] - BETAS[k + 1]) * (LEVELS[:, None] - LEVELS)
        assert found[k] == pytest.approx(P[k] @ np.minimum(1, np.exp(gain)) @ P[k + 1], abs=0.02)


def test_round_trips_start_and_end_in_the_cold():
    places = [0, 1, 2, 1, 0, 1, 0, 1, 2, 2, 1, 0, 1, 2]  # of walker 0: two round trips
    walkers = np.array([np.roll([0, 1, 2], place) for place in places])
    assert round_trips(walkers[:, None]).tolist() == [2 + _trips(walkers, 1) + _trips(walkers, 2)]
    assert _trips(walkers, 0) == 2


def _trips(walkers: np.ndarray, walker: int) -> int:
    last, trips = None, 0
    for row in walkers:
        if row[0] == walker:
            trips += last == "hot"
            last = "cold"
        elif row[-1] == walker and last is not None:
            last = "hot"
    return trips


def test_independent_draws_are_thermalised():
    verdicts = [thermalisation(draws(seed, 400, 4), TEMPERATURES, round_trips=[50, 30, 99, 40]) for seed in range(50)]
    assert all(v.thermalised and v.text.startswith("thermalised: ") for v in verdicts)
    assert verdicts[0].round_trips == 30
    # the limits are not idle: the largest deviations come near them
    assert max(v.z_thirds / v.z_thirds_limit for v in verdicts) > 0.6
    assert max(v.z_replicas / v.z_replicas_limit for v in verdicts) > 0.6


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda e: e - 0.4 * np.linspace(0, 1, len(e))[:, None, None], "thirds of the run differ"),
        (lambda e: e + (np.arange(len(e)) < 30)[:, None, None], "thirds of the run differ"),
        (lambda e: e + np.array([0.3, 0, 0])[:, None], "replicas differ"),
        (lambda e: e * 0 + np.array([0.3, 0, 0])[:, None], "replicas differ by inf"),
        (lambda e: e + 60 * np.arange(6), "a swap is accepted with probability"),
        (lambda e: e[:100], "only 100 steps"),
    ],
)
def test_what_fails_is_named(change, words):
    verdict = thermalisation(change(draws(0, 900, 3)), TEMPERATURES)
    assert not verdict.thermalised
    assert verdict.text.startswith("not thermalised: ") and words in verdict.text


def test_a_memory_of_a_third_of_a_block_is_too_long(monkeypatch):
    block = 900 / tempering.BLOCKS
    monkeypatch.setattr(tempering, "_longest_memory", lambda values: block / 3)
    assert "too long for blocks" in thermalisation(draws(0, 900, 3), TEMPERATURES).text
    monkeypatch.setattr(tempering, "_longest_memory", lambda values: block / 5)
    assert thermalisation(draws(0, 900, 3), TEMPERATURES).thermalised


def test_the_limit_of_thirds_is_that_of_their_ten_degrees_of_freedom():
    """Of one replica: 18 blocks, of which each third has 6, and 4 differences at each of 6 temperatures."""
    found = thermalisation(draws(0, 900, 1), TEMPERATURES)
    assert found.z_thirds_limit == pytest.approx(scipy.stats.t.isf(0.001 / 48, 10))


def test_a_rare_excitation_is_no_drift():
    energies = np.full((900, 3, 2), -8.0)
    energies[5, 0] = energies[700, 1] = 0.0
    assert thermalisation(energies, [1.0, 2.0]).thermalised


def test_walkers_must_travel():
    verdict = thermalisation(draws(0), TEMPERATURES, round_trips=[50, 3])
    assert verdict.text == "not thermalised: a replica made 3 round trips (at least 10)"


@pytest.mark.parametrize(
    ("energies", "temperatures", "message"),
    [
        (np.zeros((90, 2, 3)), [1.0, 2.0], r"shape \(steps, replicas, 2\)"),
        (np.zeros((90, 3)), [1.0, 2.0, 3.0], "must have shape"),
        (np.zeros((9, 2, 2)), [1.0, math.inf], "at least 18 steps"),
        (np.full((90, 2, 2), np.nan), [1.0, math.inf], "finite, got 360"),
        (np.zeros((90, 2, 2)), [2.0, 1.0], "increase"),
        (np.zeros((90, 2, 2)), [1.0, 2.0], "end at 2"),
    ],
)
def test_bad_input_is_refused(energies, temperatures, message):
    with pytest.raises(ValueError, match=message):
        log_z_bennett(energies, temperatures, 4)
