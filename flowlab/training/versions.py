"""What a run was made with."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

import torch


def versions() -> dict[str, str | int]:
    """Versions of flowlab and what it computes with, and the number of threads, which bit-equality depends on."""
    found: dict[str, str | int] = {"python": platform.python_version(), "threads": torch.get_num_threads()}
    for package in ("flowlab", "torch", "numpy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
