from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from flowlab import figures
from flowlab.analysis import measure_defect


def make_defect() -> xr.Dataset:
    """A single flip that becomes a pair, then a pair and one far away, seen in a gauge that flips one row."""
    s = np.ones((3, 2, 6, 6))
    s[:, 0, 2, 2] = -1
    s[:2, 0, 2, 3] = -1
    s[0, 0, 5, 5] = -1
    s[0, :, 1] *= -1
    names = ("layer", ["latent", "xor 1", "xor 2"])
    return xr.Dataset({"configuration": (("layer", "sample", "y", "x"), s)}, coords={"layer_name": names})


@pytest.fixture
def layers() -> xr.Dataset:
    return make_defect()


def test_overview_runs_from_the_sample_to_the_latents(layers: xr.Dataset) -> None:
    figure = figures.defect_overview(measure_defect(layers), "single flip")
    heat, _, wall, flipped = figure.data
    np.testing.assert_array_equal(heat.z, layers["configuration"][-1, 0])
    assert list(wall.x) == [2, 1, 0]
    assert figure.layout.xaxis2.ticktext == ("sample", "1", "latent")
    assert figure.layout.xaxis2.range[0] > figure.layout.xaxis2.range[1]
    assert list(wall.y) == [4, 6, 10]
    assert list(flipped.y) == [0, 1, 2]


def test_strip_marks_what_each_layer_changed_on_the_way_back(layers: xr.Dataset) -> None:
    found = measure_defect(layers)
    figure = figures.defect_strip(found)
    heats, dots = figure.data[::2], figure.data[1::2]
    for heat, expected in zip(heats, found["defect_configuration"].values[::-1], strict=True):
        np.testing.assert_array_equal(heat.z, expected)
    assert [list(zip(d.y, d.x, strict=True)) for d in dots] == [[], [(2, 3)], [(5, 5)]]
    assert [a.text for a in figure.layout.annotations] == ["2 · sample", "1 · xor 1", "0 · latent"]


def test_many_layers_take_more_rows(layers: xr.Dataset) -> None:
    deep = xr.concat([layers] * 5, dim="layer")
    figure = figures.defect_strip(measure_defect(deep.isel(layer=slice(2, None))))
    assert sum(t.type == "heatmap" for t in figure.data) == 13
    assert figure.layout.height > figures.defect_strip(measure_defect(layers)).layout.height
