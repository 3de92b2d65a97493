from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from flowlab import figures
from flowlab.figures.layers import magnetization_bins
from flowlab.figures.shared.style import FIELD_SCALE, MINUS, PLUS


def test_configuration_marks_what_the_layer_flipped(layers: xr.Dataset) -> None:
    heat, dots = figures.configuration(layers, sample=3, layer=2).data
    now, before = layers["configuration"][2, 3].values, layers["configuration"][1, 3].values
    np.testing.assert_array_equal(heat.z, now)
    marked = np.zeros(now.shape, dtype=bool)
    marked[np.asarray(dots.y), np.asarray(dots.x)] = True
    np.testing.assert_array_equal(marked, now != before)
    assert marked.any()


def test_title_names_layer_and_flips(layers: xr.Dataset) -> None:
    title = figures.configuration(layers, sample=3, layer=2).layout.title.text
    flips = int((layers["configuration"][2, 3] != layers["configuration"][1, 3]).sum())
    assert title == f"layer 2 of 4 · xor 2 · sample 3 · {flips} of 64 sites changed"
    assert len(figures.configuration(layers, 3, 0).data[1].x) == 0, "the latent has no layer before it"


def test_spins_have_two_colours_and_fields_a_diverging_scale(layers: xr.Dataset) -> None:
    spins = figures.configuration(layers).data[0]
    assert {colour for _, colour in spins.colorscale} == {MINUS, PLUS}
    field = figures.configuration(layers.assign(configuration=0.5 * layers["configuration"])).data[0]
    assert [list(stop) for stop in field.colorscale] == FIELD_SCALE
    assert (field.zmin, field.zmax) == (-0.5, 0.5)


def test_sites_not_yet_sampled_are_pale_copies_of_the_nearest(layers: xr.Dataset) -> None:
    layers["configuration"][0, 0, ::2] = np.nan
    heat = figures.configuration(layers, 0, 0)
    assert heat.data[0].z[0][0] is None
    pale = heat.data[-1]
    assert pale.opacity < 0.5 and pale.z[1][0] is None
    rows = layers["configuration"][0, 0].values
    assert all(pale.z[y][x] in (rows[y - 1, x], rows[(y + 1) % 8, x]) for y in (0, 2, 6) for x in range(8))
    assert "not yet sampled" in heat.layout.title.text
    assert set(figures.configuration(layers, 0, 1).data[1].y) <= {1, 3, 5, 7}


@pytest.mark.parametrize("asked", [{"layer": 5}, {"sample": 200}, {"layer": -6}])
def test_what_is_not_there_is_refused(layers: xr.Dataset, asked: dict[str, int]) -> None:
    with pytest.raises(IndexError, match="must be below"):
        figures.configuration(layers, **asked)


def test_strip_shows_every_layer(layers: xr.Dataset) -> None:
    figure = figures.strip(layers, sample=1)
    heats = [t for t in figure.data if t.type == "heatmap"]
    for heat, expected in zip(heats, layers["configuration"][:, 1].values, strict=True):
        np.testing.assert_array_equal(heat.z, expected)
    assert [a.text for a in figure.layout.annotations][:2] == ["0 · latent", "1 · xor 1"]


@pytest.mark.parametrize("n_sites", [4, 9, 16, 25, 64, 256, 1024])
def test_histogram_bins_avoid_the_values_and_are_symmetric(n_sites: int) -> None:
    edges = magnetization_bins(n_sites)
    values = np.arange(-n_sites, n_sites + 1, 2) / n_sites
    np.testing.assert_allclose(edges, -edges[::-1])
    assert edges[0] < -1 < 1 < edges[-1]
    assert np.abs(edges[:, None] - values).min() > 0.4 / n_sites
    assert len(edges) <= 36


def test_histogram_counts_every_sample(layers: xr.Dataset) -> None:
    bars, latent, _ = figures.magnetization_histogram(layers, 2).data
    assert np.sum(bars.y) == pytest.approx(1.0)
    assert np.dot(bars.x, bars.y) == pytest.approx(float(layers["magnetization"][2].mean()), abs=bars.width)
    np.testing.assert_array_equal(latent.y, figures.magnetization_histogram(layers, 0).data[0].y)


def test_correlation_shows_layer_latent_and_sample(layers: xr.Dataset) -> None:
    figure = figures.correlation(layers, 1)
    for trace, k in zip(figure.data, (1, 0, 4), strict=True):
        np.testing.assert_array_equal(trace.y, layers["correlation"][k])
    assert "spacings" in figure.layout.xaxis.title.text


def test_bound_by_layer_is_the_gap_where_the_exact_value_is_known(layers: xr.Dataset) -> None:
    gap = figures.bound_by_layer(layers).data[0]
    np.testing.assert_allclose(gap.y, 2.27 / 64 * np.linspace(6.0, 0.5, 5))
    np.testing.assert_allclose(gap.error_y.array, 2.27 / 64 * layers["log_z_bound_error"])
    unknown = figures.bound_by_layer(layers.assign_attrs(log_z_exact=float("nan"))).data[0]
    np.testing.assert_allclose(unknown.y, -2.27 / 64 * layers["log_z_bound"])


def test_a_bound_below_the_exact_value_is_drawn_below_zero(layers: xr.Dataset) -> None:
    wrong = figures.bound_by_layer(layers.assign_attrs(log_z_exact=168.0)).data[0]
    assert wrong.y[0] > 0 > wrong.y[-1]


def test_conditional_entropy_has_errors_and_ln_2(diagnosis: xr.Dataset) -> None:
    figure = figures.conditional_entropy(diagnosis)
    np.testing.assert_array_equal(figure.data[0].y, diagnosis["conditional_entropy"])
    np.testing.assert_array_equal(figure.data[0].error_y.array, diagnosis["conditional_entropy_error"])
    assert figure.layout.shapes[0].y0 == pytest.approx(np.log(2))
    assert "nats" in figure.layout.yaxis.title.text


def test_the_lattice_has_named_axes(layers: xr.Dataset) -> None:
    for picture in (figures.layer_overview, figures.configuration):
        layout = picture(layers).layout
        assert (layout.xaxis.title.text, layout.yaxis.title.text) == ("x", "y")
    assert not figures.strip(layers).layout.yaxis.title.text
    chain = layers.isel(y=0, drop=True)
    assert figures.layer_overview(chain).layout.xaxis.title.text == "sites in reading order"


def test_a_real_field_shows_its_field_and_no_dots(layers: xr.Dataset) -> None:
    noise = np.random.default_rng(0).standard_normal(layers["configuration"].shape)
    fields = layers.assign(configuration=layers["configuration"] + 0.3 * noise)
    overview = figures.layer_overview(fields, 0, 2)
    bars = next(trace for trace in overview.data if trace.type == "bar")
    assert bars.y.sum() == pytest.approx(1.0, abs=0.01)
    assert max(bars.y[bars.x < -0.5].max(), bars.y[bars.x > 0.5].max()) > 2 * bars.y[np.abs(bars.x) < 0.1].max()
    assert not len(next(trace for trace in overview.data if trace.name == "changed by this layer").x)
    assert overview.layout.title.text.endswith(" rms")
    np.testing.assert_array_equal(figures.field_histogram(fields, 2).data[0].y, bars.y)


def test_planes_of_a_cube_have_their_names_and_pale_sites(layers: xr.Dataset) -> None:
    s = np.ones((2, 1, 3, 4, 4))
    s[0, 0], s[0, 0, 2, 1, 3] = np.nan, -1.0
    cube = xr.Dataset({"configuration": (("layer", "sample", "z", "y", "x"), s)}, attrs=layers.attrs)
    figure = figures.configuration(cube, 0, 0)
    (names,) = figure.select_traces({"name": "planes"})
    assert names.text == ("z = 0", "z = 1", "z = 2") and names.x == (-0.5, 4.5, 9.5) and names.y == (4.0,) * 3
    (pale,) = figure.select_traces({"name": "nearest sampled site"})
    values = np.array(pale.z, dtype=float)
    assert values.shape == (5, 14) and np.isfinite(values).sum() == 47 and np.isnan(values[1, 13])
    assert not list(figures.configuration(layers, 0, 0).select_traces({"name": "planes"}))
