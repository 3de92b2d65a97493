"""The block jackknife against the delta method."""

import numpy as np
import pytest

from flowlab.estimators.series.jackknife import block_sums, jackknife, spread


def test_error_of_a_mean_is_its_standard_error_and_bias_is_removed():
    x = np.random.default_rng(0).exponential(size=4000)
    pairs = np.stack([np.ones_like(x), x], axis=1)
    value, error = jackknife(block_sums(pairs, blocks=4000), lambda s: s[1] / s[0])
    assert value == pytest.approx(x.mean()) and error == pytest.approx(x.std(ddof=1) / np.sqrt(4000))
    small, rng = [], np.random.default_rng(1)
    for _ in range(300):
        y = rng.normal(size=20)
        sums = block_sums(np.stack([np.ones(20), y], axis=1))
        small.append([jackknife(sums, lambda s: (s[1] / s[0]) ** 2, corrected=c).value for c in (False, True)])
    plain, corrected = np.mean(small, axis=0)
    assert plain == pytest.approx(1 / 20, abs=0.02) and abs(corrected) < 0.02


def test_one_sample_is_refused():
    with pytest.raises(ValueError, match="an error needs at least 2 samples, got 1"):
        block_sums([1.0])


def test_one_replica_without_a_value_does_not_take_the_error_away():
    replicas = np.random.default_rng(1).normal(size=(200, 2))
    replicas[7] = np.nan
    replicas[:50, 1] = np.nan
    found = spread(replicas)
    assert found[0] == pytest.approx(np.delete(replicas[:, 0], 7).std(ddof=1))
    assert np.isnan(found[1])  # a fourth of them: the error is not known
