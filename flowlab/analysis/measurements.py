"""What pictures show of configurations, worked out once for many pictures: overlaps, triangles, a defect, proposals."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from flowlab import estimators
from flowlab.analysis.overlaps import overlap_estimates
from flowlab.core.datasets import kind_of, layer_names, measure
from flowlab.core.names import TRIANGLE_KINDS, Convention, about, labelled
from flowlab.estimators.observables.walls import wall_length

Array = NDArray[np.float64]


@measure("run.layers(n) or run.reference()")
def measure_overlaps(data: xr.Dataset, *, seed: int = 0) -> xr.Dataset:
    """P(q) of configurations and its numbers: what :func:`flowlab.figures.overlap_distribution` draws.

    Args:
        data: ``configuration`` of ±1 spins: (layer, sample, *dims), overlaps between samples of a layer, or
            (replica, sample, *dims), overlaps between replicas. Sites that are NaN in a layer are left out there.
        seed: of the grouping that errors are from.

    Returns:
        Dataset with the ``density`` of P(q) against ``q``, the ``probability_abs`` of |q| against ``abs_q``,
        ``overlap_binder`` = 3/2 - <q⁴>/(2<q²>²), ``overlap_dip`` = 1 - P(0)/max P and ``overlap_peak``, the |q| where P
        is highest, each with its ``_error``; along ``layer`` where the data have layers. See
        :func:`flowlab.estimators.overlap_distribution`.
    """
    spins = flat_spins(data)
    n_sites = int(np.prod(data["configuration"].shape[2:]))
    edges = overlap_bins(n_sites)
    rows = [_overlaps(s, edges, n_sites, seed) for s in spins]
    q, abs_q = (edges[1:] + edges[:-1]) / 2, np.linspace(-1, 1, n_sites + 1)[(n_sites + 1) // 2 :]
    measured = xr.Dataset(coords={"q": q, "abs_q": abs_q}, attrs=data.attrs)
    for name, dims in MEASURED.items():
        for part, suffix in ((0, ""), (1, "_error")):
            values = np.array([row[name][part] for row in rows], dtype=float)
            measured[name + suffix] = (("layer", *dims), values)
    measured = labelled(measured)
    if "layer" in data["configuration"].dims:
        return labelled(measured.assign_coords(layer_name=("layer", layer_names(data))))
    measured = measured.isel(layer=0)
    if "overlap_distribution_exact" in data:
        exact = np.asarray(data["overlap_distribution_exact"], dtype=float)
        density = exact @ _density_of(np.asarray(data["overlap"], dtype=float), edges)
        measured["density_exact"] = ("q", density, about("density_exact"))
    return measured


FEWEST_STEPS = 40
"""Measured steps of parallel tempering below which nothing is said of them."""


@measure("run.data of parallel tempering")
def measure_tempering(data: xr.Dataset) -> xr.Dataset:
    """What parallel tempering found at every temperature so far: what :func:`flowlab.figures.tempering_overview` draws.

    Args:
        data: ``energy`` (step, replica, temperature) of the whole system, in J; coord ``temperature``, which may end
            at infinity; attrs ``n_sites``, ``system`` and ``discard`` (0.25 where not given), the fraction of the steps
            that is left out, from the beginning.

    Returns:
        The data, with ``energy_per_site`` and ``specific_heat`` (temperature), each with its ``_error``, and
        ``swap_acceptance`` (pair); NaN below 40 measured steps.
    """
    energy = np.asarray(data["energy"].transpose("step", "replica", "temperature"), dtype=float)
    T = np.asarray(data["temperature"], dtype=float)
    kept = energy[int(float(data.attrs.get("discard", 0.25)) * len(energy)) :]
    blank = estimators.Estimate(np.full(len(T), np.nan), np.full(len(T), np.nan))
    found, swaps = {"energy_per_site": blank, "specific_heat": blank}, np.full(len(T) - 1, np.nan)
    if len(kept) >= FEWEST_STEPS:
        thermal = estimators.thermodynamics(kept, T.tolist(), int(data.attrs["n_sites"]))
        found, swaps = thermal._asdict(), estimators.swap_acceptance(kept, T.tolist())
    variables: dict[str, Any] = {"swap_acceptance": ("pair", swaps)}
    for name, estimate in found.items():
        variables |= {name: ("temperature", estimate.value), f"{name}_error": ("temperature", estimate.error)}
    return labelled(data.assign(variables).assign_attrs(fewest_steps=FEWEST_STEPS))


@measure("run.sample(n)")
def measure_signs(samples: xr.Dataset) -> xr.Dataset:
    """The samples with ``positive_fraction``, how many of them have M > 0, and its error.

    Args:
        samples: ``configuration`` (sample, *dims) of fields or spins.
    """
    fields = np.asarray(samples["configuration"], dtype=float).reshape(samples.sizes["sample"], -1)
    value, error = estimators.positive_fraction(fields.mean(1))
    return labelled(samples.assign(positive_fraction=((), value), positive_fraction_error=((), error)))


def sign_words(layers: xr.Dataset) -> str:
    """What to say where the samples after the last layer have one sign of M more often than the other; else nothing."""
    return estimators.sign_note(estimators.positive_fraction(layers["magnetization"].values[-1]))


MEASURED: dict[str, tuple[str, ...]] = {
    "density": ("q",),
    "probability_abs": ("abs_q",),
    "overlap_binder": (),
    "overlap_dip": (),
    "overlap_peak": (),
}
"""Name -> dims of what is measured; each has its error."""


@measure("run.layers(n)")
def measure_two_point(layers: xr.Dataset, *, seed: int = 0) -> xr.Dataset:
    """Fields (y, x) and their two-point function G(x, y) after each layer, and, as one more layer, of the target.

    Args:
        layers: what ``Experiment.layers`` returns for a lattice in the plane.
        seed: of what the Metropolis chain accepts whose proposals are the samples, and which samples the target.

    Returns:
        Dataset with ``configuration`` (layer, sample, y, x) and ``two_point`` (layer, y, x), distance 0 in the middle.
    """
    fields = layers["configuration"]
    log_w = np.asarray(layers["log_weight"][-1] - layers["log_q"][-1], dtype=float)
    chain = estimators.independence_chain(log_w, np.random.default_rng(seed))
    states = [*np.asarray(fields, dtype=float), np.asarray(fields[-1], dtype=float)[chain.indices]]
    two_point = np.stack([np.fft.fftshift(estimators.two_point(state).value) for state in states])
    variables = {
        "configuration": (fields.dims, np.stack(states)),
        "two_point": (("layer", *fields.dims[2:]), two_point),
    }
    names = ("layer", [*layer_names(layers), "Metropolis"])
    return labelled(xr.Dataset(variables, coords={"layer_name": names}, attrs=layers.attrs))


def total_variation(one: xr.Dataset, other: xr.Dataset) -> tuple[float, float]:
    """½ Σ |P - P'| of the |q| of two measured Datasets without layers, and what noise alone makes of it on average."""
    distance = estimators.total_variation(one["probability_abs"], other["probability_abs"])
    errors = [data["probability_abs_error"].where(data["probability_abs"] > 0, 0.0) for data in (one, other)]
    error = np.hypot(errors[0], errors[1])  # a bin without pairs makes no difference between the two
    return distance, float(error.sum()) / np.sqrt(2 * np.pi)


def mode_collapse(layers: xr.Dataset, reference: xr.Dataset) -> estimators.ModeCollapse:
    """Whether the last layer has lost valleys that a reference at its temperature has.

    Raises:
        ValueError: for too few configurations; see :func:`flowlab.estimators.mode_collapse`.
    """
    (known,) = flat_spins(reference)
    return estimators.mode_collapse(flat_spins(layers)[-1], known, rng=np.random.default_rng(0))


def flat_spins(data: xr.Dataset) -> list[Array]:
    """The spins (sample, N) of each layer, without the sites that it has not sampled; or (replica, sample, N), once."""
    if "configuration" not in data:
        raise ValueError(
            f"expected a configuration, as layers() and reference() give, got {', '.join(map(str, data.data_vars))}"
        )
    configuration = data["configuration"]
    values = np.asarray(configuration, dtype=float).reshape(*configuration.shape[:2], -1)
    if "layer" not in configuration.dims:
        return [values]
    return [np.ascontiguousarray(s[:, np.isfinite(s).all(0)]) for s in values]


def overlap_bins(n_sites: int, most: int = 65) -> Array:
    """Edges of at most about ``most`` bins, symmetric about 0, with as many values of q = -1, -1 + 2/N, ... in each.

    >>> overlap_bins(4)
    array([-1.25, -0.75, -0.25,  0.25,  0.75,  1.25])
    """
    group = -(-(n_sites + 1) // most)
    if n_sites % 2:  # q = 0 is no value, but an edge
        inner = np.arange(2 * group, n_sites, 2 * group) / n_sites
        inner = np.concatenate([-inner[::-1], [0.0], inner])
    else:
        group += group % 2 == 0
        inner = np.arange(group, n_sites, 2 * group) / n_sites
        inner = np.concatenate([-inner[::-1], inner])
    end = 1 + 1 / n_sites
    return np.concatenate([[-end], inner, [end]])


@measure("run.layers(n) or run.reference()")
def measure_triangles(data: xr.Dataset, convention: Convention = "signed", n: int = 4000, seed: int = 0) -> xr.Dataset:
    """n triangles of configurations in each layer: what :func:`flowlab.figures.triangle_cloud` draws.

    Args:
        data: ``configuration`` of ±1 spins, (layer, sample, *dims) or (replica, sample, *dims); then the corners of a
            triangle are from three replicas. Sites that are NaN in a layer are left out there.
        convention: "signed", d = (1 - q)/2, or "folded", d = (1 - |q|)/2, which takes s and -s for one state.
        n: triangles in each layer.
        seed: of the choice of triangles.

    Returns:
        Dataset with ``distances`` (triangle, side) in rising order, ``overlaps`` (triangle, pair) of the corners ab,
        ac and bc, ``corners`` (triangle, corner), rows of the configurations with replica and sample in one, and
        ``corner_block`` (triangle), of which different ones share no configuration; along ``layer`` where the data have
        layers, NaN in one without spins.
    """
    rows = [_triangles(s, convention, n, seed) for s in flat_spins(data)]
    names = {"distances": ("side",), "overlaps": ("pair",), "corners": ("corner",), "corner_block": ()}
    n_sites = int(np.prod(data["configuration"].shape[2:]))
    measured = xr.Dataset(attrs=data.attrs | {"convention": convention, "n_sites": n_sites})
    for k, (name, dims) in enumerate(names.items()):
        measured[name] = (("layer", "triangle", *dims), np.stack([row[k] for row in rows]))
    measured = labelled(measured)
    if "layer" not in data["configuration"].dims:
        return measured.isel(layer=0)
    return labelled(measured.assign_coords(layer_name=("layer", layer_names(data))))


@measure("run.layers(n) or run.reference(), by measure_triangles")
def measure_triangle_fractions(triangles: xr.Dataset, tol: float = 0.05) -> xr.Dataset:
    """The ``triangle_fraction`` (kind) of one layer or of a reference with its error, see :func:`.triangle_fractions`.

    Args:
        triangles: what :func:`measure_triangles` returns, of one layer.
        tol: sides that differ by at most so much count as equal.
    """
    distances = triangles["distances"].values
    found = {kind: estimators.Estimate(np.nan, np.nan) for kind in TRIANGLE_KINDS}
    if np.isfinite(distances).all():
        found = estimators.triangle_fractions(distances, tol, blocks=triangles["corner_block"].values)
    values, errors = zip(*found.values(), strict=True)
    variables = {"triangle_fraction": ("kind", list(values)), "triangle_fraction_error": ("kind", list(errors))}
    return labelled(xr.Dataset(variables, coords={"kind": list(found)}, attrs=triangles.attrs | {"tolerance": tol}))


@measure("run.layers(x=...) of two configurations")
def measure_defect(layers: xr.Dataset) -> xr.Dataset:
    """A defect on its way back through the layers, in the gauge in which all-up stays all-up.

    Args:
        layers: what ``Experiment.layers(x=...)`` returns of two configurations of ±1 spins (y, x): the one of interest
            and all-up.

    Returns:
        Dataset with ``defect_configuration`` (layer, y, x); ``defect_wall_length``, ``defect_flipped_sites`` (layer).

    Raises:
        ValueError: where the second is not all-up.
    """
    s = np.asarray(layers["configuration"], dtype=float)
    if s.ndim != 4 or s.shape[1] != 2 or not (s[-1, 1] == 1).all():
        raise ValueError(f"layers must be of two configurations (y, x), the second all-up, got shape {s.shape}")
    seen = s[:, 0] * s[:, 1]
    return labelled(
        xr.Dataset(
            {
                "defect_configuration": (("layer", "y", "x"), seen),
                "defect_wall_length": ("layer", wall_length(seen)),
                "defect_flipped_sites": ("layer", (seen != seen[-1:]).sum((1, 2))),
            },
            coords={"layer_name": ("layer", layer_names(layers))},
            attrs=layers.attrs,
        )
    )


@measure("run.sample(n)")
def measure_proposals(samples: xr.Dataset, *, seed: int = 0) -> xr.Dataset:
    """What a Metropolis chain does that takes independent samples of a density as its proposals, in their order.

    Args:
        samples: what ``Experiment.sample`` returns.
        seed: of what the chain accepts.

    Returns:
        Dataset with ``acceptance`` (from all pairs), ``tau_int`` (of the magnetization, steps),
        ``tau_int_rejections`` (steps) and ``positive_fraction``, each with its error; ``longest_rejection_run``
        (steps); ``rejections`` (dim ``run_length``), the fraction of acceptances that so many rejections came before;
        ``abs_magnetization`` and ``susceptibility``, reweighted, each with its error; the attributes of the samples.

    >>> x = np.random.default_rng(0).normal(size=(100, 2, 2))
    >>> same = ("sample", -(x**2).sum((1, 2)))
    >>> exact = xr.Dataset({"configuration": (("sample", "y", "x"), x), "log_q": same, "log_weight": same})
    >>> found = measure_proposals(exact)
    >>> float(found.acceptance), float(found.tau_int_rejections), found.rejections.values.tolist()
    (1.0, 0.5, [1.0])
    """
    fields = np.asarray(samples["configuration"], dtype=float)
    kind = kind_of(samples)
    m = np.asarray(kind.magnetization(kind.numbers(fields)))
    log_w = np.asarray(samples["log_weight"] - samples["log_q"], dtype=float)
    chain = estimators.independence_chain(log_w, np.random.default_rng(seed))
    found = {
        "acceptance": estimators.acceptance(log_w),
        "tau_int": estimators.tau_int(m[chain.indices]),
        "tau_int_rejections": estimators.tau_int_rejections(chain.accepted),
        "positive_fraction": estimators.positive_fraction(m),
    }
    physics = estimators.magnetization_observables(m, n_sites=fields[0].size, log_w=log_w)
    found |= {name: physics[name] for name in ("abs_magnetization", "susceptibility")}
    variables: dict[str, Any] = {}
    for name, estimate in found.items():
        variables |= {name: ((), estimate.value), f"{name}_error": ((), estimate.error)}
    variables["tau_int"] = (*variables["tau_int"], {"observable": "magnetization"})
    variables["longest_rejection_run"] = ((), estimators.longest_rejection_run(chain.accepted))
    runs = estimators.rejection_run_distribution(chain.accepted)
    variables["rejections"] = ("run_length", runs)
    return labelled(xr.Dataset(variables, coords={"run_length": np.arange(len(runs))}, attrs=samples.attrs))


def _density_of(q: Array, edges: Array) -> Array:
    """(values of q, bins): what turns probabilities of q into densities."""
    place = np.clip(np.searchsorted(edges, q) - 1, 0, len(edges) - 2)
    return np.asarray((place[:, None] == np.arange(len(edges) - 1)) / np.diff(edges), dtype=float)


def _overlaps(s: Array, edges: Array, n_sites: int, seed: int) -> dict[str, tuple[Any, Any]]:
    """Values and errors by name; NaN for a layer in which nothing has been sampled."""
    half = n_sites // 2 + 1
    if s.shape[-1] == 0:
        sizes = {"density": len(edges) - 1, "probability_abs": half}
        return {name: (blank := np.full(sizes.get(name, ()), np.nan), blank) for name in MEASURED}
    found = estimators.overlap_distribution(s, rng=np.random.default_rng(seed))
    value, error = found.estimate(lambda p: p @ _density_of(found.q, edges))
    density = value, np.where(value > 0, error, found.unseen / np.diff(edges))
    folded = found.probability_abs, found.error_abs
    if s.shape[-1] < n_sites:
        folded = np.full(half, np.nan), np.full(half, np.nan)
    return {"density": density, "probability_abs": folded} | overlap_estimates(found)


def _triangles(s: Array, convention: Convention, n: int, seed: int) -> tuple[NDArray[Any], ...]:
    if s.shape[-1] == 0:
        blank = np.full((n, 3), np.nan)
        return blank, blank, np.full((n, 3), -1), np.full(n, -1)
    found = estimators.triangles(s, n=n, convention=convention, rng=np.random.default_rng(seed))
    return found.distances, found.overlaps, found.indices, found.blocks
