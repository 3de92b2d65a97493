"""Where a study computes."""

from __future__ import annotations

import torch


def resolve_device(name: str = "auto") -> torch.device:
    """ "auto" is CUDA where there is one, else the CPU; anything else is a torch device by name.

    Raises:
        ValueError: for a device that does not exist here, with those that do, and for "mps": Apple's GPUs have no
            double precision, in which couplings, energies and chains are kept.

    >>> resolve_device("cpu")
    device(type='cpu')
    """
    here = available_devices()
    kind = name.split(":")[0]
    if kind == "mps":
        raise ValueError(
            "device mps has no float64, in which couplings, actions and chains are kept, so that a study would stop at "
            f"its first line: device must be auto or one of {', '.join(here)}, got {name!r}"
        )
    if name == "auto":
        return torch.device(here[0])
    if kind not in here:
        raise ValueError(f"device must be auto or one of {', '.join(here)}, got {name!r}")
    return torch.device(name)


def available_devices() -> list[str]:
    """The kinds of device of this machine on which flowlab computes, fastest first.

    >>> available_devices()[-1]
    'cpu'
    """
    return [*(["cuda"] if torch.cuda.is_available() else []), "cpu"]
