"""Checkpoints: the weights and the training state at one step, whole or not there, never a pickle."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
import os
import re
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor

from flowlab.storage.files import StoreError, sync_directory, write_synced

_log = logging.getLogger(__name__)
_NAME = re.compile(r"step-(\d{8,})(\.old)?")
_WEIGHTS, _STATE, _MANIFEST = "weights.safetensors", "state.pt", "manifest.json"
_FILES = (_WEIGHTS, _STATE)


class Checkpoint(NamedTuple):
    """What :func:`read_checkpoint` found: the ``step`` it belongs to, ``tensors`` by name, the training ``state``,
    the ``path`` of its folder, and in ``notes`` a sentence for each newer checkpoint that was skipped as damaged."""

    step: int
    tensors: dict[str, Tensor]
    state: dict[str, Any]
    path: Path
    notes: tuple[str, ...] = ()


class _Damaged(Exception):
    """Why one checkpoint cannot be used."""


def plain_state(value: Any, name: str = "state") -> Any:
    """A copy of ``value`` that can be stored without pickled objects.

    Args:
        value: nested dict (with str or int keys), list, tuple, int, float, str, bool, None and Tensor; for example an
            optimiser's or a module's ``state_dict()``.
        name: what it is called in an error.

    Returns:
        The same structure in plain dicts, lists and tuples, its tensors detached copies on the CPU.

    Raises:
        TypeError: for anything else (numpy numbers and arrays, paths, objects), naming the place.

    >>> plain_state({"lr": 0.1, "betas": (0.9, 0.99)})
    {'lr': 0.1, 'betas': (0.9, 0.99)}
    >>> import numpy as np
    >>> plain_state({"best": [np.float64(1.0)]})
    Traceback (most recent call last):
    TypeError: state['best'][0] is a numpy.float64: a checkpoint holds dict, list, tuple, int, float, str, bool, None \
and Tensor only; convert it first
    """
    if value is None or type(value) in (int, float, str, bool):
        return value
    if isinstance(value, Tensor):
        return value.detach().cpu().contiguous().clone()
    if isinstance(value, dict):
        for key in value:
            if type(key) not in (int, str):
                raise TypeError(f"{name} has the key {key!r}: keys in a checkpoint must be str or int")
        return {key: plain_state(item, f"{name}[{key!r}]") for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(plain_state(item, f"{name}[{i}]") for i, item in enumerate(value))
    kind = type(value)
    raise TypeError(
        f"{name} is a {kind.__module__}.{kind.__qualname__}: a checkpoint holds dict, list, tuple, int, float, str, "
        "bool, None and Tensor only; convert it first"
    )


def write_checkpoint(
    folder: Path, step: int, tensors: dict[str, Tensor], state: dict[str, Any], *, keep: int = 2
) -> Path:
    """Write ``folder/step-00001234/`` so that a crash at any moment leaves it whole or absent; keep the newest few.

    The files go to a ``.tmp`` folder, each is forced to the disk, then the folder is renamed. Afterwards damaged
    checkpoints and those of later steps (from before a resume) are removed, and all but the newest ``keep``.

    Args:
        folder: where the checkpoints of the run are; must exist.
        step: number of training steps done, at least 0.
        tensors: weights by name, any shapes; stored as safetensors.
        state: nested plain values, see :func:`plain_state`.
        keep: how many checkpoints stay.

    Returns:
        The folder of the new checkpoint.

    Raises:
        TypeError, ValueError: for what cannot be stored, before anything is written.
        OSError: where it cannot be written; what was there before stays.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> write_checkpoint(folder, 12, {"weight": torch.ones(2)}, {"lr": 0.1}).name
    'step-00000012'
    >>> read_checkpoint(folder).state
    {'lr': 0.1}
    """
    contents = _contents(step, tensors, state)
    target = folder / f"step-{step:08d}"
    temporary = folder / (target.name + ".tmp")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        for name, data in contents.items():
            write_synced(temporary / name, data)
        sync_directory(temporary)
        if target.exists():  # saved twice at one step: the older stays readable as .old until the newer has its name
            _remove(folder / (target.name + ".old"))
            target.rename(folder / (target.name + ".old"))
        temporary.rename(target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync_directory(folder)
    _prune(folder, target, keep)
    return target


def read_checkpoint(folder: Path) -> Checkpoint | None:
    """The newest checkpoint in ``folder`` whose files match its manifest; nothing is changed on disk.

    Returns:
        The checkpoint, or None where there is none; ``notes`` and a logged warning name each one that was skipped.

    Raises:
        StoreError: where there are checkpoints and none is whole, or where a whole one holds pickled objects.
    """
    for _ in range(20):
        paths, reasons = _checkpoints(folder), {}
        for path in paths:
            try:
                tensors, state = _read(path)
            except _Damaged as reason:
                if not path.exists():
                    break  # its writer removed it while we read: look again
                reasons[path] = str(reason)
                continue
            notes = [f"skipped checkpoint {p.name}: {why}; used {path.name} instead" for p, why in reasons.items()]
            for note in notes:
                _log.warning("%s", note)
            return Checkpoint(step_of(path), tensors, state, path, tuple(notes))
        else:
            if not paths:
                return None
            listed = "; ".join(f"{path.name}: {why}" for path, why in reasons.items())
            raise StoreError(f"none of the checkpoints in {folder} can be used: {listed}; choose another --out")
    raise StoreError(f"the checkpoints in {folder} change faster than they can be read")


def newest_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint in ``folder``, None where there is none."""
    return next(filter(_is_whole, _checkpoints(folder)), None)


def drop_checkpoints(folder: Path, step: int) -> None:
    """Remove the checkpoints in ``folder`` of later steps than ``step``."""
    for path in _checkpoints(folder):
        if step_of(path) > step:
            _remove(path)


def remove_leftovers(folder: Path) -> None:
    """Remove the half-written and half-removed checkpoints that a killed writer left behind."""
    for path in folder.glob("step-*.tmp"):
        shutil.rmtree(path, ignore_errors=True)


def _contents(step: int, tensors: dict[str, Tensor], state: dict[str, Any]) -> dict[str, bytes]:
    """File names and bytes of one checkpoint, the manifest last."""
    if type(step) is not int or step < 0:
        raise ValueError(f"step must be an int >= 0, got {step!r}")
    for key, value in tensors.items():
        if type(key) is not str or not isinstance(value, Tensor):
            raise TypeError(f"tensors must map str to Tensor, got {key!r}: {type(value).__name__}")
    buffer = io.BytesIO()
    torch.save(plain_state(state), buffer)
    contents = {_WEIGHTS: save_safetensors(plain_state(tensors, "tensors")), _STATE: buffer.getvalue()}
    files = {name: {"sha256": _sha256(data), "bytes": len(data)} for name, data in contents.items()}
    manifest = {"step": step, "files": files}
    return {**contents, _MANIFEST: (json.dumps(manifest, indent=1) + "\n").encode()}


def _verified(path: Path) -> dict[str, bytes]:
    """The files of one checkpoint; _Damaged with the reason when they are not what was written."""
    try:
        manifest = json.loads(_bytes_of(path, _MANIFEST))
        step = manifest["step"]
        expected = {name: (manifest["files"][name]["sha256"], manifest["files"][name]["bytes"]) for name in _FILES}
    except (ValueError, KeyError, TypeError) as error:
        raise _Damaged(f"{_MANIFEST} cannot be read") from error
    if step != step_of(path):
        raise _Damaged(f"{_MANIFEST} says step {step}")
    contents = {name: _bytes_of(path, name) for name in _FILES}
    for name, (sha256, size) in expected.items():
        if len(contents[name]) != size:
            raise _Damaged(f"{name} has {len(contents[name])} bytes where {size} were written")
        if _sha256(contents[name]) != sha256:
            raise _Damaged(f"{name} was changed after it was written (its sha256 differs)")
    return contents


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    contents = _verified(path)
    try:
        return load_safetensors(contents[_WEIGHTS]), _load_state(contents[_STATE])
    except Exception as error:  # whatever hostile bytes may raise; torch's own text advises to load the pickle
        raise StoreError(
            f"checkpoint {path} is refused: {_STATE} must hold plain values and tensors only, {_WEIGHTS} tensors only; "
            f"pickled objects are never loaded ({type(error).__name__})"
        ) from None


def _load_state(data: bytes) -> dict[str, Any]:
    state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    if not isinstance(state, dict):
        raise TypeError(f"expected a dict, got {type(state).__name__}")
    return state


def _bytes_of(path: Path, name: str) -> bytes:
    try:
        return (path / name).read_bytes()
    except OSError as error:
        raise _Damaged(f"{name} cannot be read: {error.strerror}") from error


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _checkpoints(folder: Path) -> list[Path]:
    """Folders of finished checkpoints, the newest first."""
    with contextlib.suppress(FileNotFoundError):
        matches = [match for match in map(_NAME.fullmatch, os.listdir(folder)) if match]
        return [folder / m[0] for m in sorted(matches, key=lambda m: (int(m[1]), m[2] is None), reverse=True)]
    return []


def step_of(path: Path) -> int:
    """The step that a checkpoint's folder is named after."""
    return int(path.name.removesuffix(".old").removeprefix("step-"))


def _prune(folder: Path, newest: Path, keep: int) -> None:
    kept = 0
    for path in _checkpoints(folder):
        current = not path.name.endswith(".old") and step_of(path) <= step_of(newest)
        if current and kept < keep and (path == newest or _is_whole(path)):
            kept += 1
        else:
            _remove(path)


def _is_whole(path: Path) -> bool:
    try:
        _verified(path)
    except _Damaged:
        return False
    return True


def _remove(path: Path) -> None:
    """Remove a checkpoint so that no reader ever finds half of it under its name."""
    temporary = path.with_name(path.name + ".tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    with contextlib.suppress(OSError):
        path.rename(temporary)
    shutil.rmtree(temporary, ignore_errors=True)
