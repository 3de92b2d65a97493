"""What is read off runs on a spin glass: overlaps, triangles, and how far from equilibrium they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import torch
import xarray as xr

from flowlab import estimators
from flowlab.analysis import evaluation
from flowlab.analysis.representations import like
from flowlab.analysis.tempering import TemperingSamples
from flowlab.core import Density, System
from flowlab.core.names import TRIANGLE_KINDS, Convention, labelled
from flowlab.core.numbers import whole_number
from flowlab.estimators import Estimate, Evidence
from flowlab.estimators.observables.overlaps import Overlaps
from flowlab.estimators.weights.evidence import reference_evidence
from flowlab.estimators.weights.mode_collapse import ModeCollapse

CONVENTIONS: tuple[Convention, ...] = ("folded", "signed")
TOLERANCE = 0.05
N_TRIANGLES = 20_000
N_SAMPLES = 5000
"""Samples of a model that overlaps are taken from, at most."""
AT_MOST = 20_000
"""Configurations of a reference that are compared with."""

Columns = dict[str, tuple[tuple[str, ...], np.ndarray]]


def thinned(spins: np.ndarray, n: int = AT_MOST) -> np.ndarray:
    """(replicas, m, *shape) -> (replicas, at most n in all, N), evenly spread."""
    flat = spins.reshape(*spins.shape[:2], -1)
    return np.asarray(flat[:, :: -(-flat.shape[0] * flat.shape[1] // n)])


def overlap_estimates(found: Overlaps) -> dict[str, Estimate]:
    """The numbers of one P(q), by the names they have in Datasets."""
    return {
        "abs_overlap": found.mean_abs_q,
        "overlap_squared": found.mean_q2,
        "overlap_binder": found.binder,
        "overlap_peak": found.peak,
        "overlap_dip": found.dip,
    }


def triangle_estimates(spins: np.ndarray, rng: np.random.Generator) -> dict[str, Estimate]:
    """Fractions of the kinds of folded triangles as ``triangle_<kind>``, at a tolerance of 0.05."""
    found = estimators.triangles(spins, n=N_TRIANGLES, convention="folded", rng=rng).fractions(TOLERANCE)
    return {f"triangle_{kind}": found[kind] for kind in TRIANGLE_KINDS}


def unseen(reference: xr.Dataset, held_out: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """At most 5000 configurations of a reference that are ``held_out`` of training, evenly spread, (n, *shape)."""
    found = held_out(torch.from_numpy(reference["configuration"].values).flatten(0, 1))
    return found[:: -(-len(found) // N_SAMPLES)]


def model_overlaps(
    density: Density,
    target: System,
    reference: xr.Dataset,
    seen: torch.Tensor,
    n: int,
    generator: torch.Generator,
) -> tuple[xr.Dataset, list[Evidence]]:
    """How a density compares with a reference: overlaps, triangles, divergences, and what they say for or against it.

    Means over the target are those over ``seen``, see :func:`unseen`.
    ``forward_kl`` = KL(p | q), ``reverse_kl`` = KL(q | p), ``loss_forward`` = -E_p[ln q] and ``entropy_x`` = H[p],
    whose difference is the former, ``gibbs_free_energy_x`` and ``helmholtz_free_energy_x`` are in the variables of the
    density, with ln Z from the reference (Hartnett and Mohseni 2020, arXiv:2001.00585, eq. 16, 20 and 21).
    """
    n = min(whole_number("the number of samples", n), N_SAMPLES)
    drawn = evaluation.sample(density, target, n, generator, {})
    numbers, found = verdict(drawn["configuration"].values.reshape(n, -1), reference, _rng(generator))
    offset = float(target.log_z_offset)
    seen = seen.to(device=like(density).device, dtype=torch.get_default_dtype())
    log_weight, log_q = evaluation.on_samples_of_the_target(density, target, seen, generator)
    log_w = drawn["log_weight"].values - drawn["log_q"].values
    values = estimators.divergences(
        log_w_model=log_w - offset,
        log_w_target=log_weight - offset - log_q,
        log_weight_target=log_weight - offset,
        log_z=float(reference["log_z"]) - offset,
        log_z_error=float(reference["log_z_error"]),
        T=float(target.physical.couplings["T"].detach()),
    )
    renamed = {
        "forward_kl": values["kl_forward"],
        "reverse_kl": values["kl_reverse"],
        "loss_forward": values["loss_forward"],
        "entropy_x": values["entropy"],
        "gibbs_free_energy_x": values["gibbs_free_energy"],
        "helmholtz_free_energy_x": values["helmholtz_free_energy"],
        "log_z_reference": Estimate(float(reference["log_z"]), float(reference["log_z_error"])),
    }
    if reference.attrs["thermalised"]:
        evidence = [Evidence(found.text, fails=found.collapsed or found.other_states, independent=True)]
        evidence += reference_evidence(estimators.log_z(log_w), renamed["log_z_reference"], n)
    else:
        evidence = [Evidence(f"reference {reference.attrs['thermalisation']}"), Evidence(f"beside it: {found.text}")]
    return numbers.merge(dataset_of(renamed)), evidence


def merged(evaluation: xr.Dataset, compared: xr.Dataset) -> xr.Dataset:
    """An evaluation with what :func:`model_overlaps` found, whose numbers stand where both have one."""
    return evaluation.drop_vars([name for name in compared.data_vars if name in evaluation]).merge(compared)


def _rng(generator: torch.Generator) -> np.random.Generator:
    return np.random.default_rng(generator.initial_seed())


def verdict(model: np.ndarray, reference: xr.Dataset, rng: np.random.Generator) -> tuple[xr.Dataset, ModeCollapse]:
    """Overlaps and triangles of a model's samples (n, N), those of the reference, and how far they are apart."""
    spins = thinned(reference["configuration"].values)
    found = estimators.mode_collapse(model, spins, rng=rng)
    numbers = overlap_estimates(found.model) | triangle_estimates(model, rng)
    numbers |= {
        f"reference_{k}": v for k, v in (overlap_estimates(found.reference) | triangle_estimates(spins, rng)).items()
    }
    numbers |= {
        "overlap_total_variation": found.total_variation,
        "overlap_total_variation_floor": Estimate(found.total_variation_floor, np.nan),
        "symmetry_breaking": Estimate(found.symmetry_breaking, np.nan),
        "mode_collapse": Estimate(float(found.collapsed), np.nan),
    }
    return dataset_of(numbers), found


def dataset_of(numbers: Mapping[str, Estimate]) -> xr.Dataset:
    """Scalars with their ``_error`` where they have one."""
    variables = {}
    for name, (value, error) in numbers.items():
        variables[name] = xr.Variable((), float(value))
        if not np.isnan(error):
            variables[f"{name}_error"] = xr.Variable((), float(error))
    return labelled(xr.Dataset(variables))


def layer_overlaps(layers: xr.Dataset, reference: xr.Dataset | None, rng: np.random.Generator) -> xr.Dataset:
    """P(q), its Binder cumulant, dip and peak, and triangles after every layer, and of the reference, if any.

    Dims ``layer, overlap, convention, kind, site``: where ``overlap_dip`` rises is the transition inside the flow. They
    are NaN after layers that leave sites to come.
    """
    x = layers["configuration"].values
    x = x.reshape(*x.shape[:2], -1)
    complete = ~np.isnan(x).any((1, 2))
    columns = {
        name: (dims, _spread(values, complete))
        for name, (dims, values) in _columns(x[complete], ("layer",), rng).items()
    }
    if reference is not None:
        spins = thinned(reference["configuration"].values)
        ours = _columns([spins], ("layer",), rng)
        columns |= {f"reference_{k}": (dims[1:], values[0]) for k, (dims, values) in ours.items()}
    return _with_names(columns, layers.attrs, {name: layers[name] for name in ("layer_name", "layer_kind", "time")})


def _spread(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Values at the rows that are True, NaN at the others.

    >>> _spread(np.array([1.0]), np.array([False, True]))
    array([nan,  1.])
    """
    found = np.full((len(rows), *values.shape[1:]), np.nan)
    found[rows] = values
    return found


def tempering_overlaps(run: TemperingSamples, n: int, rng: np.random.Generator) -> xr.Dataset:
    """Thermodynamics and ln Z at every temperature of the ladder, overlaps and triangles where spins were kept."""
    energies, N = run.energies, run.system.n_sites
    thermal = estimators.thermodynamics(energies, run.ladder, N)
    log_z = run.bennett
    T, check = np.array(run.ladder), run.verdict
    found = {
        "energy_per_site": thermal.energy_per_site,
        "specific_heat": thermal.specific_heat,
        "log_z": log_z,
        "log_z_integration": run.integration,
    }
    finite = np.isfinite(T)
    columns: Columns = {}
    for name, estimate in found.items():
        columns |= _pair(name, ("temperature",), np.asarray(estimate.value)[finite], np.asarray(estimate.error)[finite])
    free = -T[finite] / N
    columns |= _pair(
        "free_energy_per_site",
        ("temperature",),
        free * np.asarray(log_z.value)[finite],
        -free * np.asarray(log_z.error)[finite],
    )
    columns["swap_acceptance"] = (("pair",), estimators.swap_acceptance(energies, run.ladder))
    spins = [thinned(run.spins(t), n) for t in run.temperatures]
    columns |= _columns(spins, ("kept_temperature",), rng)
    data = _with_names(columns, {}, {"temperature": T[finite], "kept_temperature": list(run.temperatures)})
    scalars = {
        "thermalised": Estimate(float(check.thermalised), np.nan),
        "round_trips": Estimate(float(run.round_trips.sum()), np.nan),
        "swap_acceptance_min": Estimate(check.swap_acceptance, np.nan),
        "z_thirds": Estimate(check.z_thirds, np.nan),
        "z_replicas": Estimate(check.z_replicas, np.nan),
        "energy_lowest": Estimate(float(energies.min()), np.nan),
    }
    said = [Evidence(check.text, fails=not check.thermalised, independent=True)]
    judged = estimators.verdict(said + ([Evidence(run.unknown)] if run.unknown else []))
    return data.merge(dataset_of(scalars)).assign_attrs(judged.attrs | {"thermalisation": check.text})


def _columns(samples: Iterable[np.ndarray], dims: tuple[str, ...], rng: np.random.Generator) -> Columns:
    """Overlaps, triangles and site magnetizations of each set of samples, stacked along ``dims``."""
    rows: list[dict[str, np.ndarray]] = []
    for s in samples:
        found = estimators.overlap_distribution(s, rng=rng)
        moments = estimators.site_magnetizations(s)
        row = {"overlap_distribution": found.probability, "overlap_distribution_error": found.error}
        row |= {"site_magnetization": moments.value, "site_magnetization_error": moments.error}
        numbers = overlap_estimates(found) | {"susceptibility": _times(s.shape[-1], found.mean_q2)}
        for name, (value, error) in numbers.items():
            row |= {name: np.asarray(value), f"{name}_error": np.asarray(error)}
        cut = [estimators.triangles(s, n=N_TRIANGLES, convention=c, rng=rng).fractions(TOLERANCE) for c in CONVENTIONS]
        row["triangle_fraction"] = np.array([[f[kind].value for kind in TRIANGLE_KINDS] for f in cut])
        row["triangle_fraction_error"] = np.array([[f[kind].error for kind in TRIANGLE_KINDS] for f in cut])
        rows.append(row)
    own: dict[str, tuple[str, ...]] = {
        "overlap_distribution": ("overlap",),
        "site_magnetization": ("site",),
        "triangle_fraction": ("convention", "kind"),
    }
    stacked = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    return {name: ((*dims, *own.get(name.removesuffix("_error"), ())), values) for name, values in stacked.items()}


def _times(factor: float, estimate: Estimate) -> Estimate:
    return Estimate(factor * estimate.value, factor * estimate.error)


def _pair(name: str, dims: tuple[str, ...], value: np.ndarray, error: np.ndarray) -> Columns:
    return {name: (dims, value), f"{name}_error": (dims, error)}


def _with_names(columns: Columns, attrs: Mapping[str, object], coords: Mapping[str, object]) -> xr.Dataset:
    data = xr.Dataset(columns, coords=dict(coords), attrs=dict(attrs))
    sizes = data.sizes
    found: dict[str, object] = {}
    if "overlap" in sizes:
        found["overlap"] = np.linspace(-1, 1, sizes["overlap"])
    if "kind" in sizes:
        found |= {"convention": list(CONVENTIONS), "kind": list(TRIANGLE_KINDS)}
    if "triangle_fraction" in data:
        data["triangle_fraction"].attrs["tolerance"] = TOLERANCE
    return labelled(data.assign_coords(found))
