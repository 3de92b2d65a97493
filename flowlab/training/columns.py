"""The columns of a diagnosis: what each is called, its units, and how Estimates become variables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from flowlab.estimators.weights import Estimate
from flowlab.training.coordinates import with_names

Columns = dict[str, tuple[tuple[str, ...], Any]]
Coords = dict[str, Any]

NAMES = {  # name -> (long_name, units)
    "conditional_entropy": ("H(z_k | z_<k)", "nats"),
    "base_entropy_per_site": ("entropy of the base per site", "nats"),
    "entropy_exponent": ("p of H(z_k | z_<k) = c + A k^-p, first half of the latents", "1"),
    "entropy_amplitude": ("A of the same fit", "nats"),
    "entropy_plateau": ("c of the same fit", "nats"),
    "entropy_chi2": ("chi² per degree of freedom of the same fit", "1"),
    "information_sign": ("I(z_1..z_k; sign M), Miller-Madow", "nats"),
    "information_energy": ("I(z_1..z_k; E in 8 bins), Miller-Madow", "nats"),
    "kurtosis_given_first": ("excess kurtosis of M given z_1..z_k", "1"),
    "site_information_sign": ("I(z_k; sign M), Miller-Madow", "nats"),
    "site_information_energy": ("I(z_k; E in 8 bins), Miller-Madow", "nats"),
    "sign_predictability": ("held-out accuracy of sign M from the first latents", "1"),
    "spin_mode_explained": ("variance of the spin's Fourier modes known from the first latents and their pairs", "1"),
    "energy_mode_explained": ("variance of the energy density's Fourier modes known from the same", "1"),
    "wall_length_per_site": ("domain-wall length per site", "lattice spacings"),
    "wall_dimension": ("box-counting dimension of the longest wall", "1"),
    "free_energy_bound_per_site": ("F_var of the density after the layer, per site", "J"),
    "delta_free_energy_per_site": ("change of F_var over the layer, per site", "J"),
    "work_variance": ("variance of the layer's work", "J²"),
    "work_distribution": ("fraction of samples with this work of the layer", "1"),
    "log_z": ("ln of the exponential mean after the layer: ln Z where the ESS can see it", "nats"),
    "log_z_change": ("its change over the layer, 0 by Jarzynski's equality", "nats"),
    "ess": ("effective sample size after the layer as a fraction", "1"),
    "delta_exponent": ("p of delta_free_energy_per_site = A l^-p", "1"),
    "delta_amplitude": ("A of the same fit", "J"),
    "delta_chi2": ("chi² per degree of freedom of the same fit", "1"),
    "latent_overlap": ("overlap of the latents with the samples' majority spins", "1"),
    "sample_overlap": ("overlap of the samples with their own majority spins", "1"),
    "mask_agreement": ("fraction of sites at which two layers' masks agree on the same inputs", "1"),
    "mask_agreement_chance": ("what masks of the same means would reach by chance", "1"),
    "mask_flips": ("fraction of sites that the layer flips, of those it may", "1"),
    "logit_alignment": ("centred kernel alignment of two layers' logits on the same inputs", "1"),
    "response": ("probability that spin x changes when latent y is flipped", "1"),
    "response_range": ("root mean square distance of what changes", "lattice spacings"),
    "response_size": ("number of spins that change", "1"),
    "response_reach": ("largest distance at which anything changed", "lattice spacings"),
    "defect_configuration": ("a configuration with a defect after each layer on its way back", "1"),
    "defect_flipped_sites": ("sites that differ from the defect", "1"),
    "defect_wall_length": ("wall length after each layer on the way back", "lattice spacings"),
    "latent_distance": ("fraction of sites in which the latents of two defects differ, at random places", "1"),
    "latent_distance_equal": ("the same between defects of equal topology", "1"),
    "latent_distance_different": ("the same between defects of different topology", "1"),
    "physical_distance": ("fraction of sites in which two defects differ, at random places", "1"),
    "physical_distance_equal": ("the same between defects of equal topology", "1"),
    "physical_distance_different": ("the same between defects of different topology", "1"),
    "wall_agreement": ("fraction of latents that agree with domain walls, best relabeling", "1"),
    "wall_agreement_chance": ("what bits of the same means would reach by chance", "1"),
    "wall_information": ("I(latent; its best wall), mean over the latents", "nats"),
    "site_wall_information": ("I(latent; its best wall)", "nats"),
}


def described(columns: Columns, coords: Coords, attributes: Mapping[str, Any]) -> xr.Dataset:
    """Columns as a Dataset, each with its long name and units, an ``_error`` with those of what it belongs to.

    >>> found = described(pair("ess", ("layer",), Estimate([0.5], [0.1])), {}, {})
    >>> found["ess_error"].attrs["long_name"]
    'standard error of effective sample size after the layer as a fraction'
    """
    variables = {}
    for name, (dims, values) in columns.items():
        plain = name.removesuffix("_error")
        text, units = NAMES[plain]
        text = f"standard error of {text}" if name != plain else text
        variables[name] = xr.Variable(dims, np.asarray(values), {"long_name": text, "units": units})
    return with_names(xr.Dataset(variables, coords=coords, attrs=dict(attributes)))


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


def axis(dim: str, values: Any, long_name: str, units: str) -> tuple[str, Any, dict[str, str]]:
    """A coordinate that says what it is."""
    return dim, values, {"long_name": long_name, "units": units}
