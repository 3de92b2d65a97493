"""What is read off a trained density: samples, layers, free energies, entropies, as Datasets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from flowlab import estimators
from flowlab.analysis.checks.enumerated import Kept, enumerated, enumeration_evidence
from flowlab.analysis.checks.witness import Witness, log_q_evidence
from flowlab.analysis.integration import precise, shortfall
from flowlab.analysis.representations import restored, to_array, weighed
from flowlab.core import Density, LayerState, System, named_generator
from flowlab.core.names import about, labelled
from flowlab.core.numbers import whole_number
from flowlab.core.system import measured
from flowlab.estimators import Evidence

CHUNK = 5000
STEPS = 20
"""Draws from each chain in an evaluation of a density whose draws have a memory."""
LONG = 10
"""Autocorrelation times that a chain should be long in it."""
AT_ONCE = 1 << 20
"""Values of a field that such a density draws at once, at most."""


def sample(density: Density, target: System, n: int, generator: torch.Generator, attrs: dict[str, Any]) -> xr.Dataset:
    """``configuration`` (sample, *dims) of the physical system, its ``log_q`` and ``log_weight`` (sample), n samples.

    The three belong together, also where the density draws other variables, see :func:`.weighed`: ``log_weight`` is
    what the physical system says of the configuration, and weights exp(log_weight - log_q) have the mean Z. Continuous
    flows are integrated until they close, as in an evaluation. Many samples are drawn part by part, of a size that the
    lattice gives: memory holds the result and one part.
    """
    if (n := whole_number("the number of samples", n)) < 1:
        raise ValueError(f"the number of samples must be at least 1, got {n}")
    size = min(n, CHUNK, max(1, AT_ONCE // target.physical.n_sites))
    configuration, log_q, log_weight = np.empty((n, *target.physical.shape)), np.empty(n), np.empty(n)
    with torch.no_grad(), precise(density, generator):
        for first in range(0, n, size):
            some = slice(first, min(first + size, n))
            drawn = density.sample(some.stop - first if density.iid else size, generator=generator)  # of all chains
            for column, part in zip(
                (configuration, log_weight, log_q), weighed(target, *drawn, generator), strict=True
            ):
                column[some] = to_array(part)[: some.stop - first]
    dims = ("sample", *target.physical.dims)
    missing = {"up_to": "a constant, the ln Z of a coarse lattice"} if density.log_norm is None else {}
    return labelled(
        xr.Dataset(
            {
                "configuration": (dims, configuration),
                "log_q": ("sample", log_q - (density.log_norm or 0.0), missing),
                "log_weight": ("sample", log_weight),
            },
            attrs=attrs,
        )
    )


def layers(
    density: Density,
    target: System,
    generator: torch.Generator,
    attrs: dict[str, Any],
    *,
    n: int | None = None,
    x: Tensor | None = None,
    z: Tensor | None = None,
    restored_with: int = 0,
) -> xr.Dataset:
    """The configurations after each layer of a density, latent first, with what a person looks at in each.

    Dims ``layer, sample`` and the system's own: ``configuration`` (physical), ``field`` (as the density sees it), both
    NaN at sites that are not sampled yet; ``log_q``, ``log_weight``, ``magnetization`` (the order parameter of the
    sites there are); by layer also ``log_z_bound`` with its error and, on a lattice, the two-point function
    ``correlation`` against ``distance`` (lattice spacings along an axis, mean over axes, not connected), in the form
    that the kind of variables has, see :mod:`flowlab.core.variables`. Where the physical configuration is
    drawn given the field, every layer is drawn with the same random numbers, from the seed ``restored_with``, and
    ``log_q`` and ``log_weight`` are those of the field, as their attribute ``of`` says: what belongs to physical
    configurations is :func:`sample`'s.
    Continuous flows take the steps of training here: ``log_q`` is meant to be looked at, :func:`evaluate` to be quoted.
    """
    for given in (x, z):
        if given is not None:
            target.check_configurations(given.nan_to_num(nan=1.0))
    n = None if n is None else whole_number("the number of samples", n)
    states = list(density.stages(n, x=x, z=z, generator=generator))
    fields = [to_array(state.x) for state in states]
    shown = [restored(target, state.x, generator.manual_seed(restored_with)).double() for state in states]
    log_q = np.stack([to_array(state.log_q) for state in states]) - (density.log_norm or 0.0)
    with torch.no_grad():
        log_weight = np.stack([to_array(target.log_weight(state.x)) for state in states])
    known = np.nan if density.log_norm is None else 0.0  # ln q lacks the ln Z of a coarse lattice
    bounds = [_bound(row) for row in log_weight - log_q + float(target.log_z_offset)]
    configuration = np.stack([to_array(s) for s in shown])
    order = np.stack([to_array(target.physical.variables.magnetization(s)) for s in shown])
    rows, dims, kind = ("layer", "sample"), target.physical.dims, target.physical.variables
    variables: dict[str, Any] = {
        "configuration": ((*rows, *dims), configuration),
        "field": ((*rows, *_field_dims(fields[0], configuration, dims)), np.stack(fields)),
        "log_q": (rows, log_q),
        "log_weight": (rows, log_weight),
        "magnetization": (rows, order, {"definition": kind.order}),
        "log_z_bound": ("layer", [b.value + known for b in bounds]),
        "log_z_bound_error": ("layer", [b.error + known for b in bounds]),
    }
    coordinates = _layer_coordinates(states)
    if dims != ("site",):
        correlations = [_correlation(to_array(kind.components(s))) for s in shown]
        where = ("layer", "distance")
        variables["correlation"] = (where, [c.value for c in correlations], {"definition": kind.two_point})
        variables["correlation_error"] = (where, [c.error for c in correlations])
        coordinates["distance"] = ("distance", np.arange(len(correlations[0].value)))
    for name in ("log_q", "log_weight"):
        variables[name] = (*variables[name], {"of": "configuration" if target.physical is target else "field"})
    return labelled(xr.Dataset(variables, coords=coordinates, attrs=attrs))


def _field_dims(field: np.ndarray, configuration: np.ndarray, dims: tuple[str, ...]) -> list[str]:
    """The physical dims of (n, *shape) fields, under other names (``x_field``) where the sides differ."""
    sides = zip(dims, field.shape[1:], configuration.shape[2:], strict=False)
    return [dim if mine == physical else f"{dim}_field" for dim, mine, physical in sides]


def _bound(log_w: np.ndarray) -> estimators.Estimate:
    """The bound on ln Z from one layer's samples; a single one has no error, and unfinished ones no bound."""
    if np.isnan(log_w).any():
        return estimators.Estimate(np.nan, np.nan)
    return estimators.log_z_bound(log_w) if len(log_w) > 1 else estimators.Estimate(float(log_w[0]), np.nan)


def _correlation(components: np.ndarray) -> estimators.Estimate:
    """The two-point function of one layer's samples, (k, n, *shape) vectors; a single one has no error."""
    sides = components.ndim - 2
    if components.shape[1] > 1:
        return estimators.correlation_function(components, lattice_dims=sides, vectors=True)
    twice = np.repeat(components, 2, axis=1)
    value = estimators.correlation_function(twice, lattice_dims=sides, vectors=True).value
    return estimators.Estimate(value, np.full_like(value, np.nan))


def _layer_coordinates(states: list[LayerState]) -> dict[str, Any]:
    return {
        "layer": np.arange(len(states)),
        "layer_name": ("layer", [state.name for state in states]),
        "layer_kind": ("layer", [state.kind for state in states]),
        "time": ("layer", [state.time for state in states]),
    }


def evaluate(
    density: Density,
    target: System,
    n: int,
    generator: torch.Generator,
    attrs: dict[str, Any],
    reference: Tensor | None = None,
    evidence: Sequence[Evidence] = (),
    enumeration: Kept | None = None,
) -> xr.Dataset:
    """Free energy, ESS, acceptance and reweighted observables from n samples, each with its error.

    Of real fields also ``equation_of_motion``, <φ_x ∂S/∂φ_x> per site, exactly 1 whatever the action: a check of the
    weights where nothing else is known (not of a sign of M that q lacks, see ``positive_fraction`` for that).
    ``reference`` holds independent configurations of the physical system, for the forward check, and ``evidence`` what
    else is known of the density. The attributes ``verdict`` and ``reasons`` say whether the numbers may be believed:
    from the exact ln Z, samples of the target, the weights, the symmetries that the target has and the draws may break,
    identities that hold for every target, and, of at most 20 spins, every configuration (``kl_exact``, ``ess_exact``,
    ``log_z_bound_exact``, kept by ``enumeration``). Continuous flows are integrated until they close
    (:func:`.precise`), with what is left in ``round_trip_error`` and ``log_det_closure``. Draws that are not
    independent come from many chains, whose memory the errors allow for; there are then up to a few more than n.
    """
    if (n := whole_number("the number of samples", n)) < 2:
        raise ValueError(f"an evaluation needs at least 2 samples, got {n}")
    parts: list[dict[str, np.ndarray]] = []
    glasses: list[np.ndarray] = []
    parent, log_norm = target.physical, density.log_norm
    witness = Witness(parent, named_generator(generator.initial_seed(), "witness", device=generator.device))
    said = list(evidence)
    sizes, chains = [CHUNK] * (n // CHUNK) + ([n % CHUNK] if n % CHUNK else []), None
    if not density.iid:
        chains = max(2, min(-(-n // STEPS), CHUNK, AT_ONCE // parent.n_sites))
        sizes = [chains] * -(-n // chains)
    with torch.no_grad(), precise(density, generator) as quality:
        for size in sizes:
            x, log_q = density.sample(size, generator=generator)
            log_weight, s = target.log_weight(x), restored(target, x, generator)
            said += log_q_evidence(density, x, log_q) if not parts else []
            witness.see(s)
            observables = measured(parent, s) | {"site_balance": witness.balance(s)}
            glasses += [to_array(s.flatten(1))] if parent.disordered and parent.variables.discrete else []
            part = {"log_weight": log_weight, "log_q": log_q - (log_norm or 0.0)} | observables
            parts.append({name: to_array(value) for name, value in part.items()})
        whole_q = (enumeration or enumerated)(density, target)
        checked = None if reference is None else on_samples_of_the_target(density, target, reference, generator)
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    if np.isnan(log_z_exact := attrs.get("log_z_exact", np.nan)) and whole_q is not None:
        log_z_exact = whole_q.log_z + float(target.log_z_offset)

    def more(log_w: np.ndarray, stretch: float) -> Iterator[Evidence]:
        if whole_q is not None:
            yield from enumeration_evidence(whole_q, estimators.ess(log_w), n)
        yield from said
        yield from (Evidence(note, fails=True) for note in (shortfall(quality), _short(len(sizes), stretch)) if note)
        yield from witness.says(log_w, stretch)

    found = estimators.evaluation(
        columns.pop("log_weight") + float(target.log_z_offset),
        columns.pop("log_q"),
        columns,
        n_sites=parent.n_sites,
        T=attrs.get("T"),
        domain=parent.domain,
        side=max(parent.shape),
        glass=np.concatenate(glasses)[:CHUNK] if glasses else None,
        flip_symmetric=witness.symmetric and parent.variables.signed,
        log_z_exact=None if np.isnan(log_z_exact) else log_z_exact,
        evidence=more,
        target_samples=checked,
        chains=chains,
        normalised=log_norm is not None,
        rng=np.random.default_rng(generator.initial_seed()),
        attrs=attrs | {"n": n},
    )
    if whole_q is not None:
        found = found.assign(whole_q.variables)
    for name, value in quality.items():
        found[name] = ((), value, about(name))
    return found


def _short(draws: int, stretch: float) -> str:
    """What to say where each chain gives fewer draws than its memory, √(2 tau) = ``stretch``, can be seen in."""
    tau = stretch**2 / 2
    if not LONG * tau > draws or stretch == 1:
        return ""
    return (
        f"each chain gives {draws} draws, only {draws / tau:.2g} times their autocorrelation time ({tau:.2g} draws): "
        "it may be longer, and every error larger; take a smaller coarse lattice, couplings farther from the "
        "transition, or more trajectories between draws"
    )


def on_samples_of_the_target(
    density: Density, target: System, s: Tensor, generator: torch.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The log weight, ln Z of the physical system being its normalisation, and ln q, on physical configurations."""
    target.physical.check_configurations(s)
    with torch.no_grad():
        x = target.reduce(s, generator=generator)
        log_q = torch.cat([density.log_prob(part) for part in x.split(CHUNK)])
        return to_array(target.log_weight(x)) + float(target.log_z_offset), to_array(log_q) - (density.log_norm or 0.0)


def has_conditionals(density: Density) -> bool:
    """Whether :func:`diagnose` has something to say about a density."""
    return density.latent_density.autoregressive


def diagnose(
    density: Density, n: int, generator: torch.Generator, attrs: dict[str, Any], dim: str = "site"
) -> xr.Dataset:
    """``conditional_entropy`` H(z_k | z_<k) of an autoregressive base, in nats, along ``dim`` in the base's order.

    And ``base_entropy_per_site``, the mean of -ln p(z) / N.
    """
    base = density.latent_density
    if not base.autoregressive:
        raise TypeError(f"conditional entropies need an autoregressive base, got {type(base).__name__}")
    n = whole_number("the number of samples", n)
    with torch.no_grad():
        z, _ = base.sample(n, generator=generator)
        conditionals = torch.cat([base.log_conditionals(part) for part in z.split(CHUNK)])
    profile = estimators.conditional_entropy(to_array(conditionals))
    total = -to_array(conditionals).mean(1)
    error = total.std(ddof=1) / np.sqrt(len(total))
    return labelled(
        xr.Dataset(
            {
                "conditional_entropy": (dim, profile.value),
                "conditional_entropy_error": (dim, profile.error),
                "base_entropy_per_site": ((), total.mean()),
                "base_entropy_per_site_error": ((), error),
            },
            coords={dim: np.arange(len(profile.value))},
            attrs=attrs | {"n": n},
        )
    )
