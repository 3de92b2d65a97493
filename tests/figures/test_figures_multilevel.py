from __future__ import annotations

import math

import numpy as np
import pytest
import xarray as xr

from flowlab import figures
from flowlab.densities import Multilevel
from flowlab.figures.multilevel import draws_in_levels, level_entropy, sites_drawn
from flowlab.systems import Ising
from flowlab.training import ReverseKL, Training


@pytest.fixture(scope="module")
def levels() -> xr.Dataset:
    how = {"steps": 1, "batch": 50, "learning_rate": {"base": 1e-2}}
    return Training(Ising((8, 8), T=2.3).decimate(), Multilevel((8, 4)), ReverseKL(), **how).layers(200)


def test_sites_of_each_level_add_up(levels: xr.Dataset) -> None:
    assert draws_in_levels(levels)
    assert sites_drawn(levels, "field").tolist() == [4, 4, 8, 16]
    assert sites_drawn(levels).tolist() == [4, 4, 8, 48]
    complete = levels.assign(configuration=levels.configuration.fillna(1.0))
    assert not draws_in_levels(complete)


def test_entropies_of_the_levels_add_up_to_that_of_the_density(levels: xr.Dataset) -> None:
    bars = level_entropy(levels, 1).data[0]
    total = float(np.dot(bars.y, sites_drawn(levels, "field")))
    assert total == pytest.approx(-float(levels.log_q[-1].mean()), rel=1e-5)
    assert (np.asarray(bars.y) <= math.log(2) + 4 * np.asarray(bars.error_y.array) + 1e-6).all()
    assert len(set(bars.marker.color)) == 2


def test_pictures_speak_of_levels(levels: xr.Dataset) -> None:
    figure = figures.layer_overview(levels, 0, 2)
    assert figure.layout.title.text.startswith("level 2 of 3 · 4 × 4 · sample 0 · draws 8 of 64 sites<br>")
    last = figures.layer_overview(levels, 0, 3).layout.title.text
    assert "draws 16 of 64 sites, 32 more exactly" in last, "as many as under its bar"
    assert "latent" not in {trace.name for trace in figure.data}
    known = next(trace for trace in figure.data if trace.yaxis == "y3")
    assert np.isfinite(known.y).tolist() == [True, False, True, False, True]
