"""Random generators by name: one seed, and a word for what is drawn."""

from __future__ import annotations

import hashlib

import torch


def named_seed(seed: int, *names: str | int) -> int:
    """A 63-bit seed that depends on ``seed`` and on every name, and on nothing else.

    Args:
        seed: the seed of the whole experiment.
        names: what is drawn, e.g. ``("evaluate", 300)``; other names give an unrelated stream.

    Returns:
        An integer in [0, 2^63), the same on every machine.

    >>> named_seed(1, "train") == named_seed(1, "train"), named_seed(1, "train") == named_seed(2, "train")
    (True, False)
    """
    text = "\x1f".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def named_generator(seed: int, *names: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """A fresh generator on ``device`` for one named purpose; see :func:`named_seed`.

    >>> a = torch.rand(2, generator=named_generator(0, "layers"))
    >>> b = torch.rand(2, generator=named_generator(0, "layers"))
    >>> bool((a == b).all())
    True
    """
    return torch.Generator(device=device).manual_seed(named_seed(seed, *names))
