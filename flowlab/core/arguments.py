"""Arguments of constructors, held against their annotations before anything is done with them.

What a person gets wrong (a side of 4.5, a width of True, a temperature "2", NaN) is said at once, with the name of the
argument, and not by whatever breaks first inside.
"""

from __future__ import annotations

import collections.abc
import contextlib
import functools
import inspect
import math
import numbers
import re
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Literal, ParamSpec, TypeVar

import numpy as np

P = ParamSpec("P")
R = TypeVar("R")
BITS = 63
"""Of a whole number, at most."""
LARGEST = 1e38
"""Of a number: single precision holds it."""
WORDS = {int: "a whole number", float: "a number", bool: "True or False", str: "text", type(None): "None"}


TOO_LARGE = re.compile(r"Storage size calculation overflowed|numel: integer|can't allocate memory|array is too big")
"""What torch and NumPy say of a tensor for which there is no memory."""


class Refused(Exception):
    """Says why a value is not of a kind; TypeError or ValueError is raised in its place."""

    def __init__(self, why: str, raised: type[Exception] = TypeError) -> None:
        super().__init__(why)
        self.raised = raised


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """The function, whose arguments are first held against their annotations.

    Whole numbers may be given as floats such as 4.0 or as NumPy's, and several as any sequence; no other number is
    taken for one, nor True, nor text. Numbers are finite. An annotation that is not understood allows everything; which
    names and what sizes make sense, the function says itself.

    Raises:
        TypeError, ValueError: naming the argument, for a value of another kind, or that no such number can have.

    >>> @checked
    ... def area(shape: tuple[int, int], scale: float = 1.0) -> float:
    ...     return shape[0] * shape[1] * scale
    >>> area([2, 3.0])
    6.0
    >>> area((2, 3), scale=math.nan)
    Traceback (most recent call last):
    ValueError: scale must be a finite number, got nan
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        bound = signature.bind(*args, **kwargs)
        kinds = _kinds(function)
        for name, value in bound.arguments.items():
            if name in kinds and signature.parameters[name].kind is not inspect.Parameter.VAR_KEYWORD:
                bound.arguments[name] = given(name, value, kinds[name])
        try:
            return function(*bound.args, **bound.kwargs)
        except (RuntimeError, ValueError, MemoryError) as error:
            if isinstance(error, MemoryError) or TOO_LARGE.search(str(error)):
                _refuse_largest(bound.arguments)
            raise

    return called


def given(name: str, value: Any, kind: Any) -> Any:
    """The value of an argument of that name as one of a kind, such as ``int | None``.

    Raises:
        TypeError, ValueError: where it is none.

    >>> given("steps", 1e3, int)
    1000
    """
    try:
        return _taken(kind, value)
    except Refused as refused:
        raise refused.raised(f"{name} must be {refused}, got {_shown(value)}") from None


def _refuse_largest(arguments: Mapping[str, Any]) -> None:
    """ValueError with the name of the argument that has the largest whole number, if any is large."""
    sizes = {}
    for name, value in arguments.items():
        entries = value if isinstance(value, tuple) else (value,)
        sizes[name] = max((abs(one) for one in entries if type(one) is int), default=0)
    largest = max(sizes, key=sizes.__getitem__, default="")
    if largest and sizes[largest] > 1000:
        shown = _shown(arguments[largest])
        raise ValueError(f"{largest} must be smaller, got {shown}: there is no memory for that") from None


@functools.cache
def _kinds(function: Callable[..., Any]) -> dict[str, Any]:
    """The annotations of a function; without those that only a type checker can name."""
    found: dict[str, Any] = {}
    for name, kind in inspect.get_annotations(function).items():
        one = types.SimpleNamespace(__annotations__={name: kind})  # alone, since one unknown name fails all
        with contextlib.suppress(NameError):
            found |= typing.get_type_hints(one, function.__globals__, include_extras=True)
    return found


def _taken(kind: Any, value: Any) -> Any:
    """A value as one of a kind; Refused where it is none."""
    origin = typing.get_origin(kind)
    if kind is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        return _taken_as_one_of(typing.get_args(kind), value)
    if origin is Literal:
        if any(type(value) is type(allowed) for allowed in typing.get_args(kind)):
            return value
        raise Refused(_words(kind))
    if origin in (tuple, collections.abc.Sequence):
        return _sequence(kind, value)
    if kind is int:
        return _whole(value)
    if kind is float:
        return _real(value)
    if kind is bool and isinstance(value, np.bool_):
        return bool(value)
    expected = collections.abc.Callable if origin is collections.abc.Callable else kind
    if inspect.isclass(expected) and not getattr(expected, "_is_protocol", False) and not isinstance(value, expected):
        raise Refused(_words(kind))
    return value


def _taken_as_one_of(kinds: tuple[Any, ...], value: Any) -> Any:
    refusals = []
    for kind in kinds:
        try:
            return _taken(kind, value)
        except Refused as refused:
            refusals.append(refused)
    near = [refused for refused in refusals if refused.raised is ValueError] or refusals
    raise Refused(" or ".join(str(refused) for refused in near), near[0].raised)


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _whole(value: Any) -> int:
    if not _is_number(value):
        raise Refused(WORDS[int])
    if not math.isfinite(value) or value != int(value):
        raise Refused(WORDS[int], ValueError)
    if abs(int(value)) >> BITS:
        raise Refused(f"a whole number of at most {BITS} bits", ValueError)
    return int(value)


def _real(value: Any) -> float:
    if not _is_number(value):
        raise Refused(WORDS[float])
    if not math.isfinite(value):
        raise Refused("a finite number", ValueError)
    if abs(value) > LARGEST:
        raise Refused(f"a number of at most {LARGEST:.0e}", ValueError)
    return float(value)


def _sequence(kind: Any, value: Any) -> Any:
    """A tuple or sequence whose entries are of their kinds; whole numbers come back as a tuple."""
    entries = typing.get_args(kind)
    if isinstance(value, str | bytes) or not isinstance(value, collections.abc.Sequence | np.ndarray):
        raise Refused(_words(kind))
    of_one_kind = len(entries) == 1 or entries[-1] is Ellipsis
    if not of_one_kind and len(value) != len(entries):
        raise Refused(_words(kind), ValueError)
    try:
        taken = [_taken(entries[0 if of_one_kind else i], entry) for i, entry in enumerate(value)]
    except Refused as refused:
        raise Refused(_words(kind), refused.raised) from None
    if isinstance(value, tuple) and all(one is other for one, other in zip(taken, value, strict=True)):
        return value  # such as a lattice, which is a tuple that knows more
    return tuple(taken) if typing.get_origin(kind) is tuple or entries[0] is int else value


def _words(kind: Any) -> str:
    """A kind, as a person calls it."""
    origin, entries = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        return " or ".join(map(repr, entries))
    if origin in (typing.Union, types.UnionType):
        return " or ".join(map(_words, entries))
    if origin in (tuple, collections.abc.Sequence):
        many = len(entries) == 1 or entries[-1] is Ellipsis
        plural = {int: "whole numbers", float: "numbers", str: "names"}.get(entries[0], _words(entries[0]))
        return f"a sequence of {plural}" if many else f"{len(entries)} {plural}"
    if origin is collections.abc.Callable:
        return "a function"
    return WORDS.get(kind) or f"a {getattr(kind, '__name__', kind)}"


def _shown(value: Any) -> str:
    """A value in a message, on one short line."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:60]}... ({type(value).__name__})"
