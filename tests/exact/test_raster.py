"""Conditional entropies in raster order: against enumeration, and against Kaufman's entropy."""

import numpy as np
import pytest

import flowlab as fl
from flowlab.exact import conditional_entropies


@pytest.mark.parametrize("K", [0.0, 0.3, 0.44, -0.5])
def test_entropies_are_those_of_all_states(K: float) -> None:
    s = np.array(np.meshgrid(*[[1, -1]] * 9, indexing="ij")).reshape(3, 3, -1)
    p = np.exp(K * (s * np.roll(s, 1, 0) + s * np.roll(s, 1, 1)).sum((0, 1)).reshape([2] * 9))
    p /= p.sum()
    marginals = [p.sum(tuple(range(k, 9))) for k in range(10)]
    sums = [-(q * np.log(q)).sum() for q in marginals]
    np.testing.assert_allclose(conditional_entropies(3, K), np.diff(sums), atol=1e-12)


@pytest.mark.parametrize("T", [1.5, fl.CRITICAL_TEMPERATURE, 4.0])
def test_their_sum_is_the_entropy(T: float) -> None:
    known = fl.exact.kaufman((6, 6), beta=1 / T)
    assert conditional_entropies(6, 1 / T).sum() == pytest.approx(known.energy / T + known.log_z, abs=1e-9)


def test_what_it_cannot_do_is_refused() -> None:
    with pytest.raises(ValueError, match="L must"):
        conditional_entropies(11, 0.4)
    with pytest.raises(ValueError, match="K must"):
        conditional_entropies(4, float("nan"))
