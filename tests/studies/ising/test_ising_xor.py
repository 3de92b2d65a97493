"""The study of XOR layers on the Ising model: what its keys build, and what they refuse."""

from __future__ import annotations

import pytest
import torch

import flowlab as fl
from flowlab.exact.mean_field_theory import mean_field

SMALL = {"steps": 2, "batch": 10, "device": "cpu"}


def study(**keys: object) -> fl.Training:
    return fl.experiment("ising-xor", **SMALL | {"L": 4} | keys)


def kinds(run: fl.Training) -> set[str]:
    return {type(layer).__name__ for layer in run.density.flow}


def parities(run: fl.Training) -> list[tuple[str | None, str]]:
    return [(layer.parity, layer.start) for layer in run.density.flow]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"start": "local_field"}, [("odd", "local_field"), ("even", "identity"), ("even", "identity")]),
        ({"start": "identity"}, [("even", "identity")] * 3),
        ({"start": "random"}, [("even", "random")] * 3),
        ({"h": 0.1, "start": "local_field"}, [(None, "local_field")] * 3),
        ({"parity": "odd", "start": "local_field"}, [("odd", "local_field")] * 3),
        ({"parity": "none", "start": "identity"}, [(None, "identity")] * 3),
    ],
)
def test_masks(keys, expected):
    assert parities(study(layers=3, **keys)) == expected


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"base": "independent"}, "SortingCoupling"),
        ({"base": "independent", "construction": "xor"}, "XorCoupling"),
        ({"base": "independent", "start": "local_field"}, "XorCoupling"),
        ({"base": "independent", "start": "identity"}, "XorCoupling"),  # what runs say that are older than sorting
        ({"base": "independent", "parity": "none"}, "XorCoupling"),
        ({"base": "independent", "h": 0.1}, "XorCoupling"),
        ({"base": "local"}, "XorCoupling"),
        ({"base": "local", "construction": "sorting"}, "SortingCoupling"),
        ({}, "XorCoupling"),
    ],
)
def test_independent_bits_are_sorted_where_nothing_is_said_of_masks(keys, expected):
    run = study(layers=2, **keys)
    assert kinds(run) == {expected}


def test_at_the_critical_point_bits_that_are_sorted_beat_the_best_independent_spins():
    T = fl.CRITICAL_TEMPERATURE
    run = study(L=8, T=T, base="independent", layers=1, batch=200, steps=200)
    run.run(progress=False)
    drawn = run.sample(10_000)
    bound = T / 64 * (drawn.log_q - drawn.log_weight)
    assert float(bound.mean()) < mean_field((8, 8), 1 / T).free_energy_per_site - 5 * float(bound.std()) / 100


@pytest.mark.parametrize(
    "keys",
    [
        {"base": "independent"},
        {"base": "local", "construction": "sorting"},
        {"start": "local_field"},
        {"start": "local_field", "parity": "odd"},
        {"start": "identity"},
        {"layers": 0},
    ],
)
def test_without_a_field_the_density_is_exactly_symmetric(keys):
    run = study(**keys)
    x = torch.as_tensor(run.sample(30).configuration.values, dtype=torch.float32)
    torch.testing.assert_close(run.density.log_prob(-x), run.density.log_prob(x))
    assert run.density.flip_action() is not None


@pytest.mark.parametrize("keys", [{"h": 0.2}, {"z2": False}])
def test_symmetry_is_not_imposed_where_it_is_not_there_or_not_wanted(keys):
    run = study(base="independent", **keys)
    x = torch.as_tensor(run.sample(30).configuration.values, dtype=torch.float32)
    assert not torch.allclose(run.density.log_prob(-x), run.density.log_prob(x))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"L": 5}, "L must be even for a checkerboard, got 5"),
        ({"L": 0, "layers": 0}, "L must be at least 2, got 0"),
        ({"T": 0.0}, "T must be positive, got 0.0"),
        ({"T": float("nan")}, "T must be a finite number, got nan"),
        ({"h": 0.1, "z2": True}, "z2 must be false or none in a field"),
        ({"h": 0.1, "parity": "odd", "start": "local_field"}, "parity must be auto or none in a field"),
        ({"parity": "odd", "start": "identity"}, "an odd mask cannot start at the identity"),
        ({"parity": "even", "start": "local_field"}, "the local-field mask is odd"),
        ({"layers": -1}, "layers must be 0 or more, got -1"),
        (
            {"construction": "sorting", "start": "random"},
            "start has no effect on sorting layers",
        ),
        ({"construction": "sorting", "L": 6}, "layers must be at most 2 for sorting, .* side 6 halves, got 4"),
        ({"width": 0}, "width must be at least 1, got 0"),
        ({"mask_width": 0}, "mask_width must be at least 1, got 0"),
        ({"mask_depth": 0}, "mask_depth must be at least 1, got 0"),
        ({"anneal": 1.5}, r"anneal must lie in \[0, 1\]"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"batch": 1}, "batch must be at least 2, got 1"),
        ({"lr": -1.0}, "lr must be positive, or none, got -1.0"),
        ({"clip": 0}, "clip must be positive, got 0"),
        ({"base": "pixel"}, "base must be one of made, independent, local, row_rnn, pixelcnn, got 'pixel'"),
        ({"device": "abacus"}, "device must be auto or one of"),
    ],
)
def test_refused(keys, message):
    with pytest.raises(ValueError, match=message):
        study(**keys)


@pytest.mark.parametrize("keys", [{"L": 2}, {"L": 5, "layers": 0}, {"L": 2, "kernel": 7, "start": "identity"}])
def test_small_and_odd_lattices(keys):
    run = study(**keys)
    run.run(progress=False)
    assert run.state == "finished" and run.data.log_z_bound.notnull().all()


def test_annealing_ends_at_the_temperature_asked_for():
    run = study(T=2.5, steps=20, anneal=0.5)
    beta = run.run(progress=False).inverse_temperature.values
    assert beta[0] == pytest.approx(0.2 / 2.5) and (beta[10:] == 1 / 2.5).all()
    assert (study(anneal=0.0, T=2.5).run(progress=False).inverse_temperature == 1 / 2.5).all()


@pytest.mark.parametrize("gradient", ["tanh", "clip", "gumbel"])
def test_masks_learn(gradient):
    run = study(
        T=4.0, base="independent", layers=1, start="random", gradient=gradient, anneal=0.0,
        lr=3e-2, lr_flow=1e-2, steps=150, batch=200,
    )  # fmt: skip
    bound = run.run(progress=False).log_z_bound.values
    assert bound[-20:].mean() > bound[:20].mean() + 0.2


def test_the_title_says_that_bits_are_sorted():
    assert repr(study(base="independent", layers=2)).startswith("<ising-xor (sorting layers) L=4 layers=2")
    assert "sorting" not in repr(study(base="independent", layers=2, start="local_field"))


def test_a_base_is_trained_alike_with_and_without_layers_and_alone_reaches_the_mean_field():
    for base in ("independent", "local", "made", "pixelcnn", "row_rnn"):
        alone, beneath = (study(base=base, layers=layers, construction=c) for layers, c in ((0, "auto"), (2, "xor")))
        assert alone.optimisation.learning_rate["base"] == beneath.optimisation.learning_rate["base"]
        assert alone.annealing(0.1) == beneath.annealing(0.1)
    T = fl.CRITICAL_TEMPERATURE
    run = study(L=4, T=T, base="independent", layers=0, steps=300, batch=200)
    run.run(progress=False)
    drawn = run.sample(10_000, seed=0)
    bound = T / 16 * (drawn.log_q - drawn.log_weight)
    assert (
        abs(float(bound.mean()) - mean_field((4, 4), 1 / T).free_energy_per_site) < 0.003 + 4 * float(bound.std()) / 100
    )


def test_the_noise_of_masks_falls_to_where_it_is_told():
    keys = {"L": 4, "gradient": "gumbel", "tau": 0.1, "batch": 20, "steps": 2, "device": "cpu"}
    run = fl.experiment("ising-xor", **keys)
    run.density.anneal(1.0)
    assert [layer.sign.temperature for layer in run.density.flow] == [pytest.approx(0.1)] * 4
    with pytest.raises(ValueError, match="tau has no effect but for gradient=gumbel"):
        fl.experiment("ising-xor", **keys | {"gradient": "tanh"})
