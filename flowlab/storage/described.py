"""Descriptions of objects, as :func:`flowlab.core.made.describe` gives them, with something changed."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flowlab.core.made import CannotMake, describe


def with_couplings(described: Any, before: Mapping[str, float], couplings: Mapping[str, Any]) -> Any:
    """The description with other ``couplings`` in all systems that have these as they were ``before``.

    >>> from flowlab.systems import Ising
    >>> ising = describe(Ising((4, 4), T=2.0).decimate())
    >>> changed = with_couplings(ising, {"T": 2.0}, {"T": 2.5})
    >>> changed["set"]["couplings"]["mapping"]["T"], changed["with"]["parent"]["set"]["couplings"]["mapping"]["T"]
    (2.5, 2.5)
    """
    described = copy.deepcopy(described)
    for found in _objects(described):
        own = found["set"].get("couplings", {}).get("mapping", {})
        own |= {name: describe(value) for name, value in couplings.items() if own.get(name) == before[name]}
    return described


def described_twice(described: Any, shape: Sequence[int]) -> Any:
    """The description with twice the sides wherever an object was made with this ``shape``, or with its ``L``.

    Raises:
        CannotMake: where one was made with an array of the lattice's sites, which cannot be guessed on a larger one.

    >>> from flowlab.systems import Ising
    >>> described_twice(describe(Ising((4, 4), T=2.0)), (4, 4))["with"]["shape"]
    {'tuple': [8, 8]}
    """
    described, sides = copy.deepcopy(described), list(shape)
    for found in _objects(described):
        kind = found["made"].partition(":")[2]
        for name, value in found["with"].items():
            whose = f"{name} of {kind}"
            if isinstance(value, dict) and "tensor" in value and math.prod(value["shape"]) >= math.prod(sides):
                raise CannotMake(f"{whose} is an array of the lattice {tuple(sides)}, unknown on one of twice the side")
            if name not in ("shape", "L"):
                continue
            if value in ({"tuple": sides}, sides):
                found["with"][name] = {"tuple": [2 * side for side in sides]}
            elif value == sides[0] and len(set(sides)) == 1:
                found["with"][name] = 2 * sides[0]
    return described


def _objects(described: Any) -> Iterator[dict[str, Any]]:
    """Every object in a description."""
    items = described if isinstance(described, list) else described.values() if isinstance(described, dict) else ()
    if isinstance(described, dict) and "made" in described:
        yield described
    for item in items:
        yield from _objects(item)
