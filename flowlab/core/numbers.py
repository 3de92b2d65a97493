"""Whole numbers as people give them."""

from __future__ import annotations

import contextlib
from typing import Any


def whole_number(what: str, value: Any) -> int:
    """``value``, perhaps a float like 1e4, as an int.

    Raises:
        ValueError: where it is no whole number.

    >>> whole_number("the number of samples", 1e3)
    1000
    """
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        if not isinstance(value, str | bool) and int(value) == value:
            return int(value)
    raise ValueError(f"{what} must be a whole number, got {value!r}")


def seed_of(value: Any) -> int:
    """A seed, perhaps text from a command line, as an int.

    Raises:
        ValueError: where it is no whole number, or does not fit into 64 bits.
    """
    with contextlib.suppress(ValueError):
        value = int(value) if isinstance(value, str) else value
    seed = whole_number("seed", value)
    if not -(2**63) <= seed < 2**63:
        raise ValueError(f"seed must fit into 64 bits, from -2^63 to 2^63 - 1, got {value}")
    return seed
