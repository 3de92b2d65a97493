"""The entropy of biased coins."""

from __future__ import annotations

import numpy as np
import pytest

from flowlab.estimators import conditional_entropy


def binary_entropy(p):
    return -p * np.log(p) - (1 - p) * np.log(1 - p)


def log_probability(x, p):
    return np.log(np.where(x, p, 1 - p))


def test_a_biased_coin_has_its_entropy_without_noise():
    x = np.random.default_rng(1).random((50, 3)) < 0.2
    value, error = conditional_entropy(log_probability(x, 0.2))
    assert value == pytest.approx([binary_entropy(0.2)] * 3)
    assert error == pytest.approx([0, 0, 0], abs=1e-15)


def test_a_second_coin_that_depends_on_the_first():
    rng = np.random.default_rng(2)
    pulls, plain = [], []
    exact = 0.3 * binary_entropy(0.9) + 0.7 * binary_entropy(0.4)
    for _ in range(300):
        first = rng.random(500) < 0.3
        p = np.where(first, 0.9, 0.4)
        log_p = log_probability(rng.random(500) < p, p)
        value, error = conditional_entropy(np.stack([log_probability(first, 0.3), log_p], axis=1))
        pulls.append((value[1] - exact) / error[1])
        plain.append(log_p.std(ddof=1) / np.sqrt(500) / error[1])
    assert abs(np.mean(pulls)) < 0.25
    assert 0.85 < np.std(pulls) < 1.15
    assert np.mean(plain) > 2  # less noise than -ln p


def test_certain_and_impossible_values():
    found = conditional_entropy([[0.0, -np.inf, -1e-320], [0.0, -800.0, 1e-7]])
    assert found.value == pytest.approx([0, 0, 0], abs=1e-12)


@pytest.mark.parametrize(
    ("log_p", "message"),
    [([[0.1], [0.0]], "1 NaN or positive"), ([[np.nan], [0.0]], "1 NaN"), ([0.0, 0.0], "shape"), ([[0.0]], "n >= 2")],
)
def test_what_is_no_log_probability_is_refused(log_p, message):
    with pytest.raises(ValueError, match=message):
        conditional_entropy(log_p)
