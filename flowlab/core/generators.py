"""Random numbers: generators by name, and the rows of a batch that one of several processes draws."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import Any, TypeVar

import torch
from torch import Tensor

Found = TypeVar("Found")


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


class Portion:
    """What one of several processes has of each batch: as many rows as every other, in the order of the processes.

    All of them hold the same weights and the same generators. Each asks its generator for the random numbers of the
    whole batch and keeps those of its rows, so that together they draw what one process would have drawn, and the
    generator stands where it would have stood.

    Args:
        rank: which of them, from 0.
        count: how many there are.
        group: what adds and collects among them, a ``torch.distributed.ProcessGroup`` of tensors on the CPU.
    """

    def __init__(self, rank: int = 0, count: int = 1, group: Any = None) -> None:
        self.rank, self.count, self._group = rank, count, group

    def rows(self, draw: Callable[..., Found], n: int, generator: torch.Generator | None) -> Found:
        """The own rows of ``draw(n, generator=generator)``."""
        if self.count == 1:
            return draw(n, generator=generator)
        of, inside = _portion.set(ALONE), _drawing.set(self)
        try:
            return draw(n // self.count, generator=generator)
        finally:
            _portion.reset(of)
            _drawing.reset(inside)

    def whole(self, x: Tensor) -> Tensor:
        """(own rows, ...) of every process -> all rows, without a gradient where there are several."""
        if self.count == 1:
            return x
        mine = x.detach().cpu().contiguous()
        parts = [torch.empty_like(mine) for _ in range(self.count)]
        self._group.allgather([parts], [mine]).wait()
        return torch.cat(parts).to(x.device)

    def mine(self, x: Tensor, dim: int = 0) -> Tensor:
        """The own rows of what all rows have, along ``dim``."""
        return x if self.count == 1 else x.chunk(self.count, dim)[self.rank].contiguous()

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Put the mean over all processes in the place of each tensor."""
        kinds: dict[torch.dtype, list[Tensor]] = {}
        for tensor in tensors if self.count > 1 else ():
            kinds.setdefault(tensor.dtype, []).append(tensor)
        for same in kinds.values():
            flat = torch.cat([tensor.detach().flatten() for tensor in same]).cpu()
            self._group.allreduce([flat]).wait()
            parts = (flat / self.count).to(same[0].device).split([tensor.numel() for tensor in same])
            for tensor, part in zip(same, parts, strict=True):
                tensor.copy_(part.view_as(tensor))


ALONE = Portion()
"""That of a process which has all rows."""
_portion: ContextVar[Portion] = ContextVar("portion", default=ALONE)
_drawing: ContextVar[Portion] = ContextVar("drawing", default=ALONE)


@contextlib.contextmanager
def portioned(portion: Portion) -> Iterator[None]:
    """Within it this process has that portion of each batch."""
    token = _portion.set(portion)
    try:
        yield
    finally:
        _portion.reset(token)


def portion_of(n: int) -> Portion:
    """That of this process in a batch of n, all of it where n rows cannot be parted equally.

    >>> portion_of(100) is ALONE
    True
    """
    found = _portion.get()
    return ALONE if n % found.count else found


def everyone(n: int) -> int:
    """Rows of the whole batch, of which this process draws n: what a density asks its generator for.

    >>> everyone(10)
    10
    """
    return n * _drawing.get().count


def own(x: Tensor, dim: int = 0) -> Tensor:
    """What belongs to the rows of this process, along ``dim``, of random numbers for :func:`everyone`.

    >>> own(torch.zeros(everyone(10), 2)).shape
    torch.Size([10, 2])
    """
    return _drawing.get().mine(x, dim)
