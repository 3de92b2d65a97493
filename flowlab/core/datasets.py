"""What is read off a Dataset of configurations, and what is said of one that lacks something."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

import numpy as np
import xarray as xr

from flowlab.core.variables import Variables, variables_of

Of = TypeVar("Of", bound=Callable[..., Any])
DIMS = {"run.data": "step", "run.layers(n) of a flow": "layer"}
"""The dim without which a Dataset is of another call."""
MEASURES: dict[str, Callable[..., xr.Dataset]] = {}
"""The functions by name that pictures measure configurations with: analysis puts them in, figures looks them up."""


def measure(needs: str) -> Callable[[Of], Of]:
    """Marks a function that measures a Dataset of the call ``needs`` for pictures; see :func:`explained`."""

    def marked(function: Of) -> Of:
        MEASURES[function.__name__] = checked = explained(function, needs)
        return checked

    return marked


def kind_of(data: xr.Dataset) -> Variables:
    """The kind of a Dataset's configurations, by its attributes; without them spins if all are ±1, else fields.

    >>> kind_of(xr.Dataset({"configuration": ("x", [1.0, -1.0])})), kind_of(xr.Dataset(attrs={"domain": "angle"}))
    (Spins(), Angles())
    """
    if domain := data.attrs.get("domain"):
        return variables_of(domain, data.attrs.get("q"))
    values = np.asarray(data["configuration"], dtype=float)
    return variables_of("spin" if (np.abs(values[np.isfinite(values)]) == 1.0).all() else "real")


def layer_names(layers: xr.Dataset) -> list[str]:
    """The name of each layer, ``layer k`` if the Dataset has none."""
    if "layer_name" in layers.coords:
        return [str(name) for name in layers["layer_name"].values]
    return [f"layer {k}" for k in range(layers.sizes["layer"])]


def explained(function: Of, needs: str) -> Of:
    """``function`` of a Dataset that, given another one, says which variable is missing and which call returns it.

    Args:
        function: its first argument is the Dataset.
        needs: the call whose Dataset it takes.

    Raises:
        TypeError: for what is no Dataset at all.
        ValueError: for a Dataset without a variable, a coordinate or a dim that it needs.
    """
    name = ".".join([function.__module__.split(".")[1], function.__name__])

    @functools.wraps(function)
    def call(*given: Any, **more: Any) -> Any:
        first = given[0] if given else next(iter(more.values()), None)
        if first is not None and not isinstance(first, xr.Dataset):
            raise TypeError(f"{name} takes the Dataset of {needs}, got {type(first).__name__}")
        dim = next((dim for call, dim in DIMS.items() if needs.startswith(call)), None)
        if dim is not None and first is not None and dim not in first.dims:
            raise ValueError(_lacks(name, needs, dim, first))
        try:
            return function(*given, **more)
        except (KeyError, AttributeError) as error:
            found = re.search(r"'(\w+)'", str(error).replace("'Dataset' object has no attribute ", ""))
            missing = found[1] if found else ""
            if not missing or not isinstance(first, xr.Dataset) or missing in {*first.variables, *first.dims}:
                raise
            raise ValueError(_lacks(name, needs, missing, first)) from error

    return cast(Of, call)


def _lacks(name: str, needs: str, missing: str, given: xr.Dataset) -> str:
    held = ", ".join(map(str, given.data_vars)) or "no variables"
    return f"{name} needs {missing!r}, which the Dataset of {needs} has; this one has {held}"


Place = tuple[int, ...]
"""Which value of every key, by number."""


def stacked(found: Mapping[Place, xr.Dataset], keys: Mapping[str, Sequence[Any]]) -> xr.Dataset:
    """Datasets of many runs as one, with the keys as first dims: every variable of any of them, NaN where one lacks it.

    Where runs have other values of a coordinate, all values are there; dims without one begin together. A dim of the
    runs that is called like a key is ``<name>_measured``. Text is left out.

    Args:
        found: place of the run among the values of the keys -> what it found.
        keys: key -> its values.

    >>> one = xr.Dataset({"ess": 0.5, "profile": ("x", [1.0, 2.0])}, {"x": [0, 1]})
    >>> two = xr.Dataset({"ess": 0.7, "profile": ("x", [3.0])}, {"x": [2]})
    >>> both = stacked({(0,): one, (1,): two}, {"L": [2, 4]})
    >>> both.ess.values.tolist(), both.profile.values.tolist()
    ([0.5, 0.7], [[1.0, 2.0, nan], [nan, nan, 3.0]])
    """
    dims, shape = list(keys), tuple(len(values) for values in keys.values())
    runs = {
        place: one.reset_coords(drop=True).rename({dim: f"{dim}_measured" for dim in one.dims if dim in keys})
        for place, one in found.items()
    }
    places = _places(list(runs.values()))
    columns: dict[str, tuple[list[str], np.ndarray, dict[str, Any]]] = {}
    for place, one in runs.items():
        for name, variable in one.data_vars.items():
            if variable.dtype.kind not in "iufb":
                continue
            own = [str(dim) for dim in variable.dims]
            if name not in columns:
                sizes = tuple(len(places[dim]) for dim in own)
                columns[str(name)] = ([*dims, *own], np.full((*shape, *sizes), np.nan), dict(variable.attrs))
            elif columns[str(name)][0] != [*dims, *own]:
                raise ValueError(f"{name} has the dims {own} in one run and others in another: it cannot be stacked")
            at: list[list[int]] = [[places[dim][value] for value in _values(one, dim)] for dim in own]
            part: Any = (*place, *(np.ix_(*at) if at else ()))
            columns[str(name)][1][part] = variable.values
    coords = {dim: list(values) for dim, values in places.items() if any(dim in one.coords for one in runs.values())}
    return xr.Dataset({name: (d, v, a) for name, (d, v, a) in columns.items()}, coords=dict(keys) | coords)


def _values(one: xr.Dataset, dim: str) -> list[Any]:
    values: list[Any] = one[dim].values.tolist() if dim in one.coords else list(range(one.sizes[dim]))
    return values


def _places(runs: Sequence[xr.Dataset]) -> dict[str, dict[Any, int]]:
    """Dim -> each value of its coordinate in any run -> its place, ascending where they are numbers."""
    found: dict[str, dict[Any, None]] = {}
    for one in runs:
        for dim in one.dims:
            found.setdefault(str(dim), {}).update(dict.fromkeys(_values(one, str(dim))))
    ordered = {
        dim: sorted(values) if all(isinstance(v, int | float) for v in values) else list(values)
        for dim, values in found.items()
    }
    return {dim: {value: place for place, value in enumerate(values)} for dim, values in ordered.items()}
