"""The independence chain against its transition matrix on a few states."""

from __future__ import annotations

import time

import numpy as np
import pytest

from flowlab.estimators import (
    acceptance,
    independence_chain,
    longest_rejection_run,
    mean,
    rejection_runs,
    tau_int,
    tau_int_rejections,
)
from flowlab.estimators.weights.independence import rejection_run_distribution, tau_int_bound
from flowlab.estimators.weights.weights import Estimate


def accept(states):
    """(k, k) probability that a proposed state j is accepted out of state i."""
    return np.minimum(1, np.exp(states.log_w[None, :] - states.log_w[:, None]))


def transition_matrix(states):
    matrix = states.q * accept(states)
    np.fill_diagonal(matrix, 0)
    return matrix + np.diag(1 - matrix.sum(1))


def exact_tau(matrix, p, f):
    """1/2 + Σ_t ρ(t), the geometric series of the transition matrix summed exactly."""
    centred = f - p @ f
    k = len(p)
    summed = np.linalg.solve(np.eye(k) - matrix + np.outer(np.ones(k), p), matrix @ centred)
    return 0.5 + float((p * centred) @ summed / (p @ centred**2))


def test_the_chain_samples_the_target(states):
    rng = np.random.default_rng(1)
    x = states.draw(200_000, rng)
    chain = independence_chain(states.log_w[x], rng)
    visits = np.bincount(x[chain.indices], minlength=8) / x.size
    taus = [exact_tau(transition_matrix(states), states.p, np.eye(8)[i]) for i in range(8)]
    errors = np.sqrt(2 * np.array(taus) * states.p * (1 - states.p) / x.size)
    assert (np.abs(visits - states.p) < 4 * errors).all()
    assert np.abs(states.p - states.q).max() > 20 * errors.max()  # it has not just copied q


def test_tau_int_of_the_chain_is_that_of_its_transition_matrix(states):
    rng = np.random.default_rng(2)
    x = states.draw(200_000, rng)
    chain = independence_chain(states.log_w[x], rng)
    for f in (np.arange(8.0), np.eye(8)[int(np.argmax(states.log_w))]):
        found = tau_int(f[x][chain.indices])
        assert found.value == pytest.approx(exact_tau(transition_matrix(states), states.p, f), abs=4 * found.error)
        assert found.error < 0.05


def test_tau_int_from_rejections_is_that_of_a_random_sign(states):
    # Every state gets a twin of the other sign: the sign's square knows nothing of the weight.
    signs = np.tile([1.0, -1.0], (8, 1)).ravel()
    twins = np.repeat(np.arange(8), 2)
    both = type(states)(states.log_weight[twins], states.log_q[twins] - np.log(2))
    exact = exact_tau(transition_matrix(both), both.p, signs)
    out_of = accept(both) @ both.q
    assert exact == pytest.approx(float(both.p @ (1 / out_of)) - 0.5, rel=1e-10)

    rng = np.random.default_rng(3)
    x = both.draw(200_000, rng)
    chain = independence_chain(both.log_w[x], rng)
    for found in (tau_int_rejections(chain.accepted), tau_int(signs[x][chain.indices])):
        assert found.value == pytest.approx(exact, abs=4 * found.error)
        assert found.error < 0.05


def test_errors_of_tau_int_from_rejections_cover_the_exact_value(states):
    rng = np.random.default_rng(4)
    exact = float(states.p @ (1 / (accept(states) @ states.q))) - 0.5
    pulls = []
    for _ in range(200):
        chain = independence_chain(states.log_w[states.draw(5000, rng)], rng)
        value, error = tau_int_rejections(chain.accepted)
        pulls.append((value - exact) / error)
    assert abs(np.mean(pulls)) < 0.3
    assert 0.8 < np.std(pulls) < 1.2


def test_acceptance_is_exact_and_its_errors_cover_it(states):
    rng = np.random.default_rng(5)
    exact = float(states.p @ accept(states) @ states.q)
    pulls = []
    for _ in range(400):
        value, error = acceptance(states.log_w[states.draw(1000, rng)])
        pulls.append((value - exact) / error)
    assert abs(np.mean(pulls)) < 0.25
    assert 0.85 < np.std(pulls) < 1.15
    chain = independence_chain(states.log_w[states.draw(100_000, rng)], rng)
    along = mean(chain.accepted)
    assert along.value == pytest.approx(exact, abs=4 * along.error)


def test_acceptance_by_brute_force():
    log_w = np.random.default_rng(6).standard_normal(60)
    log_w[3] = -np.inf
    w = np.exp(log_w)
    pairs = np.minimum(w[:, None], w)
    np.fill_diagonal(pairs, 0)
    assert acceptance(log_w).value == pytest.approx(pairs.sum() / (59 * w.sum()), rel=1e-12)


@pytest.mark.parametrize("level", [0.0, 1e6])
def test_equal_weights_accept_everything(level):
    chain = independence_chain(np.full(50, level), np.random.default_rng(7))
    assert chain.accepted.all()
    assert chain.indices.tolist() == list(range(50))
    assert tau_int_rejections(chain.accepted) == (0.5, 0.0)
    assert longest_rejection_run(chain.accepted) == 0


def test_a_heavy_state_holds_the_chain():
    log_w = np.r_[50.0, np.zeros(99)]
    chain = independence_chain(log_w, np.random.default_rng(8))
    assert longest_rejection_run(chain.accepted) == 99
    assert (chain.indices == 0).all()
    assert tau_int_rejections(chain.accepted).value == pytest.approx(0.5 + 50)
    assert np.isnan(tau_int(log_w[chain.indices]).value)


def test_a_start_of_weight_zero_is_left_at_once():
    chain = independence_chain([-np.inf, 0.0, -np.inf, 0.0], np.random.default_rng(9))
    assert chain.indices.tolist() == [0, 1, 1, 3]


def test_rejection_runs():
    accepted = np.array([False, True, True, False, False, False, True, False])
    assert rejection_runs(accepted).tolist() == [1, 3, 1]
    assert longest_rejection_run(accepted) == 3
    assert tau_int_rejections(accepted).value == pytest.approx(0.5 + (1 + 1 + 2 + 3 + 1) / 8)


def test_the_same_generator_gives_the_same_chain(states):
    log_w = states.log_w[states.draw(1000, np.random.default_rng(10))]
    one, two, other = (independence_chain(log_w, np.random.default_rng(seed)).indices for seed in (1, 1, 2))
    assert (one == two).all()
    assert (one != other).any()


def test_a_hundred_thousand_steps_are_fast():
    log_w = np.random.default_rng(11).standard_normal(100_000)
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        independence_chain(log_w, np.random.default_rng(12))
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.3


def test_decisions_must_be_booleans():
    with pytest.raises(ValueError, match="one axis of booleans"):
        rejection_runs([0, 1, 1])
    with pytest.raises(ValueError, match="one axis of booleans"):
        tau_int_rejections(np.zeros(0, dtype=bool))


def test_the_bound_from_the_acceptance_lies_below_the_rejections():
    log_w = np.random.default_rng(7).normal(0, 1.2, 20_000)
    chain = independence_chain(log_w, np.random.default_rng(8))
    bound, found = tau_int_bound(acceptance(log_w)), tau_int_rejections(chain.accepted)
    assert found.value > bound.value + 2 * np.hypot(bound.error, found.error)
    even = np.where(np.random.default_rng(9).random(20_000) < 0.5, 0.0, -np.inf)  # every state is left equally fast
    bound, found = (
        tau_int_bound(acceptance(even)),
        tau_int_rejections(independence_chain(even, np.random.default_rng(1)).accepted),
    )
    assert abs(found.value - bound.value) < 4 * np.hypot(bound.error, found.error)
    assert np.isnan(tau_int_bound(Estimate(0.0, 0.0))).all()


def test_distribution_of_rejection_runs():
    accepted = np.random.default_rng(10).random(40_000) < 0.25
    found = rejection_run_distribution(accepted)
    assert found.sum() == pytest.approx(1)
    exact = 0.25 * 0.75 ** np.arange(8)
    assert (np.abs(found[:8] - exact) < 4 * np.sqrt(exact / accepted.sum())).all()
    runs = rejection_runs(np.append(accepted, True))
    assert found[1:] @ np.arange(1, len(found)) * accepted.sum() <= runs.sum()
    assert rejection_run_distribution([False, False]).size == 0
    assert rejection_run_distribution([True]).tolist() == [1.0]
