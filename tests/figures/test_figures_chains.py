"""The course of chains, from a Dataset alone."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from flowlab.figures.chains import chain_overview


def data(steps, *names):
    rng = np.random.default_rng(0)
    variables = {name: ("step", rng.normal(size=steps)) for name in names}
    return xr.Dataset(variables, {"step": np.arange(1, steps + 1)}, {"n_sites": 4, "system": "φ⁴", "discard": 0.1})


@pytest.mark.parametrize("kind", ["energy_mean", "action_mean"])
def test_curves_per_site_and_what_is_left_out(kind):
    run = data(2000, kind, "abs_magnetization", "acceptance")
    figure = chain_overview(run, points=100)
    assert len(figure.data) == 3 and all(len(curve.x) == 100 for curve in figure.data)
    assert np.mean(figure.data[0].y) == pytest.approx(float(run[kind].mean()) / 4)
    assert figure.layout.shapes[0].x1 == 200 and figure.layout.title.text == "φ⁴"


def test_a_chain_without_acceptance_and_a_run_without_steps():
    run = data(30, "energy_mean", "abs_magnetization", "acceptance")
    run["acceptance"] = run.acceptance * np.nan
    assert len(chain_overview(run).data) == 2
    assert len(chain_overview(data(0, "action_mean", "abs_magnetization", "acceptance")).data) == 2
