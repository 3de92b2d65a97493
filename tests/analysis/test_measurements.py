"""What pictures show is what the estimators find, and is asked for where it is measured."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

import flowlab as fl
from flowlab import analysis, estimators
from flowlab.analysis import measure_defect, measure_overlaps, measure_proposals, measure_triangles, measure_two_point
from flowlab.analysis.measurements import mode_collapse, overlap_bins, total_variation
from tests.figures.test_figures_defects import make_defect
from tests.figures.test_figures_fields import make_layers, make_samples
from tests.figures.test_figures_overlaps import N, make_glass, make_reference


@pytest.mark.parametrize("name", ["measure_overlaps", "measure_triangles", "measure_defect", "measure_proposals"])
def test_the_name_that_it_had_among_the_pictures_warns(name: str) -> None:
    with pytest.warns(DeprecationWarning, match=f"flowlab.analysis.{name}"):
        assert getattr(fl.figures, name) is getattr(analysis, name)


def test_a_picture_of_raw_configurations_loads_what_measures_them() -> None:
    draw = """
import sys, numpy, xarray
from flowlab import figures
assert "flowlab.analysis.measurements" not in sys.modules
spins = numpy.where(numpy.random.default_rng(0).random((1, 40, 8)) < 0.5, -1.0, 1.0)
figures.overlap_distribution(xarray.Dataset({"configuration": (("layer", "sample", "site"), spins)}))
"""
    subprocess.run([sys.executable, "-c", draw], check=True)


@pytest.mark.parametrize("name", [name for name in analysis.__all__ if name.startswith("measure_")])
def test_the_dataset_of_another_call_is_answered_with_the_right_one(name: str) -> None:
    with pytest.raises(ValueError, match=r"has; this one has price|as layers\(\)"):
        getattr(analysis, name)(xr.Dataset({"price": ("day", [1.0, 2.0])}))
    with pytest.raises(TypeError, match=rf"analysis\.{name} takes the Dataset of run\..*, got Ising"):
        getattr(analysis, name)(fl.Ising((4, 4), T=2.0))


def test_two_point_functions_are_of_each_layer_and_of_the_target() -> None:
    layers = make_layers()
    found = measure_two_point(layers)
    assert found["layer_name"].values.tolist() == ["latent", "spline 1", "Metropolis"]
    G = estimators.two_point(layers["configuration"][0].values).value
    np.testing.assert_allclose(np.fft.ifftshift(found["two_point"][0]), G)


@pytest.mark.parametrize("n_sites", [4, 5, 16, 63, 64, 65, 100, 256, 257])
def test_bins_are_symmetric_and_no_value_lies_on_an_edge(n_sites: int) -> None:
    edges, q = overlap_bins(n_sites), np.linspace(-1, 1, n_sites + 1)
    np.testing.assert_allclose(edges, -edges[::-1], atol=1e-12)
    assert edges[0] < -1 < 1 < edges[-1]
    assert np.abs(edges[:, None] - q).min() > 0.9 / n_sites
    assert len(edges) <= 68
    counts = np.histogram(q, edges)[0]
    assert len(set(counts[1:-1])) == 1
    np.testing.assert_allclose(np.diff(edges), counts * 2 / n_sites, err_msg="as wide as the values in it")


def test_densities_integrate_to_one_and_are_the_estimators() -> None:
    layers = make_glass()
    measured = measure_overlaps(layers)
    width = np.diff(overlap_bins(N))
    np.testing.assert_allclose(measured["density"].values @ width, 1.0)
    s = layers["configuration"][2].values
    expected = estimators.overlap_distribution(s, rng=np.random.default_rng(0))
    np.testing.assert_allclose(measured["density"][2], expected.probability / width)
    np.testing.assert_allclose(measured["density_error"][2], expected.error / width)
    assert (float(measured["overlap_binder"][2]), float(measured["overlap_binder_error"][2])) == pytest.approx(
        expected.binder
    )


def test_many_sites_are_binned_to_the_same_density() -> None:
    rng = np.random.default_rng(0)
    s = np.where(rng.random((2, 300, 256)) < 0.5, -1.0, 1.0)
    found = measure_overlaps(xr.Dataset({"configuration": (("layer", "sample", "site"), s)}))
    assert found.sizes["q"] < 68
    peak = found["density"].values.max(1)
    np.testing.assert_allclose(peak, np.sqrt(256 / (2 * np.pi)), rtol=0.1)


def test_distance_and_verdict_see_a_lost_valley() -> None:
    same, one = make_glass((0.0, 0.95)), make_glass((0.0, 0.95))
    one["configuration"] = one["configuration"] * np.sign(one["magnetization"])
    known = measure_overlaps(make_reference())
    near, noise = total_variation(measure_overlaps(same).isel(layer=1), known)
    far, _ = total_variation(measure_overlaps(same).isel(layer=0), known)
    assert near < 4 * noise < 0.3 < far
    assert not mode_collapse(same, make_reference()).collapsed
    assert mode_collapse(one, make_reference()).collapsed


def test_walls_and_flips_are_counted_in_the_gauge_of_all_up() -> None:
    found = measure_defect(make_defect())
    assert found["defect_wall_length"].values.tolist() == [10, 6, 4]
    assert found["defect_flipped_sites"].values.tolist() == [2, 1, 0]
    assert (found["defect_configuration"][:, 1] == 1).all()


def test_the_second_configuration_must_be_all_up() -> None:
    with pytest.raises(ValueError, match="the second all-up"):
        measure_defect(make_defect().isel(sample=[1, 0]))


def test_corners_and_overlaps_belong_together() -> None:
    layers = make_glass()
    measured = measure_triangles(layers).isel(layer=0)
    s = layers["configuration"][0].values
    a, b, c = (s[measured["corners"].values[:, k]] for k in range(3))
    q = np.stack([(a * b).mean(1), (a * c).mean(1), (b * c).mean(1)], axis=1)
    np.testing.assert_allclose(measured["overlaps"], q)
    np.testing.assert_allclose(measured["distances"], np.sort((1 - q) / 2, axis=1))


def test_proposals_are_those_of_the_estimators() -> None:
    samples = make_samples(spread=1.0)
    found = measure_proposals(samples, seed=3)
    log_w = (samples.log_weight - samples.log_q).values
    chain = estimators.independence_chain(log_w, np.random.default_rng(3))
    assert float(found.acceptance) == estimators.acceptance(log_w).value
    assert float(found.tau_int_rejections) == estimators.tau_int_rejections(chain.accepted).value
    assert float(found.longest_rejection_run) == found.sizes["run_length"] - 1 > 2
    assert float(found.rejections.sum()) == pytest.approx(1.0)
    assert abs(found.positive_fraction - 0.5) < 4 * found.positive_fraction_error
    assert found.attrs == {"kappa": 0.4}
    assert all(one.attrs["long_name"] and one.attrs["units"] for one in found.values())
