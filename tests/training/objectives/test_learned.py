"""Errors of learned couplings: information that a flow cannot make up for, and what is said of flat directions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import xarray as xr

from flowlab.core import named_generator
from flowlab.systems import Phi4
from flowlab.training.objectives.learned import Learned, directions, information, slopes
from tests.training.gaussian_fields import gaussian, precision

FREE = Phi4((6,), 0.2, 0.0)


def fields(n=4000):
    return gaussian(FREE, n, named_generator(0, "learned"))


def test_information_of_a_free_field_is_that_of_its_gaussian():
    change = (precision(FREE.at(kappa=0.21)) - precision(FREE)) / 0.01
    covariance = torch.linalg.inv(precision(FREE))
    expected = 0.5 * float((change @ covariance @ change @ covariance).trace())
    own = slopes(FREE, fields(), ["kappa"])
    at_fixed, left = information(own, torch.randn(4000, 3, generator=named_generator(1, "noise"), dtype=torch.float64))
    assert float(at_fixed) == pytest.approx(expected, rel=0.1) and float(left) == pytest.approx(expected, rel=0.1)


def test_a_linear_flow_makes_up_for_the_hopping_of_a_free_field_and_not_for_its_quartic_coupling():
    x = fields()
    own, flow = slopes(FREE.at(lam=1e-4), x, ["kappa", "lam"]), directions(FREE, x, 2)
    at_fixed, left = information(own, flow)
    assert float(left[0, 0]) < 1e-2 * float(at_fixed[0, 0])  # any Gaussian is a linear map of another
    alone, scaled = information(own[:, 1:], flow[:, :1])
    assert float(scaled) > 0.05 * float(alone)  # x -> c x changes the kurtosis of no field


def test_a_flow_that_reaches_around_a_small_lattice_makes_up_for_its_hopping():
    """The site opposite on a ring of four is two away in both directions, and a kernel of five sees it."""
    ring = Phi4((4,), 0.4, 0.0)
    x = gaussian(ring, 4000, named_generator(0, "ring"))
    at_fixed, left = information(slopes(ring, x, ["kappa"]), directions(ring, x, 2))
    assert float(left[0, 0]) < 1e-6 * float(at_fixed[0, 0])
    assert directions(ring, x, 2).shape == (4000, 12) and directions(ring, x, 1).shape == (4000, 8)


def test_derivatives_have_no_mean_under_the_target():
    """∇·v + v·∇ln p has mean zero for every v: a Stein identity."""
    found = directions(FREE, fields(), 2)
    z = found.mean(0) / (found.std(0) / math.sqrt(len(found)))
    assert float(z.abs().max()) < 4 and found.shape == (4000, 12)


def learned(values, covariance):
    return Learned("fine", values, np.array(covariance))


def test_what_is_not_determined_is_said():
    fine = learned({"kappa": 0.4, "lam": 0.1}, [[1e-6, 0.0], [0.0, 1e-6]])
    assert fine.notes == [] and fine.errors == pytest.approx({"kappa": 1e-3, "lam": 1e-3})
    (note,) = learned({"kappa": 0.4, "lam": 0.02}, [[1e-6, 0.0], [0.0, 1e-4]]).notes
    assert note.startswith("the learned fine lam = 0.02 ± 0.01 is hardly determined")
    (note,) = learned({"kappa": 0.4, "lam": 0.2}, [[1e-4, 0.99e-4], [0.99e-4, 1e-4]]).notes
    assert "kappa and lam are not determined apart: they drift along a flat direction, kappa by 0.99 times lam" in note
    nothing = Learned.unknown("coarse", {"kappa": 0.3})
    assert nothing.notes == [] and math.isnan(nothing.errors["kappa"])
    flat = learned({"kappa": 0.26}, [[0.055**2]]).add_to(xr.Dataset(attrs={"reasons": "consistent"}))
    for said in ("warnings", "reasons"):
        assert "kappa = 0.26 ± 0.055 is hardly determined: the flow makes up for another value" in flat.attrs[said]
    told = fine.add_to(xr.Dataset(attrs={"warnings": "as before"}))
    assert told.attrs["warnings"] == "as before" and float(told.learned_lam_error) == pytest.approx(1e-3)
