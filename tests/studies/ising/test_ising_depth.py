"""Depth as complexity: the gap by depth, and layers that keep what was learned before them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import flowlab as fl
from flowlab.runs.sweeps import sweep
from flowlab.studies.ising.depth import smallest_depth

SMALL = dict(
    max_depth=2,
    base_steps=200,
    steps=100,
    warm_steps=10,
    batch=100,
    evaluate=1000,
    device="cpu",
    progress=False,
    seed=1,
)


@pytest.fixture(scope="module")
def ising(tmp_path_factory):
    out = tmp_path_factory.mktemp("ising") / "depth"
    return out, sweep(
        "ising-depth", L=4, T_min=5.0, T_max=5.0, points=1, epsilon=0.1, by_layer=True, out=out,
        **SMALL | {"evaluate": 8000},
    )  # fmt: skip


@pytest.fixture(scope="module")
def glass(tmp_path_factory):
    out = tmp_path_factory.mktemp("sk") / "depth"
    return out, sweep("ising-depth", system="sk", N=8, instances=1, T_min=2.0, T_max=2.0, points=1, out=out, **SMALL)


def test_one_layer_pays_in_the_disordered_phase_and_sets_the_depth(ising):
    data = ising[1]
    assert data.gap.dims == ("T", "layers") and data.layers.values.tolist() == [0, 1, 2]
    assert data.steps.values.tolist() == [[200, 100, 10]]
    exact = -5 * fl.exact.log_z(fl.Ising((4, 4), 5.0)) / 16
    np.testing.assert_allclose(data.gap, data.free_energy_bound_per_site - exact, atol=1e-12)
    np.testing.assert_allclose(data.gap_error, data.free_energy_bound_per_site_error)
    alone, one, two = (data.gap.sel(T=5.0, layers=k) for k in range(3))
    assert alone - one > 5 * data.gap_error.max() and abs(two - one) < 5 * data.gap_error.max()
    assert alone > 0.1 > one > 0 and data.depth.values.tolist() == [1.0]
    assert smallest_depth(data.gap, 1.0).values.tolist() == [0.0]
    assert np.isnan(smallest_depth(data.gap, 1e-9)).all()


def test_the_base_alone_is_trained_to_its_exact_optimum(ising):
    alone = ising[1].sel(layers=0)
    assert (abs(alone.gap - alone.gap_mean_field) < 4 * alone.gap_error + 1e-3).all()


def test_the_deepest_flow_is_looked_into_by_layer(ising):
    out, data = ising
    (path,) = out.glob("*layers=2")
    known = fl.load(path).diagnose(8000, parts=["entropy", "work"])
    assert data.base_entropy_per_site.dims == ("T",) and data.delta_free_energy_per_site.dims == ("T", "layer")
    for name in ("base_entropy_per_site", "delta_free_energy_per_site", "work_variance_error"):
        np.testing.assert_allclose(data[name][0], known[name])
    exact = fl.exact.kaufman((4, 4), beta=0.2)
    assert float(data.entropy_per_site_exact[0]) == pytest.approx((0.2 * exact.energy + exact.log_z) / 16)


def test_depth_is_seen_in_one_figure(ising):
    figure = fl.figures.depth_overview(ising[1])
    drawn = {trace.name: trace for trace in figure.data}
    assert {"0 layers", "2 layers", "base of the deepest", "exact entropy", "layer 1", "layer 2", "L*"} <= set(drawn)
    assert drawn["L*"].y == (1.0,) and drawn["layer 1"].error_y.array[0] > 0
    assert list(fl.figures.depth_overview(ising[1], epsilon=1.0).data[-1].y) == [0.0]
    with pytest.raises(ValueError, match="by_layer"):
        fl.figures.depth_overview(ising[1].drop_vars("base_entropy_per_site"))


def test_a_glass_has_no_layers_in_the_plane():
    with pytest.raises(ValueError, match="by_layer"):
        sweep("ising-depth", system="sk", N=8, by_layer=True, **SMALL)


def test_depth_in_sorting_layers(tmp_path):
    keys = SMALL | {"base_steps": 50}
    data = sweep("ising-depth", L=4, T_min=4.0, T_max=4.0, points=1, construction="sorting", out=tmp_path, **keys)
    assert data.gap_mean_field[0] - data.gap.sel(layers=1)[0] > 5 * data.gap_error.max()
    layers = fl.load(tmp_path / "T=4.0,layers=2").density.flow
    assert [type(layer).__name__ for layer in layers] == ["SortingCoupling"] * 2


def test_a_glass_has_a_depth_for_every_instance(glass):
    data = glass[1]
    assert data.depth.dims == ("T", "seed_J") and data.gap.dims == ("T", "seed_J", "layers")
    np.testing.assert_allclose(
        data.log_z_exact[0, 0], fl.exact.log_z(fl.load(glass[0] / "T=2.0,seed_J=0,layers=0").system)
    )
    assert (data.gap > -4 * data.gap_error).all() and (data.gap < 0.2).all()


@pytest.mark.parametrize("system", ["ising", "glass"])
def test_an_added_layer_changes_nothing_at_first(system, request):
    out, _ = request.getfixturevalue(system)
    (path,) = out.glob("*layers=1")
    one = fl.load(path)
    two = one.at(layers=2)
    x = torch.as_tensor(one.sample(200).configuration.values, dtype=torch.float32)
    assert len(two.density.flow) == 2 and (one.density.flow(x)[0] != x).any()
    with torch.no_grad():
        torch.testing.assert_close(two.density.log_prob(x), one.density.log_prob(x))
    (path,) = out.glob("*layers=2")
    assert fl.load(path).parent["keys"]["layers"] == 1


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"max_depth": 0}, "max_depth must be at least 1, got 0"),
        ({"epsilon": 0.0}, "epsilon must be positive, got 0.0"),
        ({"system": "sk", "N": 25}, "N of at most 24, got 25"),
        ({"system": "sk", "instances": 0}, "instances must be at least 1, got 0"),
        ({"base": "strong"}, "base must be one of"),
        ({"construction": "sorting", "system": "sk"}, "sorting layers need a lattice"),
        (
            {"construction": "sorting", "L": 4, "max_depth": 5},
            "max_depth must be at most 4 for sorting layers of side 4",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(keys, message):
    with pytest.raises(ValueError, match=message):
        sweep("ising-depth", **SMALL | keys)
