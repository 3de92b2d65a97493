"""Curves of one run over a range of couplings."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from flowlab.figures import coupling_curves


@pytest.fixture
def found() -> xr.Dataset:
    beta = np.array([0.5, 0.4, 0.45])
    columns = {
        "abs_magnetization": [0.9, 0.4, 0.7],
        "abs_magnetization_error": [0.1, 0.2, np.nan],
        "energy_per_site": [-1.7, -1.1, -1.5],
        "energy_per_site_exact": [-1.75, -1.15, -1.55],
        "log_z": [2.0, 1.0, 1.5],
        "log_z_exact": [2.1, 1.1, 1.6],
        "ess": [0.5, 0.9, 0.8],
        "verdict": ["not to be trusted: few", "consistent: it agrees", "not checked: nothing"],
    }
    return xr.Dataset({name: ("beta", values) for name, values in columns.items()}, {"beta": beta})


def test_points_bands_and_exact_lines_go_up_with_the_coupling(found: xr.Dataset) -> None:
    figure = coupling_curves(found, transition=0.44, phases=("disordered", "ordered"))
    band, m, good, bad, *_ = figure.data
    np.testing.assert_allclose(m.x, [0.4, 0.45, 0.5])
    np.testing.assert_allclose(m.y, [0.4, 0.7, 0.9])
    np.testing.assert_allclose(good.x, [0.4, 0.45])
    np.testing.assert_allclose(bad.x, [0.5])
    np.testing.assert_allclose(band.y, [0.6, 0.7, 1.0, 0.8, 0.7, 0.2])
    assert (good.marker.symbol, bad.marker.symbol) == ("circle", "circle-open")
    exact = next(trace for trace in figure.data if trace.line.dash == "dash")
    np.testing.assert_allclose(exact.y, [-1.15, -1.55, -1.75])
    assert [shape.x0 for shape in figure.layout.shapes] == [0.44] * 3
    assert {note.text.strip() for note in figure.layout.annotations} == {"disordered", "ordered"}
    assert "dashed: exact" in figure.layout.title.text and "hollow" in figure.layout.title.text


def test_quantities_are_chosen_by_name(found: xr.Dataset) -> None:
    figure = coupling_curves(found, ["log_z"])
    np.testing.assert_allclose(figure.data[2].y, [1.1, 1.6, 2.1])
    names = ["susceptibility_connected", "binder", "free_energy_bound_per_site"]
    figure = coupling_curves(found.assign(dict.fromkeys(names, found.ess)), names)
    assert all(
        len(figure.layout[f"yaxis{k}"].title.text) < 26 for k in ("", 2, 3)
    )  # 180 pixels are the height of an axis
    with pytest.raises(ValueError, match=r"quantities must be among log_z, ess, energy_per_site, .*got binder"):
        coupling_curves(found, ["binder"])
    assert coupling_curves(xr.Dataset()).layout.annotations[0].text == "no point has been measured yet"
