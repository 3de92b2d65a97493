from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from flowlab import figures
from flowlab.analysis import measure_triangles
from flowlab.core.names import TRIANGLE_KINDS
from flowlab.estimators import Estimate, triangle_fractions
from flowlab.figures.triangles import cloud_of

N = 24


def fractions_of(measured: xr.Dataset, tol: float) -> dict[str, Estimate]:
    return triangle_fractions(measured["distances"].values, tol, blocks=measured["corner_block"].values)


def two_valleys(size: tuple[int, ...], seed: int) -> np.ndarray:
    """Configurations of ±1 that are exactly all up or all down."""
    return np.random.default_rng(seed).choice([-1.0, 1.0], (*size, 1)) * np.ones(N)


@pytest.fixture
def layers() -> xr.Dataset:
    free = np.where(np.random.default_rng(2).random((300, N)) < 0.5, -1.0, 1.0)
    s = np.stack([free, two_valleys((300,), 0)])
    names = ("layer", ["latent", "affine 1"])
    return xr.Dataset({"configuration": (("layer", "sample", "site"), s)}, coords={"layer_name": names})


@pytest.fixture
def reference() -> xr.Dataset:
    return xr.Dataset({"configuration": (("replica", "sample", "site"), two_valleys((4, 100), 1))})


def test_the_name_of_a_kind_stands_in_its_region(layers: xr.Dataset, reference: xr.Dataset) -> None:
    figure = figures.triangle_cloud(layers, 1, reference, tol=0.08)
    (place, *_) = [one for one in figure.layout.annotations if one.text == "inverted"]
    assert place.x < 0.08 < place.y
    assert place.xanchor == "center"


def test_one_valley_and_its_mirror_image_give_one_to_three_signed_and_one_point_folded(layers: xr.Dataset) -> None:
    signed = fractions_of(measure_triangles(layers, "signed").isel(layer=1), 0.05)
    assert abs(signed["equilateral"].value - 0.25) < 4 * signed["equilateral"].error + 0.01
    assert signed["equilateral"].value + signed["isosceles"].value == pytest.approx(1.0)
    folded = fractions_of(measure_triangles(layers, "folded").isel(layer=1), 0.05)
    assert folded["equilateral"].value == 1.0


def test_the_cloud_holds_every_triangle(layers: xr.Dataset, reference: xr.Dataset) -> None:
    figure = figures.triangle_cloud(layers, 0, reference)
    for name, data in (("model", layers), ("parallel tempering", reference)):
        heat = next(t for t in figure.data if t.name == f"{name}, cells")
        points = next(t for t in figure.data if t.name == name and t.type == "scatter")
        fraction = np.square(np.asarray(heat.z))
        assert fraction.sum() == pytest.approx(1.0)
        np.testing.assert_allclose(points.customdata, fraction[fraction > 0])
        measured = measure_triangles(data)
        u, v = cloud_of(measured.isel(layer=0) if "layer" in measured.dims else measured)
        step = 2 * heat.x[1] - 2 * heat.x[0]
        assert abs(float(np.sum(fraction.sum(0) * heat.x)) - u.mean()) < step
        assert abs(float(np.sum(fraction.sum(1) * heat.y)) - v.mean()) < step
    assert figure.layout.xaxis.range == figure.layout.xaxis2.range
    assert figure.layout.yaxis.range == figure.layout.yaxis2.range


def test_bars_are_the_fractions_with_errors(layers: xr.Dataset, reference: xr.Dataset) -> None:
    figure = figures.triangle_cloud(layers, 1, reference, convention="folded", tol=0.1)
    bars = {t.name: t for t in figure.data if t.type == "bar"}
    expected = fractions_of(measure_triangles(layers, "folded").isel(layer=1), 0.1)
    np.testing.assert_allclose(bars["model"].y, [expected[kind].value for kind in TRIANGLE_KINDS])
    np.testing.assert_allclose(bars["model"].error_y.array, [expected[kind].error for kind in TRIANGLE_KINDS])
    assert bars["parallel tempering"].y[0] == 1.0
    assert "folded" in figure.layout.title.text
    assert any("tolerance 0.1" in a.text for a in figure.layout.annotations)


def test_a_measured_dataset_gives_the_same_figure(layers: xr.Dataset, reference: xr.Dataset) -> None:
    raw = figures.triangle_cloud(layers, 1, reference, "folded")
    again = figures.triangle_cloud(measure_triangles(layers, "folded"), -1, measure_triangles(reference, "folded"))
    assert raw.to_json() == again.to_json()


def test_a_reference_alone(reference: xr.Dataset) -> None:
    figure = figures.triangle_cloud(None, reference=reference)
    assert [t.name for t in figure.data if t.type == "bar"] == ["parallel tempering"]


def test_three_configurations_with_their_overlaps(layers: xr.Dataset) -> None:
    corners = layers["configuration"][0, [3, 5, 8]]
    figure = figures.triangle(corners)
    heats = [t for t in figure.data if t.type == "heatmap"]
    for heat, s in zip(heats, corners.values, strict=True):
        np.testing.assert_array_equal(np.ravel(heat.z), s)
    dots = [t for t in figure.data if t.type == "scatter"]
    a, b, c = corners.values
    assert [len(d.x) for d in dots] == [0, (a != b).sum(), (a != c).sum()]
    text = " ".join(annotation.text for annotation in figure.layout.annotations)
    assert f"q<sub>ab</sub> = {round(float((a * b).mean()), 3):.3g}".replace("-", "−") in text


def test_layers_without_spins_stay_empty(layers: xr.Dataset) -> None:
    layers["configuration"][0] = np.nan
    figure = figures.triangle_cloud(layers, 0)
    assert next(len(t.x) for t in figure.data if t.name == "model" and t.type == "scatter") == 0
    assert sum(next(t for t in figure.data if t.type == "bar").y) == 0


def test_what_is_not_there_is_refused(layers: xr.Dataset) -> None:
    with pytest.raises(IndexError, match="layer must be below 2"):
        figures.triangle_cloud(layers, 2)
