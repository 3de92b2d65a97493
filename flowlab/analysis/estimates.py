"""The columns of a diagnosis: how Estimates become variables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from flowlab.core.names import labelled
from flowlab.estimators.weights.weights import Estimate

Columns = dict[str, tuple[tuple[str, ...], Any]]
Coords = dict[str, Any]


def described(columns: Columns, coords: Coords, attributes: Mapping[str, Any]) -> xr.Dataset:
    """Columns as a Dataset, each with its long name and units, an ``_error`` with those of what it belongs to.

    >>> found = described(pair("ess", ("layer",), Estimate([0.5], [0.1])), {}, {})
    >>> found["ess_error"].attrs["long_name"]
    'standard error of effective sample size as a fraction of the samples'
    """
    return labelled(xr.Dataset(columns, coords, attrs=dict(attributes)))


def pair(name: str, dims: tuple[str, ...], estimate: Estimate) -> Columns:
    """A value and its error, as ``name`` and ``name_error``."""
    return {name: (dims, np.asarray(estimate.value)), f"{name}_error": (dims, np.asarray(estimate.error))}


def stacked(estimates: Sequence[Estimate]) -> Estimate:
    """Estimates of one shape along a new first axis."""
    return Estimate(np.stack([e.value for e in estimates]), np.stack([e.error for e in estimates]))


def scaled(factor: float, estimate: Estimate) -> Estimate:
    """factor times an Estimate."""
    return Estimate(factor * estimate.value, abs(factor) * estimate.error)


def after_the_latent(estimate: Estimate) -> Estimate:
    """What layers 1 .. L do, with NaN for layer 0, the latents.

    >>> after_the_latent(Estimate(np.ones(1), np.zeros(1))).value
    array([nan,  1.])
    """
    return Estimate(*(np.concatenate([np.full((1, *v.shape[1:]), np.nan), v]) for v in estimate))
