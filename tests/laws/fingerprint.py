"""Whether two runs are the same: all that hangs on an object, weights and closures included, as one text."""

from __future__ import annotations

import functools
import hashlib
import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

NOT_OF_THE_RUN = {"keys", "study", "parent"}


def fingerprint(run: object) -> str:
    """Equal where everything that hangs on ``run`` is equal, but for the keys that it was asked for by.

    >>> fingerprint([1, {"a": torch.zeros(2)}]) == fingerprint([1, {"a": torch.zeros(2)}])
    True
    >>> fingerprint(lambda x=1: x) == fingerprint(lambda x=1: -x)
    False
    """
    return hashlib.md5("|".join(_parts(run, {})).encode()).hexdigest()


def _parts(thing: Any, seen: dict[int, Any]) -> Iterator[str]:
    if thing is None or isinstance(thing, int | float | complex | str | bytes):
        yield repr(thing)
        return
    if id(thing) in seen:
        return
    seen[id(thing)] = thing  # kept, so that no other one gets its id
    yield type(thing).__qualname__
    if isinstance(thing, torch.Tensor):
        thing = (thing.to_dense() if thing.is_sparse else thing).detach().cpu().numpy()
    if isinstance(thing, np.ndarray):
        yield f"{thing.dtype} {thing.shape} {hashlib.md5(np.ascontiguousarray(thing).tobytes()).hexdigest()}"
    for part in _inside(thing):
        yield from _parts(part, seen)


def _inside(thing: Any) -> list[Any]:
    """What an object is made of, in an order of its own."""
    if isinstance(thing, dict):
        return [part for key, value in thing.items() if key not in NOT_OF_THE_RUN for part in (str(key), value)]
    if isinstance(thing, set | frozenset):
        return sorted(thing, key=str)
    if isinstance(thing, list | tuple):
        return list(thing)
    if isinstance(thing, functools.partial):
        return [thing.func, thing.args, thing.keywords]
    if isinstance(thing, types.MethodType):
        return [thing.__func__, thing.__self__]
    if isinstance(thing, types.FunctionType):
        code = thing.__code__
        cells = [cell.cell_contents for cell in thing.__closure__ or ()]
        return [
            thing.__qualname__,
            code.co_code,
            [c for c in code.co_consts if not isinstance(c, types.CodeType)],
            cells,
        ]
    if isinstance(thing, torch.Generator):
        return [thing.get_state()]
    if isinstance(thing, np.random.Generator):
        return [thing.bit_generator.state]
    slots = [getattr(thing, name) for name in getattr(type(thing), "__slots__", ()) if hasattr(thing, name)]
    return [*slots, getattr(thing, "__dict__", None)] if not isinstance(thing, type) else [thing.__qualname__]
