"""Divergences, free energies and entropies against sums over a few states."""

from __future__ import annotations

import numpy as np
import pytest

from flowlab.estimators.weights.divergences import divergences

T = 0.7


def exact(states):
    log_p, log_q = states.log_weight - states.log_z, states.log_q
    kl_reverse, kl_forward = states.q @ (log_q - log_p), states.p @ (log_p - log_q)
    return {
        "kl_reverse": kl_reverse,
        "kl_forward": kl_forward,
        "loss_reverse": kl_reverse - states.log_z,
        "loss_forward": -states.p @ log_q,
        "gibbs_free_energy": T * kl_reverse - T * states.log_z,
        "helmholtz_free_energy": -T * states.log_z,
        "entropy": -states.p @ log_p,
        "entropy_model": -states.q @ log_q,
    }


def sampled(states, n, rng, error):
    x, y = states.draw(n, rng, of="q"), states.draw(n, rng, of="p")
    return divergences(
        log_w_model=states.log_w[x],
        log_weight_model=states.log_weight[x],
        log_w_target=states.log_w[y],
        log_weight_target=states.log_weight[y],
        log_z=states.log_z + error * rng.standard_normal(),
        log_z_error=error,
        T=T,
    )


@pytest.mark.parametrize("error", [0.0, 0.02])
def test_all_of_them_and_their_errors(states, error):
    rng, true = np.random.default_rng(0), exact(states)
    pulls = {name: [] for name in true}
    for _ in range(300):
        for name, estimate in sampled(states, 5000, rng, error).items():
            pulls[name].append((estimate.value - true[name]) / max(estimate.error, 1e-12))
    for name, values in pulls.items():
        if name == "helmholtz_free_energy" and error == 0:
            assert np.abs(values).max() < 1e-3
            continue
        assert abs(np.mean(values)) < 0.25, name
        assert 0.85 < np.std(values) < 1.15, name


def test_identities_hold_sample_by_sample(states):
    found = {name: e.value for name, e in sampled(states, 100, np.random.default_rng(1), 0.0).items()}
    assert found["loss_forward"] == pytest.approx(found["kl_forward"] + found["entropy"])
    assert found["gibbs_free_energy"] == pytest.approx(T * found["kl_reverse"] + found["helmholtz_free_energy"])


def test_only_what_the_arguments_allow(states):
    assert divergences() == {}
    assert set(divergences(log_w_model=states.log_w)) == {"loss_reverse"}
    assert set(divergences(log_w_target=states.log_w, log_z=1.0)) == {"kl_forward"}
    assert set(divergences(log_weight_target=states.log_weight, log_z=1.0)) == {"entropy"}
    assert set(divergences(log_z=1.0, T=1.0)) == {"helmholtz_free_energy"}


def test_supports_that_differ_give_infinite_divergences():
    found = divergences(log_w_model=[0.0, -np.inf], log_weight_model=[0.0, -np.inf], log_z=0.0, T=1.0)
    assert found["kl_reverse"].value == found["gibbs_free_energy"].value == np.inf
    assert np.isnan(found["kl_reverse"].error) and np.isnan(found["entropy_model"].value)
    found = divergences(log_w_target=[0.0, np.inf], log_weight_target=[0.0, 1.0], log_z=0.0)
    assert found["kl_forward"].value == found["loss_forward"].value == np.inf
    assert found["entropy"].value == -0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"T": 0.0}, "T must be positive, got 0.0"),
        ({"log_z": np.nan}, "log_z must be finite, or None where unknown"),
        ({"log_z": 1.0, "log_z_error": -1.0}, "log_z_error must not be negative"),
        ({"log_w_model": [0.0]}, r"log_w_model must be one axis of at least 2 numbers, got shape \(1,\)"),
        ({"log_w_model": [0.0, np.inf]}, "log_w_model must be finite, got 1"),
        ({"log_w_target": [0.0, -np.inf]}, "log_w_target must be finite, got 1"),
        ({"log_weight_target": [0.0, np.inf]}, "log_weight_target must be finite, got 1"),
        ({"log_w_model": [0.0, 1.0], "log_weight_model": [0.0, 1.0, 2.0]}, "must have one shape"),
    ],
)
def test_bad_input_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        divergences(**arguments)
