from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from flowlab import estimators, figures
from flowlab.analysis import measure_overlaps, measure_tempering
from flowlab.analysis.measurements import overlap_bins

N = 16


def spins(rng: np.random.Generator, size: tuple[int, ...], strength: float) -> np.ndarray:
    """Two mirror valleys around all-up, of spins that agree with it with probability (1 + strength)/2."""
    up = rng.random((*size, N)) < (1 + strength) / 2
    return np.where(up, 1.0, -1.0) * rng.choice([-1.0, 1.0], (*size, 1))


def make_glass(strengths: tuple[float, ...] = (0.0, 0.5, 0.95), dims: tuple[str, ...] = ("site",)) -> xr.Dataset:
    rng = np.random.default_rng(0)
    s = np.stack([spins(rng, (400,), strength) for strength in strengths])
    shape = (N,) if dims == ("site",) else (2, 2, 4)
    names = ["latent", *(f"affine {k}" for k in range(1, len(strengths)))]
    return xr.Dataset(
        {"configuration": (("layer", "sample", *dims), s.reshape(len(strengths), 400, *shape)),
         "magnetization": (("layer", "sample"), s.mean(-1))},
        coords={"layer_name": ("layer", names)}, attrs=dict(T=0.5, n_sites=N),
    )  # fmt: skip


def make_reference(strength: float = 0.95, T: float = 0.5, exact: bool = False) -> xr.Dataset:
    s = spins(np.random.default_rng(1), (5, 200), strength)
    found = xr.Dataset({"configuration": (("replica", "sample", "site"), s)}, attrs=dict(T=T, n_sites=N))
    if exact:
        found["overlap_distribution_exact"] = ("overlap", np.full(N + 1, 1 / (N + 1)))
        found = found.assign_coords(overlap=np.linspace(-1, 1, N + 1))
    return found


def traces(figure: figures.Figure, name: str) -> list[dict]:
    return [trace for trace in figure.data if trace.name == name]


def test_the_figure_shows_layer_latent_reference_and_exact() -> None:
    layers, reference = make_glass(), make_reference(exact=True)
    model, known = measure_overlaps(layers), measure_overlaps(reference)
    figure = figures.overlap_distribution(layers, 2, reference)
    for name, expected in (("latent", model["density"][0]), ("this layer", model["density"][2]),
                           ("parallel tempering", known["density"]), ("exact", known["density_exact"])):  # fmt: skip
        np.testing.assert_allclose(traces(figure, name)[0].y, expected)
    np.testing.assert_allclose(known["density_exact"].values @ np.diff(overlap_bins(N)), 1.0)
    band = traces(figure, "this layer ±1 standard error")[0]
    assert max(band.y) > float(model["density"][2].max())
    assert figure.layout.title.text == "overlap distribution · layer 2 of 2 · affine 2 · T = 0.5"
    assert any(a.text == "the transition inside the flow" for a in figure.layout.annotations)


def test_binder_and_dip_rise_from_layer_to_layer_to_the_reference() -> None:
    model, known = measure_overlaps(make_glass()), measure_overlaps(make_reference())
    binder, dip = traces(figures.overlap_distribution(model, 1, known), "model")
    np.testing.assert_array_equal(binder.y, model["overlap_binder"])
    np.testing.assert_array_equal(binder.error_y.array, model["overlap_binder_error"])
    np.testing.assert_array_equal(dip.y, model["overlap_dip"])
    assert binder.y[0] < 0.2 < 0.8 < binder.y[2]
    assert dip.y[0] < 0.1 < 0.8 < dip.y[2]
    assert [color == "white" for color in binder.marker.color] == [True, False, True]
    levels = [t for t in traces(figures.overlap_distribution(model, 1, known), "parallel tempering") if len(t.y) == 2]
    np.testing.assert_allclose([level.y[0] for level in levels], [known["overlap_binder"], known["overlap_dip"]])


def test_a_reference_alone_and_at_another_temperature() -> None:
    figure = figures.overlap_distribution(None, reference=make_reference(T=2.0))
    assert figure.layout.title.text == "overlap distribution · parallel tempering at T = 2"
    assert traces(figure, "this layer") == []
    both = figures.overlap_distribution(make_glass(), 0, make_reference(T=2.0))
    assert both.layout.title.text.endswith("T = 0.5 · parallel tempering at T = 2")


def test_sites_that_a_layer_has_not_sampled_are_left_out() -> None:
    layers = make_glass()
    layers["configuration"][0] = np.nan
    layers["configuration"][1, :, 4:] = np.nan
    found = measure_overlaps(layers)
    assert np.isnan(found["density"][0]).all()
    expected = estimators.overlap_distribution(layers["configuration"][1, :, :4].values, rng=np.random.default_rng(0))
    assert float(found["overlap_binder"][1]) == pytest.approx(expected.binder.value)
    np.testing.assert_allclose(found["density"][1].values @ np.diff(overlap_bins(N)), 1.0)
    assert len(traces(figures.overlap_distribution(found, 0), "latent")[0].y) == 0


def test_what_is_not_there_is_refused() -> None:
    with pytest.raises(IndexError, match="layer must be below 3"):
        figures.overlap_distribution(make_glass(), 3)


@pytest.mark.parametrize("dims", [("site",), ("z", "y", "x")])
def test_configurations_of_any_dims_have_a_picture(dims: tuple[str, ...]) -> None:
    layers = make_glass(dims=dims)
    figure = figures.layer_overview(layers, sample=3, layer=2)
    heat, dots, *_, raster = figure.data
    shown = np.array(heat.z, dtype=float)
    s = layers["configuration"][2, 3].values
    if dims == ("site",):
        np.testing.assert_array_equal(shown, s.reshape(4, 4))
    else:  # two planes of 2 x 4 side by side, a blank column between, a row for their names above
        np.testing.assert_array_equal(shown[:2, :4], s[0])
        np.testing.assert_array_equal(shown[:2, 5:], s[1])
        assert np.isnan(shown[:, 4]).all() and np.isnan(shown[2]).all()
        assert heat.text[1, 7] == "x 2, y 1, z 1"
    flipped = (layers["configuration"][2, 3] != layers["configuration"][1, 3]).values
    assert len(dots.x) == flipped.sum() > 0
    overlaps = np.asarray(raster.z).mean(1)
    assert overlaps[-1] == 1.0, "the sample on show is most like itself"
    assert (np.diff(overlaps) >= 0).all()


def test_tempering_overview_shows_what_the_estimators_find() -> None:
    rng = np.random.default_rng(0)
    T = np.array([0.5, 1.0, 2.0, np.inf])
    energy = rng.normal(0.0, 2.0, (400, 3, 4)) - 8.0 / np.minimum(T, 4.0)
    data = xr.Dataset({"energy": (("step", "replica", "temperature"), energy)}, attrs=dict(n_sites=8, discard=0.25),
                      coords={"step": np.arange(1, 401), "temperature": T})  # fmt: skip
    figure = figures.tempering_overview(data, points=100)
    expected = estimators.thermodynamics(energy[100:], T.tolist(), 8)
    mean, heat, swaps, *course = figure.data
    np.testing.assert_allclose(mean.y, expected.energy_per_site.value[:3])
    np.testing.assert_allclose(heat.error_y.array, expected.specific_heat.error[:3])
    np.testing.assert_allclose(swaps.y, estimators.swap_acceptance(energy[100:], T.tolist())[:2])
    assert len(course) == 3
    assert len(course[0].y) == 100
    assert "fewer than" in figures.tempering_overview(data.isel(step=slice(0, 10))).layout.title.text
    assert len(figures.tempering_overview(data.isel(step=slice(0, 0))).data) == len(figure.data)


def test_raw_and_measured_tempering_make_one_picture() -> None:
    energy = np.random.default_rng(0).normal(-8.0, 2.0, (100, 3, 2))
    data = xr.Dataset({"energy": (("step", "replica", "temperature"), energy)}, attrs=dict(n_sites=8),
                      coords={"step": np.arange(1, 101), "temperature": [1.0, np.inf]})  # fmt: skip
    measured = measure_tempering(data)
    assert figures.tempering_overview(data).to_json() == figures.tempering_overview(measured).to_json()
    assert (
        np.isfinite(measured["specific_heat"]).all()
        and np.isnan(measure_tempering(data[{"step": slice(9)}]).swap_acceptance).all()
    )
