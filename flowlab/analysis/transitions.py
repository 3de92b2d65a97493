"""Where a transition lies, how strong it is, and its exponents, from curves of :meth:`flowlab.training.Training.curve`.

Every number has the jackknife error of the curves' ``replicas``, through whatever it is made of.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from flowlab.core.names import labelled
from flowlab.estimators import Estimate
from flowlab.estimators.weights.pooled import jackknife_error

Curves = Mapping[str, np.ndarray]
"""Name -> (G,) values along the coupling, which is ``x``."""


def peak(curve: xr.Dataset, name: str) -> tuple[Estimate, Estimate]:
    """Where a curve is highest, and how high: the vertex of the parabola through its three highest points.

    NaN where it is highest at an end: the transition then lies outside.

    Args:
        curve: of :meth:`flowlab.training.Training.curve`.
        name: of a number in it, e.g. ``"specific_heat"``.

    >>> x = np.linspace(0.0, 1.0, 11)
    >>> height = 2.0 - (x - 0.42) ** 2
    >>> found = xr.Dataset({"c": ("beta", height), "c_replicas": (("replica", "beta"), [height, height])}, {"beta": x})
    >>> [round(float(one.value), 6) for one in peak(found, "c")]
    [0.42, 2.0]
    """
    found = estimate_from([curve], [name], lambda one: _vertex(one["x"], one[name]))
    return Estimate(float(found.value[0]), float(found.error[0])), Estimate(
        float(found.value[1]), float(found.error[1])
    )


def estimate_from(
    curves: Sequence[xr.Dataset], names: Sequence[str], function: Callable[..., Sequence[float]]
) -> Estimate:
    """Numbers made of independent curves, with errors: function(curves, one after the other) for all replicas of each.

    Args:
        curves: from runs or seeds of their own.
        names: of what is needed of each.
        function: takes one :data:`Curves` for each curve.
    """
    whole = [_values(curve, names) for curve in curves]
    value = np.array(function(*whole), dtype=np.float64)
    square = np.zeros_like(value)
    for i, curve in enumerate(curves):
        count = curve.sizes["replica"]
        parts = [function(*whole[:i], _values(curve, names, b), *whole[i + 1 :]) for b in range(count)]
        square += jackknife_error(np.array(parts, dtype=np.float64)) ** 2
    return Estimate(value, np.sqrt(square))


def finite_size_scaling(curves: Mapping[int, xr.Dataset]) -> xr.Dataset:
    """Crossings of the Binder cumulants of two sizes, and the exponents that two sizes give there.

    At a crossing of L and b L, the slopes of the cumulants are as b^(1/ν), the susceptibilities N<m²> as b^(γ/ν), and
    <|m|> as b^(-β/ν) (Binder 1981, Z. Phys. B 43, 119). Each pair has corrections that fall with L.

    Args:
        curves: side -> curve along the same coupling, independent of each other, dense around the transition.

    Returns:
        Dataset over ``L``, the smaller side of each pair of neighbours: ``crossing``, ``binder_crossing``,
        ``inverse_nu``, ``gamma_over_nu``, ``beta_over_nu``, each with its error.

    Raises:
        ValueError: for fewer than two sides, or curves along other couplings.
    """
    sides = sorted(curves)
    names = {str(curve.binder.dims[0]) for curve in curves.values()}
    if len(sides) < 2 or len(names) != 1:
        raise ValueError(f"curves must be of two sides or more along one coupling, got {sides} along {sorted(names)}")
    needed = ["binder", "susceptibility", "abs_magnetization"]
    rows = []
    for small, large in itertools.pairwise(sides):
        b = math.log(large / small)
        rows.append(estimate_from([curves[small], curves[large]], needed, lambda one, two, b=b: _scaled(one, two, b)))
    columns = ("crossing", "binder_crossing", "inverse_nu", "gamma_over_nu", "beta_over_nu")
    variables: dict[str, Any] = {}
    for i, column in enumerate(columns):
        variables[column] = ("L", [float(row.value[i]) for row in rows])
        variables[f"{column}_error"] = ("L", [float(row.error[i]) for row in rows])
    return labelled(xr.Dataset(variables, {"L": sides[:-1], "larger": ("L", sides[1:])}, {"coupling": names.pop()}))


def _scaled(one: Curves, two: Curves, b: float) -> list[float]:
    """What the curves of two sizes, b the logarithm of their ratio, say at the crossing of their Binder cumulants."""
    x = np.linspace(max(one["x"][0], two["x"][0]), min(one["x"][-1], two["x"][-1]), 2001)
    here, there = (np.interp(x, each["x"], each["binder"]) for each in (one, two))
    at = rises(x, there - here)

    def of(each: Curves, values: np.ndarray) -> float:
        return float(np.interp(at, each["x"], values))

    slopes = [of(each, np.gradient(each["binder"], each["x"])) for each in (one, two)]
    chi = [of(each, each["susceptibility"]) for each in (one, two)]
    m = [of(each, each["abs_magnetization"]) for each in (one, two)]
    ratios = (slopes[1] / slopes[0], chi[1] / chi[0], m[0] / m[1])
    return [at, of(one, one["binder"]), *(math.log(r) / b if r > 0 else math.nan for r in ratios)]


def rises(x: np.ndarray, difference: np.ndarray) -> float:
    """Where a difference goes from below zero to above it, the steepest of such places; NaN for none.

    >>> rises(np.array([0.0, 1.0, 2.0]), np.array([-1.0, -0.5, 0.5]))
    1.5
    """
    up = np.flatnonzero((difference[:-1] < 0) & (difference[1:] >= 0))
    if not len(up):
        return math.nan
    wide = max(1, len(x) // 40)
    rise = difference[np.minimum(up + wide, len(x) - 1)] - difference[np.maximum(up - wide, 0)]
    i = int(up[int(np.argmax(rise))])
    return float(x[i] - difference[i] * (x[i + 1] - x[i]) / (difference[i + 1] - difference[i]))


def _vertex(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    i = int(np.argmax(y))
    if i in (0, len(x) - 1):
        return math.nan, math.nan
    a, slope, height = np.polyfit(x[i - 1 : i + 2] - x[i], y[i - 1 : i + 2], 2)
    return float(x[i] - slope / (2 * a)), float(height - slope**2 / (4 * a))


def _values(curve: xr.Dataset, names: Sequence[str], replica: int | None = None) -> dict[str, np.ndarray]:
    """Of a curve, or of one of its replicas."""
    dim = str(curve[names[0]].dims[0])
    rows = {name: curve[name] if replica is None else curve[f"{name}_replicas"][replica] for name in names}
    order = np.argsort(curve[dim].values)
    return {"x": curve[dim].values[order]} | {name: row.values[order] for name, row in rows.items()}
