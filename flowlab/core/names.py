"""What the variables and coordinates of all Datasets are called, and in which units: one table, one meaning a name.

A new quantity costs one line here; where it comes from in one Dataset, an attribute of the variable may say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import xarray as xr

Convention = Literal["folded", "signed"]
"""Distances of configurations: d = (1 - |q|)/2, or d = (1 - q)/2."""
TRIANGLE_KINDS = ("equilateral", "isosceles", "inverted", "scalene")

OF_DENSITIES = {
    "log_z": ("ln Z", "nats"),
    "log_z_bound": ("lower bound on ln Z", "nats"),
    "log_z_upper": ("upper bound on ln Z, from a batch of samples of the target", "nats"),
    "log_z_ratio": ("ln of Z over that of the coarse lattice", "nats"),
    "log_z_ratio_bound": ("lower bound on ln of Z over that of the coarse lattice", "nats"),
    "log_z_reference": ("ln Z of the reference", "nats"),
    "log_z_integration": ("ln Z, integral over the inverse temperature", "nats"),
    "log_z_slope": ("derivative of ln Z per site in the coupling of the curve", "1"),
    "log_z_curvature": ("second derivative of ln Z per site in the coupling of the curve", "1"),
    "worth": ("equal draws that the weights are worth", "1"),
    "crossing": ("coupling at which the Binder cumulants of two sizes cross", "1"),
    "binder_crossing": ("Binder cumulant at which those of two sizes cross", "1"),
    "inverse_nu": ("exponent 1/ν of two sizes", "1"),
    "gamma_over_nu": ("exponent γ/ν of two sizes", "1"),
    "beta_over_nu": ("exponent β/ν of two sizes", "1"),
    "larger": ("side of the larger of two lattices", "sites"),
    "log_z_change": ("change of ln Z over the layer, 0 by Jarzynski's equality", "nats"),
    "free_energy": ("free energy -T ln Z", "J"),
    "free_energy_bound": ("upper bound on the free energy", "J"),
    "free_energy_per_site": ("free energy per site", "J"),
    "free_energy_bound_per_site": ("upper bound on the free energy per site", "J"),
    "ess": ("effective sample size as a fraction of the samples", "1"),
    "ess_min": ("least effective sample size over the couplings of the step", "1"),
    "ess_mean": ("mean effective sample size over the couplings of the step", "1"),
    "truncation": ("largest part of a squared norm that a bond of the tensor network lost", "1"),
    "emdm": ("effective mode-dropping measure", "1"),
    "acceptance": ("acceptance of the Markov chain", "1"),
    "accepted": ("fraction of proposals accepted", "1"),
    "forward_log_z": ("ln Z, from samples of the target", "nats"),
    "forward_log_z_upper": ("upper bound on ln Z, from samples of the target", "nats"),
    "forward_kl": ("KL(p | q), on samples of the target that were not trained on", "nats"),
    "forward_ess": ("effective sample size on samples of the target", "1"),
    "kl_exact": ("KL(q | p), by enumeration", "nats"),
    "forward_kl_exact": ("KL(p | q), by enumeration", "nats"),
    "ess_exact": ("effective sample size as a fraction, by enumeration", "1"),
    "log_z_bound_exact": ("lower bound on ln Z, by enumeration", "nats"),
    "reverse_kl": ("KL(q | p), on samples of the model", "nats"),
    "loss_forward": ("cross entropy -E_p[ln q]", "nats"),
    "entropy_x": ("entropy H[p] in the model's variables", "nats"),
    "gibbs_free_energy_x": ("Gibbs free energy of the model in its own variables", "J"),
    "helmholtz_free_energy_x": ("Helmholtz free energy in the model's variables", "J"),
    "tau_int": ("integrated autocorrelation time of the slowest observable", "steps"),
    "tau_int_draws": ("integrated autocorrelation time of the draws, slowest observable", "draws"),
    "tau_int_rejections": ("integrated autocorrelation time from the rejections", "steps"),
    "longest_rejection_run": ("longest run of rejections in the independence chain", "steps"),
    "rejections": ("fraction of acceptances that so many rejections came before", "1"),
    "round_trip_error": ("f⁻¹(f(z)) - z of continuous flows, root mean square a site", "1"),
    "log_det_closure": ("sum of ln|det| of continuous flows there and back, root mean square", "1"),
    "integration_steps": ("steps of the integration of continuous flows", "1"),
    "joint_bound": ("free energy per site, joint bound with the prior", "J"),
    "encoder_bound": ("free energy per site, joint bound with the encoder", "J"),
    "importance_bound": ("free energy per site, joint bound with the encoder and k more codes", "J"),
    "elbo": ("free energy per site by the ELBO (not a bound)", "J"),
    "importance_estimate": ("free energy per site by importance sampling (not a bound)", "J"),
    "information_lower": ("T I(spins; codes) per site from below", "J"),
    "information_upper": ("T I(spins; codes) per site from above", "J"),
}

OBSERVABLES = {
    "configuration": ("configuration", "1"),
    "field": ("field of the density", "1"),
    "log_q": ("ln q", "nats"),
    "log_weight": ("log weight", "nats"),
    "log_w": ("log weight of the draw, less its ln q", "nats"),
    "energy": ("energy of the whole system", "J"),
    "energy_per_site": ("energy per site", "J"),
    "energy_mean": ("mean energy of the whole system", "J"),
    "energy_lowest": ("lowest energy seen", "J"),
    "configuration_lowest": ("configuration of the lowest energy found", "1"),
    "vortices_per_site": ("vortices of either sign per site", "1"),
    "helicity_modulus": ("helicity modulus, the stiffness against a twist", "J"),
    "action_per_site": ("action per site", "1"),
    "action_mean": ("mean action of the whole system", "1"),
    "specific_heat": ("specific heat per site", "k_B"),
    "magnetization": ("magnetization per site", "1"),
    "abs_magnetization": ("absolute magnetization per site", "1"),
    "even_magnetization": ("magnetization per site of the even sites", "1"),
    "even_squared": ("mean square of the even sites", "1"),
    "site_magnetization": ("magnetization of each site", "1"),
    "susceptibility": ("susceptibility of the order parameter", "1"),
    "susceptibility_connected": ("connected susceptibility of the order parameter", "1"),
    "binder": ("Binder cumulant of the order parameter", "1"),
    "positive_fraction": ("fraction of samples with magnetization above zero, not reweighted", "1"),
    "phi_squared": ("field squared per site", "1"),
    "structure_factor_1": ("|φ̃(q)|²/N at the smallest wave number, mean over the axes", "1"),
    "correlation": ("two-point function", "1"),
    "correlation_length": ("second-moment correlation length", "lattice spacings"),
    "correlation_length_connected": ("second-moment correlation length of an ordered field", "lattice spacings"),
    "equation_of_motion": ("φ ∂S/∂φ per site, exactly 1", "1"),
    "site_balance": ("accepted moves of one site that raise the weight, less those that lower it, exactly 0", "1"),
    "x2_per_site": ("square of the continuous variables per site", "1"),
    "hamiltonian_density_per_site": ("Hamiltonian of the continuous variables per site", "J"),
    "abs_overlap": ("mean |q| of two samples", "1"),
    "overlap_mean": ("mean overlap q of two samples, with their signs", "1"),
    "entropy_per_site": ("entropy per site", "1"),
    "at_eigenvalue": ("eigenvalue of de Almeida and Thouless, negative where replica symmetry is broken", "1"),
    "replica_symmetric": ("whether replica symmetry holds", "1"),
    "overlap_squared": ("mean q² of two samples", "1"),
    "two_point": ("two-point function G(x, y)", "1"),
    "overlap_binder": ("Binder cumulant of the overlap, 3/2 - <q⁴>/(2<q²>²)", "1"),
    "overlap_peak": ("|q| at the peak of P(|q|)", "1"),
    "overlap_dip": ("depth of the dip of P(q) at q = 0", "1"),
    "overlap_distribution": ("P(q) of two samples", "1"),
    "density": ("density of the overlap distribution P(q)", "1"),
    "probability_abs": ("P(|q|) of two samples", "1"),
    "overlap_total_variation": ("total variation of P(|q|) to the reference", "1"),
    "overlap_total_variation_floor": ("total variation of P(|q|) that noise alone makes", "1"),
    "triangle_fraction": ("fraction of triangles of a kind", "1"),
    "triangle_equilateral": ("fraction of equilateral triangles, d = (1 - |q|)/2", "1"),
    "triangle_isosceles": ("fraction of isosceles triangles, d = (1 - |q|)/2", "1"),
    "triangle_inverted": ("fraction of inverted triangles, d = (1 - |q|)/2", "1"),
    "triangle_scalene": ("fraction of scalene triangles, d = (1 - |q|)/2", "1"),
    "symmetry_breaking": ("how far <s_i> differs from 0, in standard deviations", "1"),
    "mode_collapse": ("whether valleys or mirror images are missing", "1"),
    "thermalised": ("whether the tempering thermalised", "1"),
    "round_trips": ("round trips between the lowest and the highest temperature", "1"),
    "swap_acceptance": ("acceptance of swaps between neighbouring temperatures", "1"),
    "swap_acceptance_min": ("smallest acceptance of swaps between neighbouring temperatures", "1"),
    "z_thirds": ("standard deviations between the last thirds of the tempering", "1"),
    "z_replicas": ("standard deviations between the replicas of the tempering", "1"),
    "distances": ("distances of a triangle's corners, rising", "1"),
    "overlaps": ("overlaps of a triangle's corners", "1"),
    "corners": ("configurations at a triangle's corners", "1"),
    "corner_block": ("block of configurations that a triangle is made of", "1"),
}

OF_TRAINING = {
    "step": ("number of steps done", "1"),
    "stage": ("stage of training", "1"),
    "loss": ("loss, at the couplings trained at", "nats"),
    "held_out_loss": ("loss on samples held out", "nats"),
    "log_z_population": ("ln Z by the weights of a population that is cooled", "nats"),
    "replaced": ("accepted part of the proposals to a population", "1"),
    "baseline_misfit": ("misfit of the learned baseline", "1"),
    "log_q_mean": ("mean ln q", "nats"),
    "grad_norm": ("gradient norm before clipping", "1"),
    "learning_rate": ("learning rate of the base", "1"),
    "inverse_temperature": ("inverse temperature trained at", "1/J"),
    "coarse_kappa": ("learned hopping parameter of the coarse lattice", "1"),
    "coarse_lam": ("learned quartic coupling of the coarse lattice", "1"),
    "learned_kappa": ("learned hopping parameter", "1"),
    "learned_lam": ("learned quartic coupling", "1"),
    "noise_sigma": ("standard deviation of the block noise", "1"),
    "integration_error": ("change of the log-determinant with twice the steps", "nats"),
    "rolled_back": ("times training went back to earlier weights", "1"),
    "reweighting_ess": ("effective sample size of the kept samples", "1"),
    "resampled": ("whether samples were drawn afresh", "1"),
    "stage_ess": ("effective sample size of the batch on the stage's own target", "1"),
    "stage_acceptance": ("acceptance of the independence chain on the stage's own target", "1"),
    "step_size": ("step size of the chain", "1"),
    "wall_time": ("time spent", "s"),
    "steps": ("steps of training done", "1"),
    "seconds": ("time spent training", "s"),
    "state": ("how the run ended", ""),
    "verdict": ("whether the evaluation may be believed", ""),
    "run": ("directory of the run", ""),
    "instances": ("instances that a mean is over", "1"),
    "not_trusted": ("instances whose evaluation is not to be trusted", "1"),
    "mean_acceptance": ("mean acceptance of runs that saw as many configurations", "1"),
    "spread_acceptance": ("standard deviation of the acceptance among these runs", "1"),
    "cost": ("configurations seen in training until the acceptance is reached", "1"),
    "exponent": ("exponent of the cost of training in the correlation length", "1"),
    "gap": ("gap of the variational free energy per site", "J"),
    "gap_mean_field": ("gap of the exact optimum of independent spins with a shared bit, per site", "J"),
    "entropy_per_site_exact": ("exact entropy per site", "nats"),
    "depth": ("smallest number of layers with a gap below epsilon", "layers"),
}

OF_DIAGNOSES = {
    "conditional_entropy": ("H(z_k | z_<k)", "nats"),
    "base_entropy_per_site": ("entropy of the base per site", "nats"),
    "entropy_exponent": ("p of H(z_k | z_<k) = c + A k^-p, first half of the latents", "1"),
    "entropy_amplitude": ("A of H(z_k | z_<k) = c + A k^-p", "nats"),
    "entropy_plateau": ("c of H(z_k | z_<k) = c + A k^-p", "nats"),
    "entropy_chi2": ("chi² per degree of freedom of H(z_k | z_<k) = c + A k^-p", "1"),
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
    "delta_free_energy_per_site": ("change of F_var over the layer, per site", "J"),
    "delta_exponent": ("p of delta_free_energy_per_site = A l^-p", "1"),
    "delta_amplitude": ("A of delta_free_energy_per_site = A l^-p", "J"),
    "delta_chi2": ("chi² per degree of freedom of delta_free_energy_per_site = A l^-p", "1"),
    "work_variance": ("variance of the layer's work", "J²"),
    "work_distribution": ("fraction of samples with this work of the layer", "1"),
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
    "latent_distance_equal": ("fraction of latents in which two defects of equal topology differ", "1"),
    "latent_distance_different": ("fraction of latents in which two defects of other topology differ", "1"),
    "physical_distance": ("fraction of sites in which two defects differ, at random places", "1"),
    "physical_distance_equal": ("fraction of sites in which two defects of equal topology differ", "1"),
    "physical_distance_different": ("fraction of sites in which two defects of other topology differ", "1"),
    "wall_agreement": ("fraction of latents that agree with domain walls, best relabeling", "1"),
    "wall_agreement_chance": ("what bits of the same means would reach by chance", "1"),
    "wall_information": ("I(latent; its best wall), mean over the latents", "nats"),
    "site_wall_information": ("I(latent; its best wall)", "nats"),
}

OF_CHECKS = {  # of a table with a row a quantity, each in its own units
    "value": ("of the model, by importance weights", "1"),
    "raw": ("of the model's draws as they are", "1"),
    "reference": ("of the chains", "1"),
    "z": ("errors between value and reference", "1"),
    "z_raw": ("errors between raw and reference", "1"),
    "z_starts": ("errors between hot and cold starts", "1"),
    "r_hat": ("potential scale reduction of the chains", "1"),
}

COORDINATES = {
    "layer": ("layer", "1"),
    "layers": ("number of layers", "1"),
    "layer_name": ("name of the layer", ""),
    "layer_kind": ("kind of the layer", ""),
    "time": ("time along the flow", "1"),
    "site": ("site", "1"),
    "place": ("place of the site in the order", "1"),
    "distance": ("distance along an axis", "lattice spacings"),
    "overlap": ("overlap q", "1"),
    "abs_q": ("overlap |q|", "1"),
    "q": ("overlap q", "1"),
    "kind": ("kind of triangle", ""),
    "convention": ("which configurations make a triangle", ""),
    "defect": ("defect", ""),
    "other_defect": ("defect", ""),
    "topology": ("topology of the defect", ""),
    "work": ("work W of a layer", "J"),
    "block": ("side of the majority's window", "lattice spacings"),
    "separation": ("distance |x - y|", "lattice spacings"),
    "map": ("map from spins to bits", ""),
    "relabeling": ("relabeling of the bits that agrees best", ""),
    "mask": ("XOR layer", "1"),
    "other_mask": ("XOR layer", "1"),
    "k": ("number of first latents", "1"),
    "first": ("number of first latents", "1"),
    "mode": ("wave vector and those like it", "2 pi / side"),
    "run_length": ("rejections in a row", "steps"),
    "quantity": ("quantity", ""),
    "temperature": ("temperature", "J/k_B"),
    "kept_temperature": ("temperature at which configurations were kept", "J/k_B"),
    "T": ("temperature", "J/k_B"),
    "beta": ("coupling beta", "1"),
    "kappa": ("hopping parameter kappa", "1"),
    "lam": ("quartic coupling", "1"),
    "mass": ("mass", "1"),
    "L": ("side of the lattice", "lattice spacings"),
    "target_acceptance": ("acceptance to be reached", "1"),
    "configurations": ("configurations seen in training", "1"),
}

NAMES: dict[str, tuple[str, str]] = {
    **OF_DENSITIES, **OBSERVABLES, **OF_TRAINING, **OF_DIAGNOSES, **OF_CHECKS, **COORDINATES
}  # fmt: skip
"""name -> (long name, units)"""

SUFFIXES = {
    "_error": "standard error of {}",
    "_exact": "exact {}",
    "_replicas": "{} without one block of draws",
    "_within": "part of the standard error that is from inside of instances, of {}",
    "_spread": "spread among instances of {}",
}
PREFIXES = {  # words, and the units where they are not those of what follows
    "reference_": ("{}, of the reference", ""),
    "trained_": ("{} trained at", ""),
    "tau_int_": ("integrated autocorrelation time of {}", "steps"),
    "total_variation_floor_": ("total variation that noise alone makes, of {}", "1"),
    "total_variation_raw_": ("total variation of the draws as they are to the chains, of {}", "1"),
    "total_variation_": ("total variation to the chains, of {}", "1"),
}


DESCRIBE = (
    "loss",
    "log_z_bound",
    "log_z_bound_error",
    "ess",
    "energy_mean",
    "action_mean",
    "log_q_mean",
    "acceptance",
    "grad_norm",
    "learning_rate",
    "inverse_temperature",
    "trained_kappa",
    "trained_lam",
    "trained_mass",
    "stage",
    "coarse_kappa",
    "coarse_lam",
    "noise_sigma",
    "integration_error",
    "rolled_back",
    "log_z_ratio_bound",
    "reweighting_ess",
    "resampled",
    "stage_ess",
    "stage_acceptance",
    "wall_time",
)
"""Columns of the records of a training that a run describes, with values or without."""


def known(name: str) -> tuple[str, str] | None:
    """Long name and units of a variable or coordinate, None for a name that the table does not give.

    >>> known("log_z_bound_error"), known("thickness_error")
    (('standard error of lower bound on ln Z', 'nats'), None)
    >>> known("tau_int_energy_per_site")
    ('integrated autocorrelation time of energy per site', 'steps')
    """
    if name in NAMES:
        return NAMES[name]
    for base, words, units in _readings(name):
        if found := known(base):
            return words.format(found[0]), units or found[1]
    return None


def named(name: str) -> tuple[str, str]:
    """The same; a name that is not known is its own, in units of 1.

    >>> named("thickness_error")
    ('standard error of thickness', '1')
    """
    if found := known(name):
        return found
    for base, words, units in _readings(name):
        long_name, its_units = named(base)
        return words.format(long_name), units or its_units
    return name.replace("_", " "), "1"


def _readings(name: str) -> Iterator[tuple[str, str, str]]:
    """(name that it is made from, words around that one's long name, units or "" for the same)."""
    for suffix, words in SUFFIXES.items():
        if name.endswith(suffix):
            yield name.removesuffix(suffix), words, ""
    for prefix, (words, units) in PREFIXES.items():
        if name.startswith(prefix):
            yield name.removeprefix(prefix), words, units


def about(name: str, **more: Any) -> dict[str, Any]:
    """The attributes of a variable: ``long_name`` and ``units``, and what else there is to say of it here.

    >>> about("ess", reason="no samples")["units"], about("ess", reason="no samples")["reason"]
    ('1', 'no samples')
    """
    long_name, units = named(name)
    return {"long_name": long_name, "units": units, **more}


def labelled(dataset: xr.Dataset, also: Mapping[str, Any] | None = None) -> xr.Dataset:
    """The same Dataset, every variable and coordinate with ``long_name`` and ``units`` of the table.

    Args:
        dataset: whose variables may have other attributes, which are kept.
        also: attributes that every variable gets besides.

    >>> labelled(xr.Dataset({"ess": 0.5}, {"T": 2.0})).T.attrs
    {'long_name': 'temperature', 'units': 'J/k_B'}
    """
    found = dataset.copy()
    for name in found.variables:
        found[name].attrs |= about(str(name)) | dict(also or {})
    return found
