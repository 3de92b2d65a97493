"""One configuration has one ln q: on every path, with gradients and without, in every density and every wrapper."""

import numpy as np
import pytest
import torch
import xarray as xr

import flowlab as fl
from flowlab.testing import check_density
from tests.laws.wrapped import CASES


def integrated(name):
    """Whether there and back agree to the error of an integration only."""
    return "continuous" in name or "upscaled" in name


@pytest.mark.parametrize("name", CASES)
def test_a_configuration_has_one_likelihood(name):
    tolerance = 2e-3 if integrated(name) else 1e-8
    check_density(CASES[name](), n=12, shake=0.3, tolerance=tolerance, draws=0)


def test_runs_take_what_their_datasets_hold():
    run = fl.Training(
        fl.Ising((4, 2), T=2.0), fl.MADE((4, 2)), fl.ReverseKL(), steps=1, batch=4, learning_rate={"base": 1e-3}
    )
    drawn = run.sample(6).configuration
    layers = [run.layers(x=x) for x in (torch.tensor(drawn.values), drawn, drawn.values.astype(np.int8))]
    for one in layers[1:]:
        xr.testing.assert_identical(one, layers[0])
    chains = drawn.values.reshape(2, 3, 4, 2)
    reference = xr.DataArray(chains, dims=("chain", "draw", "y", "x"))
    found = [run.evaluate(200, reference=x) for x in (torch.tensor(drawn.values), drawn, reference)]
    for one in found[1:]:
        xr.testing.assert_identical(one, found[0])
    with pytest.raises(TypeError, match="one variable, got a whole Dataset: give one of configuration, log_q"):
        run.layers(x=run.sample(2))


def test_the_law_covers_every_wrapper_on_its_bases():
    assert len(CASES) > 250
