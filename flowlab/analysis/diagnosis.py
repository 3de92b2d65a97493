"""What the layers and the latents of a density of lattice spins say about the physics, in one Dataset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
import xarray as xr

from flowlab.analysis import evaluation, per_layer
from flowlab.analysis.estimates import Columns, Coords, described, pair
from flowlab.analysis.latents import latent_columns
from flowlab.analysis.samples_by_layer import (
    SamplesByLayer,
    draw_by_layer,
    on_a_lattice,
    place_in_order,
    restored_samples,
    tensor_like,
)
from flowlab.core import Density, System, named_generator
from flowlab.core.generators import named_seed
from flowlab.estimators.information.power_law import power_law
from flowlab.estimators.weights.weights import Estimate

Part = Literal[
    "entropy", "information", "walls", "work", "overlap", "self_similarity", "response", "defects", "duality"
]
PARTS: tuple[Part, ...] = get_args(Part)
OF_A_FLOW: tuple[Part, ...] = ("work", "overlap", "self_similarity", "response", "defects", "duality")
"""What needs the layers of a flow."""
ON_SQUARES: tuple[Part, ...] = ("walls", "defects", "duality")
"""What needs walls on the bonds of the square lattice."""
FEWEST = 100


def diagnose(
    density: Density,
    target: System,
    n: int,
    seed: int,
    attrs: dict[str, Any],
    *,
    parts: Sequence[Part] | None = None,
    untrained: Density | None = None,
) -> xr.Dataset:
    """Every instrument that fits a density, or the parts asked for, from n samples.

    Without a flow the latents are the samples, and what needs layers is left out; asked for by name it is refused.
    Of a multilevel density they are the whole lattice, coarse sites first, those that are summed over last.

    Args:
        density: what is looked at.
        target: the system that it samples.
        n: samples, at least 100 where more than the entropy is asked for.
        seed: of the samples, and of what each part draws: it makes the same numbers with and without the others.
        attrs: of the Dataset.
        parts: names of :data:`PARTS`; None for all that the density has.
        untrained: the same density before training, a control for "duality".

    Returns:
        Dataset. Sampled numbers have ``_error``; :mod:`flowlab.core.names` says what each is.

    Raises:
        ValueError: for an unknown part, or too few samples.
        TypeError: where a part was asked for that the density or the system does not have, or where it has none.
    """
    wanted = _wanted(density, target, parts)
    if n < FEWEST and wanted != ["entropy"]:
        raise ValueError(f"a diagnosis needs at least {FEWEST} samples, got {n}")
    columns: Columns = {}
    coords: Coords = {}
    if "entropy" in wanted:
        columns |= _entropy(evaluation.diagnose(density, n, _generator(density, seed, "entropy"), {}))
    if "entropy" in wanted:
        coords |= _places(place_in_order(density))
    if set(wanted) - {"entropy"}:
        samples = _generator(density, seed, "samples")
        if target.sublattice:
            run = restored_samples(density, target, n, samples)
        else:
            run = draw_by_layer(density, target, n, samples)
        coords |= {"layer": np.arange(len(run.spins)), "layer_name": ("layer", run.names)}
        coords |= {"layer_kind": ("layer", run.kinds), "time": ("layer", run.times)}
        if "information" in wanted:
            coords |= _places(run.order)
        for part in wanted:
            found, of_found = _part(part, run, untrained, seed)
            columns |= found
            coords |= of_found
    return described(columns, coords, attrs | {"n": n, "parts": ", ".join(wanted)})


def _places(order: np.ndarray) -> Coords:
    return {"site": np.arange(len(order)), "place": ("site", order)}


def _generator(density: Density, seed: int, name: str) -> torch.Generator:
    return named_generator(seed, name, device=tensor_like(density, np.ones(1)).device)


def _part(part: Part, run: SamplesByLayer, untrained: Density | None, seed: int) -> tuple[Columns, Coords]:
    rng = np.random.default_rng(named_seed(seed, part))
    if part == "information":
        return latent_columns(run, rng)
    if part == "walls":
        return per_layer.wall_columns(run)
    if part == "work":
        return per_layer.work_columns(run)
    if part == "overlap":
        return per_layer.overlap_columns(run)
    if part == "self_similarity":
        return per_layer.mask_columns(run)
    if part == "response":
        return per_layer.response_columns(run, rng)
    if part == "defects":
        return per_layer.defect_columns(run, rng)
    if part == "duality":
        return per_layer.duality_columns(run, untrained, _generator(run.density, seed, part))
    return {}, {}


def _wanted(density: Density, target: System, parts: Sequence[Part] | None) -> list[Part]:
    """The parts to make, in order; refuses what was asked for and cannot be given."""
    refusals = {part: refusal(part, density, target) for part in PARTS}
    if parts is None:
        some = [part for part in PARTS if refusals[part] is None]
        if not some:
            raise TypeError(f"nothing of a diagnosis fits: {'; '.join(map(str, refusals.values()))}")
        return some
    if isinstance(parts, str):
        raise ValueError(f"parts must be a list of {', '.join(PARTS)}, got {parts!r}: give [{parts!r}]")
    unknown = [part for part in parts if part not in PARTS]
    if unknown or not parts:
        raise ValueError(f"parts must be among {', '.join(PARTS)}, got {', '.join(unknown) or 'none'}")
    for part in parts:
        if refusals[part] is not None:
            raise TypeError(str(refusals[part]))
    return [part for part in PARTS if part in parts]


def refusal(part: Part, density: Density, target: System) -> str | None:
    """Why a density cannot have a part of the diagnosis; None where it can."""
    if part == "entropy":
        if evaluation.has_conditionals(density):
            return None
        return f"conditional entropies need an autoregressive base, got {type(density).__name__}"
    if target.sublattice and part in ("information", "walls"):
        if not density.in_levels:
            return f"{part} of a decimated lattice needs a multilevel density, got {type(density).__name__}"
        target = target.physical
    if not on_a_lattice(target):
        return f"{part} needs spins on a lattice in the plane, got {type(target).__name__}"
    layers = density.flow_layers
    if part in OF_A_FLOW and not layers:
        return f"{part} needs a flow, got {type(density).__name__} without layers"
    if part == "self_similarity" and any(layer.decides() is None for layer in layers):
        return f"{part} needs XOR layers, got {', '.join(sorted({type(layer).__name__ for layer in layers}))}"
    if part in ON_SQUARES and not target.square:
        return f"{part} needs the Ising model on the square lattice, got {type(target).__name__}"
    if part == "defects" and min(target.shape) < 4:
        return f"{part} need sides of at least 4, got {tuple(target.shape)}"
    return None


def _entropy(found: xr.Dataset) -> Columns:
    """The profile, the entropy, and the fit of A k^-p over a plateau to its first half."""
    value, error = found["conditional_entropy"].values, found["conditional_entropy_error"].values
    k = np.arange(1, len(value) // 2 + 1)
    fit = power_law(k, value[: len(k)], error[: len(k)], plateau=True)
    mean = Estimate(found["base_entropy_per_site"].values, found["base_entropy_per_site_error"].values)
    return {
        **pair("conditional_entropy", ("site",), Estimate(value, error)),
        **pair("base_entropy_per_site", (), mean),
        **pair("entropy_exponent", (), fit.exponent),
        **pair("entropy_amplitude", (), fit.amplitude),
        **pair("entropy_plateau", (), fit.plateau),
        "entropy_chi2": ((), fit.chi2_per_point),
    }
