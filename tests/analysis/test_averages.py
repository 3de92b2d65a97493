"""Means over instances: errors that cover, what is inside of instances and what between, crossings."""

import numpy as np
import pytest
import xarray as xr

from flowlab.analysis import average, crossings, replica_theory
from flowlab.figures import averages
from flowlab.figures import sweep as drawn

T_C, SIZES, T = 1.1, (4, 8), np.linspace(0.8, 1.4, 7)


def made_up(instances: int, seed: int = 0, between: float = 0.05, within: float = 0.02) -> xr.Dataset:
    """Overlaps of a made-up glass, Gaussian in shape: <q⁴> = (3 - 2 g) <q²>², with g a scaling function."""
    rng = np.random.default_rng(seed)
    shape = (len(SIZES), instances, len(T))
    binder = 0.6 - 0.2 * np.tanh((T - T_C) * np.array(SIZES)[:, None, None])
    binder = binder + rng.normal(0, 0.02, shape[:2])[..., None]
    q2 = 0.5 + rng.normal(0, between, shape[:2])[..., None] + rng.normal(0, within, shape)
    dims = ("L", "seed_J", "kept_temperature")
    columns = {"overlap_squared": q2, "overlap_squared_error": np.full(shape, within), "overlap_binder": binder}
    found = xr.Dataset({name: (dims, values) for name, values in columns.items()})
    state = np.full(shape[:2], "finished", dtype=object)
    verdict = np.full(shape[:2], "consistent: it agrees", dtype=object)
    verdict[0, 0] = "not to be trusted: too short"
    found = found.assign(state=(dims[:2], state), verdict=(dims[:2], verdict))
    return found.assign_coords(L=list(SIZES), seed_J=np.arange(instances), kept_temperature=T)


def test_the_error_over_instances_has_both_parts_and_the_cumulant_is_that_of_the_means() -> None:
    found = made_up(400)
    mean = average(found, "seed_J")
    q2 = found.overlap_squared
    np.testing.assert_allclose(mean.overlap_squared, q2.mean("seed_J"))
    np.testing.assert_allclose(mean.overlap_squared_error, q2.std("seed_J", ddof=1) / 20)
    np.testing.assert_allclose(mean.overlap_squared_within, 0.02 / 20)
    np.testing.assert_allclose(mean.overlap_squared_spread, 0.05, rtol=0.15)
    q4 = ((3 - 2 * found.overlap_binder) * q2**2).mean("seed_J")
    np.testing.assert_allclose(mean.overlap_binder, 1.5 - q4 / (2 * q2.mean("seed_J") ** 2))
    assert (mean.overlap_binder < found.overlap_binder.mean("seed_J")).all()  # which is not the mean of cumulants
    assert mean.instances.values.tolist() == [400, 400] and mean.not_trusted.values.tolist() == [1, 0]
    assert mean.overlap_squared_spread.attrs["long_name"] == "spread among instances of mean q² of two samples"


def test_errors_cover_what_other_instances_say() -> None:
    exact = average(made_up(20_000, seed=99), "seed_J")
    z = []
    for seed in range(40):
        mean = average(made_up(30, seed), "seed_J")
        at = dict(L=8, kept_temperature=1.1)
        for name in ("overlap_squared", "overlap_binder"):
            difference = mean[name] - exact[name]
            z.append(float((difference / mean[f"{name}_error"]).sel(at, method="nearest")))
    assert 0.55 < np.mean(np.abs(z) < 1) < 0.82 and np.mean(np.abs(z) < 2) > 0.88


def test_instances_that_failed_are_left_out() -> None:
    found = made_up(6)
    for name in ("overlap_squared", "overlap_squared_error", "overlap_binder"):
        found[name].values[1, 2] = np.nan
    found.state.values[1, 2] = "failed"
    mean, others = average(found, "seed_J"), average(found.drop_sel(seed_J=2), "seed_J")
    assert mean.instances.values.tolist() == [6, 5]
    for name in ("overlap_squared", "overlap_squared_error", "overlap_squared_within", "overlap_binder_error"):
        np.testing.assert_allclose(mean[name].sel(L=8), others[name].sel(L=8), err_msg=name)


def test_crossings_have_errors() -> None:
    z = [
        float((found := crossings(made_up(50, seed)).squeeze()).crossing - T_C) / float(found.crossing_error)
        for seed in range(30)
    ]  # fmt: skip
    assert 0.5 < np.mean(np.abs(z) < 1) < 0.87 and np.max(np.abs(z)) < 4
    found = crossings(made_up(50))
    assert found.L.values.tolist() == [4] and found.larger.values.tolist() == [8]
    assert abs(found.crossing.item() - T_C) < 0.1 and 0 < found.crossing_error.item() < 0.1
    apart = made_up(10).sel(kept_temperature=slice(1.2, 1.4))
    assert np.isnan(crossings(apart).crossing.item())


def test_what_makes_no_sense_is_refused() -> None:
    found = made_up(3)
    with pytest.raises(ValueError, match="over must be one of the keys of the sweep, L, seed_J, got 'T'"):
        average(found, "T")
    with pytest.raises(ValueError, match="needs at least 2 instances, got 1"):
        average(found.isel(seed_J=[0]), "seed_J")
    with pytest.raises(ValueError, match="overlap_binder must have the dims seed_J, N and kept_temperature"):
        crossings(found, size="N")
    with pytest.raises(ValueError, match=r"quantity must be one of overlap_squared, .*got 'ess'"):
        averages(average(found, "seed_J"), "ess")


def test_figures_have_a_band_of_errors_and_one_of_the_spread() -> None:
    mean = average(made_up(5), "seed_J")
    figure = averages(mean, "overlap_squared")
    assert len(figure.data) == 6 and [trace.name for trace in figure.data if trace.name] == ["L = 4", "L = 8"]
    spread, error, line = figure.data[:3]
    np.testing.assert_allclose(line.y, mean.overlap_squared.sel(L=4))
    np.testing.assert_allclose(error.y[: len(T)] - line.y, mean.overlap_squared_error.sel(L=4))
    np.testing.assert_allclose(spread.y[: len(T)] - line.y, mean.overlap_squared_spread.sel(L=4))


def test_a_sweep_is_drawn_with_errors_and_exact_curves() -> None:
    columns = {"ess": [0.5, 0.9], "ess_error": [0.1, 0.2], "energy_per_site": [-1.0, -2.0]}
    columns |= {"energy_per_site_exact": [-1.1, -2.1]}
    found = xr.Dataset({name: ("T", values) for name, values in columns.items()}, {"T": [2.0, 1.0]})
    found = found.assign(state=("T", ["finished"] * 2), curve=(("T", "x"), np.ones((2, 3))))
    figure = drawn(found)
    ess, exact, energy = figure.data
    np.testing.assert_allclose(ess.y, [0.9, 0.5])
    np.testing.assert_allclose(ess.error_y.array, [0.2, 0.1])
    np.testing.assert_allclose(exact.y, [-2.1, -1.1])
    np.testing.assert_allclose(energy.y, [-2.0, -1.0])
    assert "dashed: exact" in figure.layout.title.text
    with pytest.raises(ValueError, match="quantities must be among ess, energy_per_site, got curve"):
        drawn(found, ["curve"])


def test_theory_stands_beside_the_data_and_says_where_it_is_wrong() -> None:
    found = xr.Dataset({"energy_per_site": (("seed_J", "temperature"), [[-0.7, -0.2], [-0.8, -0.3]])})
    mean = average(found.assign_coords(seed_J=[0, 1], temperature=[0.2, 2.0]), "seed_J")
    theory = replica_theory([0.05, 0.2, 1.5, 2.0])
    assert "entropy" in theory.attrs["note"] and theory.replica_symmetric.values.tolist() == [0, 0, 1, 1]
    *_, right, broken = averages(mean, "energy_per_site", theory=theory).data
    np.testing.assert_allclose(right.y, [-1 / 3, -0.25])
    assert right.line.dash == "dash" and broken.line.dash == "dot" and len(broken.x) == 2
