"""Draws of several densities as one: weights and errors."""

import numpy as np
import pytest

from flowlab.estimators.weights import pareto, pooled


def normals(rng, centres, n):
    x = np.concatenate([rng.normal(c, 1.0, n) for c in centres])
    log_q = np.stack([-0.5 * (x - c) ** 2 - 0.5 * np.log(2 * np.pi) for c in centres])
    return x, log_q


def test_pooled_means_are_right_and_their_errors_cover():
    """Of a normal between two nodes, ln Z = ln 3, and of curves that share their draws."""
    rng, centres, couplings, n = np.random.default_rng(0), [-1.0, 0.0, 1.0], np.array([-0.5, 0.4]), 300
    inside, seen = [], []
    for _ in range(200):
        x, log_q = normals(rng, centres, n)
        log_p = np.stack([np.log(3) - 0.5 * (x - c) ** 2 - 0.5 * np.log(2 * np.pi) for c in couplings])
        found = pooled.along(
            log_p, log_q, {"x": x, "x2": x**2}, [n] * 3, {"var": lambda mean: mean["x2"] - mean["x"] ** 2}
        )
        for name, value in (("log_z", np.log(3)), ("var", 1.0)):
            off = (found[name].estimate.value - value) / found[name].estimate.error
            seen.append(off[0])
            inside.append(np.abs(off) < 1)
    assert np.mean(inside) == pytest.approx(0.68, abs=0.06)
    assert np.mean(np.abs(seen) < 2) > 0.92


def test_errors_of_differences_come_from_the_replicas():
    x, log_q = normals(np.random.default_rng(1), [0.0, 1.0], 2000)
    log_p = np.stack([-0.5 * (x - c) ** 2 for c in (0.5, 0.51)])
    found = pooled.along(log_p, log_q, {}, [2000] * 2, {})["log_z"]
    difference = pooled.jackknife_error(found.without[:, 1] - found.without[:, 0])
    assert 0 < difference < 0.1 * found.estimate.error.min()


def test_a_target_that_is_a_combination_of_the_densities_has_no_error():
    x, log_q = normals(np.random.default_rng(2), [0.0, 1.0, 2.0], 500)
    log_p = np.stack([log_q[1] + 2.0, np.logaddexp(log_q[0], log_q[2])])
    found = pooled.along(log_p, log_q, {"x": x}, [500] * 3, {"x": lambda mean: mean["x"]})
    np.testing.assert_allclose(found["log_z"].value, [2.0, np.log(2)], atol=1e-9)
    assert (pooled.jackknife_error(found["log_z"].without) < 1e-9).all()
    assert (found["x"].estimate.error < 1 / np.sqrt(500)).all()  # of the draws of one density


def test_weights_of_one_state_that_rounding_tells_apart_are_no_tail():
    rng = np.random.default_rng(4)
    w = rng.choice([1.0, 1.8, 3.5], 4000, p=[0.955, 0.0445, 0.0005]) * (1 + 1e-8 * rng.normal(size=4000))
    assert not pareto.fitted_tail(w / w.max()).k > 0.7
    assert pareto.error_factor(w / w.max()) < 1.2
