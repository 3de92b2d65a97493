"""What a run was given that is no text: arrays, named by their content, kept with the run that they are a part of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from flowlab.core.types import ENDS, Content, label_of
from flowlab.storage.files import StoreError, write_atomic

FOLDER = "inputs"


def write_contents(path: Path, keys: Mapping[str, Any]) -> None:
    """Keep the arrays that keys of a run stand for in its directory, a safetensors file each."""
    for value in keys.values():
        arrays = getattr(value, "arrays", None)
        if arrays is not None:
            (path / FOLDER).mkdir(exist_ok=True)
            write_atomic(_file(path, value), save_safetensors(dict(sorted(arrays.items()))))


def with_contents(path: Path, keys: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of the run in a directory, with the arrays that are kept there.

    Raises:
        StoreError: where the arrays are others than those that the run was given.
    """
    found = dict(keys)
    for name, value in keys.items():
        if isinstance(value, str) and ENDS.search(value) and _file(path, value).exists():
            try:
                found[name] = Content(label_of(value), load_safetensors(_file(path, value).read_bytes()))
            except Exception as error:  # safetensors has an exception of its own
                raise StoreError(f"{_file(path, value)} cannot be read: {error}") from error
            if found[name] != value:
                raise StoreError(f"{_file(path, value)} was changed after it was written")
    return found


def _file(path: Path, value: str) -> Path:
    return path / FOLDER / f"{value[-16:]}.safetensors"
