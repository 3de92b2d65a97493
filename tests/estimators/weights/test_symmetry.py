"""Both signs of the magnetisation equally often, and the words where they are not."""

from __future__ import annotations

import numpy as np
import pytest

from flowlab.estimators import LostSignWarning, UntrustedWarning, evaluation
from flowlab.estimators.weights.symmetry import positive_fraction


def evaluated(m, log_weight=0.0, **changes):
    arguments = {"n_sites": 4, "domain": "real", "flip_symmetric": True, "rng": np.random.default_rng(0)} | changes
    return evaluation(log_weight + np.zeros(len(m)), np.zeros(len(m)), {"magnetization": m}, **arguments)


def test_fraction_and_error_of_a_biased_coin():
    rng = np.random.default_rng(1)
    found = [positive_fraction(rng.uniform(-0.3, 0.7, 400)) for _ in range(300)]
    value, error = np.array(found).T
    assert abs(value.mean() - 0.7) < 4 * error.mean() / np.sqrt(300)
    assert abs(value.std() / error.mean() - 1) < 4 / np.sqrt(600)


def test_one_sign_has_an_error_and_zeros_count_half():
    assert positive_fraction(np.ones(98)).error == pytest.approx(0.00985, abs=1e-4)
    assert positive_fraction(np.zeros(5)).value == 0.5


@pytest.mark.parametrize("m", [[], [[1.0]], [np.nan]])
def test_what_is_no_series_is_refused(m):
    with pytest.raises(ValueError, match="one axis"):
        positive_fraction(m)


def test_both_signs_give_no_warning():
    found = evaluated(np.random.default_rng(2).standard_normal(4000))
    assert abs(found.positive_fraction - 0.5) < 4 * found.positive_fraction_error
    assert found.attrs["warnings"] == ""


def test_a_lost_sign_is_named_with_its_number_and_the_mend():
    m = np.abs(np.random.default_rng(3).standard_normal(4000))
    with pytest.warns(LostSignWarning, match=r"M > 0 in 100 ± 0.025 % .* missing from every estimate; odd layers"):
        found = evaluated(m)
    assert float(found.positive_fraction) == 1.0
    assert "M > 0 in 100 ± 0.025 %" in found.attrs["warnings"]


def test_an_uneven_share_of_both_signs_is_noted_as_what_it_is():
    m = np.random.default_rng(3).standard_normal(4000) + 0.2
    found = evaluated(m, log_weight=-0.2 * m)
    assert found.attrs["warnings"] == "" and "the weights make up for it" in found.attrs["reasons"]
    with pytest.warns(UntrustedWarning, match=r"M > 0 in 58\.67 .* reweighted it is 58\.68 .* do not make up for it"):
        evaluated(m)


def test_only_symmetric_targets_are_judged_of_whatever_variables():
    m = np.random.default_rng(5).uniform(0.5, 1, 100)
    found = evaluated(m, flip_symmetric=False)
    assert "positive_fraction" not in found and found.attrs["warnings"] == ""
    with pytest.warns(LostSignWarning, match="M > 0 in 100"):
        evaluated(m, domain="spin", T=2.0)


def test_a_temperature_that_is_not_a_number_is_none():
    found = evaluated(np.random.default_rng(4).standard_normal(100), T=np.nan)
    assert "free_energy" not in found and "T" not in found.attrs
    assert "free_energy" not in evaluated(np.ones(10), domain="spin", T=np.nan)
