"""Means of many runs over instances of random couplings, with the error of having so many of them, and crossings."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import xarray as xr

from flowlab.analysis.transitions import Curves, estimate_from, rises
from flowlab.core.names import labelled
from flowlab.estimators.estimate import FloatArray

NOT_MEASURED = ("_error", "_within", "_spread", "_replicas")


def average(found: xr.Dataset, over: str, *, replicas: bool = False) -> xr.Dataset:
    """Means [x] of all numbers of a sweep over instances, and their errors.

    ``<name>_error`` is the jackknife's over instances: what a few of them leave open, the noise inside of each
    included. ``<name>_within`` is the part of it that comes from the errors of the instances, √Σ σ_i² / n, which longer
    runs make smaller and more instances too; ``<name>_spread`` is by how much instances differ beyond these errors.
    The Binder cumulant of the overlap is that of the means, 3/2 - [<q⁴>] / (2 [<q²>]²). Instances that failed, or that
    lack a number, are left out, and ``instances`` says how many there are; those that are "not to be trusted" are in,
    since to leave them out would choose easy instances, and ``not_trusted`` counts them.

    Args:
        found: what :func:`flowlab.sweep` returns.
        over: the key of the instances, e.g. ``"seed_J"``. To average over ``seed`` too, do that first.
        replicas: whether to give ``<name>_replicas``, the means without one instance each, dim ``replica``: what errors
            of functions of means are made of.

    Raises:
        ValueError: for a key that the sweep does not have, or fewer than 2 instances.

    >>> runs = xr.Dataset({"ess": ("seed_J", [0.2, 0.4]), "ess_error": ("seed_J", [0.03, 0.04])}, {"seed_J": [0, 1]})
    >>> mean = average(runs, "seed_J")
    >>> [round(float(mean[name]), 6) for name in ("ess", "ess_error", "ess_within", "ess_spread")]
    [0.3, 0.1, 0.025, 0.136931]
    """
    keys = [str(key) for key in (found["state"].dims if "state" in found else found.dims)]
    if over not in keys:
        raise ValueError(f"over must be one of the keys of the sweep, {', '.join(keys)}, got {over!r}")
    if found.sizes[over] < 2:
        raise ValueError(f"a mean over {over} needs at least 2 instances, got {found.sizes[over]}")
    columns: dict[str, Any] = {}
    for name, one in found.data_vars.items():
        if over not in one.dims or one.dtype.kind not in "iufb" or str(name).endswith(NOT_MEASURED):
            continue
        columns |= _averaged(found, str(name), over, replicas)
    rest = [str(key) for key in keys if key != over]
    if "state" in found:
        columns["instances"] = (rest, (found["state"] == "finished").sum(over).transpose(*rest).values, {})
    if "verdict" in found:
        against = np.vectorize(lambda word: str(word).startswith("not to be trusted"), otypes=[bool])
        worse = xr.apply_ufunc(against, found["verdict"]).sum(over)
        columns["not_trusted"] = (rest, worse.transpose(*rest).values, {})
    used = {dim for column in columns.values() for dim in column[0]}
    coords = {name: coord for name, coord in found.coords.items() if set(coord.dims) <= used and name != over}
    attrs = {name: value for name, value in found.attrs.items() if name != "errors"} | {"averaged_over": over}
    return labelled(xr.Dataset(columns, coords=coords, attrs=attrs))


def _averaged(found: xr.Dataset, name: str, over: str, replicas: bool) -> dict[str, Any]:
    """The columns of one number: mean, errors, spread, and the means without one instance each."""
    one = found[name].transpose(over, ...)
    dims, attrs = [str(dim) for dim in one.dims[1:]], one.attrs
    x = one.values.astype(np.float64)
    mean, without = _means(x)
    error = found[f"{name}_error"].transpose(over, ...).values if f"{name}_error" in found else None
    if name == "overlap_binder" and "overlap_squared" in found:
        q2 = found["overlap_squared"].transpose(over, *dims).values
        fourth = _means((3 - 2 * x) * q2**2)  # <q⁴> of each instance
        second = _means(q2)
        mean, without = (1.5 - four / (2 * two**2) for four, two in zip(fourth, second, strict=True))
        error = None  # of the moments not known
    count = np.isfinite(x).sum(0)
    columns: dict[str, Any] = {
        name: (dims, mean, attrs),
        f"{name}_error": (dims, np.where(count > 1, _error(without, np.isfinite(x)), np.nan)),
    }
    if error is not None:
        square = np.where(np.isfinite(x), error**2, 0.0)
        columns[f"{name}_within"] = (dims, np.sqrt(square.sum(0)) / np.maximum(count, 1))
        between = columns[f"{name}_error"][1] ** 2 * count - square.sum(0) / np.maximum(count, 1)
        columns[f"{name}_spread"] = (dims, np.sqrt(np.maximum(between, 0.0)))
    if replicas:
        columns[f"{name}_replicas"] = (["replica", *dims], without)
    return columns


def _means(x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The mean over the first axis of what is not NaN, and the means without one each."""
    known = np.isfinite(x)
    count, filled = known.sum(0), np.where(known, x, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return filled.sum(0) / count, (filled.sum(0) - filled) / (count - known)


def _error(without: FloatArray, known: np.ndarray) -> FloatArray:
    """The jackknife error of means without one each, of as many instances as are ``known``."""
    count = np.maximum(known.sum(0), 1)
    with np.errstate(invalid="ignore"):
        middle = np.where(known, without, 0.0).sum(0) / count
        return np.asarray(np.sqrt((count - 1) / count * np.where(known, (without - middle) ** 2, 0.0).sum(0)))


def crossings(
    found: xr.Dataset,
    *,
    over: str = "seed_J",
    size: str = "L",
    along: str = "kept_temperature",
    name: str = "overlap_binder",
) -> xr.Dataset:
    """Where a number, averaged over instances, is the same for two sizes: for the Binder cumulant near T_c.

    Between points, curves are straight lines. Errors are the jackknife's over the instances of both sizes, which are
    independent.

    Args:
        found: what :func:`flowlab.sweep` returns, over ``over``, ``size`` and perhaps ``along``.
        over: the key of the instances.
        size: the key of the sizes, at least two.
        along: the temperature, or another key or coordinate.
        name: of the number that crosses.

    Returns:
        Dataset over ``size``, the smaller one of each pair of neighbours: ``crossing``, where it is, and
        ``<name>_crossing``, the number there, each with its error (NaN where curves do not cross); ``larger``.

    Raises:
        ValueError: for fewer than two sizes, or a number that does not have these dims.
    """
    if name not in found or not {over, size, along} <= set(map(str, found[name].dims)):
        dims = ", ".join(map(str, found[name].dims)) if name in found else "none, it is not there"
        raise ValueError(f"{name} must have the dims {over}, {size} and {along}, it has {dims}")
    if found.sizes[size] < 2:
        raise ValueError(f"crossings need two values of {size}, got {found.sizes[size]}")
    needed = [one for one in (name, "overlap_squared") if one in found] + [w for w in ("state",) if w in found]
    mean = average(found[needed], over, replicas=True).sortby(size)
    curves = [_curve(mean.isel({size: i}), along, name) for i in range(mean.sizes[size])]
    rows = [estimate_from([a, b], [name], lambda a, b: _crossed(a, b, name)) for a, b in itertools.pairwise(curves)]
    sizes = mean[size].values
    variables: dict[str, Any] = {}
    for i, column in enumerate(("crossing", f"{name}_crossing")):
        variables[column] = (size, [float(row.value[i]) for row in rows])
        variables[f"{column}_error"] = (size, [float(row.error[i]) for row in rows])
    coords = {size: sizes[:-1], "larger": (size, sizes[1:])}
    return labelled(xr.Dataset(variables, coords, {"along": along, "averaged_over": over}))


def _curve(mean: xr.Dataset, along: str, name: str) -> xr.Dataset:
    """One size's means along the coordinate, ascending, where they are known, and those without one instance."""
    known = mean[[name, f"{name}_replicas"]].dropna(along, subset=[name]).sortby(along)
    replicas = known[f"{name}_replicas"].dropna("replica", how="all")
    return xr.Dataset({name: known[name], f"{name}_replicas": replicas.transpose("replica", along)})


def _crossed(one: Curves, two: Curves, name: str) -> list[float]:
    """Where the curves of two sizes meet, and the value there."""
    low, high = max(one["x"][0], two["x"][0]), min(one["x"][-1], two["x"][-1])
    if not low < high:
        return [math.nan, math.nan]
    x = np.unique(np.concatenate([one["x"], two["x"], np.linspace(low, high, 2001)]))
    x = x[(x >= low) & (x <= high)]
    here, there = (np.interp(x, each["x"], each[name]) for each in (one, two))
    at = rises(x, (here - there) * (1 if here[-1] - there[-1] > here[0] - there[0] else -1))
    return [at, float(np.interp(at, x, here))]
