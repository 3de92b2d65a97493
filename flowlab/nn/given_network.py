"""A network that a user brings, where a layer would make one of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

Factory = nn.Module | Callable[..., Any]
"""A module, or what makes one: called with the numbers of its inputs and of its outputs."""


class GivenNetwork(nn.Module):
    """Numbers for a layer from any module: (n, inputs) -> (n, outputs), outputs of any shape with so many numbers.

    With ``parity`` its outputs are made even and odd under a flip of the inputs, (g(v) ± g(-v)) / 2.

    Args:
        network: the module, or a function ``network(inputs, outputs)`` that makes it.
        read: (inputs,) site numbers that it sees.
        even, odd: how many of its outputs, in this order, are even and odd.
        parity: False lifts both constraints.

    Raises:
        TypeError: for what makes no module.
        ValueError: for a module that does not take or give as many numbers.

    >>> network = GivenNetwork(nn.Linear, torch.tensor([0, 2]), even=1, odd=3, parity=True)
    >>> even, odd = network(torch.ones(4, 5))
    >>> even.shape, odd.shape, bool((network(-torch.ones(4, 5))[1] == -odd).all())
    (torch.Size([1, 1, 5]), torch.Size([3, 1, 5]), True)
    """

    def __init__(self, network: Factory, read: Tensor, *, even: int, odd: int, parity: bool) -> None:
        super().__init__()
        made = network if isinstance(network, nn.Module) else _made(network, len(read), even + odd)
        self.network, self.even, self.odd, self.parity = made, even, odd, parity
        self.register_buffer("read", read, persistent=False)
        self._try()

    read: Tensor

    def _try(self) -> None:
        """Once through the network, so that what does not fit is refused where it is given."""
        like = next((weight for weight in self.network.parameters() if weight.is_floating_point()), torch.zeros(()))
        learns = self.network.training
        self.network.eval()  # so that no average over batches sees these inputs
        try:
            with torch.no_grad():
                found = self.network(torch.zeros(2, len(self.read), dtype=like.dtype, device=like.device))
        except Exception as error:  # a network of a person's own may raise anything
            raise ValueError(
                f"network must take (n, {len(self.read)}) values, those of the sites that it sees, and give "
                f"{self.even + self.odd} numbers for each: {type(error).__name__}: {error}"
            ) from error
        finally:
            self.network.train(learns)
        self._flat(found, 2)

    def forward(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """(N, n) sites with the batch last -> (even, 1, n) and (odd, 1, n)."""
        seen = v.index_select(0, self.read).T
        found = self._numbers(seen)
        if not self.parity:
            return found[: self.even], found[self.even :]
        flipped = self._numbers(-seen)
        return (found + flipped)[: self.even] / 2, (found - flipped)[self.even :] / 2

    def _numbers(self, seen: Tensor) -> Tensor:
        return self._flat(self.network(seen), len(seen)).movedim(0, -1)

    def _flat(self, found: Tensor, n: int) -> Tensor:
        outputs = self.even + self.odd
        if len(found) != n or found.numel() != n * outputs:
            raise ValueError(
                f"network must give {outputs} numbers for each of {n} configurations of {len(self.read)} sites, got "
                f"shape {tuple(found.shape)}"
            )
        return found.reshape(n, outputs, 1)


def _made(network: Callable[..., Any], inputs: int, outputs: int) -> nn.Module:
    wanted = "network must be a module, or a function (inputs, outputs) that makes one"
    try:
        made = network(inputs, outputs)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{wanted}, got {network!r}, which raises {type(error).__name__}: {error}") from error
    if not isinstance(made, nn.Module):
        raise TypeError(f"{wanted}, got {network!r}, which makes {made!r}")
    return made


class GivenMask(GivenNetwork):
    """The same for one kind of numbers: (N, n) -> (outputs, n)."""

    def forward(self, v: Tensor) -> Tensor:  # type: ignore[override]
        return torch.cat(super().forward(v)).squeeze(1)
