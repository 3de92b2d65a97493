"""What makes a run this one and no other: compared wherever it would be taken up or written."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flowlab.core import System
from flowlab.storage.files import StoreError


def absolute(path: str | Path) -> Path:
    """A directory that stays the same wherever the process goes; ``~`` is the home of the user.

    >>> absolute("runs/a").is_absolute(), absolute("~/runs").name
    (True, 'runs')
    """
    return Path(path).expanduser().absolute()


def system_identity(system: System) -> dict[str, Any]:
    """Class, shape, couplings and numbers of a system; tensors (a glass's J, say) by a checksum.

    >>> from flowlab.systems import Potts
    >>> system_identity(Potts((2, 2), T=1.0))["couplings"]
    {'T': 1.0, 'J': 1.0}
    """
    own = {name: value for name, value in vars(system).items() if not name.startswith("_") and name != "training"}
    arrays = {name: value for name, value in vars(system).items() if isinstance(value, Tensor | np.ndarray)}
    arrays |= dict(system.named_buffers()) | dict(system.named_parameters())
    return {
        "system": type(system).__qualname__,
        **{name: value for name, value in own.items() if type(value) in (bool, int, float, str)},
        "shape": list(system.shape),
        "couplings": {name: float(value.detach()) for name, value in system.couplings.items()},
        "tensors": {name: _checksum(value) for name, value in sorted(arrays.items())},
    }


def _checksum(value: Tensor | np.ndarray) -> str:
    if isinstance(value, Tensor):
        value = value.detach().cpu().to_dense() if value.is_sparse else value.detach().cpu()
        value = np.asarray(value.tolist()) if value.dtype == torch.bfloat16 else value.numpy()
    array = np.ascontiguousarray(value)
    if array.dtype == object:  # whose bytes are addresses
        return "objects"
    return hashlib.sha256(f"{array.dtype} {array.shape}".encode() + array.tobytes()).hexdigest()[:16]


def plain(value: Any) -> Any:
    """As JSON gives it back: tuples are lists, what is not finite is text.

    >>> plain({"clip": math.inf, "betas": (0.9, 0.999)})
    {'clip': 'inf', 'betas': [0.9, 0.999]}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, torch.Tensor | np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def refuse_other(path: Path, kept: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """StoreError where what is kept in ``path`` describes another run; what only one of them says is left out.

    >>> refuse_other(Path("runs/a"), {"seed": 1, "built": {"shape": [4, 4]}}, {"seed": 2, "built": {"shape": [4, 4]}})
    Traceback (most recent call last):
    flowlab.storage.files.StoreError: runs/a holds another run (seed 1, not 2): choose another directory
    """
    found = _differences(kept, json.loads(json.dumps(own)))
    if found:
        raise StoreError(f"{path} holds another run ({', '.join(found)}): choose another directory")


def _differences(kept: Any, own: Any, name: str = "") -> list[str]:
    if isinstance(kept, dict) and isinstance(own, dict):
        named = {key: key if name in ("", "built", "keys") else f"{name} {key}" for key in own}
        return [line for key in own if key in kept for line in _differences(kept[key], own[key], named[key])]
    return [] if kept == own else [f"{name} {kept}, not {own}"]
