from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from flowlab import estimators, figures
from flowlab.analysis import measure_proposals
from flowlab.figures.fields import LAW
from flowlab.figures.shared.style import rounded_up


def make_samples(n: int = 400, spread: float = 0.0, seed: int = 0) -> xr.Dataset:
    """Fields of 4 x 4 sites around ±1, with weights that vary by ``spread``."""
    rng = np.random.default_rng(seed)
    phi = rng.choice([-1.0, 1.0], (n, 1, 1)) + 0.4 * rng.standard_normal((n, 4, 4))
    log_q = -(phi**2).sum((1, 2))
    log_weight = log_q + spread * rng.standard_normal(n)
    variables = {"configuration": (("sample", "y", "x"), phi), "log_q": ("sample", log_q)}
    return xr.Dataset(variables | {"log_weight": ("sample", log_weight)}, attrs={"kappa": 0.4})


def make_layers(n: int = 300) -> xr.Dataset:
    """White noise, then the samples, as layers."""
    samples = make_samples(n)
    noise = np.random.default_rng(1).standard_normal((n, 4, 4))
    return xr.Dataset(
        {
            "configuration": (("layer", "sample", "y", "x"), np.stack([noise, samples.configuration.values])),
            "log_q": (("layer", "sample"), np.stack([samples.log_q, samples.log_q])),
            "log_weight": (("layer", "sample"), np.stack([samples.log_q, samples.log_q])),
        },
        coords={"layer_name": ("layer", ["latent", "spline 1"])},
    )


def test_models_lie_between_the_bound_and_the_law() -> None:
    models = xr.concat(
        [measure_proposals(make_samples(2000, spread)) for spread in (0.0, 0.5, 1.0)],
        "model", join="outer", fill_value=0.0,
    )  # fmt: skip
    points, law, bound = figures.acceptance_and_tau(models).data
    np.testing.assert_array_equal(points.x, models.acceptance)
    np.testing.assert_allclose(law.y, 0.5 * np.asarray(law.x) ** -LAW)
    np.testing.assert_allclose(bound.y, 1 / np.asarray(bound.x) - 0.5)
    assert min(law.x) < min(points.x)
    curves = figures.rejection_runs(models).data
    assert [curve.name for curve in curves] == [f"A = {a:.2f}" for a in sorted(models.acceptance.values)]
    assert list(curves[-1].x) == [1.0] and list(curves[-1].y) == [1.0]  # equal weights reject nothing
    assert len(curves[0].x) > 3 and min(curves[0].y) > 0


def test_both_signs_are_counted() -> None:
    samples = make_samples()
    figure = figures.sign_histogram(samples)
    positive, negative = figure.data
    assert sum(positive.y) + sum(negative.y) == pytest.approx(1.0, abs=0.01)
    assert np.dot(positive.x, positive.y) > 0 > np.dot(negative.x, negative.y)
    one_sided = samples.assign(configuration=abs(samples.configuration))
    assert "M > 0 in 100.0" in figures.sign_histogram(one_sided).layout.title.text


def test_a_strip_shows_every_layer_and_the_target() -> None:
    layers = make_layers()
    figure = figures.field_strip(layers)
    assert [a.text for a in figure.layout.annotations] == ["latent", "spline 1", "Metropolis"]
    heats = [trace for trace in figure.data if trace.type == "heatmap"]
    G = estimators.two_point(layers.configuration[1].values).value
    np.testing.assert_allclose(heats[1].customdata, np.fft.fftshift(G))
    assert heats[1].customdata[2, 2] == G[0, 0]
    np.testing.assert_array_equal(heats[2].customdata, heats[1].customdata)  # equal weights: nothing is rejected
    with pytest.raises(ValueError, match="in the plane"):
        figures.field_strip(layers.isel(x=0))


def test_one_model_has_runs_of_rejections_too() -> None:
    one = measure_proposals(make_samples(spread=1.0))
    assert len(figures.rejection_runs(one).data) == 1


def test_a_strip_refuses_fields_that_are_drawn_in_levels() -> None:
    layers = make_layers(20)
    layers["configuration"][0, :, 1] = np.nan
    with pytest.raises(ValueError, match="drawn in levels"):
        figures.field_strip(layers)


def test_axes_stay_while_values_change_a_little() -> None:
    assert rounded_up(1.26, 0.5) == rounded_up(1.31, 0.5) == 1.5
    assert rounded_up(0.3, 0.1) == pytest.approx(0.3)
