"""Numbers of a density for a range of couplings as functions of one of them, from draws at a few nodes of the range."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from flowlab import exact
from flowlab.analysis.integration import precise
from flowlab.analysis.representations import restored, to_array
from flowlab.core import Density, System, named_generator
from flowlab.core.names import about, labelled
from flowlab.core.system import measured
from flowlab.estimators import Estimate, Evidence, verdict
from flowlab.estimators.weights import pooled, weights
from flowlab.estimators.weights.evidence import exact_evidence, share_evidence, weight_evidence
from flowlab.estimators.weights.pooled import Numbers, Replicas

CHUNK = 2000
STEP = 5e-3
"""Of the differences that make derivatives, in units of the interval."""
MARGIN = 0.15
"""By which the nodes reach beyond the curve, in units of the interval."""
FEWEST, MOST = 5, 17
"""Nodes over the whole interval."""


class _Draws(NamedTuple):
    """What the draws of all nodes say at every coupling of a curve; the last axis is the draws'.

    Attributes:
        log_weight: (G, n) ln of the target's weight, ln Z of the physical system being its normalisation.
        log_q: (K, n) of each node.
        ess: (K,) of each node's own draws.
        values: name -> (G, n) observables.
        counts: (K,) draws of each node.
    """

    log_weight: np.ndarray
    log_q: np.ndarray
    ess: np.ndarray
    values: dict[str, np.ndarray]
    counts: np.ndarray

    @property
    def log_w(self) -> np.ndarray:
        """(G, n), against the mixture of all nodes."""
        return np.asarray(self.log_weight - pooled.pooled_log_q(self.log_q, self.counts))


def curve(
    density: Density,
    target: System,
    name: str,
    along: np.ndarray,
    n: int,
    generator: torch.Generator,
    attrs: Mapping[str, Any],
    wanted: Sequence[str] | None = None,
) -> xr.Dataset:
    """What :meth:`flowlab.training.Training.curve` returns: n draws in all, shared by the nodes, weighed at each point.

    Args:
        density: for a range of couplings that holds the curve.
        target: whose other couplings stay as they are.
        name: of the coupling that changes.
        along: (G,) its values.
        n: draws.
        generator: of all of them.
        attrs: of the Dataset.
        wanted: names to keep, all where None.

    Raises:
        ValueError: for couplings outside of the range, too few draws, or a name that there is not.
    """
    targets = [_at(target, name, value) for value in along]
    nodes_along = _moved(density, targets)
    nodes = _nodes(density, target, targets, nodes_along)
    if n < 2 * len(nodes):
        raise ValueError(f"a curve over {len(nodes)} nodes needs at least {2 * len(nodes)} samples, got {n}")
    draws = _drawn(density, nodes, targets, [_around(at, name, density) for at in targets], n, generator)
    moments, functions = _quantities(draws.values, targets, thermal=_is_temperature(target, name))
    found = pooled.along(draws.log_weight, draws.log_q, moments, draws.counts, functions)
    if wanted is not None and (unknown := sorted(set(wanted) - set(found))):
        raise ValueError(f"a curve has {', '.join(found)}, got {', '.join(unknown)}")
    variables: dict[str, Any] = {}
    for key, one in found.items():
        if wanted is None or key in wanted:
            variables |= _variables(key, one, name)
    variables |= _judged(draws, found["log_z"].estimate, targets, name)
    inside, at_nodes = (np.array([one.value_of(nodes_along) for one in those]) for those in (targets, nodes))
    variables["ess"] = (name, np.interp(inside, at_nodes, draws.ess))
    return labelled(xr.Dataset(variables, {name: along}, dict(attrs) | {"n": int(draws.counts.sum())}))


# the couplings


def _at(target: System, name: str, value: float) -> System:
    return target.at(**dict([target.spelled(name, float(value))]))


def _is_temperature(target: System, name: str) -> bool:
    return target.spelled(name, 1.0)[0] == "T" and target.temperature is not None


def _around(target: System, name: str, density: Density) -> tuple[float, System, System]:
    """A small step, and the target that far below and above, in β where the coupling is a temperature."""
    own = "beta" if _is_temperature(target, name) else name
    here = target.value_of(own)
    width = max((abs(high - low) for low, high in density.over.values()), default=1.0)
    step = STEP * min(width, abs(here) or width)
    return step, _at(target, own, here - step), _at(target, own, here + step)


def _moved(density: Density, targets: Sequence[System]) -> str:
    """The coupling of the density's range that changes along the curve, the first where there is one point."""
    names = list(density.over)
    return next((name for name in names if len({one.value_of(name) for one in targets}) > 1), names[0])


def _nodes(density: Density, target: System, targets: Sequence[System], name: str) -> list[System]:
    """Targets along the curve and a little beyond it, evenly spaced in the density's own coupling.

    As many as it takes for neighbours to draw much the same configurations: ln of a weight spreads as √N.
    """
    low, high = density.over[name]
    here = [one.value_of(name) for one in targets]
    first, last = (max(low, min(here) - MARGIN * (high - low)), min(high, max(here) + MARGIN * (high - low)))
    whole = min(MOST, max(FEWEST, round(math.sqrt(target.physical.n_sites) / 2) + 1))
    count = max(3, math.ceil(1 + (whole - 1) * (last - first) / (high - low)))
    return [_at(target, name, value) for value in np.linspace(first, last, count)]


# the draws


def _drawn(
    density: Density,
    nodes: Sequence[System],
    targets: Sequence[System],
    around: Sequence[tuple[float, System, System]],
    n: int,
    generator: torch.Generator,
) -> _Draws:
    fixed = [density.fixed(node) for node in nodes]
    counts = np.full(len(nodes), n // len(nodes))
    counts[: n % len(nodes)] += 1
    log_q: list[np.ndarray] = []
    own: list[list[np.ndarray]] = [[] for _ in nodes]
    rows: list[list[dict[str, np.ndarray]]] = [[] for _ in targets]
    with torch.no_grad():
        for k, (q, count) in enumerate(zip(fixed, counts, strict=True)):
            with precise(q, generator):
                for first in range(0, int(count), CHUNK):
                    x, _ = q.sample(min(CHUNK, int(count) - first), generator=generator)
                    log_q.append(np.stack([to_array(other.log_prob(x)) for other in fixed]))
                    own[k].append(to_array(nodes[k].log_weight(x.double())) - log_q[-1][k])
                    seed = generator.initial_seed()
                    for row, at, beside in zip(rows, targets, around, strict=True):
                        again = named_generator(seed, "restore", k, first, device=generator.device)  # alike everywhere
                        row.append(_seen(at, beside, x, again))
    columns = [{name: np.concatenate([part[name] for part in row]) for name in row[0]} for row in rows]
    values = {name: np.stack([column[name] for column in columns]) for name in columns[0]}
    ess = np.array([weights.ess(np.concatenate(parts)).value for parts in own])
    return _Draws(values.pop("log_weight"), np.concatenate(log_q, 1), ess, values, counts)


def _seen(
    target: System, around: tuple[float, System, System], x: Tensor, generator: torch.Generator
) -> dict[str, np.ndarray]:
    """The log weight of draws at a coupling, its first two derivatives, and observables, each (n,)."""
    step, below, above = around
    x = x.double()
    here, low, high = (to_array(one.log_weight(x)) + float(one.log_z_offset) for one in (target, below, above))
    seen = measured(target.physical, restored(target, x, generator))
    return {
        "log_weight": here,
        "slope": (high - low) / (2 * step),
        "bend": (high - 2 * here + low) / step**2,
        **{name: to_array(value) for name, value in seen.items()},
    }


# what follows from them


def _quantities(
    values: Mapping[str, np.ndarray], targets: Sequence[System], *, thermal: bool
) -> tuple[dict[str, np.ndarray], dict[str, Callable[[Numbers], np.ndarray]]]:
    """Observables whose means are wanted, and functions of these means by name."""
    N = targets[0].physical.n_sites
    slope = values["slope"] / N
    moments: dict[str, np.ndarray] = {"s": slope, "s2": slope**2, "bend": values["bend"] / N}
    functions: dict[str, Callable[[Numbers], np.ndarray]] = {
        "log_z_slope": lambda mean: mean["s"],
        "log_z_curvature": lambda mean: mean["bend"] + N * (mean["s2"] - mean["s"] ** 2),
    }
    temperature = targets[0].temperature
    T = np.array([float(one.temperature) for one in targets if one.temperature is not None])
    if temperature is not None:
        functions["free_energy"] = lambda mean: -T * mean["log_z"]
        functions["free_energy_per_site"] = lambda mean: -T * mean["log_z"] / N
        if thermal:
            functions["energy_per_site"] = lambda mean: -functions["log_z_slope"](mean)
            functions["specific_heat"] = lambda mean: functions["log_z_curvature"](mean) / T**2
        elif "energy_per_site" in values:
            moments |= {"e": values["energy_per_site"], "e2": values["energy_per_site"] ** 2}
            functions["energy_per_site"] = lambda mean: mean["e"]
            functions["specific_heat"] = lambda mean: N * (mean["e2"] - mean["e"] ** 2) / T**2
    m = values["magnetization"]
    moments |= {"m": m, "abs_m": np.abs(m), "m2": m**2, "m4": m**4}
    functions |= {
        "magnetization": lambda mean: mean["m"],
        "abs_magnetization": lambda mean: mean["abs_m"],
        "susceptibility": lambda mean: N * mean["m2"],
        "susceptibility_connected": lambda mean: N * (mean["m2"] - mean["abs_m"] ** 2),
        "binder": lambda mean: 1 - mean["m4"] / (3 * mean["m2"] ** 2),
    }
    for name in set(values) - {"slope", "bend", "magnetization", "energy_per_site"}:
        moments[name] = values[name]
        functions[name] = lambda mean, name=name: mean[name]  # type: ignore[misc]
    return moments, functions


def _variables(name: str, found: Replicas, dim: str) -> dict[str, Any]:
    return {
        name: (dim, found.value),
        f"{name}_error": (dim, found.estimate.error),
        f"{name}_replicas": (("replica", dim), found.without),
    }


def _judged(draws: _Draws, log_z: Estimate, targets: Sequence[System], dim: str) -> dict[str, Any]:
    """What the weights are worth at every point, what is known exactly, and a verdict."""
    log_w = draws.log_w
    w = np.exp(log_w - log_w.max(1, keepdims=True))
    worth = w.sum(1) ** 2 / np.square(w).sum(1)
    known = [exact.log_z(target.physical) for target in targets]
    moments = [exact.moments_per_site(target.physical) for target in targets]
    verdicts = []
    for g, target in enumerate(targets):
        mine = Estimate(float(log_z.value[g]), float(log_z.error[g]))
        verdicts.append(verdict(list(_evidence(draws, g, target, mine, known[g]))))
    return {
        "log_z_exact": (dim, [math.nan if one is None else one for one in known]),
        **{f"{key}_exact": (dim, [one[key] for one in moments]) for key in moments[0]},
        "worth": (dim, worth, about("worth")),
        "verdict": (dim, [one.text for one in verdicts]),
        "reasons": (dim, ["\n".join(one.reasons) for one in verdicts]),
    }


def _evidence(draws: _Draws, g: int, target: System, log_z: Estimate, known: float | None) -> Iterator[Evidence]:
    log_w = draws.log_w[g]
    if known is not None:
        yield from exact_evidence(log_z, Estimate(-math.inf, math.nan), known, log_w.size)
    yield from weight_evidence(log_w, pooled=True)
    parent = target.physical
    if parent.flip_symmetric and parent.variables.signed:
        positive = 0.5 * (1 + np.sign(draws.values["magnetization"][g]))
        share = share_evidence("M > 0", positive, 0.5, log_w)
        yield Evidence("both signs of M are drawn alike") if share is None else share
