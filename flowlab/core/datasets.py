"""What is read off a Dataset of configurations, and what is said of one that lacks something."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
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
