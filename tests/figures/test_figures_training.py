from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from flowlab.figures import ess_curve, training_curve, training_overview
from flowlab.figures.training import decimate


def named(figure, name):
    return next(trace for trace in figure.data if trace.name == name)


def test_training_curve_is_the_free_energy_bound_per_site(data: xr.Dataset) -> None:
    figure = training_curve(data)
    curve = named(figure, "T = 2.27")
    np.testing.assert_array_equal(curve.x, data["step"])
    np.testing.assert_allclose(curve.y, -2.27 * data["log_z_bound"] / 64)
    np.testing.assert_allclose(curve.customdata, 2.27 * data["log_z_bound_error"] / 64)
    assert "(J)" in figure.layout.yaxis.title.text
    assert figure.layout.xaxis.title.text == "training step"


def test_exact_line_is_dashed_labelled_and_in_sight(data: xr.Dataset) -> None:
    figure = training_curve(data)
    exact = -2.27 * 171.0 / 64
    line = next(t for t in figure.data if t.line.dash == "dash")
    np.testing.assert_allclose(line.y, exact)
    assert figure.layout.annotations[0].text == "exact −6.06516"
    low, high = figure.layout.yaxis.range
    assert low < exact < high
    assert high < -2.27 * float(data["log_z_bound"][0]) / 64, "the first steps should not set the scale"


def test_without_temperature_or_exact_value(data: xr.Dataset) -> None:
    del data.attrs["T"]
    data.attrs["log_z_exact"] = float("nan")
    figure = training_curve(data)
    np.testing.assert_allclose(named(figure, "ising-xor").y, data["log_z_bound"] / 64)
    assert all(t.visible is False for t in figure.data if t.line.dash == "dash")
    assert "ln Z" in figure.layout.yaxis.title.text


def test_earlier_runs_lie_beneath_in_grey(data: xr.Dataset) -> None:
    other = data.assign_attrs(T=2.5)
    figure = training_curve(other, data)
    names = [t.name for t in figure.data]
    assert names.index("T = 2.27") < names.index("T = 2.5")
    assert named(figure, "T = 2.27").line.color != named(figure, "T = 2.5").line.color
    assert named(figure, "T = 2.27").showlegend
    assert len(training_overview(other, data).data) == len(figure.data) + 2
    again = training_curve(data, data)
    assert named(again, "T = 2.27, before").line.color != named(again, "T = 2.27").line.color


def test_long_runs_are_decimated_to_means() -> None:
    n = 10_001
    step, value, error = decimate(np.arange(1.0, n + 1), np.arange(n) % 2.0, np.ones(n))
    assert len(step) <= 2000
    np.testing.assert_allclose(value[:-1], 0.5, atol=0.1)
    np.testing.assert_allclose(error[:-1], 1 / np.sqrt(6))
    assert step[0] == 3.5


def test_decimation_skips_nan() -> None:
    _, value, error = decimate(np.arange(4.0), np.array([1.0, np.nan, np.nan, np.nan]), np.ones(4), points=2)
    np.testing.assert_array_equal(value, [1.0, np.nan])
    assert error[0] == 1.0


@pytest.mark.parametrize("picture", [training_curve, ess_curve, training_overview])
def test_a_run_without_steps_says_so(picture, data: xr.Dataset) -> None:
    figure = picture(data.isel(step=slice(0, 0)))
    assert any("no steps yet" in a.text for a in figure.layout.annotations)


def test_ess_is_a_fraction(data: xr.Dataset) -> None:
    figure = ess_curve(data)
    np.testing.assert_allclose(figure.data[0].y, data["ess"])
    assert figure.layout.yaxis.range[0] == 0.0
    assert figure.layout.yaxis.range[1] == pytest.approx(1.0, abs=0.1)


def test_a_run_that_grows_shows_the_ess_of_its_stages(data: xr.Dataset) -> None:
    early = data.assign(stage_ess=data["ess"], ess=data["ess"] * np.nan, log_z_bound=data["log_z_bound"] * np.nan)
    overview = training_overview(early)
    assert any("smaller lattices come first" in (note.text or "") for note in overview.layout.annotations)
    np.testing.assert_allclose(next(t for t in overview.data if str(t.name).startswith("ESS")).y, data["ess"])
    half = data.sizes["step"] // 2
    later = data.assign(stage_ess=data["ess"], log_z_bound=data["log_z_bound"].where(np.arange(2 * half) >= half))
    (said,) = (note for note in training_overview(later).layout.annotations if note.text == "smaller lattices first")
    assert said.x == 0.25  # the middle of where the bound has no curve yet


def test_one_step_is_a_dot(data: xr.Dataset) -> None:
    for steps, mode in ((1, "lines+markers"), (5, "lines")):
        assert ess_curve(data.isel(step=slice(0, steps))).data[0].mode == mode
        assert mode in {trace.mode for trace in training_curve(data.isel(step=slice(0, steps))).data}


@pytest.mark.parametrize("picture", [training_curve, ess_curve, training_overview])
def test_what_is_no_training_is_refused_in_words(picture, data: xr.Dataset) -> None:
    with pytest.raises(ValueError, match="expected what a training records, log_z_bound and ess, got energy"):
        picture(xr.Dataset({"energy": ("step", [1.0])}, coords={"step": [1]}, attrs=data.attrs))
