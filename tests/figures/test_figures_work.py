from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from flowlab import figures
from flowlab.figures.work import layer_change


@pytest.fixture
def weighted(layers: xr.Dataset) -> xr.Dataset:
    """Layers whose work is drawn anew for each sample, on top of a spread that all layers of a sample share."""
    rng = np.random.default_rng(0)
    shared = 10.0 * rng.standard_normal(200)
    gains = np.array([0.0, 3.0, -1.0, 0.5, 0.0])[:, None] + 0.1 * rng.standard_normal((5, 200))
    rows = ("layer", "sample")
    return layers.assign(log_weight=(rows, shared + gains.cumsum(0)), log_q=(rows, np.zeros((5, 200))))


def test_changes_are_paired_over_the_samples(weighted: xr.Dataset) -> None:
    change = layer_change(weighted)
    expected = -2.27 / 64 * np.array([3.0, -1.0, 0.5, 0.0])
    error = 2.27 / 64 * 0.1 / np.sqrt(200)
    assert np.all(np.abs(change.value - expected) < 4 * error)
    np.testing.assert_allclose(change.error, error, rtol=0.3)  # the shared spread would make it a hundred times that


def test_bars_show_the_changes_and_name_the_layers(weighted: xr.Dataset) -> None:
    bars = figures.delta_free_energy(weighted, layer=2).data[0]
    np.testing.assert_allclose(bars.y, layer_change(weighted).value)
    np.testing.assert_allclose(bars.error_y.array, layer_change(weighted).error)
    assert [x.split("<br>")[0] for x in bars.x] == ["1 · xor 1", "2 · xor 2", "3 · xor 3", "4 · xor 4"]
    assert "−0.1" in bars.x[0]
    colors = bars.marker.color
    assert colors[1] not in (colors[0], colors[2], colors[3])
    assert len(set(figures.delta_free_energy(weighted).data[0].marker.color)) == 1


def test_a_diagnosis_gives_its_own_numbers_and_says_their_gauge(weighted: xr.Dataset) -> None:
    found = weighted.assign(
        delta_free_energy_per_site=("layer", [np.nan, 0.1, -0.2, 0.3, 0.0]),
        delta_free_energy_per_site_error=("layer", [np.nan, 0.01, 0.02, 0.03, 0.0]),
    )
    figure = figures.delta_free_energy(found)
    np.testing.assert_array_equal(figure.data[0].y, [0.1, -0.2, 0.3, 0.0])
    np.testing.assert_array_equal(figure.data[0].error_y.array, [0.01, 0.02, 0.03, 0.0])
    assert "gauge that keeps all-up" in figure.layout.title.text
    assert "all-up" not in figures.delta_free_energy(weighted).layout.title.text


def test_without_a_temperature_the_unit_is_nats(weighted: xr.Dataset) -> None:
    del weighted.attrs["T"]
    np.testing.assert_allclose(layer_change(weighted).value[0], -3.0 / 64, rtol=0.01)
    assert "nats" in figures.delta_free_energy(weighted).layout.yaxis.title.text


def test_without_layers_the_picture_says_so(weighted: xr.Dataset) -> None:
    figure = figures.delta_free_energy(weighted.isel(layer=[0]))
    assert len(figure.data[0].x) == 0
    assert figure.layout.annotations[0].text == "no changes yet"


def test_many_layers_are_numbered(weighted: xr.Dataset) -> None:
    deep = xr.concat([weighted, weighted.isel(layer=slice(1, None))], dim="layer")
    assert list(figures.delta_free_energy(deep).data[0].x) == [str(k) for k in range(1, 9)]
