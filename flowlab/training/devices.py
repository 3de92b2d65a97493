"""Where a study computes."""

from __future__ import annotations

import torch


def resolve_device(name: str = "auto") -> torch.device:
    """ "auto" is CUDA where there is one, then MPS, then the CPU; anything else is a torch device by name.

    Raises:
        ValueError: for a device that does not exist here, with those that do.

    >>> resolve_device("cpu")
    device(type='cpu')
    """
    here = available_devices()
    if name == "auto":
        return torch.device(here[0])
    if name.split(":")[0] not in here:
        raise ValueError(f"device must be auto or one of {', '.join(here)}, got {name!r}")
    return torch.device(name)


def available_devices() -> list[str]:
    """The kinds of device of this machine, fastest first.

    >>> available_devices()[-1]
    'cpu'
    """
    found = ["cuda"] if torch.cuda.is_available() else []
    return [*found, *(["mps"] if torch.backends.mps.is_available() else []), "cpu"]
