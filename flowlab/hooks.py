"""What lies above the runs and is found by them by name: filled in by ``import flowlab``, which loads none of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

providers: list[str] = []
"""Modules that register studies when they are imported."""

above: dict[str, Callable[..., Any]] = {}
"""What stands above a run or beside a picture and is asked for by them: "lab", "load" and "measures"."""
