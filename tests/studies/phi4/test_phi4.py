"""Flows on lattice phi^4 and the free field: every study builds and trains, and ln Z comes out right."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

import flowlab as fl
from flowlab.flows import SpectralScaling
from flowlab.flows.real.coupling import lattice_coordinates, staggered_masks
from flowlab.runs.sweeps import sweep
from flowlab.studies.phi4.flows import kappa_ramp
from flowlab.studies.phi4.scaling import scaling, training_curve

LN_Z = {
    (case["L"], case["beta"]): case["lnZ"]
    for case in json.loads((Path(__file__).parents[2] / "data" / "public_phi4_lnz.json").read_text())["cases"]
}
FLOWS = ("phi4-affine", "phi4-flow", "phi4-hybrid", "phi4-spline")
SMALL = {"L": 4, "beta": 0.5, "batch": 100, "device": "cpu"}


@pytest.mark.parametrize("study", FLOWS)
def test_ten_steps_raise_the_bound(study):
    run = fl.experiment(study, **SMALL, steps=10, lr=0.01)
    bound = [record["log_z_bound"] for record in run.stream()]
    assert np.mean(bound[-2:]) > np.mean(bound[:2]) + 0.2
    assert max(bound) < LN_Z[4, 0.5] + 0.5


@pytest.mark.parametrize(("L", "beta"), [(4, 0.5), (6, 0.537)])
def test_ln_z_agrees_with_the_reference(L, beta):
    run = fl.experiment("phi4-flow", L=L, beta=beta, hidden=16, steps=40, batch=100, lr=0.015, device="cpu")
    run.run(progress=False)
    found = run.evaluate(3000)
    assert abs(float(found.log_z) - LN_Z[L, beta]) < 4 * float(found.log_z_error) < 0.05
    assert float(found.ess) > 0.8 and float(found.log_z_bound) < LN_Z[L, beta]


def test_ln_z_of_the_free_field_agrees_with_the_exact_one():
    run = fl.experiment("phi4-free", L=4, mass=1.0, hidden=2, steps=120, batch=50, lr=0.03, device="cpu")
    run.run(progress=False)
    found = run.evaluate(3000)
    assert float(found.acceptance) > 0.8
    assert abs(float(found.log_z) - run.log_z_exact) < 4 * float(found.log_z_error) < 0.05


def test_the_first_spectrum_is_that_of_a_quarter_of_the_side_in_one_dimension_too():
    run = fl.experiment("phi4-flow", L=16, d=1, beta=0.5, blocks="aff", hidden=4, device="cpu")
    z = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(next(iter(run.density.flow))(z), SpectralScaling((8,), 4 / 16, staggered=True)(z))


def test_the_spectrum_is_exact_for_the_free_field_from_the_start():
    run = fl.experiment("phi4-free", L=6, spectral=True, hidden=1, device="cpu")
    with torch.no_grad():
        for layer in run.density.flow:
            if layer.label == "additive":
                layer.network.odd_weight.zero_()
    found = run.evaluate(500)
    assert float(found.ess) > 1 - 1e-6 and abs(float(found.log_z) - run.log_z_exact) < 1e-3


def test_the_published_sizes_by_our_layers_have_another_name_and_the_old_one_warns():
    with pytest.warns(
        DeprecationWarning, match="table3-6 of phi4-hybrid is not what it was: .* preset=tuned-6 is what"
    ):
        literal = fl.experiment("phi4-hybrid", preset="table3-6", device="cpu")
    tuned = fl.experiment("phi4-hybrid", preset="tuned-6", device="cpu")
    assert (literal.keys["form"], tuned.keys["form"]) == ("published", "bounded")
    assert tuned.optimisation.settings["final"] == 0.01 and tuned.optimisation.settings["warmup"] == 0.02
    same = ("L", "blocks", "batch", "steps", "lr", "z2", "lam", "beta")
    assert all(literal.keys[key] == tuned.keys[key] for key in same)


def test_a_run_without_clipping_is_kept_and_goes_on(tmp_path):
    keys = dict(L=4, beta=0.5, batch=8, steps=4, clip=float("inf"), device="cpu", seed=1)
    run = fl.experiment("phi4-affine", **keys, out=tmp_path / "a")
    run.run(2, progress=False)
    again = fl.load(tmp_path / "a")
    assert again.keys["clip"] == float("inf") and again.keys == run.keys
    again.run(progress=False)
    whole = fl.experiment("phi4-affine", **keys)
    whole.run(progress=False)
    assert again.data.loss.values.tolist() == whole.data.loss.values.tolist()
    assert json.loads((tmp_path / "a" / "experiment.json").read_text())["keys"]["clip"] == "inf"


def test_a_stack_of_convolutions_makes_layers_that_are_even_or_not():
    for form, odd in (("published", "all"), ("bounded", "all"), ("published", "none")):
        run = fl.experiment(
            "phi4-affine",
            L=4,
            beta=0.5,
            net="stack",
            depth=2,
            form=form,
            odd=odd,
            z2=False,
            batch=8,
            steps=2,
            device="cpu",
        )
        run.run(progress=False)
        x, log_q = run.density.sample(5, generator=torch.Generator().manual_seed(0))
        assert torch.allclose(run.density.log_prob(-x), log_q, atol=1e-4) == (odd == "all")


@pytest.mark.parametrize("name", ["phi4-hybrid", "phi4-spline"])
def test_fields_keep_both_signs_by_default_and_not_as_published(name):
    keys = dict(L=4, beta=0.8, batch=8, steps=2, device="cpu")
    even = fl.experiment(name, **keys)
    x, log_q = even.density.sample(20, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(even.density.log_prob(-x), log_q)
    assert type(fl.experiment(name, preset="published", **keys).density) is fl.Pushforward
    assert type(fl.experiment("phi4-affine", **keys).density) is fl.Pushforward  # odd layers need no help
    with pytest.raises(ValueError, match="z2=True has no effect where every layer is odd"):
        fl.experiment(name, odd="all", z2=True, **keys)


def test_runs_from_before_there_was_a_choice_of_sign_are_read_as_they_were(tmp_path):
    run = fl.experiment("phi4-hybrid", L=4, beta=0.5, batch=8, steps=2, z2=False, device="cpu", out=tmp_path / "a")
    run.run(progress=False)
    meta = json.loads((tmp_path / "a" / "experiment.json").read_text())
    del meta["keys"]["z2"]
    (tmp_path / "a" / "experiment.json").write_text(json.dumps(meta))
    again = fl.load(tmp_path / "a")
    assert again.keys["z2"] is False and again.step == 2


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("decimated", [True, False])
def test_every_dimension(d, decimated):
    run = fl.experiment("phi4-flow", L=4, d=d, kappa=0.1, decimated=decimated, hidden=4, batch=8, steps=2, device="cpu")
    run.run(progress=False)
    assert run.sample(3).configuration.shape == (3, *(4,) * d)
    x, _ = run.density.sample(5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(run.density.log_prob(x), run.density.log_prob(-x))


def test_blocks_come_in_any_order_with_spectra_around_them():
    run = fl.experiment("phi4-flow", L=6, blocks="rqs, add,aff", net="fc", device="cpu", rescale=True)
    labels = [layer.label for layer in run.density.flow]
    two = [["spline"] * 2, ["additive"] * 2, ["affine"] * 2]
    assert labels == [*(label for pair in two for label in ("spectral", *pair)), "spectral", "rescaling"]
    assert (run.density.flow[0].log_amplitude != 0).any() and (run.density.flow[3].log_amplitude == 0).all()


@pytest.mark.parametrize(("shape", "parts"), [((4,), 2), ((8, 4), 4), ((6, 3), 2), ((4, 4, 2), 8), ((6, 6, 3), 4)])
def test_parts_of_the_even_sublattice_hold_no_two_sites_that_act_on_each_other(shape, parts):
    masks = staggered_masks(shape)
    assert len(masks) == parts and (torch.stack(masks).sum(0) == 1).all()
    sides, sites = lattice_coordinates(shape, staggered=True)
    steps = [sign * row for row in torch.eye(len(sides), dtype=torch.long) for sign in (1, -1)]
    offsets = [a - b for a, b in itertools.product(steps, steps) if (a != b).any()]
    colour = torch.full(sides, -1)
    for i, mask in enumerate(masks):
        colour[tuple(sites[mask.flatten()].T)] = i
    alike = [
        (colour[tuple(((sites + offset) % torch.tensor(sides)).T)] == colour[tuple(sites.T)]).any()
        for offset in offsets
    ]
    assert any(alike) == any(side % 4 for side in sides)


def test_training_at_another_beta_starts_from_the_weights():
    run = fl.experiment("phi4-flow", L=4, beta=0.5, anneal=0.5, hidden=4, batch=50, steps=6, device="cpu")
    couplings = [record["trained_kappa"] for record in run.stream()]
    assert couplings[0] == pytest.approx(0.125) and couplings[3:] == [0.25] * 3
    other = run.at(kappa=0.3, steps=2)
    assert other.keys["beta"] is None and other.system.form == "kappa"
    assert all(torch.equal(a, b) for a, b in zip(other.density.parameters(), run.density.parameters(), strict=True))
    assert [record["trained_kappa"] for record in other.stream()] == [0.3, 0.3]
    assert kappa_ramp(0.3, 0.0) is None


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"L": 7, "beta": 0.5}, "sides must be even|must be even|even"),
        ({"L": 4}, "give beta or kappa: none is known for L = 4 at lam = 0.5, only for L = "),
        ({"lam": 0.4}, "give beta or kappa"),
        ({"blocks": "rqs,nvp"}, "blocks must be add, aff, rqs, separated by commas, got 'nvp'"),
        ({"blocks": ""}, "blocks must be add, aff, rqs"),
        ({"beta": 0.5, "lam": -0.1}, "lam must be 0 or more, got -0.1"),
        ({"kappa": 0.3, "lam": 0.0}, r"needs \|kappa\| < 1/4"),
        ({"beta": 0.5, "kappa": 0.25}, "give beta or kappa, not both"),
        ({"anneal": 2.0}, "anneal must lie in"),
        ({"bound": 0.0}, "bound must be positive"),
        ({"L": 6, "d": 1, "beta": 0.5}, "the side of a chain must be a multiple of four, got 6"),
        ({"net": "cnn"}, "net must be one of fc, conv"),
    ],
)
def test_refuses(keys, message):
    with pytest.raises(ValueError, match=message):
        fl.experiment("phi4-flow", **keys)


def test_a_free_field_without_mass_is_refused():
    with pytest.raises(ValueError, match="mass"):
        fl.experiment("phi4-free", mass=0.0)


def runs(exponent: float, noise: float = 0.0) -> xr.DataArray:
    """Acceptances that reach 0.5 after 1000 ξ^exponent configurations."""
    L, n = np.array([6, 8, 12]), np.array([100, 200, 400, 800])
    seen = np.multiply.outer(n, n)
    cost = 1000 * (L / 4) ** exponent
    a = 0.5 + 0.1 * np.log(seen[None] / cost[:, None, None])
    a = a + noise * np.random.default_rng(0).normal(size=a.shape)
    return xr.DataArray(a, {"L": L, "length": n, "batch": n})


def test_the_exponent_of_the_cost_is_found():
    found = scaling(training_curve(runs(4.0)), [0.5, 0.6, 5.0])
    np.testing.assert_allclose(found.cost[:2, 1:], 1000 * np.array([[1], [math.e]]) * np.array([2.0, 3.0]) ** 4)
    assert np.isnan(found.cost[0, 0]) and np.isnan(found.cost[2]).all() and np.isnan(found.exponent[2])
    assert float(found.exponent[0]) == pytest.approx(4.0)
    noisy = scaling(training_curve(runs(4.0, 0.01)), [0.6])
    assert 0 < float(noisy.exponent_error[0]) < 0.5
    assert abs(float(noisy.exponent[0]) - 4.0) < 4 * float(noisy.exponent_error[0])


def test_runs_that_saw_as_many_configurations_are_averaged():
    curve = training_curve(runs(4.0, 0.01))
    assert curve.sizes == {"L": 3, "configurations": 7}
    assert np.isnan(curve.spread_acceptance[:, [0, -1]]).all() and (curve.mean_acceptance_error > 0).all()
    assert (curve.mean_acceptance_error[:, 3] < curve.spread_acceptance[:, 3] / 1.9).all()


def test_scaling_study(tmp_path):
    keys = {"flow": "phi4-affine", "sizes": "10,12", "batches": "40", "lengths": "2,4", "evaluate": 100}
    keys |= {"device": "cpu", "progress": False}
    found = sweep("phi4-scaling", **keys, acceptances="0.01,0.99", out=tmp_path)
    assert found.acceptance.sizes == {"length": 2, "L": 2, "batch": 1}
    assert found.configurations.values.tolist() == [80, 160] and found.attrs["errors"] == "{}"
    assert np.isnan(found.sel(target_acceptance=0.99).cost).all()
    assert all(v.attrs["long_name"] and "units" in v.attrs for v in found.data_vars.values())
    assert fl.load(tmp_path / "steps=4" / "L=12,batch=40").keys["steps"] == 4
    again = sweep("phi4-scaling", **keys, acceptances="0.01,0.99", out=tmp_path)
    xr.testing.assert_identical(again.drop_vars("seconds"), found.drop_vars("seconds"))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"flow": "phi4-free"}, "flow must be one of"),
        ({"sizes": "4,6"}, r"sizes must be of 6, 8.*got \[4\]"),
        ({"batches": "a"}, "batches must be numbers separated by commas, got 'a'"),
        ({"lengths": "10,5"}, "lengths must be positive and ascend"),
        ({"sizes": "6.9,8"}, "sizes must be whole numbers, got '6.9,8'"),
        ({"acceptances": "0.5,1.5"}, "acceptances must be below 1, got '0.5,1.5'"),
        ({"blocks": "x", "sizes": "6"}, "blocks must be"),
    ],
)
def test_scaling_refuses(keys, message):
    with pytest.raises((ValueError, RuntimeError), match=message):
        sweep("phi4-scaling", **keys, progress=False)
