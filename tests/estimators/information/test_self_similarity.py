"""Agreement of masks and alignment of logits where both are known."""

import numpy as np
import pytest

from flowlab.estimators.information.self_similarity import kernel_alignment, mask_agreement


def test_agreement_of_equal_opposite_and_unrelated_masks():
    rng = np.random.default_rng(0)
    a, b = rng.choice([-1.0, 1.0], size=(2, 2000, 16), p=[0.2, 0.8])
    found = mask_agreement([a, a, -a, b])
    np.testing.assert_allclose(found.fraction.value[0, :3], [1, 1, 0], atol=1e-12)
    chance = 0.2**2 + 0.8**2
    assert abs(found.fraction.value[0, 3] - chance) < 4 * found.fraction.error[0, 3]
    assert found.chance[0, 3] == pytest.approx(chance, abs=0.02)
    np.testing.assert_allclose(found.flips.value, [0.2, 0.2, 0.8, 0.2], atol=0.02)


def test_alignment_knows_rotations_and_independence():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 3000, 12))
    turn = np.linalg.qr(rng.normal(size=(12, 12)))[0]
    value, error = kernel_alignment([x, 3 * x @ turn + 1, y, x + y])
    assert value[0, 1] == pytest.approx(1, abs=1e-3)
    assert abs(value[0, 2]) < 4 * error[0, 2] + 1e-4
    assert value[0, 3] == pytest.approx(1 / 4 / (1 / 4 + 1 / 4), abs=0.02)  # |X'X|² / (|X'X| |2 X'X|)
    np.testing.assert_allclose(value, value.T)
    assert (np.diag(value) == 1).all()


def test_a_constant_layer_has_no_alignment():
    x = np.random.default_rng(2).normal(size=(100, 3))
    value, _ = kernel_alignment([x, np.ones((100, 3))])
    assert np.isnan(value[0, 1]) and value[0, 0] == 1


def test_refused():
    with pytest.raises(ValueError, match="masks must be -1 or \\+1"):
        mask_agreement(np.zeros((1, 2, 2)))
    with pytest.raises(ValueError, match=r"outputs must have shape \(layers, n, sites\)"):
        kernel_alignment(np.ones((2, 2)))
