"""The studies of the spin glass: what their keys build, that they learn, and what they refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import flowlab as fl

SMALL = {"N": 10, "T": 1.0, "samples": 2000, "steps": 300, "batch": 128, "device": "cpu"}


def test_forward_flow_gives_ln_z_and_the_overlaps():
    run = fl.experiment("sk-forward", **SMALL)
    run.run(progress=False)
    found = run.evaluate(5000)
    assert abs(float(found.log_z) - run.log_z_exact) < 4 * float(found.log_z_error)
    assert float(found.log_z_bound) < run.log_z_exact < float(found.forward_log_z_upper)
    assert float(found.mode_collapse) == 0 and float(found.overlap_total_variation) < 0.1
    assert float(found.forward_kl) == pytest.approx(float(found.loss_forward - found.entropy_x), abs=1e-4)


def test_reverse_flow_is_below_the_exact_value():
    run = fl.experiment("sk-reverse", **SMALL)
    data = run.run(progress=False)
    assert float(data.log_z_bound[-20:].mean()) > float(data.log_z_bound[:20].mean())
    found = run.evaluate(2000)
    assert float(found.log_z_bound) < run.log_z_exact + 4 * float(found.log_z_bound_error)
    assert float(found.gibbs_free_energy_x) > float(found.helmholtz_free_energy_x)


def test_layers_are_spins_at_every_layer():
    run = fl.experiment("sk-forward", **SMALL, z2=False)
    layers = run.layers(50)
    assert layers.configuration.dims == ("layer", "sample", "site")
    assert list(layers.layer_name.values) == ["latent", "linear", *(f"affine {i}" for i in range(1, 5))]
    assert set(np.unique(layers.configuration)) == {-1.0, 1.0}
    again = run.layers(z=torch.tensor(layers.field.values[0]))
    np.testing.assert_array_equal(again.configuration, layers.configuration)


def test_samples_without_the_coin_have_the_signs_and_the_ln_q_that_were_learned():
    run = fl.experiment("sk-autoregressive", **SMALL | {"T": 0.2, "steps": 2}, network="made")
    with torch.no_grad():
        run.density.density.output.bias.fill_(3.0)
    plain, fair = (run.sample(500, seed=1, symmetrised=symmetrised) for symmetrised in (False, True))
    assert plain.configuration.mean() > 0.7 > abs(fair.configuration.mean()) + 0.4
    x = torch.tensor(plain.configuration.values, dtype=torch.float32)
    with torch.no_grad():
        np.testing.assert_allclose(plain.log_q, run.density.density.log_prob(x), atol=1e-4)
    last = {symmetrised: run.layers(500, symmetrised=symmetrised).configuration[-1].mean() for symmetrised in (0, 1)}
    assert last[0] > 0.7 > abs(last[1]) + 0.4


def test_whitening_gives_every_direction_unit_variance():
    for whiten in ("eigenbasis", "covariance"):
        run = fl.experiment("sk-forward", **SMALL | {"steps": 1}, whiten=whiten)
        run.run(progress=False)
        x = run.target.reduce(run.comparison.samples(1.0).float(), generator=torch.Generator().manual_seed(0))
        z, _ = run.density.density.flow[-1].inverse(x)
        torch.testing.assert_close(z.square().mean(0), torch.ones(10), atol=0.1, rtol=0)


def test_the_same_instance_at_another_temperature_starts_from_the_weights():
    run = fl.experiment("sk-forward", **SMALL | {"steps": 20})
    run.run(progress=False)
    other = run.at(T=0.8)
    assert other.keys["T"] == 0.8 and torch.equal(other.target.parent.J, run.target.parent.J)
    for (name, mine), theirs in zip(run.density.named_parameters(), other.density.parameters(), strict=True):
        assert torch.equal(mine, theirs), name


def test_the_papers_recipe_is_a_preset():
    study = fl.runs.studies()["sk-forward"]
    with pytest.warns(DeprecationWarning, match="preset=paper of sk-forward is not what it was"):
        keys = study.normalise({"preset": "paper", "N": 16})
    assert (keys["N"], keys["batch"], keys["lr"], keys["steps"]) == (16, 50, 1e-4, 250_000)
    assert keys["whiten"] == "none" and keys["schedule"] == "constant" and "preset" not in keys
    with pytest.raises(ValueError, match="preset of sk-forward must be one of paper, got 'other'"):
        study.normalise({"preset": "other"})


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"layers": 0}, "layers must be at least 1"),
        ({"T": -1.0}, "T must be positive"),
        ({"epsilon": 0.0}, "epsilon must be positive"),
        ({"samples": 170}, "samples must be at least 180, 18 for each of the 10 replicas, got 170"),
        ({"N": 1}, "at least"),
    ],
)
def test_refuses(keys, message):
    with pytest.raises(ValueError, match=message):
        fl.experiment("sk-forward", **SMALL | keys)


def test_annealing_heats_the_start_only():
    run = fl.experiment("sk-reverse", **SMALL | {"steps": 10}, anneal=0.5)
    data = run.run(progress=False)
    beta = data.inverse_temperature.values
    assert beta[0] < 0.5 and beta[-1] == 1.0 and math.isfinite(beta.sum())


def test_masks_and_the_fields_of_spins_are_choices():
    """Masks are those of their key, and each spin configuration becomes one field or another every step."""
    one, other = (fl.experiment("sk-forward", **SMALL | {"steps": 2, "masks": masks}) for masks in (0, 1))
    first = [next(layer for layer in run.density.density.flow if layer.label == "affine") for run in (one, other)]
    assert first[0].changed.tolist() != first[1].changed.tolist()
    spins = torch.where(torch.rand(50, one.system.n_sites, generator=torch.Generator().manual_seed(0)) < 0.5, -1.0, 1.0)
    fields = {True: set(), False: set()}
    log_prob = one.density.log_prob
    for redraw, seen in fields.items():
        objective = fl.training.ForwardKL(spins, held_out=0.9, redraw=redraw)
        objective.prepare(one.density, one.target, fresh=False)

        def noted(x, seen=seen):
            seen |= {row.numpy().tobytes() for row in x} if len(x) == 200 else set()
            return log_prob(x)

        one.density.log_prob = noted
        for seed in (1, 2):
            objective.loss(one.density, one.target, 200, generator=torch.Generator().manual_seed(seed))
    assert len(fields[True]) == 400 and len(fields[False]) == 5
