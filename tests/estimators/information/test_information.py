"""Information, predictability and what is left of the order parameter, where the answer is known."""

import math

import numpy as np
import pytest

from flowlab.estimators.information.information import (
    binary_information,
    conditional_kurtosis,
    explained_variance,
    mutual_information,
    predictability,
    quantile_bins,
    words,
)


def bits(n: int, k: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).choice([-1.0, 1.0], size=(n, k))


def test_a_copied_bit_is_ln_2_and_a_noisy_one_the_channel_capacity():
    z = bits(20_000, 1)[:, 0]
    copied = mutual_information(z, z)
    assert abs(copied.value - math.log(2)) < 4 * copied.error + 1e-4
    noisy = np.where(np.random.default_rng(1).random(len(z)) < 0.1, -z, z)
    found = mutual_information(z, noisy)
    expected = math.log(2) + 0.1 * math.log(0.1) + 0.9 * math.log(0.9)
    assert abs(found.value - expected) < 4 * found.error
    assert found.error < 0.01


@pytest.mark.parametrize("values", [2, 8])
def test_independent_labels_have_none_within_errors(values):
    rng, found = np.random.default_rng(2), []
    for _ in range(200):
        x, y = rng.integers(values, size=(2, 400))
        found.append(mutual_information(x, y))
    value, error = np.array(found).T
    assert abs(value.mean()) < 4 * value.std() / math.sqrt(200) + 1e-4
    assert np.mean(np.abs(value) < 2 * error) > 0.85
    uncorrected = (values - 1) ** 2 / 800
    assert abs(value.mean()) < uncorrected / 10 + 1e-4


def test_all_pairs_of_bits_agree_with_one_pair_at_a_time():
    z = bits(300, 5)
    w = np.concatenate([z[:, :2], bits(300, 1, seed=1), np.ones((300, 1))], axis=1)
    found = binary_information(z, w)
    for i in range(5):
        for j in range(4):
            one = mutual_information(z[:, i], w[:, j])
            np.testing.assert_allclose([found.value[i, j], found.error[i, j]], one, atol=2e-3)


def test_words_and_bins():
    z = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]])
    assert words(z, 2).tolist() == [0, 1, 2, 3] and words(z, 0).tolist() == [0] * 4
    values = np.random.default_rng(0).normal(size=1000)
    assert np.ptp(np.bincount(quantile_bins(values, 8))) <= 2
    assert len(np.unique(quantile_bins(np.repeat([1.0, 2.0], [990, 10]), 8))) <= 2


def test_predictability_of_what_is_in_the_latents():
    n, rng = 4000, np.random.default_rng(3)
    z = bits(n, 12)
    sign = np.where(rng.random(n) < 0.2, -1, 1) * z[:, 3]
    found = predictability(z, sign, [0, 3, 4, 12], rng=rng)
    assert (np.abs(found.value[:2] - 0.5) < 4 * found.error[:2]).all()
    assert (np.abs(found.value[2:] - 0.8) < 4 * found.error[2:]).all()
    majority = np.sign(z[:, :5].sum(1))
    assert predictability(z, majority, [5], rng=rng).value[0] > 0.99


def test_predictability_is_held_out():
    n, rng = 60, np.random.default_rng(4)
    found = predictability(bits(n, 40), rng.choice([-1.0, 1.0], size=n), [40], rng=rng)
    assert abs(found.value[0] - 0.5) < 4 * found.error[0]


def test_explained_variance_of_known_sums():
    n, rng = 5000, np.random.default_rng(5)
    z = bits(n, 6)
    y = z[:, 0] + 2 * z[:, 1] + 2 * rng.normal(size=n)
    found = explained_variance(z, y, [0, 1, 2, 6])
    assert (np.abs(found.value - [0, 1 / 9, 5 / 9, 5 / 9]) < 4 * found.error + 1e-12).all()
    pooled = explained_variance(np.concatenate([z, z], axis=1), np.stack([y, y], 1)[:, None, :], [1, 2, 12])
    np.testing.assert_allclose(pooled.value[:, 0], [found.value[1], found.value[2], found.value[3]], atol=1e-9)


def test_nothing_explained_is_zero_on_average():
    rng, found = np.random.default_rng(6), []
    for _ in range(100):
        found.append(explained_variance(rng.normal(size=(200, 40)), rng.normal(size=200), [40]))
    value, error = np.array(found)[:, :, 0].T
    assert abs(value.mean()) < 0.04
    assert 0.5 < value.std() / error.mean() < 2


def test_kurtosis_of_two_gaussians_is_gone_where_the_label_is_known():
    n, rng = 20_000, np.random.default_rng(7)
    label = rng.integers(2, size=n)
    m = rng.normal(size=n) + 4 * label
    alone, given = conditional_kurtosis(m, np.zeros(n)), conditional_kurtosis(m, label)
    assert alone.value == pytest.approx(-2 * 4**4 / 16 / (1 + 4) ** 2, abs=4 * alone.error)  # κ4 = -2 (d/2)^4
    assert abs(given.value) < 4 * given.error and given.error < 0.1
    assert alone.value < -20 * alone.error
    assert math.isnan(conditional_kurtosis(np.ones(10), np.zeros(10)).value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mutual_information([1, 2], [1]), "x and y must have one length n >= 2, got 2 and 1"),
        (lambda: binary_information(np.ones(3), np.ones((3, 1))), r"z and w must be \(n, N\) and \(n, M\)"),
        (lambda: words(np.ones((2, 3)), 4), "at least k <= 30 columns"),
        (lambda: predictability(np.ones((5, 2)), np.zeros(5), [1], rng=None), "sign must be -1 or \\+1"),
        (lambda: predictability(np.ones((5, 2)), np.ones(5), [3], rng=None), "numbers of latents up to 2"),
        (lambda: explained_variance(np.ones((5, 4)), np.ones(5), [4]), "numbers of features up to 3"),
        (lambda: conditional_kurtosis([1.0], [1]), "one length n >= 4"),
    ],
)
def test_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
